import assert from "node:assert/strict";
import { test } from "node:test";
import type { ShareStatus, StatusReport } from "../../../src/api/contract/contract.ts";
import type { MenuState } from "../../../src/menubar/menu/menu.ts";
import { menuOf } from "../../../src/menubar/menu/model.ts";
import type { MenuWorld } from "../../../src/menubar/menu/world.ts";
import { sampleSync } from "../../api/sample-config.ts";
import { gatewayReport, sampleBackend } from "../../api/sample-gateway.ts";
import { sampleReport, sampleShare } from "../../api/sample-report.ts";
import { assertEach } from "../../support/assert-each.ts";
import { everyItem, outline, sampleWorld } from "../worlds.ts";

const HOLDERS = [
  { pid: 4711, command: "bash", path: "/home/ada/Shares/CORE/notes" },
  { pid: 4712, command: "vim", path: "/home/ada/Shares/CORE/a_b.txt" },
];

const pending = (changes: Partial<ShareStatus> = {}): ShareStatus =>
  sampleShare({ active_interface: "fallback", tb_recovery_pending: true, ...changes });

const condition = (severity: "info" | "warning" | "error") => ({
  code: "route_slow",
  severity,
  title: "The host is slow",
  hint: null,
  since: "2026-01-02T11:00:00.000Z",
});

const withGateway = (phase: "Ready" | "Degraded" | "Failed", shares = [sampleShare()]): StatusReport =>
  gatewayReport([sampleBackend({ phase })], { shares });

/** The menu of that status, or of these shares, as lines. */
const linesOf = (of: StatusReport | ShareStatus[] = [sampleShare()], changes: Partial<MenuWorld> = {}) =>
  outline(menuOf(sampleWorld(Array.isArray(of) ? sampleReport(of) : of, changes)).items);

/** Each of them is among the lines. */
function assertHas(lines: readonly string[], ...wanted: readonly string[]): void {
  assert.deepEqual(
    wanted.filter((line) => !lines.includes(line)),
    [],
    lines.join("\n"),
  );
}

const OUT = { active_interface: "none", mount_state: "unmounted", mount_alive: false } as const;

test("A8 the icon shows the overall state", () => {
  const share = sampleShare;
  const sharesOf = (...shares: ShareStatus[]): MenuWorld => sampleWorld(sampleReport(shares));
  const told = (title: "info" | "warning"): MenuWorld => sharesOf(share({ conditions: [condition(title)] }));
  const syncOf = (changes: Parameters<typeof sampleSync>[0]): MenuWorld =>
    sampleWorld(sampleReport(), { sync: sampleSync(changes) });
  const without = (kind: "absent" | "silent"): MenuWorld =>
    sampleWorld(sampleReport(), { connection: { kind, reason: "none" } });
  const hangs = share({ name: "MEDIA", mount_alive: false });
  const global = { conditions: [condition("warning")] };
  const off = sampleBackend({ enabled: false, phase: "Failed" });
  const invalid = { kind: "invalid", reason: "line 3", since: "" } as const;
  const table: readonly (readonly [string, MenuWorld, MenuState])[] = [
    ["a share over Thunderbolt", sampleWorld(), "healthy"],
    ["nothing configured", sharesOf(), "healthy"],
    ["nothing known yet", { ...sampleWorld(), status: null }, "down"],
    ["no daemon", { ...without("absent"), status: null }, "down"],
    ["a daemon that does not answer", without("silent"), "degraded"],
    ["a share over fallback, not by choice", sharesOf(share({ active_interface: "fallback" })), "degraded"],
    ["held on fallback", sharesOf(share({ active_interface: "fallback", override: "fallback" })), "healthy"],
    ["a share unmounted by hand", sharesOf(share({ ...OUT, override: "unmounted" })), "healthy"],
    ["the only share unmounted", sharesOf(share(OUT)), "down"],
    ["one share of two hangs", sharesOf(share(), hangs), "degraded"],
    ["both hang", sharesOf(hangs, share({ name: "M", mount_state: "error" })), "down"],
    ["TB Ready", sharesOf(pending()), "tb_ready"],
    ["TB Ready beside a share that hangs", sharesOf(pending(), hangs), "tb_ready"],
    ["an error told", sharesOf(share({ last_error: "no" })), "degraded"],
    ["a warning", told("warning"), "degraded"],
    ["a fact", told("info"), "healthy"],
    ["a warning about no share", sampleWorld(sampleReport([share()], global)), "degraded"],
    ["a configuration with a mistake", syncOf({ last_error: invalid }), "degraded"],
    ["a configuration no longer watched", syncOf({ watching: "stopped" }), "degraded"],
    ["a server ready", sampleWorld(withGateway("Ready")), "healthy"],
    ["a server degraded", sampleWorld(withGateway("Degraded")), "degraded"],
    ["a server failed beside a share that is well", sampleWorld(withGateway("Failed")), "degraded"],
    ["a warning about the gateway", sampleWorld(gatewayReport([], { gateway: global })), "degraded"],
    ["a failed server that is switched off", sampleWorld(gatewayReport([off])), "healthy"],
    ["all that there is has failed", sampleWorld(withGateway("Failed", [])), "down"],
    [
      "all that is on has failed",
      sampleWorld(gatewayReport([off, sampleBackend({ phase: "Failed" })])),
      "down",
    ],
  ];
  for (const [what, world, state] of table) assert.equal(menuOf(world).state, state, what);
  assert.equal(linesOf([])[0], "Nothing is configured yet");
  assert.equal(linesOf([pending({ mount_alive: false })])[0], "!! 0 of 1 shares are well");
});

test("A8 the whole menu of a healthy share", () => {
  assert.deepEqual(linesOf(), [
    "All is well",
    "---",
    "CORE — mounted over Thunderbolt",
    "  ● Thunderbolt 10.0.0.2: answers",
    "  ○ Fallback 192.168.1.20: answers",
    "  ---",
    "  Switch to Fallback <do/switch/CORE/fallback>",
    "  Check now <do/check/CORE>",
    "  Unmount <do/unmount/CORE>",
    "  ---",
    "  Open <open/%2Fhome%2Fada%2FShares%2FCORE>",
    "---",
    "Mount all <off>",
    "Unmount all <do/unmount>",
    "---",
    "Open the page <dashboard>",
    "Open the shares folder <open/%2Fhome%2Fada%2FShares>",
    "Open the log <open/%2Fhome%2Fada%2Fmountaineer.log>",
    "---",
    "Quit the menu (shares stay as they are) <quit>",
  ]);
});

test("A7 TB Ready is offered at the top, and by force only behind the names of the programs that are cut off", () => {
  const share = pending({
    conditions: [{ ...condition("info"), code: "waiting_for_close", holders: HOLDERS }],
  });
  const lines = linesOf([share]);
  assert.equal(lines[0], "! TB Ready: CORE");
  assert.equal(lines[1], "! TB Ready – switch CORE <do/switch/CORE/tb>");
  const from = lines.indexOf("  !! Switch to Thunderbolt by force …");
  assert.deepEqual(lines.slice(from, from + 4), [
    "  !! Switch to Thunderbolt by force …",
    "    ! bash (4711): /home/ada/Shares/CORE/notes",
    "    ! vim (4712): /home/ada/Shares/CORE/a_b.txt",
    "    ---",
  ]);
  assert.match(lines[from + 4] ?? "", /cut off 2 files of bash and vim.*<force\/switch\/CORE\/tb>$/);
  const switches = lines.filter((line) => line.endsWith("<do/switch/CORE/tb>"));
  assertEach(switches, (line) => line.trim(), Array(2).fill("! TB Ready – switch CORE <do/switch/CORE/tb>"));
  assertHas(linesOf([pending()]), "    ! Whatever is open on it is cut off, unsaved work is lost");
});

test("many holders are counted, not all listed", () => {
  const holders = Array.from({ length: 30 }, (_, pid) => ({ pid, command: `p${pid}`, path: `/f${pid}` }));
  const share = pending({ conditions: [{ ...condition("info"), holders }] });
  const lines = linesOf([share]);
  assert.ok(lines.includes("    ! and 22 more"));
  const eight = linesOf([pending({ conditions: [{ ...condition("info"), holders: holders.slice(0, 8) }] })]);
  assert.doesNotMatch(eight.join("\n"), /more/);
  assert.ok(lines.some((line) => line.includes("cut off 30 files of 30 programs")));
});

test("a share's problems are listed: last error and conditions, without facts", () => {
  const share = sampleShare({
    ...OUT,
    last_error: "no route answers",
    tb_reachable: false,
    conditions: [condition("error"), { ...condition("info"), code: "fact", title: "A fact" }],
  });
  const lines = linesOf([share]);
  assertHas(
    lines,
    "!! CORE — not mounted",
    "  ! ○ Thunderbolt 10.0.0.2: connects, no SMB",
    "  !! Last error: no route answers",
    "  !! The host is slow",
  );
  assert.ok(!lines.some((line) => line.includes("A fact")));
  assertHas(lines, "  Mount <do/mount/CORE>", "Mount all <do/mount>");
});

test("without a daemon the menu offers to start one, and nothing that needs it", () => {
  const world = sampleWorld(sampleReport(), {
    connection: { kind: "absent", reason: "no daemon runs for this home" },
    status: null,
    sync: null,
  });
  assert.deepEqual(outline(menuOf(world).items), [
    "!! Mountaineer is not running",
    "! no daemon runs for this home",
    "Start Mountaineer <start>",
    "---",
    "Open the log <open/%2Fhome%2Fada%2Fmountaineer.log>",
    "---",
    "Quit the menu (shares stay as they are) <quit>",
  ]);
  const noPlaces = outline(menuOf({ ...world, logPath: null }).items);
  assert.equal(noPlaces.filter((line) => line === "---").length, 1);
});

test("a daemon that does not answer leaves its last state", () => {
  const connection = { kind: "silent", reason: "The daemon does not answer" } as const;
  const lines = linesOf(undefined, { connection });
  assert.equal(lines[0], "! Mountaineer does not answer; this is its last state");
  assert.ok(lines.includes("CORE — mounted over Thunderbolt"));
});

test("C3 without shares a gateway mentions none, and shares without a gateway mention none", () => {
  const alone = linesOf(withGateway("Ready", []));
  assertHas(alone, "Servers — 1 of 1 ready", "  files — Ready", "    Restart <do/restart/files>");
  assert.doesNotMatch(alone.join("\n"), /[Ss]hares folder|Mount all|Thunderbolt|Restart all/);
  const none = linesOf(gatewayReport([]));
  const from = none.findIndex((line) => line.includes("Servers — 0 of 0 ready"));
  assert.match(none[from + 1] ?? "", /http/);
  assert.equal(none[from + 2], "---", "no line parts it from nothing");
  assertHas(linesOf(gatewayReport(undefined, { gateway: { url: null } })), "! Servers — 1 of 1 ready");
  assert.doesNotMatch(linesOf().join("\n"), /[Bb]ackend/);
});

test("backends: phase, reason and error of each; a switched-off one has nothing to click", () => {
  const backends = [
    sampleBackend({ name: "a", phase: "Failed", reason: "its program ended", last_error: "exit code 3" }),
    sampleBackend({ name: "b", enabled: false }),
    sampleBackend({ name: "c", group: "search", tools: 4, withheld_tools: 2 }),
  ];
  const report = gatewayReport(backends, { gateway: { url: null } });
  const lines = linesOf(report);
  assertHas(
    lines,
    "! Servers — 1 of 2 ready",
    "  ! not listening",
    "  !! a — Failed",
    "    its program ended",
    "    !! Last error: exit code 3",
    "  b — disabled",
    "    4 tools, 3 resources, 2 tools filtered, group search, pid 812",
    "  Restart all <do/restart>",
  );
  assert.match(lines[lines.indexOf("  b — disabled") + 1] ?? "", /^ {2}c — /);
  assert.match(
    lines[lines.indexOf("    !! Last error: exit code 3") + 1] ?? "",
    /^ {4}Restart /,
    "no figures",
  );
});

const ROUTE = {
  type: "streamable-http",
  target: "http://nas/mcp",
  healthy_since: null,
  stable_at: null,
  retry_at: null,
  last_error: null,
} as const;

test("C2 backends with routes: the pending failback, and a click for each route", () => {
  const backend = sampleBackend({
    routes: {
      in_use: "lan",
      override: null,
      recovery_pending: { route: "here", reason: "calls are in flight" },
      list: [
        { ...ROUTE, name: "here", in_use: false, healthy_since: "2026-01-02T11:00:00.000Z" },
        { ...ROUTE, name: "lan", in_use: true, healthy_since: "2026-01-02T11:00:00.000Z" },
      ],
    },
  });
  const report = gatewayReport([backend]);
  const menu = menuOf(sampleWorld(report));
  const text = outline(menu.items).join("\n");
  assert.match(text, /files — Ready over lan, here is ready/);
  assert.match(text, /here is ready: calls are in flight/);
  assert.match(text, /Switch to here <do\/route\/files\/here>/);
  assert.doesNotMatch(text, /lan: ready|Switch to lan/, "it is in use");
});

test("B4 the configuration's error is shown with its position", () => {
  const sync = sampleSync({
    watching: "stopped",
    last_error: { kind: "invalid", reason: "config.toml:3:1: unknown key", since: "" },
  });
  const lines = linesOf(undefined, { sync });
  assertHas(lines, "!! Configuration: config.toml:3:1: unknown key");
  const stopped = linesOf(undefined, { sync: sampleSync({ watching: "stopped" }) });
  assert.ok(stopped.some((line) => line.startsWith("!! Configuration: ")));
  assert.ok(!linesOf().some((line) => line.includes("Configuration")));
});

test("why the daemon does not start stands below the summary", () => {
  const failure = {
    action: { kind: "start" },
    ok: false,
    text: "Start: a mistake",
    hint: "mend it",
  } as const;
  const lines = linesOf(undefined, { failure });
  assert.deepEqual(lines.slice(0, 4), ["All is well", "!! Start: a mistake", "mend it", "---"]);
});

test("hostile names stay one harmless line of bearable length", () => {
  const hostile = [
    "a\nb",
    "\u001b[31mred\u001b[0m",
    "‮evil",
    "--x",
    "~~~",
    "| bash=/bin/rm",
    "   ",
    "_",
    "é".repeat(300),
    "😀".repeat(200),
    "\ud800",
  ];
  const shares = hostile.map((name) => sampleShare({ name, last_error: name, stable_path: `/s/${name}` }));
  const items = everyItem(menuOf(sampleWorld(sampleReport(shares))).items);
  for (const item of items) {
    if (item.kind === "separator") continue;
    assert.doesNotMatch(item.label, /[\p{Cc}\u202a-\u202e]/u);
    assert.ok(item.label.length > 0 && [...item.label].length <= 90, item.label);
  }
});

test("more shares than fit on a screen go into a submenu, which shows their state", () => {
  const shares = Array.from({ length: 30 }, (_, index) =>
    sampleShare({ name: `S${index}`, mount_alive: index !== 29 }),
  );
  const lines = linesOf(shares);
  assertHas(lines, "!! 6 more shares", "  !! S29 — mounted over Thunderbolt, not answering");
  assert.doesNotMatch(linesOf(shares.slice(0, 24)).join("\n"), /more shares/, "all of these fit");
});

test("E2 a pending entry is listed at the top, once each, with a way to see it", () => {
  const waiting = ["server files would run evil", "server helper would run sh"];
  const conditions = waiting.map((title) => ({
    ...condition("warning"),
    code: "waiting_for_approval",
    title,
  }));
  const world = sampleWorld(sampleReport([sampleShare()], { conditions }), { sync: sampleSync({ waiting }) });
  const { state, items } = menuOf(world);
  const lines = outline(items);
  assert.equal(state, "degraded");
  for (const each of waiting)
    assert.equal(lines.filter((line) => line.includes(each)).length, 1, lines.join("\n"));
  const found = everyItem(items).find((item) => item.kind === "action" && item.action.kind === "dashboard");
  assert.ok(found?.kind === "action" && found.enabled);
  assert.ok(!linesOf().some((line) => line.includes("See it")));
});
