import assert from "node:assert/strict";
import test from "node:test";
import type { ConfigSnapshot } from "../../../src/config/snapshot.ts";
import { withWaiting } from "../../../src/daemon/control/gateway-status.ts";
import { type ConditionSources, globalConditions } from "../../../src/daemon/control/global-conditions.ts";
import { EMPTY_SHARE_MEMORY } from "../../../src/reconcile/state-store.ts";
import { createSinceTracker } from "../../../src/runtime/conditions/conditions.ts";
import type { SyncState } from "../../../src/sync/sync-settings.ts";
import { sampleBackend } from "../../api/sample-gateway.ts";
import { POLICY } from "../../shares/world.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { PATH, smbShare, snapshotOf } from "../samples.ts";
import { specOf, UNASKED_DRIVER } from "../shares.ts";

const FINE: SyncState = {
  watching: "live",
  lastSync: null,
  lastError: null,
  hash: "a",
  fileMissing: false,
  detector: { detection: "mtime", degraded: null },
};

interface World {
  unsavedBecause: Error | null;
  source: ReturnType<ConditionSources["networkEvents"]>;
  sync: SyncState;
  running: ConfigSnapshot;
  historyUnsavedBecause: string | null;
  left: ReturnType<ConditionSources["left"]>;
  changedCopies: readonly string[];
  uncopied: string | null;
}

async function world() {
  const clock = createManualClock();
  const now: World = {
    unsavedBecause: null,
    source: "rtnetlink",
    sync: FINE,
    running: await snapshotOf(""),
    historyUnsavedBecause: null,
    left: [],
    changedCopies: [],
    uncopied: null,
  };
  const sources: ConditionSources = {
    memory: {
      get saveError() {
        return now.unsavedBecause;
      },
    },
    networkEvents: () => now.source,
    running: () => now.running,
    sync: () => now.sync,
    historyUnsavedBecause: () => now.historyUnsavedBecause,
    left: () => now.left,
    copiedFrom: null,
    unreadSecretFiles: () => [],
    secondConfigs: () => [],
    changedCopies: () => now.changedCopies,
    uncopiedBecause: () => now.uncopied,
  };
  const sinceTracker = createSinceTracker(clock);
  const conditions = () => sinceTracker(globalConditions(sources));
  return { clock, now, conditions };
}

test("without problems there are none", async () => {
  const { conditions } = await world();
  assert.deepEqual(conditions(), []);
});

test("A5 B4 each standing problem is one, with a code and the fix", async () => {
  const { now, conditions } = await world();
  now.unsavedBecause = new Error("no space left");
  now.source = "polling";
  now.running = await snapshotOf(smbShare("CORE", ['username = "ada"']));
  now.sync = {
    ...FINE,
    watching: "stopped",
    fileMissing: true,
    lastError: { kind: "rejected", reason: `${PATH}:3:1: no`, since: "2025-12-31T00:00:00.000Z" },
    detector: { detection: "inotify", degraded: "the file lies on nfs4" },
  };
  const told = conditions();
  assertEach(told, ({ code, severity, since }) => [code, severity, since], [
    ["state_not_saved", "warning", "2026-01-01T00:00:00.000Z"],
    ["config_rejected", "error", "2025-12-31T00:00:00.000Z"],
    ["sync_stopped", "warning", "2026-01-01T00:00:00.000Z"],
    ["sync_degraded", "warning", "2026-01-01T00:00:00.000Z"],
    ["config_missing", "warning", "2026-01-01T00:00:00.000Z"],
    ["network_polling", "warning", "2026-01-01T00:00:00.000Z"],
    ["config:shares[0].username", "warning", "2026-01-01T00:00:00.000Z"],
  ]);
  const byCode = new Map(told.map((condition) => [condition.code, condition]));
  assert.match(byCode.get("state_not_saved")?.title ?? "", /no space left/);
  assert.match(byCode.get("config_rejected")?.title ?? "", /config\.toml:3:1: no/);
  assert.match(byCode.get("config_missing")?.title ?? "", /config\.toml is not there/);
  assert.match(byCode.get("sync_degraded")?.title ?? "", /nfs4/);
});

test("E2 a backend with an entry that waits for approval reports it, also as the reason why it does not run", () => {
  const condition = (name: string) => ({
    code: "waiting_for_approval",
    severity: "warning" as const,
    title: "it would run node instead",
    hint: `mountaineer approve backends.${name}`,
    since: "2026-01-01T00:00:00.000Z",
  });
  const waiting = new Map(["on", "off"].map((name) => [`backends.${name}`, condition(name)]));
  const backends = [
    sampleBackend({ name: "on" }),
    sampleBackend({
      name: "off",
      enabled: false,
      explanation: { rule: "stay off", why: "off", passed_over: [] },
    }),
    sampleBackend({ name: "other" }),
  ];
  const why = "it waits for approval";
  const explanation = { rule: "stay off", why, passed_over: [] };
  assert.deepEqual(withWaiting({ backends }, waiting).backends, [
    { ...backends[0], conditions: [condition("on")] },
    { ...backends[1], conditions: [condition("off")], reason: why, explanation },
    backends[2],
  ]);
});

test("B4 the hint for an invalid file depends on whether its correction is noticed", async () => {
  const { now, conditions } = await world();
  const lastError = { kind: "rejected", reason: "no", since: "2025-12-31T00:00:00.000Z" } as const;
  const hint = (watching: SyncState["watching"]): string | null => {
    now.sync = { ...FINE, watching, lastError };
    return conditions()[0]?.hint ?? null;
  };
  assert.match(hint("live") ?? "", /Correct the file, and it applies/);
  assert.match(hint("stopped") ?? "", /mountaineer reload/);
  assert.match(hint("off") ?? "", /mountaineer reload/);
});

test("C3 without a share the source of network changes is not reported", async () => {
  const { now, conditions } = await world();
  now.source = "polling";
  assert.deepEqual(conditions(), []);
  now.running = await snapshotOf(smbShare("CORE"));
  assertEach(conditions(), ({ code }) => code, ["network_polling"]);
});

test("each dates from when it first occurred, and one that returns from its return", async () => {
  const { clock, now, conditions } = await world();
  now.running = await snapshotOf(smbShare("CORE"));
  const since = (): string | undefined => conditions().find(({ code }) => code === "network_polling")?.since;
  now.source = "polling";
  assert.equal(since(), "2026-01-01T00:00:00.000Z");
  await clock.advance(60_000);
  assert.equal(since(), "2026-01-01T00:00:00.000Z");
  now.source = "rtnetlink";
  assert.equal(since(), undefined);
  await clock.advance(60_000);
  now.source = "polling";
  assert.equal(since(), "2026-01-01T00:02:00.000Z");
});

test("a running configuration that is missing in the history is reported for as long as it is missing", async () => {
  const { now, conditions } = await world();
  now.historyUnsavedBecause = "no space left";
  const [condition] = conditions();
  assert.deepEqual([condition?.code, condition?.severity], ["history_not_saved", "warning"]);
  assert.match(condition?.title ?? "", /no space left/);
  now.historyUnsavedBecause = null;
  assert.deepEqual(conditions(), []);
});

test("F6 a remaining mount of a share is named, with a command that can be pasted", async () => {
  const { now, conditions } = await world();
  const spec = specOf({ name: "My Photos" });
  now.left = [{ spec, policy: POLICY, driver: UNASKED_DRIVER, memory: EMPTY_SHARE_MEMORY }];
  const [told] = conditions();
  assert.deepEqual(
    [told?.code, told?.hint],
    ["left_mounted:My Photos", "mountaineer unmount --share 'My Photos'"],
  );
});
