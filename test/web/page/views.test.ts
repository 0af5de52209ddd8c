import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { useEffect } from "preact/hooks";
import type { ShareStatus, StatusReport } from "../../../src/api/contract/contract.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import type { PageState } from "../../../src/web/page/daemon/live.ts";
import type { App } from "../../../src/web/page/parts/app.ts";
import {
  addressOf,
  filterFrom,
  type RANGES,
  timesOf,
} from "../../../src/web/page/records/activity-filter.ts";
import { ServerPanel } from "../../../src/web/page/servers/server-panel.ts";
import { partAt, VIEWS } from "../../../src/web/page/shell/views.ts";
import {
  sampleApprovals,
  sampleConfig,
  sampleEdit,
  sampleMistake,
  sampleReload,
} from "../../api/sample-config.ts";
import {
  catalogOf,
  gatewayReport,
  sampleBackend,
  sampleClient,
  sampleTool,
  sampleToolChange,
} from "../../api/sample-gateway.ts";
import {
  SAMPLE_MOVES,
  SAMPLE_NOW,
  sampleReport,
  sampleResult,
  sampleShare,
  secondsAgo,
} from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
import { tellStories } from "../../support/stories.ts";
import { type Scripted, scriptedApp } from "./scripted-app.ts";
import { mount } from "./tiny-dom.ts";

const viewOf = (name: string, app: App) =>
  mount(partAt(`#/${name}`).part.view as (props: { app: App }) => null, { app });

/** Each with words that are there once all answers have come. */
const SAYS: Readonly<Record<string, readonly string[]>> = {
  home: ["1 thing needs attention", "1 change waits for your approval"],
  shares: ["CORE", "mounted over Thunderbolt", "10.0.0.2"],
  "shares/add": ["Look for servers", "Address (required)", "in a signed session", "List its shares"],
  servers: ["files", "Ready", "14 tools", "1 call has waited 45 s"],
  "servers/tools": [
    "files_read",
    "Resources (2)",
    "Prompts (1)",
    "Kept from clients",
    "the server's filters hide it",
  ],
  "servers/add": ["Command or address (required)", "Add a variable or header", "Show what runs"],
  "servers/import": ["JSON from a guide"],
  activity: ["warning", "CORE", "Failed over from"],
  people: ["anndevwith a token", " ago1", "As logs and the audit name the person."],
  "settings/configuration": ["Runs now", "settings reloaded"],
  "settings/sync": [
    "/home/ada/.mountaineer/config.toml",
    "0123456789ab",
    "live",
    " ago",
    "1 share reloaded",
    "Notice changes by",
  ],
  "settings/secrets": ["nasmissingshare CORESet", "Save"],
  "settings/approvals": [
    "server files would run evil instead",
    '+command = "evil"',
    "read_file",
    "Reads a\\u{202e} file.",
  ],
  "settings/fleet": ["4 machines: 2 here", "nas", "CORE not mounted: no host answers"],
  "settings/clients": [
    "claude-code 2.1.0",
    "2025-11-25 over HTTP",
    "no such file (",
    "Connect a client",
    "/home/ann/.cursor/mcp.json",
    "/z is not JSON",
  ],
  "settings/about": ["Mountaineer", "process", "Restart daemon"],
};

test("F2 each view shows the daemon's report, and names itself behind the #", async () => {
  assert.deepEqual(
    Object.keys(SAYS),
    VIEWS.flatMap(({ parts }) => parts.map(({ at }) => at)),
  );
  assert.equal(partAt("#/nothing").part.at, "home");
  const waits = sampleBackend({ waiting_calls: { count: 1, longest_ms: 45_000 } });
  const report = gatewayReport([waits], { shares: [sampleShare()] });
  const status = { ...report, global: { ...report.global, in_fleet: true } };
  for (const [name, words] of Object.entries(SAYS)) {
    using view = viewOf(name, scriptedApp({}, { status }));
    await eventually(() => words.every((word) => view.text().includes(word))).catch(() =>
      assert.fail(`${name}: ${words.filter((word) => !view.text().includes(word))} in ${view.text()}`),
    );
  }
});

test("D1 a choice of the Sync settings always has a value: nothing else can be chosen", async () => {
  using view = viewOf("settings/sync", scriptedApp());
  await eventually(() => view.text().includes("Notice changes by"));
  assert.equal(view.text().includes("choose one"), false);
});

test("F2 home links to the next step where nothing is configured, and nowhere else", () => {
  const says = (report: StatusReport): boolean => {
    using view = viewOf("home", scriptedApp({}, { status: report }));
    return view.text().includes("mountaineer init");
  };
  assert.deepEqual([sampleReport([]), sampleReport(), gatewayReport([])].map(says), [true, false, true]);
});

test("C3 a server's panel gives the reason why it does not serve, and its last error once, as a problem while it does not", () => {
  const panel = (changes: Parameters<typeof sampleBackend>[0]) =>
    mount(ServerPanel, {
      ...{ app: scriptedApp(), backend: sampleBackend(changes), now: SAMPLE_NOW, part: null, onPart() {} },
    });
  const notes = (changes: Parameters<typeof sampleBackend>[0]): readonly string[] => {
    using view = panel(changes);
    const said = view.elements("p").filter(({ textContent }) => /reason|exit/.test(textContent));
    return said.map((note) => `${note.getAttribute("class")}: ${note.textContent}`);
  };
  const told = { reason: "the reason", last_error: "exit 1" };
  assert.deepEqual(notes({ ...told, phase: "Ready" }), ["dim: Last error: exit 1"]);
  assert.deepEqual(notes({ ...told, phase: "Failed" }), ["hint: the reason", "problem: Last error: exit 1"]);
  assert.deepEqual(notes({ ...told, reason: "exit 1", phase: "Failed" }), ["hint: exit 1"]);
  const hasLogs = (changes: Parameters<typeof sampleBackend>[0]): boolean => {
    using view = panel(changes);
    return view.elements("button").some(({ name }) => name === "Logs: files");
  };
  assert.deepEqual(
    [hasLogs({}), hasLogs({ type: "streamable-http" }), hasLogs({ enabled: false })],
    [true, false, false],
  );
});

const HOSTILE = "x\u001b[2J\u202e";

test("F2 foreign texts are plain text without control characters, in every view", async () => {
  const share = sampleShare({ name: HOSTILE, last_error: HOSTILE, stable_path: HOSTILE, tb_host: HOSTILE });
  const backend = sampleBackend({ name: HOSTILE, phase: "Failed", reason: HOSTILE, last_error: HOSTILE });
  const status = gatewayReport([backend], { shares: [share] });
  const tool = { ...sampleTool({ name: HOSTILE, backend: HOSTILE, description: HOSTILE }) };
  const catalog = catalogOf([tool]);
  for (const name of ["home", "shares", "servers", "servers/tools"]) {
    using view = viewOf(name, scriptedApp({ catalog }, { status }));
    await eventually(() => view.text().includes("x\\x1b[2J"));
    assert.ok(!/\p{Cc}|\u202e/u.test(view.text()), name);
  }
});

/** The rows of the outermost table. */
const rowTexts = (view: ReturnType<typeof viewOf>): readonly string[] =>
  view.elements("tr").flatMap((row) => (row.childNodes[1]?.localName === "td" ? [row.textContent] : []));

const openFirst = (view: ReturnType<typeof viewOf>): void =>
  view
    .elements("button")
    .find((each) => each.getAttribute("class") === "opener")
    ?.fire("click");

const OUTCOMES: Readonly<Record<string, { outcome: string; duration_ms?: number }>> = {
  newest: { outcome: "denied" },
  older: { outcome: "ok", duration_ms: 31 },
  found: { outcome: "ok" },
};

test("F2 log and audit are one stream, newest first, as far back as both are known; each filter starts over", async () => {
  const audit = (target: string, minute: number, next: string | null) => ({
    ...{ enabled: true, path: "/a", more: next !== null, next },
    records: [{ time: `2026-01-05T12:0${minute}:00.000Z`, kind: "request", target, ...OUTCOMES[target] }],
  });
  const log = (message: string, minute: number, next: string | null) => ({
    ...{ path: "/l", more: next !== null, next },
    lines: [{ at: `2026-01-05T12:0${minute}:00.000Z`, level: "info", message }],
  });
  const app = scriptedApp({
    audit: [audit("newest", 9, "1-1.5"), audit("older", 3, null), audit("found", 3, null)],
    daemonLog: [log("early", 2, "1-1.1"), log("first", 1, null), log("second", 4, null)],
  });
  using view = viewOf("activity", app);
  const rows = () => rowTexts(view).map((text) => text.toLowerCase());
  const said = (...words: string[]) =>
    eventually(() => {
      const shown = rows();
      return shown.length === words.length && words.every((word, at) => shown[at]?.includes(word));
    });
  await said("newest");
  view.named("button", "Older").fire("click");
  await said("newest", "older", "early", "first");
  assert.ok(!view.elements("button").some(({ name }) => name === "Older"));
  assert.match(rows()[0] ?? "", /newest.*denied/);
  assert.match(rows()[1] ?? "", /31\sms/);
  view.byId("activity-text").fire("input", { value: "words" });
  await said("second", "found");
});

test("F2 a burst that fills a page hides nothing: older entries are also read, and all are summed up", async () => {
  const page = (targets: readonly string[], second: number, next: string | null) => ({
    ...{ enabled: true, path: "/a", more: next !== null, next },
    records: targets.map((target, at) => ({
      ...{ time: `2026-01-05T12:00:${second - at}.000Z`, kind: "request", target },
      ...{ outcome: "ok", principal: "ann", method: "tools/call" },
    })),
  });
  const calls = ["tool:count", "tool:count", "tool:count"];
  const app = scriptedApp({
    audit: [0, 1].flatMap(() => [page(calls, 50, "1-1.9"), page([...calls, "tool:look"], 40, null)]),
    daemonLog: [{ path: "/l", more: false, next: null, lines: [] }],
  });
  using view = viewOf("activity", app);
  await eventually(() => rowTexts(view).some((text) => /Tool count, 6 times/.test(text)));
  assert.ok(rowTexts(view).some((text) => /Tool look/.test(text)));
  view.named("button", "Sum up by person and tool").fire("click");
  await eventually(() => view.text().includes("7 calls"));
  assert.ok(
    rowTexts(view).some((text) => /^ann7no server$/.test(text)),
    view.text(),
  );
  for (const [opener, row] of [
    ["ann", "no server7count, look"],
    ["no server", "count6"],
  ] as const) {
    view.named("button", opener).fire("click");
    await eventually(() => rowTexts(view).includes(row));
  }
});

test("F2 a pulled cable is one row of Activity, with its parts in it, and no error", async () => {
  const at = (ms: number): string => new Date(Date.UTC(2026, 0, 5, 12) + ms).toISOString();
  const fields = { share: "CORE", route: "tb", reason: "refused" };
  const lines = [
    { at: at(250), level: "info", message: "share.error_cleared", fields },
    {
      at: at(200),
      level: "warn",
      message: "share.failover",
      fields: { ...fields, from: "tb", to: "fallback" },
    },
    { at: at(10), level: "error", message: "share.error", fields },
    { at: at(0), level: "warn", message: "share.route_down", fields },
  ];
  const app = scriptedApp({ daemonLog: { path: "/l", more: false, next: null, lines } });
  using view = viewOf("activity", app);
  await eventually(() => rowTexts(view).length === 2);
  assert.match(rowTexts(view)[0] ?? "", /CORE.*Failed over.* · 4 in it.*warning/);
  view.byId("activity-level").fire("change", { value: "error" });
  await eventually(() => rowTexts(view).length === 0);
  view.byId("activity-level").fire("change", { value: "info" });
  await eventually(() => rowTexts(view).length === 2);
  openFirst(view);
  await eventually(() => /Error: refused/.test(view.text()));
});

test("F2 the filters of Activity are in its address, without the words searched for, and a range is a time", () => {
  const filter = { ...filterFrom(""), text: "secret", on: "files", range: "tonight" as const };
  assert.equal(addressOf(filter), "#/activity?range=tonight&on=files");
  assert.deepEqual(filterFrom(addressOf(filter)), { ...filter, text: "" });
  assert.equal(filterFrom("#/activity?text=x&level=loud&x=y").level, "info");
  assert.equal(addressOf(filterFrom("#/activity?text=x")), "#/activity");
  assert.equal(partAt("#/activity?on=files").part.at, "activity");
  const local = (day: number, hour: number): string => new Date(2026, 0, day, hour).toISOString();
  const times = (range: (typeof RANGES)[number], hour: number) =>
    timesOf({ ...filter, range, from: "2026-01-01T03:00", to: "" }, new Date(2026, 0, 5, hour).getTime());
  assert.deepEqual(times("", 9), {});
  assert.deepEqual(times("last hour", 9), { since: local(5, 8) });
  assert.deepEqual(times("today", 9), { since: local(5, 0) });
  assert.deepEqual(times("tonight", 9), { since: local(4, 20), before: local(5, 8) });
  assert.deepEqual(times("tonight", 22), { since: local(5, 20) });
  assert.deepEqual(times("yesterday", 9), { since: local(4, 0), before: local(5, 0) });
  assert.deepEqual(times("from – to", 9), { since: local(1, 3) });
});

test("F2 a script is one line, which opens into its calls; a call whose script is missing is a separate line", async () => {
  const record = (target: string, second: number, script?: string) => ({
    ...{ time: `2026-01-05T12:00:0${second}.000Z`, kind: "request", target, outcome: "ok" },
    ...(script === undefined ? {} : { script }),
  });
  const records = [
    record("tool:run_script", 9, "a"),
    record("tool:last", 8, "a"),
    record("tool:single", 7),
    record("tool:first", 6, "a"),
    record("tool:orphan", 5, "b"),
  ];
  const app = scriptedApp({
    audit: { enabled: true, path: "/a", more: false, next: null, records },
    daemonLog: { path: "/l", more: false, next: null, lines: [] },
  });
  using view = viewOf("activity", app);
  const names = (row: { readonly textContent: string }): string =>
    [...row.textContent.matchAll(/Tool (\w+?)(?=ok| )/g)].map(([, name]) => name).join(" ");
  const rows = () => rowTexts(view).map((textContent) => names({ textContent }));
  await eventually(() => rows().length > 0 && rows()[0]?.startsWith("run_script"));
  assert.deepEqual(rows(), ["run_script", "single", "orphan"]);
  openFirst(view);
  await eventually(() => /2 in it.*last.*first/.test(view.text()));
});

test("F2 Activity of one share asks the log for its lines only, and says an outcome in words", async () => {
  const page = { path: "/l", more: false, next: null };
  const records = [{ time: "2026-01-05T12:00:09.000Z", kind: "request", outcome: "tool_error" }];
  const app = scriptedApp({
    audit: { ...page, enabled: true, records },
    daemonLog: { ...page, lines: [] },
  });
  const { call } = app.requests;
  const asked: unknown[] = [];
  app.requests.call = (name, input, options) => {
    if (name === "daemonLog") asked.push(input);
    return call(name, input, options);
  };
  using view = viewOf("activity", app);
  await eventually(() => /tool error/i.test(view.text()));
  view.byId("activity-on").fire("input", { value: "CORE" });
  await eventually(() => asked.some((input) => JSON.stringify(input).includes('"text":"CORE"')));
});

test("F2 a notice that log and audit both have is one line, and routine is not shown", async () => {
  const at = "2026-01-05T12:00:09.000Z";
  const about = { entry: "backends.files", summary: "files would run x" };
  const event = "config.entry_waits";
  const app = scriptedApp({
    audit: {
      ...{ enabled: true, path: "/a", more: false, next: null },
      records: [{ time: at, kind: "notice", event, ...about }],
    },
    daemonLog: {
      ...{ path: "/l", more: false, next: null },
      lines: [
        { at, level: "warn", message: event, fields: about },
        { at, level: "info", message: "network events flow", fields: { source: "rtnetlink" } },
        { at, level: "info", message: "backend.phase", fields: { from: "Starting", to: "Ready" } },
      ],
    },
  });
  using view = viewOf("activity", app);
  await eventually(() => view.text().includes("files would run x"));
  assert.equal(view.elements("time").length, 1);
});

test("F2 the clients that may run scripts are listed, if there are any", async () => {
  const clients = [sampleClient({ runs_scripts: true }), sampleClient({ name: "other", user: "bob" })];
  using view = viewOf("settings/clients", scriptedApp({ clients: { clients } }));
  await eventually(() => /Users who may run scripts/.test(view.text()));
  assert.match(view.text(), /Users who may run scripts\s*claude-code 2\.1\.0, ann\s*Connect a client/);
  using none = viewOf("settings/clients", scriptedApp({ clients: { clients: [sampleClient()] } }));
  await eventually(() => /claude-code/.test(none.text()));
  assert.doesNotMatch(none.text(), /run scripts/);
});

test("E2 a changed tool that is not shown whole cannot be approved, and shows whether it is withheld", async () => {
  const of = async (changes: Parameters<typeof sampleToolChange>[0]) => {
    const report = { changes: [sampleToolChange(changes)], unseen: [], lost: null };
    using view = viewOf("settings/approvals", scriptedApp({ toolChanges: report }));
    const button = await eventually(() => view.named("button", "Approve tool read_file"));
    return [button.disabled, /withheld/.test(view.text()), /too many changes/.test(view.text())];
  };
  assert.deepEqual(await of({}), [false, false, false]);
  assert.deepEqual(await of({ withheld: true }), [false, true, false]);
  assert.deepEqual(await of({ members: null }), [true, false, true]);
});

test("F2 the editor saves over the text it began with; on errors or a changed file it keeps the typed text", async () => {
  const mistake = sampleMistake();
  const another = new MountaineerError("config_changed", "another");
  const answer = Promise.withResolvers<unknown>();
  const answers = {
    editText: [sampleEdit({ errors: [mistake] }), another, answer.promise],
    checkConfig: { mistakes: [], would_change: null, waits_for_approval: [] },
  };
  const app = scriptedApp(answers);
  using view = viewOf("settings/configuration", app);
  await eventually(() => view.elements("textarea").length > 0);
  const text = view.byId("config-text");
  assert.equal(text.value, "# é\n");
  assert.ok(view.named("button", "Save …").disabled, "nothing to save");
  text.fire("input", { value: "# mine\u202e\n" });
  await eventually(() => view.text().includes("1 unseen character"));
  const save = async (said: string): Promise<void> => {
    await eventually(() => !view.named("button", "Save …").disabled);
    view.named("button", "Save …").fire("click");
    await eventually(() => view.text().includes(said) || app.log.at(-1)?.includes(said));
    assert.equal(text.value, "# mine\u202e\n");
  };
  await save("Nothing was saved: the text has errors.");
  assert.match(view.text(), /3:1global\.share_root: found an unknown key.*did you mean `shares_root`/);
  await save("Nothing was saved: the file has changed since it was read.");
  assert.match(view.text(), /discard your changes, and make them again in the new text/);
  await save("editText");
  text.fire("input", { value: "# mine\u202e\n# meanwhile\n" });
  answer.resolve(sampleEdit({ sha256: "new" }));
  await eventually(() => app.log.includes("good: Saved: settings reloaded"));
  assert.equal(text.value, "# mine\u202e\n# meanwhile\n", "what was typed meanwhile stays, and is not saved");
  assert.ok(!view.named("button", "Save …").disabled);
  text.fire("input", { value: "# mine\u202e\n" });
  await eventually(() => view.named("button", "Save …").disabled);
  assert.match(
    app.log.find((line) => line.startsWith("editText")) ?? "",
    /"expected_sha256":"0123456789abcdef/,
  );
  text.fire("input", { value: "# other\n" });
  await eventually(() => !view.named("button", "Discard changes").disabled);
  view.named("button", "Discard changes").fire("click");
  await eventually(() => text.value === "# é\n");
  assert.ok(app.log.includes("? Discard your changes?"));
});

test("F2 text typed in the editor stays if the file has changed, and is discarded or saved only after a yes", async () => {
  const other = { ...sampleConfig(), text: "# of another\n", sha256: "f".repeat(64) };
  const away = new MountaineerError("timed_out", "no answer");
  const app = scriptedApp({ config: [sampleConfig(), other, sampleConfig(), away, other] }, {}, false);
  using view = viewOf("settings/configuration", app);
  await eventually(() => view.elements("textarea").length > 0);
  const text = view.byId("config-text");
  const changed = (): void => app.store.set({ configVersion: app.store.get().configVersion + 1 });
  changed();
  await eventually(() => text.value === "# of another\n");
  text.fire("input", { value: "# mine\n" });
  changed();
  await eventually(() => view.text().includes("The file has changed since you began"));
  assert.equal(text.value, "# mine\n");
  view.named("button", "Save …").fire("click");
  await eventually(() => app.log.includes("? Save these changes?"));
  view.named("button", "Discard changes").fire("click");
  await eventually(() => view.text().includes("no answer"));
  assert.ok(!app.log.includes("? Discard your changes?"), "nothing is given up for a file that is not known");
  view.named("button", "Discard changes").fire("click");
  await eventually(() => app.log.includes("? Discard your changes?"));
  await eventually(() => !view.named("button", "Discard changes").disabled);
  assert.equal(text.value, "# mine\n");
  assert.ok(!app.log.some((line) => line.startsWith("editText")));
});

interface Opened {
  readonly app: Scripted;
  readonly view: ReturnType<typeof mount>;
  /** How many lines of the log the story has told. */
  told: number;
}

/** A view of an app with these answers; `also`: its state, what the person says, and what comes while a question is open. */
const shows =
  (at: string, answers: Parameters<typeof scriptedApp>[0] = {}, also: Also = {}) =>
  (t: TestContext): Opened => {
    const { state = {}, yes = true, meanwhile = {} } = also;
    // Answers that come one after the other are taken off: each story has its own.
    const copies = Object.entries(answers).map(([name, one]) => [name, Array.isArray(one) ? [...one] : one]);
    const app: Scripted = scriptedApp(Object.fromEntries(copies), state, yes, () => app.store.set(meanwhile));
    const view = viewOf(at, app);
    t.after(() => view[Symbol.dispose]());
    return { app, view, told: 0 };
  };

interface Also {
  readonly state?: Partial<PageState>;
  readonly yes?: boolean;
  readonly meanwhile?: Partial<PageState>;
}

const sharesThat = (share: ShareStatus, answer: Parameters<typeof sampleResult>[0] | null, yes = true) => {
  const results = answer === null ? [] : [sampleResult(answer)];
  const answers = Object.fromEntries(["mount", "unmount", "switchRoute"].map((name) => [name, { results }]));
  return shows("shares", answers, { state: { status: gatewayReport(undefined, { shares: [share] }) }, yes });
};
const READY = { active_interface: "fallback", tb_recovery_pending: true } as const;
const held = { active_interface: "fallback", override: "fallback" } as const;
const out = { mount_state: "unmounted", active_interface: "none" } as const;
const BUSY = sampleResult({
  ...{ result: "busy" as const, detail: "1 file is open" },
  holders: [{ pid: 7, command: "vim", path: "/x" }],
});
const DONE = sampleResult({ result: "unmounted", detail: "unmounted" });

const LOGIN = {
  code: "login_needed",
  severity: "error" as const,
  title: "wants a login",
  since: secondsAgo(5),
};
const wantsLogin = (hint = "mountaineer backends login tickets") => ({
  status: gatewayReport([sampleBackend({ name: "tickets", conditions: [{ ...LOGIN, hint }] })]),
});
const ISSUER = "https://login.example";
const signsIn = { beginLogin: { address: `${ISSUER}/authorize?state=x` }, awaitLogin: { issuer: ISSUER } };
const PLAN = {
  ...{ title: "Cursor", path: "/p", diff: "--- /p\n+++ /p\n+new\n", digest: "d", notes: ["left: a"] },
  ...{ written: false, next: "restart Cursor" },
};
const connects = { connectClient: [PLAN, { ...PLAN, written: true }] };
const WITHHELD = { backend: "files", kind: "tool", name: "gone", reason: "off", why: "by you" } as const;
const TRIED = sampleTool({
  input_schema: {
    type: "object",
    required: ["id"],
    properties: { id: { type: "integer" }, tags: { type: "array", items: { type: "string" } } },
  },
  annotations: { readOnlyHint: true },
} as never);
const tried = {
  catalog: catalogOf([TRIED]),
  call: { result: { content: [{ type: "text", text: "it answered" }] }, error: null },
};
const DESTRUCTIVE = catalogOf([sampleTool({ input_schema: { type: "object", properties: {} } } as never)]);
const locked = { session: { expiresAt: null, mayRunCommands: false, ownerUntil: null } };
const approves = {
  approve: { approved: ["backends.files"], reload: sampleReload(), now: sampleApprovals() },
};
const waiting = (...changes: readonly object[]): Partial<PageState> => ({
  approvals: {
    ...sampleApprovals(),
    waiting: changes.map((each) => ({ ...sampleApprovals().waiting[0], ...each })) as never,
  },
});
const rollback = [
  { ...sampleEdit(), errors: [sampleMistake()] },
  { ...sampleEdit(), errors: [], reload: null },
];
const ASKED = { tool: "wipe", server: "files", opened: secondsAgo(1), lines: [] };
const QUESTION = {
  code: "question_waits",
  severity: "warning",
  title: "wipe",
  hint: null,
  since: "",
} as const;
const asked = {
  status: gatewayReport([], { gateway: { conditions: [QUESTION] } }),
  session: { expiresAt: null, mayRunCommands: true, ownerUntil: secondsAgo(-60) },
};

const rest = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
};

tellStories<Opened>(
  {
    starts: {
      shares: sharesThat(sampleShare(), DONE),
      "shares without a yes": sharesThat(sampleShare(), DONE, false),
      "a busy share": shows("shares", { unmount: [{ results: [BUSY] }, { results: [DONE] }] }),
      "a share without a daemon": shows("shares", {
        unmount: new MountaineerError("daemon_unreachable", "no answer"),
      }),
      "a share that stays": sharesThat(sampleShare(), { result: "failed", detail: "no" }),
      "a share that is out": sharesThat(sampleShare(out), { result: "failed", detail: "no", hint: "wait" }),
      "a share whose Thunderbolt is ready": sharesThat(sampleShare(READY), {}),
      "a share that moves": sharesThat(sampleShare({ moves: SAMPLE_MOVES }), {
        ...{ result: "skipped", detail: "nothing to do" },
      }),
      "a share that is held": sharesThat(sampleShare(held), null),
      servers: shows("servers", { restart: { restarted: ["files"] } }),
      "servers without a yes": shows("servers", {}, { yes: false }),
      "a server that wants a login": shows("servers", signsIn, { state: wantsLogin() }),
      "a server that wants a login locked": shows("servers", {}, { state: { ...wantsLogin(), ...locked } }),
      "a server that signs in as itself": shows("servers", {}, { state: wantsLogin("check `client_id`") }),
      clients: shows("settings/clients", connects),
      "clients without a yes": shows("settings/clients", connects, { yes: false }),
      "clients locked": shows("settings/clients", {}, { state: locked }),
      tools: shows("servers/tools", {
        ...{ catalog: catalogOf([sampleTool()], { withheld: [WITHHELD] }), switchTools: { switched: [] } },
      }),
      "a tool with arguments": shows("servers/tools", tried),
      "a destructive tool without a yes": shows("servers/tools", { catalog: DESTRUCTIVE }, { yes: false }),
      "the Sync form": shows("settings/sync"),
      "the Sync form over another file": shows("settings/sync", {
        edit: [new MountaineerError("config_changed", "another")],
      }),
      approvals: shows("settings/approvals", approves),
      "approvals locked": shows("settings/approvals", approves, { state: locked }),
      "approvals without a yes": shows("settings/approvals", approves, { yes: false }),
      "an approval that another gives": shows("settings/approvals", approves, { meanwhile: waiting() }),
      "an approval of another content": shows("settings/approvals", approves, {
        meanwhile: waiting({ digest: "other" }),
      }),
      "an approval that comes late": shows("settings/approvals", {
        approve: new MountaineerError("config_changed", "another waits by now"),
      }),
      "an approval of a tool": shows("settings/approvals", { approveTools: { approved: [], left: [] } }),
      "a question": shows(
        "home",
        {
          questions: ["OLD-COD", "NEW-COD"].map((code) => ({ questions: [{ ...ASKED, code }] })),
          answer: new MountaineerError("permission_denied", "no question has this code now"),
        },
        { state: asked },
      ),
      "the configuration": shows("settings/configuration", { rollback }),
      "the configuration without a yes": shows("settings/configuration", {}, { yes: false }),
    },
    acts: [
      [/^rest$/, rest],
      [
        /^press "(.*)"( when it is on)?( twice)?$/,
        async ({ view }, name = "", waits, twice) => {
          const found = await eventually(() => {
            const button = view.named("button", name);
            return waits !== undefined && button.disabled ? null : button;
          });
          // While it is under way, the same again does nothing.
          for (let times = twice === undefined ? 1 : 2; times > 0; times--) found.fire("click");
        },
      ],
      [
        /^open (?:(\d) of )?"(.*)"$/,
        async ({ view }, at = "0", text = "") => {
          const rows = () =>
            view.elements("button").filter(({ parentNode }) => parentNode?.localName === "th");
          (await eventually(() => rows().filter(({ name }) => name.includes(text))[Number(at)])).fire(
            "click",
          );
        },
      ],
      [
        /^submit "(.*)"$/,
        async ({ view }, name = "") => {
          const forms = () => view.elements("form").find((form) => form.name.startsWith(name));
          (await eventually(forms)).fire("submit");
        },
      ],
      [
        /^type "?(.*?)"? into (\S+)$/,
        async ({ view }, value = "", id = "") => {
          (await eventually(() => view.byId(id))).fire("input", { value });
          await eventually(() => view.byId(id).value === value);
          await rest();
        },
      ],
      [/^see "(.*)"$/, ({ view }, text = "") => eventually(() => view.text().includes(text))],
      [/^lose "(.*)"$/, ({ view }, text = "") => eventually(() => !view.text().includes(text))],
      [
        /^until (\S+) is (.*)$/,
        ({ view }, id = "", value) => eventually(() => view.byId(id).value === value),
      ],
      [/^undo$/, ({ app }) => app.undo?.()],
      [
        /^log "?(.*?)"?$/,
        async (opened, line = "") => {
          await eventually(() => opened.app.log.length > opened.told);
          const [beginning = "", isWhole] = line.endsWith("…") ? [line.slice(0, -1)] : [line, true];
          const said = opened.app.log[opened.told++] ?? "";
          assert.equal(isWhole ? said : said.slice(0, beginning.length), beginning);
        },
      ],
    ],
    facts: [
      [/^no more$/, ({ app, told }) => [app.log.slice(told), []]],
      [/^no undo$/, ({ app }) => [app.undo, null]],
      [/^no "(.*)"$/, ({ view }, text = "") => [view.text().includes(text), false]],
    ],
  },
  `
F2 a destructive action asks first, and lists open files with their programs; no changes nothing
  shares without a yes, press "Unmount: CORE" twice, log ? Unmount CORE?, rest: no more
  a busy share, press "Unmount: CORE" twice, log ? Unmount CORE?, log unmount {"shares":["CORE"],"force":false}
  log ? Unmount CORE anyway?, log unmount {"shares":["CORE"],"force":true}, log "good: CORE: unmounted", rest: no more
  a share without a daemon, press "Unmount: CORE" twice, log ? Unmount CORE?, log unmount {"shares":["CORE"],"force":false}
  log "bad: Unmount CORE: no answer", rest: no more, no undo
  a share that stays, press "Unmount: CORE" twice, log ? Unmount CORE?, log unmount {"shares":["CORE"],"force":false}
  log "bad: CORE: no", rest: no more, no undo
  a share that is out, press "Mount: CORE" twice, log mount {"shares":["CORE"]}, log "bad: CORE: no (wait)", rest: no more, no undo
  a share whose Thunderbolt is ready, press "Switch to Thunderbolt: CORE" twice
  log switchRoute {"shares":["CORE"],"to":"tb","force":false,"wait":false}
  log "good: CORE: mounted over Thunderbolt (//10.0.0.2/CORE)", rest: no more
  a share that moves, press "Switch to Fallback: CORE" twice
  log switchRoute {"shares":["CORE"],"to":"fallback","force":false,"wait":false}, log "plain: CORE: nothing to do", rest: no more
  a share that is held, press "Back to automatic: CORE" twice
  log switchRoute {"shares":["CORE"],"to":"auto","force":false,"wait":false}, log "good: nothing to do", rest: no more
  servers without a yes, press "Restart: files" twice, log ? Restart files?, rest: no more
  servers, press "Restart: files" twice, log ? Restart files?, log restart {"backends":["files"]}
  log "good: files: restarting; serves when it is ready", rest: no more
F4 a server that asks for a login is signed in to from its card, and only by the owner
  a server that wants a login, press "Sign in: tickets", log beginLogin {"backend":"tickets"}
  log awaitLogin {"backend":"tickets"}, log "good: tickets is signed in at…", rest: no more
  a server that wants a login locked: no "Sign in"
  a server that signs in as itself: no "Sign in"
F1 F4 a client is connected after a yes to its file's change, and only by the owner
  clients without a yes, press "Connect: Cursor", log connectClient {"client":"cursor","undo":false,"agreed":null}
  log ? Connect Cursor?, rest: no more
  clients, press "Connect: Cursor", log connectClient {"client":"cursor","undo":false,"agreed":null}, log ? Connect Cursor?
  log connectClient {"client":"cursor","undo":false,"agreed":"d"}
  log "good: Cursor uses this gateway now; restart Cursor", rest: no more
  clients locked, see "To connect programs of this machine, run in a terminal": no "ursor"
F2 a tool is switched off where it is shown, and on again where it is withheld from clients
  tools, open "read_file", press "Switch off", log switchTools {"tools":["read_file"],"on":false}
  log "good: read_file is switched off", press "Switch on: gone", log switchTools {"tools":["gone"],"on":true}
  log "good: gone is switched on", rest, undo, log switchTools {"tools":["gone"],"on":false}
  log "good: gone is switched off", rest: no more
F2 a tool's arguments are sent as typed; errors are shown at their fields and not sent
  a tool with arguments, open "read_file", submit "Try", see "id: required": no more
  press "Add to tags", see "tags 1 (required)", type one into argument-1-0, type 12345678901234567890 into argument-0
  lose "id: required", submit "Try", see "it answered"
  log call {"tool":"read_file","arguments":{"id":12345678901234567890,"tags":["one"]}}: no more
  press "Write it as JSON", see "Arguments, as JSON", type {"id":7,"tags":[ into arguments-json, press "Use the form"
  log "plain: line 1:…", type {"id":7} into arguments-json, press "Use the form", until argument-0 is 7: no "Use the form"
B9 the Sync form saves the differences, over the file it was drawn from, and gives the reason of a failure
  the Sync form over another file, until sync-2 is 1, type 99 into sync-2, press "Save" when it is on
  see "Wait after last save (s): 0.01 to 60": no more
  type 0.50 into sync-2, press "Save", see "The file has changed since this form was drawn. Nothing was saved."
  log edit {"edits":[{"key":"sync.debounce","value":"0.5"}],"expected_sha256":"01234…: no more
F2 actions are undone in one step: a save of settings, and a share that was unmounted
  the Sync form, until sync-2 is 1, type 0.50 into sync-2, press "Save" when it is on
  log edit {"edits":[{"key":"sync.debounce","value":"0.5"}]…, log good…, undo
  log edit {"edits":[{"key":"sync.debounce","value":"1"}]…
  shares, press "Unmount: CORE", log ? Unmount CORE?, log unmount {"shares":["CORE"],"force":false}
  log "good: CORE: unmounted", undo, log mount {"shares":["CORE"]}, log good…, rest: no more
E2 an approval covers the entry shown: by its digest, only with the right, and not once it differs
  approvals locked, press "Approve backends.files", rest: no more
  approvals, press "Approve backends.files", log ? Approve backends.files?
  log approve {"entries":[{"id":"backends.files","digest":"${sampleApprovals().waiting[0]?.digest}"}]}
  log "good: Approved: backends.files (settings reloaded)", rest: no more
  an approval that another gives, press "Approve backends.files", log ? Approve backends.files?, log ! It no longer waits., rest: no more
  an approval of another content, press "Approve backends.files", log ? Approve backends.files?
  log "! The file has changed: the pending changes differ from those shown here. Close this, and read it again.", rest: no more
  an approval that comes late, press "Approve backends.files", log ? Approve backends.files?, log approve…
  log "bad: Approve backends.files: another waits by now", rest: no more
  an approval of a tool, press "Approve tool read_file", log ? Approve read_file of files?
  log approveTools {"items":[{"backend":"files","tool":"read_file","digest":"digest"}]}
  log "bad: read_file has changed since it was shown. It was not approved; read it again.", rest: no more
E6 a question answered elsewhere is read again after a late answer: its other call has a new code
  a question, see "OLD-COD", press "Allow once: wipe of files", see "NEW-COD": no "OLD-COD"
F2 restoring an earlier content asks first, and reports the result
  the configuration, open 1 of "", press "Go back to it …", log ? Go back to this content?, log rollback {"n":1,…
  log "bad: Rollback: nothing was saved: /home/ada/.mountaineer/config.toml:3:1: global.share_root: found an unknown key, expected…", press "Go back to it …", log ? Go back to this content?, log rollback {"n":1,…
  log "good: Rollback: saved…", rest: no more
F2 an action that a person declines is not done: a rollback, a destructive tool, a tool's approval
  the configuration without a yes, open 1 of "", press "Go back to it …", log ? Go back to this content?, rest: no more
  a destructive tool without a yes, open "read_file", submit "Try", log ? Call read_file?, rest: no more
  approvals without a yes, press "Approve tool read_file", log ? Approve read_file of files?, rest: no more
`,
);

/** Once the effects of what was drawn and taken away have run. */
async function afterEffects(): Promise<void> {
  const ran = Promise.withResolvers<void>();
  using _probe = mount(() => {
    useEffect(ran.resolve, []);
    return null;
  }, {});
  await ran.promise;
}

test("F4 typed text outlives the view, unless it contains a secret", async () => {
  const kept = async (typed: string): Promise<readonly [shown: string, warned: boolean]> => {
    const app = scriptedApp();
    const open = async () => {
      const view = viewOf("settings/configuration", app);
      await eventually(() => view.elements("textarea").length > 0);
      return view;
    };
    {
      using view = await open();
      view.byId("config-text").fire("input", { value: typed });
      await eventually(() => !view.named("button", "Save …").disabled);
    }
    using again = await open();
    await afterEffects();
    return [again.byId("config-text").value, app.log.some((line) => line.startsWith("warning: "))];
  };
  assert.deepEqual(await kept("# mine\n"), ["# mine\n", false]);
  assert.deepEqual(await kept('password = "typed"\n'), ["# é\n", true]);
});

test("F2 errors belong to the present text: it is checked once typing pauses, and a late answer is ignored", async () => {
  const wrong = { mistakes: [sampleMistake()], would_change: null, waits_for_approval: [] };
  const [first, second, saved] = Array.from({ length: 3 }, () => Promise.withResolvers<unknown>());
  assert.ok(first && second && saved);
  const app = scriptedApp({
    checkConfig: [first.promise, second.promise, new MountaineerError("timed_out", "late")],
    editText: saved.promise,
  });
  const checks = (): readonly string[] => app.log.filter((line) => line.startsWith("checkConfig"));
  using view = viewOf("settings/configuration", app);
  await eventually(() => view.elements("textarea").length > 0);
  const text = view.byId("config-text");
  const type = async (value: string): Promise<void> => {
    text.fire("input", { value });
    await eventually(() => text.value === value && !view.named("button", "Save …").disabled);
  };
  await type("a");
  await type("ab");
  await eventually(() => checks().length === 1);
  view.named("button", "Save …").fire("click");
  await eventually(() => app.log.some((line) => line.startsWith("editText")));
  text.fire("input", { value: "abc" });
  await eventually(() => checks().length === 2);
  first.resolve(wrong);
  saved.resolve(sampleEdit({ errors: [sampleMistake()] }));
  await eventually(() => view.text().includes("the text has errors"));
  assert.doesNotMatch(view.text(), /share_root/);
  second.resolve(wrong);
  await eventually(() => view.text().includes("share_root"));
  assert.deepEqual(checks(), ['checkConfig {"text":"ab"}', 'checkConfig {"text":"abc"}']);
});
