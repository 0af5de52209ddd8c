// Servers that misbehave, behind the real program: named in status, others served, nothing left after the end.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { BackendStatus } from "../../src/api/contract.ts";
import { ANSWERS_MS, eventually } from "../support/eventually.ts";
import { LIGHT_SERVER, MISBEHAVING_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type LightClient } from "./light-client.ts";

/** Longer than any start takes, so that only what is named beside it is hit. */
const PATIENT: Section = { init: 60, cap_fetch: 60, call: 60 };
/** Longer than any of these timeouts. */
const TOO_LATE_MS = "600000";
/** An end that waited for what never ends by itself would take ten minutes at least, or for ever. */
const FAR_TOO_LONG_MS = 60_000;

interface Story {
  readonly mode: string;
  /** Of those, the ones that it is to hit, s. */
  readonly timeouts?: Section;
  readonly env?: Readonly<Record<string, string>>;
  /** What status comes to say of it. */
  readonly comesTo: (backend: BackendStatus) => boolean;
  /** What a client sees of it. */
  readonly afterwards?: (client: LightClient, rig: GatewayRig) => Promise<void>;
}

const isFailed = ({ phase, reason, last_error }: BackendStatus): boolean =>
  phase === "Failed" && (reason ?? last_error) !== null;
const isReady = ({ phase }: BackendStatus): boolean => phase === "Ready";
/** It may serve what was known of it, or not at all; it is never said to be well. */
const isNamed = ({ phase, reason, last_error, conditions }: BackendStatus): boolean =>
  (phase === "Failed" || phase === "Degraded") &&
  (reason !== null || last_error !== null || conditions.length > 0);

const STORIES: readonly Story[] = [
  { mode: "hang-init", timeouts: { init: 1 }, comesTo: isFailed },
  { mode: "late-init", env: { LATE_MS: "600" }, comesTo: isReady },
  { mode: "crash-start", comesTo: isFailed },
  {
    mode: "crash-call",
    comesTo: isReady,
    async afterwards(client, rig) {
      await assert.rejects(client.call("work"), /-32000/u);
      await rig.untilBackend("odd", ({ restarts, phase }) => restarts >= 1 && phase === "Ready");
    },
  },
  { mode: "flood-notices", comesTo: ({ phase }) => phase === "Ready" || phase === "Degraded" },
  { mode: "flood-stderr", comesTo: isReady },
  {
    mode: "garbage",
    comesTo: isReady,
    async afterwards(client) {
      assert.equal(await client.call("work"), "worked");
    },
  },
  {
    mode: "big-result",
    comesTo: isReady,
    async afterwards(client) {
      assert.match(await client.call("work"), /mountaineer:\/\/results\//u);
    },
  },
  {
    mode: "never-reads",
    timeouts: { call: 5 },
    comesTo: isReady,
    async afterwards(client, rig) {
      const filler = "x".repeat(1_000_000);
      const calls = Array.from({ length: 8 }, () => client.ask("tools/call", { name: "work", filler }));
      assert.equal(await client.call("well_echo", { text: "meanwhile" }), "meanwhile");
      for (const reply of await Promise.all(calls)) assert.ok("error" in reply);
      assert.equal(await client.call("well_echo", { text: "after" }), "after");
      await rig.untilBackend("odd", ({ in_flight }) => in_flight === 0);
    },
  },
  { mode: "ignores-term", comesTo: isReady },
  { mode: "list-fails", comesTo: isNamed },
  { mode: "endless-paging", comesTo: isNamed },
  { mode: "repeated-cursor", comesTo: isNamed },
  { mode: "slow-lists", timeouts: { cap_fetch: 1 }, env: { LATE_MS: TOO_LATE_MS }, comesTo: isNamed },
];

// Each waits most of its time, for processes and time-outs.
describe("one server that misbehaves", { concurrency: 2 }, () => {
  for (const { mode, timeouts = {}, env = {}, comesTo, afterwards } of STORIES) {
    test(`a server that does ${mode} is contained`, async (t) => {
      const rig = await startGatewayRig(t, {
        backends: {
          well: nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: "well_" } }),
          odd: nodeBackend(MISBEHAVING_SERVER, [mode], { timeouts: { ...PATIENT, ...timeouts }, env }),
        },
      });
      await rig.untilReady("well");
      await using client = await connectLight(rig.url);
      // Before it is known how the other fares.
      assert.equal(await client.call("well_echo", { text: "at once" }), "at once");
      await rig.untilBackend("odd", comesTo);
      await afterwards?.(client, rig);
      assert.equal(await client.call("well_echo", { text: "still" }), "still");
      const { ms } = await rig.stop();
      assert.ok(ms < FAR_TOO_LONG_MS, `the end took ${ms} ms`);
    });
  }
});

test("a server that crashes again and again is tried ever more seldom, and says so", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: { odd: nodeBackend(MISBEHAVING_SERVER, ["crash-start"]) },
  });
  const failed = await rig.untilBackend(
    "odd",
    ({ phase, retry_at }) => phase === "Failed" && retry_at !== null,
  );
  assert.match(`${failed.reason} ${failed.last_error}`, /5|ended|cannot find/u);
  const logs = await (await rig.daemon()).gateway.logs("odd", AbortSignal.timeout(ANSWERS_MS));
  assert.ok(JSON.stringify(logs).includes("cannot find my data"));
});

test("an end waits for no call in flight and no process that ignores everything, and leaves none", async (t) => {
  const rig = await startGatewayRig(t, {
    backends: {
      well: nodeBackend(LIGHT_SERVER),
      odd: nodeBackend(MISBEHAVING_SERVER, ["ignores-term"]),
      // The same, and busy to the last.
      busy: nodeBackend(MISBEHAVING_SERVER, ["ignores-term"], { env: { HANG_CALLS: "1" } }),
    },
    more: { conflict_resolution: { strategy: "prefix" } },
  });
  await rig.untilReady("well", "odd", "busy");
  await using client = await connectLight(rig.url);
  const calls = [
    client.ask("tools/call", { name: "well_sleep", arguments: { ms: 600_000 } }),
    client.ask("tools/call", { name: "busy_work" }),
  ];
  const ended = Promise.allSettled(calls);
  await rig.untilBackend("busy", ({ in_flight }) => in_flight === 1);
  // Another's call is over while these hang.
  assert.equal(await client.call("well_echo", { text: "meanwhile" }), "meanwhile");
  const { ms } = await rig.stop();
  await ended;
  assert.ok(ms < FAR_TOO_LONG_MS, `the end took ${ms} ms`);
});

test("a process that ignores everything is gone with its grandchild, soon after the backend is removed", async (t) => {
  const well = nodeBackend(LIGHT_SERVER);
  const rig = await startGatewayRig(t, {
    backends: { well, odd: nodeBackend(MISBEHAVING_SERVER, ["ignores-term"]) },
  });
  await rig.untilReady("well", "odd");
  const before = await rig.processes();
  await rig.edit({ backends: { well } });
  await eventually(async () => {
    const left = await rig.processes();
    return left.length <= before.length - 2;
  });
});
