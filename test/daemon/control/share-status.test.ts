import assert from "node:assert/strict";
import { test } from "node:test";
import { shareStatus, unmountedReason } from "../../../src/daemon/control/share-status.ts";
import { globalFindings, verifyShare } from "../../../src/daemon/control/verify.ts";
import { EMPTY_SHARE_MEMORY } from "../../../src/reconcile/state-store.ts";
import { isoTime } from "../../../src/runtime/time/clock.ts";
import type { ShareCondition } from "../../../src/shares/policy/decide.ts";
import type { MountCheck } from "../../../src/shares/prober/prober.ts";
import { answered, foundMount, probe, seenOf, specOf, viewOf, WALL_MS } from "../shares.ts";

test("a share that has never been checked has every field, and claims nothing", () => {
  assert.deepEqual(shareStatus(viewOf()), {
    name: "CORE",
    active_interface: "none",
    mount_state: "unmounted",
    mount_path: "/home/ada/.mountaineer/volumes/CORE",
    stable_path: "/home/ada/Shares/CORE",
    tb_host: "10.0.0.2",
    fb_host: "nas.local:4450",
    tb_reachable: false,
    fb_reachable: false,
    mount_alive: false,
    tb_recovery_pending: false,
    override: null,
    last_error: null,
    last_switch_at: null,
    tb_reachable_since: null,
    tb_healthy_since: null,
    conditions: [],
  });
});

test("F2 a silent host is reported with what its probe found, without the address and hints", () => {
  const detailed = {
    ...probe("gone"),
    text: "10.0.0.2:445: connection refused",
    detail: "connection refused",
  };
  const observed = seenOf({
    mount: null,
    routes: { tb: { atMs: 1000, probe: detailed }, fallback: { atMs: 1000, probe: probe("answers") } },
  });
  const { tb_error, fb_error } = shareStatus(viewOf({ observed }));
  assert.deepEqual([tb_error, fb_error], ["connection refused", undefined]);
});

test("a mounted share is reported completely: times in UTC, conditions with their holders", () => {
  const status = shareStatus(
    viewOf({
      memory: {
        ...EMPTY_SHARE_MEMORY,
        activeInterface: "fallback",
        tbReachableSince: WALL_MS,
        tbHealthySince: WALL_MS + 1500,
        tbRecoveryPending: true,
        override: "fallback",
        lastSwitchAt: WALL_MS + 60_000,
        lastError: "it did not mount",
      },
      observed: seenOf({
        mount: { found: foundMount({ path: "/mnt/elsewhere", route: "fallback" }), check: answered(null) },
        routes: {
          tb: { atMs: 1000, probe: probe("gone") },
          fallback: { atMs: 1000, probe: probe("answers") },
        },
      }),
      conditions: [
        {
          code: "waiting_for_close",
          severity: "info",
          title: "Files are open",
          hint: null,
          since: isoTime(WALL_MS),
          holders: [{ pid: 7, command: "vim", path: "/mnt/elsewhere/a", how: "fd" }],
        },
        {
          code: "route_slow",
          severity: "warning",
          title: "Slow",
          hint: "Look at the switch",
          since: isoTime(WALL_MS),
        },
      ],
    }),
  );
  assert.deepEqual(status, {
    name: "CORE",
    active_interface: "fallback",
    mount_state: "mounted",
    mount_path: "/mnt/elsewhere",
    stable_path: "/home/ada/Shares/CORE",
    tb_host: "10.0.0.2",
    fb_host: "nas.local:4450",
    tb_reachable: false,
    fb_reachable: true,
    tb_error: "it gone",
    mount_alive: true,
    tb_recovery_pending: true,
    override: "fallback",
    last_error: "it did not mount",
    last_switch_at: "2026-01-01T00:01:00.000Z",
    tb_reachable_since: "2026-01-01T00:00:00.000Z",
    tb_healthy_since: "2026-01-01T00:00:01.500Z",
    conditions: [
      {
        code: "waiting_for_close",
        severity: "info",
        title: "Files are open",
        hint: null,
        since: "2026-01-01T00:00:00.000Z",
        holders: [{ pid: 7, command: "vim", path: "/mnt/elsewhere/a" }],
      },
      {
        code: "route_slow",
        severity: "warning",
        title: "Slow",
        hint: "Look at the switch",
        since: "2026-01-01T00:00:00.000Z",
      },
    ],
  });
});

const never: MountCheck = { state: "never" };
const pending = (startedAtMs: number): MountCheck => ({ state: "pending", startedAtMs });

// Seen at 1000 ms.
const STATES: readonly [
  name: string,
  look: MountCheck,
  processGone: boolean,
  state: string,
  alive: boolean,
][] = [
  ["a mount that lists", answered(null), false, "mounted", true],
  ["one that may not be listed", answered("EACCES"), false, "mounted", true],
  ["one of which one check failed", answered("EIO"), false, "mounted", true],
  ["one whose transport ended", answered("ENOTCONN"), false, "error", false],
  ["one that was not looked at yet", never, false, "mounted", false],
  ["one whose look has just begun", pending(500), false, "mounted", true],
  ["one that gives no answer", pending(-500), false, "mounted", false],
  ["one whose process is gone, whatever it answered before", answered(null), true, "error", false],
];

for (const [name, check, processGone, state, alive] of STATES) {
  test(`A2 ${name} is "${state}"${alive ? ", alive" : ""}`, () => {
    const { mount_state, mount_alive } = shareStatus(
      viewOf({ observed: seenOf({ mount: { found: foundMount({ processGone }), check } }) }),
    );
    assert.deepEqual([mount_state, mount_alive], [state, alive]);
  });
}

test("hosts are reported as configured, IPv6 with brackets where a port follows, and folders as folders", () => {
  const route = { port: 445, interfaceName: null, folder: null };
  const hosts = (tb: object, fallback: object) => {
    const { tb_host, fb_host } = shareStatus(
      viewOf(
        {},
        specOf({
          routes: { tb: { ...route, host: null, ...tb }, fallback: { ...route, host: null, ...fallback } },
        }),
      ),
    );
    return [tb_host, fb_host];
  };
  assert.deepEqual(hosts({ host: "fd00::1" }, { host: "fd00::1", port: 4450 }), [
    "[fd00::1]",
    "[fd00::1]:4450",
  ]);
  assert.deepEqual(hosts({ folder: "/a" }, { folder: "/b" }), ["/a", "/b"]);
  assert.deepEqual(hosts({}, { host: "nas" }), [null, "nas"]);
});

test("the reason why a share cannot be mounted is the condition that fails a mount first, with its own hint", () => {
  const condition = (code: ShareCondition["code"]) => ({
    code,
    severity: "error" as const,
    title: code,
    hint: `mend ${code}`,
    since: isoTime(WALL_MS),
    holders: [],
  });
  const conditions = (["driver_unavailable", "variable_missing", "link_blocked"] as const).map(condition);
  assert.equal(unmountedReason(shareStatus(viewOf({ conditions })))?.hint, "mend variable_missing");
  assert.equal(unmountedReason(shareStatus(viewOf({ conditions: [condition("link_blocked")] }))), null);
});

const healthy = seenOf({ mount: { found: foundMount(), check: answered(null) } });
const mounted = { ...EMPTY_SHARE_MEMORY, activeInterface: "tb" } as const;
const brief = (findings: ReturnType<typeof verifyShare>) =>
  findings.map(({ share, severity, code }) => `${share} ${severity} ${code}`);

const deniedMount = {
  code: "mount_denied",
  severity: "warning",
  title: "Not permitted",
  hint: "",
  since: isoTime(WALL_MS),
} as const;
const looked = (check: MountCheck) => seenOf({ mount: { found: foundMount(), check } });

for (const [what, view, findings] of [
  ["a share that is mounted and answers has none", {}, []],
  ["a mount that is dead", { observed: looked(answered("ENOTCONN")) }, ["CORE error mount_dead"]],
  ["one of which a check failed", { observed: looked(answered("EIO")) }, ["CORE error mount_failing"]],
  ["one that gives no answer", { observed: looked(pending(-9000)) }, ["CORE error mount_dead"]],
  [
    "the last error of a share that is mounted all the same",
    { memory: { ...mounted, lastError: "the other host is gone too" } },
    ["CORE error last_error"],
  ],
  [
    "a mount whose root may not be read is an error for whoever asks",
    { conditions: [deniedMount] },
    ["CORE error mount_denied"],
  ],
] as const)
  test(`findings: ${what}`, () => {
    assert.deepEqual(brief(verifyShare(viewOf({ memory: mounted, observed: healthy, ...view }))), findings);
  });

test("an unmounted share is an error that gives the cause and the fix, unless a person unmounted it", () => {
  const memory = { ...EMPTY_SHARE_MEMORY, lastError: "the password was refused" };
  assert.deepEqual(verifyShare(viewOf({ memory, observed: seenOf() })), [
    {
      share: "CORE",
      severity: "error",
      code: "not_mounted",
      text: "not mounted: the password was refused",
      hint: "mountaineer mount --share CORE",
    },
  ]);
  const override = { ...EMPTY_SHARE_MEMORY, override: "unmounted" } as const;
  assert.deepEqual(verifyShare(viewOf({ memory: override, observed: seenOf() })), []);
});

test("conditions are findings of equal severity; notices are not findings", () => {
  const condition = { title: "Something stands", hint: "Look", since: isoTime(WALL_MS) };
  const conditions = [
    { ...condition, code: "tb_ready", severity: "info" },
    { ...condition, code: "route_slow", severity: "warning" },
    { ...condition, code: "path_taken", severity: "error" },
  ] as const;
  assert.deepEqual(brief(verifyShare(viewOf({ memory: mounted, observed: healthy, conditions }))), [
    "CORE warning route_slow",
    "CORE error path_taken",
  ]);
  const global = conditions.map((each) => ({ ...each, since: "2026-01-01T00:00:00.000Z" }));
  assert.deepEqual(globalFindings(global), [
    { share: null, severity: "warning", code: "route_slow", text: "Something stands", hint: "Look" },
    { share: null, severity: "error", code: "path_taken", text: "Something stands", hint: "Look" },
  ]);
});
