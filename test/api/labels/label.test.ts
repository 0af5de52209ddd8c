import assert from "node:assert/strict";
import { test } from "node:test";
import type { SyncEvent } from "../../../src/api/contract/config.ts";
import type {
  BackendStatus,
  Condition,
  GatewayStatus,
  ShareStatus,
} from "../../../src/api/contract/contract.ts";
import { actionsFor, actionWith } from "../../../src/api/labels/actions.ts";
import {
  backendLabel,
  backendRouteLabel,
  phaseLabel,
  waitingText,
} from "../../../src/api/labels/backend-labels.ts";
import { changesBetween, statementsOf } from "../../../src/api/labels/change-labels.ts";
import { eventLabel, transitionLabel } from "../../../src/api/labels/event-labels.ts";
import {
  fleetSummary,
  lineLabel,
  machineCounts,
  machineLines,
  machineSearchText,
  machineTrouble,
  presenceLabel,
  troubledFirst,
} from "../../../src/api/labels/fleet-labels.ts";
import { backendImpact, type Impact, phaseImpact, shareImpact } from "../../../src/api/labels/impact.ts";
import { routeLabels } from "../../../src/api/labels/share-labels.ts";
import { type EventRow, ROWS_RETAINED, withEvent } from "../../../src/api/labels/sync-labels.ts";
import { backendWhy } from "../../../src/api/labels/why.ts";
import { assertEach } from "../../support/assert-each.ts";
import { pluck } from "../../support/pluck.ts";
import { fc } from "../../support/properties.ts";
import { sampleSyncEvent } from "../sample-config.ts";
import { NOT_MOUNTED, OVER_TB, sampleFleet, sampleMachine, sampleMachineState } from "../sample-fleet.ts";
import { gatewayReport, sampleBackend } from "../sample-gateway.ts";
import { SAMPLE_MOVES, sampleReport, sampleShare } from "../sample-report.ts";

test("the label of a starting backend is one word, and of others the phase's own name", () => {
  assert.deepEqual(
    ["Initializing", "Ready", "Failed"].map((phase) => phaseLabel(phase).text),
    ["Starting", "Ready", "Failed"],
  );
});

test("F2 undoing an action restores the earlier state: an override by a person stays", async () => {
  const shares = [sampleShare({ name: "CORE" }), sampleShare({ name: "OLD", override: "unmounted" })];
  const routes = (override: string | null) => ({
    ...{ override: override, in_use: "lan", recovery_pending: null },
    list: ["lan", "wan"].map((name) => ({
      ...({ name, type: "streamable-http", target: "http://nas/mcp", in_use: name === "lan" } as const),
      ...{ healthy_since: null, stable_at: null, retry_at: null, last_error: null },
    })),
  });
  const backends = [
    sampleBackend({ name: "a", routes: routes("lan") }),
    sampleBackend({ name: "b", routes: routes(null) }),
  ];
  const asked: unknown[] = [];
  const ask = (...words: readonly unknown[]): Promise<never> => {
    asked.push(words.slice(0, 2));
    return Promise.reject(new Error("asked"));
  };
  for (const id of [["unmount"], ["route", "a", "wan"], ["route", "b", "wan"]]) {
    const undo = actionWith(actionsFor({ shares, backends }), ...id)?.undo;
    await assert.rejects(async () => undo?.perform(ask, AbortSignal.any([]), false), { message: "asked" });
  }
  assert.deepEqual(asked, [
    ["mount", { shares: ["CORE"] }],
    ["switchBackend", { backend: "a", to: "lan" }],
    ["switchBackend", { backend: "b", to: "auto" }],
  ]);
});

test("C3 calls that have waited long are reported in words", () => {
  assert.equal(waitingText(sampleBackend()), null);
  const text = (count: number, longest_ms: number) => waitingText({ waiting_calls: { count, longest_ms } });
  assert.equal(text(1, 45_900), "1 call has waited 45 s");
  assert.equal(text(3, 125_000), "3 calls have waited up to 2 min");
});

test("C3 a route of a backend shows whether it is in use, how long it is steady, or why it is not", () => {
  const route = {
    ...({ name: "lan", type: "streamable-http", target: "http://nas/mcp", in_use: false } as const),
    ...{ healthy_since: null, stable_at: null, retry_at: null, last_error: null },
  };
  const now = Date.parse("2026-11-20T08:10:00.000Z");
  const refused = { last_error: "refused", retry_at: "2026-11-20T08:10:30.000Z" };
  const told = [
    { in_use: true, ...refused },
    { healthy_since: "2026-11-20T08:05:00.000Z", ...refused },
    refused,
    {},
  ].map((change) => backendRouteLabel({ ...route, ...change }, now));
  assertEach(told, ({ tone, text }) => `${tone} ${text}`, [
    "good in use",
    "good steady for 5 min",
    "warning refused, tries again in 30 s",
    "plain not in use",
  ]);
});

test("F2 a route's loss is reported without the host's name, which every UI shows", () => {
  const why = "10.0.0.2:445: tb0 is down (cable unplugged?)";
  const lost = { share: "CORE", host: "10.0.0.2", route: "tb", from: "tb", to: "fallback", moved: true };
  const told = (name: string, reason: string) => transitionLabel({ name, ...lost, reason })?.text;
  assert.deepEqual(
    [told("share.route_down", why), told("share.failover", `10.0.0.2 is gone: ${why}`)],
    [
      "The preferred route is gone: tb0 is down (cable unplugged?)",
      "Failed over from the preferred route to Fallback; the mount stays: tb0 is down (cable unplugged?)",
    ],
  );
});

test("F2 transitions are described in words, with their subject", () => {
  assert.deepEqual(
    transitionLabel({
      name: "share.failover",
      share: "CORE",
      from: "tb",
      to: "fallback",
      host: "x",
      reason: "link down",
      tb_link: "wired",
      duration_ms: 1250,
    }),
    {
      name: "share.failover",
      about: "CORE",
      text: "Failed over from Ethernet to Fallback in 1.3 s: link down",
      tone: "warning",
      cable: "Ethernet",
    },
  );
  assert.deepEqual(
    transitionLabel({
      name: "backend.phase",
      backend: "files",
      from: "Pending",
      to: "Failed",
      reason: null,
      took_ms: 1,
    }),
    {
      name: "backend.phase",
      about: "files",
      text: "Pending → Failed",
      tone: "bad",
    },
  );
});

test("C3 a drained instance is reported with the number of interrupted calls, if any", () => {
  const told = (cut: number) => transitionLabel({ name: "backend.drained", backend: "files", cut })?.text;
  assert.deepEqual(
    [told(0), told(1)],
    ["The old instance is drained", "The old instance is drained; 1 call cut off"],
  );
});

test("an unknown transition is still shown; the one for each check is not", () => {
  assert.deepEqual(transitionLabel({ name: "share.brand_new", share: "CORE", count: 2, more: {} }), {
    name: "share.brand_new",
    about: "CORE",
    text: "share brand new, count 2",
    tone: "plain",
  });
  assert.equal(transitionLabel({ name: "share.open_files_checked", share: "CORE" }), null);
});

test("for two backends with one name, the event names the one whose entry is published", () => {
  const words = { name: "catalog.collision", kind: "tool", entry: "read", kept: "files", hidden: "web" };
  assert.equal(transitionLabel(words)?.text, "files and web both offer tool read; the first is published");
});

test("sync events are shown, states are not", () => {
  const event = { id: 1, time: "1:02:03", iso: "", generation: 1, type: "error" as const, details: "line 3" };
  assert.deepEqual(eventLabel({ kind: "sync", event }), {
    name: "sync",
    about: null,
    text: "Configuration: line 3",
    tone: "bad",
  });
  assert.equal(eventLabel({ kind: "gap" }), null);
});

test("G1 a machine's state has a label that needs no colour", () => {
  const words = [
    [{ own: true, heard_secs_ago: 0 }, "here"],
    [{}, "here, last heard from 4 s ago"],
    [{ presence: "silent" as const, heard_secs_ago: 95 }, "silent, last heard from 1 min ago"],
    [{ presence: "silent" as const, heard_secs_ago: null }, "silent, gives no answer"],
    [{ presence: "gone" as const }, "stopped 4 s ago"],
    [{ presence: "unheard" as const, heard_secs_ago: null }, "not heard from yet"],
    [{ presence: "unreadable" as const }, "unreadable"],
  ] as const;
  for (const [changes, text] of words) assert.equal(presenceLabel(sampleMachine(changes)).text, text);
});

test("G1 a machine's report, line by line: problems first, then shares with their routes, then backends", () => {
  const state = sampleMachineState({
    shares: [
      { name: "CORE", phase: "mounted", route: "tb", reason: null, words: OVER_TB },
      { name: "MEDIA", phase: "error", route: "none", reason: "no host answers", words: NOT_MOUNTED },
    ],
    backends: [
      {
        name: "db",
        phase: "Initializing",
        tools: 1,
        reason: "waits for its share",
        words: { text: "Starting", tone: "plain" },
      },
    ],
    conditions: [{ code: "disk", severity: "error", title: "the disk is full" }],
  });
  const machine = sampleMachine({ problem: "two machines use this name", state });
  assert.deepEqual(
    machineLines(machine).map((line) => `${line.tone} ${line.about} ${line.name ?? "-"} ${lineLabel(line)}`),
    [
      "warning wrong - two machines use this name",
      "bad wrong - the disk is full",
      "good share CORE mounted over Thunderbolt",
      "bad share MEDIA not mounted: no host answers",
      "plain server db Starting, 1 tool: waits for its share",
    ],
  );
  assert.equal(machineCounts(machine), "2 shares, 1 server, 1 tool");
  assert.equal(machineTrouble(machine)?.text, "the disk is full");
  assert.match(machineSearchText(machine), /^desktop here .*MEDIA not mounted/);
});

test("G1 the worst is listed first, this machine before all, and an orderly stop is not a problem", () => {
  const failed = {
    name: "db",
    phase: "Failed",
    tools: 0,
    reason: "exit 1",
    words: { text: "Failed", tone: "bad" },
  } as const;
  const warned = { code: "x", severity: "warning" as const, title: "the clock is off" };
  const machines = [
    sampleMachine({ name: "own", own: true }),
    sampleMachine({ name: "well" }),
    sampleMachine({ name: "warned", state: sampleMachineState({ conditions: [warned] }) }),
    sampleMachine({ name: "stopped", presence: "gone", state: sampleMachineState({ backends: [failed] }) }),
    sampleMachine({ name: "failed", state: sampleMachineState({ backends: [failed] }) }),
  ];
  assert.deepEqual(pluck(troubledFirst(machines), "name"), ["own", "failed", "warned", "well", "stopped"]);
  assert.equal(
    fleetSummary(sampleFleet({ machines, more: 3 })).text,
    "5 machines: 4 here, 1 stopped; trouble on 2; 3 more are too many to keep",
  );
  const well = [sampleMachine({ own: true }), sampleMachine({ name: "nas" })];
  assert.equal(fleetSummary({ machines: well, more: 0 }).text, "2 machines: all here; no trouble");
  const unheard = [sampleMachine({ own: true }), sampleMachine({ name: "nas", presence: "unheard" })];
  assert.deepEqual(fleetSummary({ machines: unheard, more: 0 }), {
    text: "2 machines: 1 here, 1 not heard",
    tone: "plain",
  });
});

function event(id: number, type: SyncEvent["type"], details = type as string): SyncEvent {
  const iso = new Date(Date.UTC(2026, 0, 1, 12, 0, id)).toISOString();
  return sampleSyncEvent({ id, time: iso.slice(11, 19), iso, type, details });
}

function rowsOf(events: readonly SyncEvent[]): readonly EventRow[] {
  return events.reduce<readonly EventRow[]>(withEvent, []);
}

test("B8 consecutive events without a change are one row with their count and the newest time", () => {
  const rows = rowsOf([
    event(1, "no-change"),
    event(2, "no-change"),
    event(3, "changed", "1 share reloaded"),
    event(4, "no-change"),
    event(5, "error", "config.toml:3:1: …"),
    event(6, "no-change"),
  ]);
  assert.deepEqual(pluck(rows, "time", "type", "count"), [
    ["12:00:02", "no-change", 2],
    ["12:00:03", "changed", 1],
    ["12:00:04", "no-change", 1],
    ["12:00:05", "error", 1],
    ["12:00:06", "no-change", 1],
  ]);
});

test("B8 errors and changes are never merged, and the last twenty rows are kept", () => {
  const rows = rowsOf(Array.from({ length: 50 }, (_, id) => event(id, id % 2 === 0 ? "changed" : "error")));
  assert.equal(rows.length, ROWS_RETAINED);
  assert.equal(ROWS_RETAINED, 20);
  assert.equal(rows.at(-1)?.time, "12:00:49");
  assert.ok(rows.every(({ count }) => count === 1));
});

test("B8 for any events, no two neighbouring rows lack a change, and each event is counted once", () => {
  const types = fc.array(fc.constantFrom<SyncEvent["type"]>("changed", "no-change", "error"), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(types, (list) => {
      const rows = rowsOf(list.map((type, id) => event(id, type)));
      assert.ok(rows.length <= ROWS_RETAINED);
      for (const [index, row] of rows.entries()) {
        assert.ok(row.type !== "no-change" || rows[index - 1]?.type !== "no-change");
      }
      const counted = rows.reduce((sum, { count }) => sum + count, 0);
      if (rows.length < ROWS_RETAINED) assert.equal(counted, list.length);
    }),
  );
});

test("F4 a server whose calls all fail is not green; one answer, or a few failures, change nothing", () => {
  const of = (calls: number, errors: number, phase: BackendStatus["phase"] = "Ready") => {
    const { tone, why } = backendLabel(sampleBackend({ phase, conditions: [], recent: { calls, errors } }));
    return [tone, why];
  };
  assert.deepEqual(of(5, 5), ["bad", "all 5 calls of the last 5 min failed"]);
  assert.deepEqual(
    [of(5, 4), of(2, 2)],
    [
      ["good", null],
      ["good", null],
    ],
  );
  assert.equal(of(5, 5, "Asleep")[0], "plain");
});

test("F4 a condition's code never reaches a person, not even of an event that this version does not know", () => {
  const fields = { share: "CORE", code: "login_refused", reason: "the NAS refuses the login" };
  const of = (name: string) => transitionLabel({ name, ...fields })?.text;
  assert.equal(of("share.condition"), "Problem: the NAS refuses the login");
  assert.equal(of("share.condition_over"), "Solved: the NAS refuses the login");
  assert.equal(of("share.from_later"), "share from later, reason the NAS refuses the login");
});

test("F2 a host that does not answer is shown with the reason of its probe", () => {
  const share = sampleShare({
    tb_reachable: false,
    tb_reachable_since: null,
    tb_error: "connection refused",
  });
  assert.deepEqual(pluck(routeLabels(share), "text"), ["connection refused", "answers"]);
});

test("F2 a route whose host has another address by now says which one the mount uses", () => {
  const [tb, fallback] = routeLabels(sampleShare({ address_in_use: "10.0.0.9" }));
  assert.deepEqual([tb?.text, tb?.tone], ["by its earlier address 10.0.0.9", "warning"]);
  assert.equal(fallback?.text, "answers");
});

const serves = { rule: "serve calls", why: "the server answers", passed_over: [] };

const ROWS: readonly (readonly [string, Partial<BackendStatus>, string])[] = [
  ["whose calls all fail", { recent: { calls: 5, errors: 5 } }, "all 5 calls"],
  ["with a call that waits", { waiting_calls: { count: 1, longest_ms: 45_000 } }, "1 call has waited 45 s"],
  ["that only serves", {}, "the server answers"],
];
for (const [what, changes, why] of ROWS)
  test(`F7 a server ${what} gives that as the reason`, () => {
    const found = backendWhy(
      sampleBackend({ phase: "Ready", explanation: serves, conditions: [], ...changes }),
    );
    assert.ok(found.why.startsWith(why), found.why);
  });

test("F2 a change is reported once, changing figures are not, and an end is", () => {
  const before = statementsOf(gatewayReport([sampleBackend({ in_flight: 1 })]));
  assert.deepEqual(
    changesBetween(before, statementsOf(gatewayReport([sampleBackend({ in_flight: 9 })]))),
    [],
  );
  const failed = statementsOf(gatewayReport([sampleBackend({ phase: "Failed", reason: "exit 1" })]));
  assert.deepEqual(changesBetween(before, failed), [
    "server files: Failed, exit 1; mountaineer backends logs files shows what it wrote",
  ]);
  const waits = (longest_ms: number) =>
    statementsOf(gatewayReport([sampleBackend({ waiting_calls: { count: 1, longest_ms } })]));
  const waited =
    "note: files: a call has waited for its answer for over 10 s; mountaineer backends logs files shows what it wrote";
  assert.deepEqual(changesBetween(before, waits(12_000)), [waited]);
  assert.deepEqual(changesBetween(waits(12_000), waits(45_000)), []);
  assert.deepEqual(changesBetween(waits(45_000), before), [`over: ${waited}`]);
  const gone = statementsOf(sampleReport([]));
  assert.ok(changesBetween(before, gone).includes("over: server files: Ready, 14 tools, 3 resources"));
});

test("F2 a sentence about a share names the command for it, safe to paste", () => {
  const said = (changes: Parameters<typeof sampleShare>[0]) =>
    statementsOf(sampleReport([sampleShare({ name: "my share", ...changes })])).get("share my share")?.[0];
  assert.equal(said({}), "share my share: mounted over Thunderbolt");
  assert.equal(
    said({ active_interface: "fallback", tb_recovery_pending: true }),
    "share my share: mounted over Fallback, TB Ready; mountaineer switch --share 'my share' --to tb switches it to Thunderbolt",
  );
  assert.match(said({ override: "fallback" }) ?? "", /--to auto goes back to automatic$/);
  assert.match(
    said({ override: "unmounted" }) ?? "",
    /mountaineer mount --share 'my share' mounts it again$/,
  );
  assert.match(
    said({ last_error: "no host answers" }) ?? "",
    /; last error: no host answers; mountaineer verify --share 'my share' says more$/,
  );
});

test("F2 several conditions of one code are reported, and so is each one's end", () => {
  const withNotes = (...titles: readonly string[]) => {
    const conditions = titles.map((title) => ({
      ...{ code: "names_prefixed", severity: "info" as const, title },
      ...{ hint: null, since: "2026-01-01T00:00:00.000Z" },
    }));
    const report = gatewayReport([]);
    return statementsOf({ ...report, gateway: { ...(report.gateway as GatewayStatus), conditions } });
  };
  const [none, two] = [withNotes(), withNotes("a offers names", "b offers names")];
  assert.deepEqual(changesBetween(none, two), [
    "info: gateway: a offers names",
    "info: gateway: b offers names",
  ]);
  assert.deepEqual(changesBetween(two, withNotes("b offers names")), ["over: info: gateway: a offers names"]);
  assert.deepEqual(changesBetween(two, withNotes("a offers names", "b offers more names")), [
    "info: gateway: b offers more names",
  ]);
});

const sampleCondition = (changes: Partial<Condition>): Condition => ({
  ...{ code: "x", severity: "warning", title: "x", hint: null, since: "2026-01-02T11:00:00.000Z" },
  ...changes,
});
const none = {
  mount_state: "unmounted",
  active_interface: "none",
  mount_alive: false,
  last_error: null,
} as const;
const on = { mount_state: "mounted", mount_alive: true, tb_reachable: true, fb_reachable: false } as const;
const moves = SAMPLE_MOVES;

const SHARES: readonly (readonly [string, Partial<ShareStatus>, Impact])[] = [
  [
    "over its only host",
    { ...on, tb_host: null, fb_host: "nas", active_interface: "fallback", fb_reachable: true },
    "fine",
  ],
  ["over Fallback", { ...on, active_interface: "fallback", fb_reachable: true }, "fine"],
  ["not looked at yet", none, "unused"],
  ["unmounted by hand", { ...none, override: "unmounted", last_error: "no answer" }, "unused"],
  [
    "off network",
    { ...none, last_error: "no answer", conditions: [sampleCondition({ code: "off_network" })] },
    "unused",
  ],
  [
    "a refused login",
    { ...none, conditions: [sampleCondition({ code: "login_refused", severity: "error" })] },
    "failed",
  ],
  ["a missing share", { ...none, last_error: "the server has no share CORE" }, "failed"],
  ["an error", { ...none, mount_state: "error" }, "failed"],
  ["a dead mount", { ...on, mount_alive: false }, "failed"],
  ["no route, does not move", { ...on, tb_reachable: false, mount_alive: false }, "failed"],
  ["moves, waiting", { ...on, moves: { ...moves, phase: "waiting" } }, "waited"],
  ["moves, patience over", { ...on, moves: { ...moves, phase: "over" } }, "failed"],
  ["moves", { ...on, moves }, "fine"],
];

test("F4 a share's state is its impact on programs", () => {
  for (const [title, share, felt] of SHARES) assert.equal(shareImpact(sampleShare(share)), felt, title);
});

test("F4 a server's state is its impact on callers", () => {
  assert.equal(backendImpact(sampleBackend({ phase: "Ready" })), "fine");
  assert.equal(backendImpact(sampleBackend({ enabled: false, conditions: [] })), "unused");
  assert.equal(
    backendImpact(sampleBackend({ phase: "Ready", conditions: [sampleCondition({ code: "share_away" })] })),
    "failed",
  );
  const phases = ["Pending", "Initializing", "Ready", "Asleep", "Degraded", "Failed", "ShuttingDown"].map(
    phaseImpact,
  );
  assert.deepEqual(phases, ["waited", "waited", "fine", "unused", "fine", "failed", "unused"]);
});
