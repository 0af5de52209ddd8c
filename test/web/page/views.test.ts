import assert from "node:assert/strict";
import { test } from "node:test";
import { useEffect } from "preact/hooks";
import type { StatusReport } from "../../../src/api/contract/contract.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import type { PageState } from "../../../src/web/page/daemon/live.ts";
import type { App } from "../../../src/web/page/parts/app.ts";
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
  sampleReport,
  sampleResult,
  sampleShare,
  secondsAgo,
} from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
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
  "servers/add": ["Command or address (required)", "Secret for", "Show what runs"],
  "servers/import": ["JSON from a guide"],
  activity: ["warn", "CORE: Failed over from"],
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
  "settings/people": ["anndevwith a token", " ago1", "mountaineer users add NAME"],
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

test("C3 a server's card gives the reason why it does not serve, and its last error once, as a problem while it does not", () => {
  const notes = (changes: Parameters<typeof sampleBackend>[0]): readonly string[] => {
    using view = viewOf("servers", scriptedApp({}, { status: gatewayReport([sampleBackend(changes)]) }));
    const said = view.elements("p").filter(({ textContent }) => /reason|exit/.test(textContent));
    return said.map((note) => `${note.getAttribute("class")}: ${note.textContent}`);
  };
  const told = { reason: "the reason", last_error: "exit 1" };
  assert.deepEqual(notes({ ...told, phase: "Ready" }), ["dim: Last error: exit 1"]);
  assert.deepEqual(notes({ ...told, phase: "Failed" }), ["hint: the reason", "problem: Last error: exit 1"]);
  assert.deepEqual(notes({ ...told, reason: "exit 1", phase: "Failed" }), ["hint: exit 1"]);
  const hasLogs = (changes: Parameters<typeof sampleBackend>[0]): boolean => {
    using view = viewOf("servers", scriptedApp({}, { status: gatewayReport([sampleBackend(changes)]) }));
    return view.elements("button").some(({ name }) => name === "Logs: files");
  };
  assert.deepEqual(
    [hasLogs({}), hasLogs({ type: "streamable-http" }), hasLogs({ enabled: false })],
    [true, false, false],
  );
});

test("F4 a server that asks for a login is signed in to from its card, and only by the owner", async () => {
  const login = {
    code: "login_needed",
    severity: "error",
    title: "wants a login",
    since: secondsAgo(5),
  } as const;
  const backend = (hint: string) => sampleBackend({ name: "tickets", conditions: [{ ...login, hint }] });
  const cardOf = (hint: string, changes: Partial<PageState> = {}) => {
    const issuer = "https://login.example";
    const answers = { beginLogin: { address: `${issuer}/authorize?state=x` }, awaitLogin: { issuer } };
    const app = scriptedApp(answers, { status: gatewayReport([backend(hint)]), ...changes });
    return { app, view: viewOf("servers", app) };
  };
  const { app, view } = cardOf("mountaineer backends login tickets");
  using _view = view;
  view.named("button", "Sign in: tickets").fire("click");
  await eventually(() => app.log.some((line) => line.startsWith("good: tickets is signed in at")));
  assert.deepEqual(app.log.slice(0, 2), [
    'beginLogin {"backend":"tickets"}',
    'awaitLogin {"backend":"tickets"}',
  ]);
  const session = { expiresAt: null, mayRunCommands: false, ownerUntil: null };
  using locked = cardOf("mountaineer backends login tickets", { session }).view;
  assert.doesNotMatch(locked.text(), /Sign in/);
  using machine = cardOf("check `client_id`").view;
  assert.doesNotMatch(machine.text(), /Sign in/);
});

test("F1 F4 a client is connected after a yes to its file's change, and only by the owner", async () => {
  const plan = {
    title: "Cursor",
    path: "/p",
    diff: "--- /p\n+++ /p\n+new\n",
    digest: "d",
    notes: ["left: a"],
  };
  const clicked = async (yes: boolean): Promise<readonly string[]> => {
    const answers = [
      { ...plan, written: false, next: "restart Cursor" },
      { ...plan, written: true, next: "restart Cursor" },
    ];
    const app = scriptedApp({ connectClient: answers }, {}, yes);
    using view = viewOf("settings/clients", app);
    (await eventually(() => view.named("button", "Connect: Cursor"))).fire("click");
    await eventually(() => app.log.length === (yes ? 4 : 2));
    return app.log;
  };
  const asked = ['connectClient {"client":"cursor","undo":false,"agreed":null}', "? Connect Cursor?"];
  assert.deepEqual(await clicked(false), asked);
  assert.deepEqual(await clicked(true), [
    ...asked,
    'connectClient {"client":"cursor","undo":false,"agreed":"d"}',
    "good: Cursor uses this gateway now; restart Cursor",
  ]);
  const session = { expiresAt: null, mayRunCommands: false, ownerUntil: null };
  using locked = viewOf("settings/clients", scriptedApp({}, { session }));
  await eventually(() => /To connect programs of this machine, run in a terminal/.test(locked.text()));
  assert.doesNotMatch(locked.text(), /cursor/i);
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

const busy = sampleResult({
  result: "busy",
  detail: "1 file is open",
  holders: [{ pid: 7, command: "vim", path: "/x" }],
});
const done = sampleResult({ result: "unmounted", detail: "unmounted" });
const gone = new MountaineerError("daemon_unreachable", "the daemon does not answer");
const pending = sampleShare({ active_interface: "fallback", tb_recovery_pending: true });

interface Click {
  readonly button: string;
  readonly share?: ReturnType<typeof sampleShare>;
  readonly answers?: Parameters<typeof scriptedApp>[0];
  readonly yes?: boolean;
  readonly log: readonly string[];
}

const CLICKS: readonly Click[] = [
  { button: "Unmount: CORE", yes: false, log: ["? Unmount CORE?"] },
  {
    button: "Unmount: CORE",
    answers: { unmount: [{ results: [busy] }, { results: [done] }] },
    log: [
      "? Unmount CORE?",
      'unmount {"shares":["CORE"],"force":false}',
      "? Unmount CORE anyway?",
      'unmount {"shares":["CORE"],"force":true}',
      "good: CORE: unmounted",
    ],
  },
  {
    button: "Unmount: CORE",
    answers: { unmount: gone },
    log: [
      "? Unmount CORE?",
      'unmount {"shares":["CORE"],"force":false}',
      "bad: Unmount CORE: the daemon does not answer",
    ],
  },
  {
    button: "Unmount: CORE",
    answers: { unmount: { results: [sampleResult({ result: "failed", detail: "no" })] } },
    log: ["? Unmount CORE?", 'unmount {"shares":["CORE"],"force":false}', "bad: CORE: no"],
  },
  {
    button: "Mount: CORE",
    share: sampleShare({ mount_state: "unmounted", active_interface: "none" }),
    answers: { mount: { results: [sampleResult({ result: "failed", detail: "no", hint: "wait" })] } },
    log: ['mount {"shares":["CORE"]}', "bad: CORE: no (wait)"],
  },
  {
    button: "Switch to Thunderbolt: CORE",
    share: pending,
    log: [
      'switchRoute {"shares":["CORE"],"to":"tb","force":false,"wait":false}',
      "good: CORE: mounted over Thunderbolt (//10.0.0.2/CORE)",
    ],
  },
  {
    button: "Switch to Fallback: CORE",
    share: sampleShare({ moves: SAMPLE_MOVES }),
    answers: { switchRoute: { results: [sampleResult({ result: "skipped", detail: "nothing to do" })] } },
    log: [
      'switchRoute {"shares":["CORE"],"to":"fallback","force":false,"wait":false}',
      "plain: CORE: nothing to do",
    ],
  },
  {
    button: "Back to automatic: CORE",
    share: sampleShare({ active_interface: "fallback", override: "fallback" }),
    answers: { switchRoute: { results: [] } },
    log: ['switchRoute {"shares":["CORE"],"to":"auto","force":false,"wait":false}', "good: nothing to do"],
  },
  { button: "Restart: files", yes: false, log: ["? Restart files?"] },
  {
    button: "Restart: files",
    answers: { restart: { restarted: ["files"] } },
    log: [
      "? Restart files?",
      'restart {"backends":["files"]}',
      "good: files: restarting; serves when it is ready",
    ],
  },
];

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
  const rows = () =>
    view
      .elements("li")
      .flatMap((row) => (row.childNodes[0]?.localName === "time" ? [row.textContent.toLowerCase()] : []));
  const said = (...words: string[]) =>
    eventually(() => {
      const shown = rows();
      return shown.length === words.length && words.every((word, at) => shown[at]?.includes(word));
    });
  await said("newest");
  view.named("button", "Older").fire("click");
  await said("newest", "older", "early", "first");
  assert.ok(!view.elements("button").some(({ name }) => name === "Older"));
  assert.match(rows()[0] ?? "", /denied.*newest/);
  assert.match(rows()[1] ?? "", /31 ms/);
  view.byId("activity-text").fire("input", { value: "words" });
  await said("second", "found");
});

test("F2 a burst that fills a page hides nothing: older entries are also read", async () => {
  const page = (targets: readonly string[], second: number, next: string | null) => ({
    ...{ enabled: true, path: "/a", more: next !== null, next },
    records: targets.map((target, at) => ({
      ...{ time: `2026-01-05T12:00:${second - at}.000Z`, kind: "request", target },
      ...{ outcome: "ok", principal: "ann", method: "tools/call" },
    })),
  });
  const calls = ["tool:count", "tool:count", "tool:count"];
  const app = scriptedApp({
    audit: [page(calls, 50, "1-1.9"), page([...calls, "tool:look"], 40, null)],
    daemonLog: [{ path: "/l", more: false, next: null, lines: [] }],
  });
  using view = viewOf("activity", app);
  await eventually(() =>
    view.elements("li").some(({ textContent }) => /6 times, last: Tool count/.test(textContent)),
  );
  assert.ok(view.elements("li").some(({ textContent }) => /Tool look/.test(textContent)));
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
    [...row.textContent.matchAll(/Tool (\w+)/g)].map(([, name]) => name).join(" ");
  const rows = () =>
    view
      .elements("li")
      .filter(({ parentNode }) => parentNode?.parentNode?.localName !== "details")
      .map(names);
  await eventually(() => rows().length > 0 && rows()[0]?.startsWith("run_script"));
  assert.deepEqual(rows(), ["run_script last first", "single", "orphan"]);
  assert.match(view.text(), /2 calls/);
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

test("F2 a destructive action asks first, and lists open files with their programs; no changes nothing", async () => {
  for (const { button, share = sampleShare(), answers, yes, log } of CLICKS) {
    const status = gatewayReport(undefined, { shares: [share] });
    const app = scriptedApp(structuredAnswers(answers), { status }, yes);
    using view = viewOf(button.startsWith("Restart") ? "servers" : "shares", app);
    view.named("button", button).fire("click");
    // While it is under way, the same again does nothing.
    view.named("button", button).fire("click");
    await settled(app, log.length);
    assert.deepEqual(app.log, log, button);
    if (log.at(-1)?.startsWith("bad")) assert.equal(app.undo, null, "nothing was done");
  }
});

/** Answers that come one after the other are taken off: each story has its own. */
function structuredAnswers(answers: Click["answers"] = {}): NonNullable<Click["answers"]> {
  return Object.fromEntries(
    Object.entries(answers).map(([name, answer]) => [name, Array.isArray(answer) ? [...answer] : answer]),
  );
}

async function settled({ log }: Scripted, count: number): Promise<void> {
  await eventually(() => log.length >= count);
  for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
}

test("F2 a tool is switched off where it is shown, and on again where it is withheld from clients", async () => {
  const withheld = [
    { backend: "files", kind: "tool", name: "gone", reason: "off", why: "you have switched it off" },
  ] as const;
  const catalog = catalogOf([sampleTool()], { withheld: [...withheld] });
  const app = scriptedApp({ catalog, switchTools: { switched: [] } });
  using view = viewOf("servers/tools", app);
  const option = await eventually(() =>
    view.elements("button").find(({ name }) => name.includes("read_file")),
  );
  option.fire("click");
  await eventually(() => view.text().includes("Switch off"));
  view.named("button", "Switch off").fire("click");
  await settled(app, 2);
  view.named("button", "Switch on: gone").fire("click");
  await settled(app, 4);
  await app.undo?.();
  assert.deepEqual(app.log, [
    'switchTools {"tools":["read_file"],"on":false}',
    "good: read_file is switched off",
    'switchTools {"tools":["gone"],"on":true}',
    "good: gone is switched on",
    'switchTools {"tools":["gone"],"on":false}',
    "good: gone is switched off",
  ]);
});

test("F2 a tool's arguments are sent as typed; errors are shown at their fields and not sent", async () => {
  const tool = sampleTool({
    input_schema: {
      type: "object",
      required: ["id"],
      properties: { id: { type: "integer" }, tags: { type: "array", items: { type: "string" } } },
    },
    annotations: { readOnlyHint: true },
  } as never);
  const catalog = catalogOf([tool]);
  const result = { content: [{ type: "text", text: "it answered" }] };
  const app = scriptedApp({ catalog, call: { result, error: null } });
  using view = viewOf("servers/tools", app);
  const option = await eventually(() =>
    view.elements("button").find(({ name }) => name.includes("read_file")),
  );
  option.fire("click");
  const submit = (): void =>
    view
      .elements("form")
      .find(({ name }) => name.startsWith("Try"))
      ?.fire("submit");
  await eventually(() => view.elements("form").length > 0);
  submit();
  await eventually(() => view.text().includes("id: required"));
  assert.deepEqual(app.log, []);
  view.named("button", "Add to tags").fire("click");
  await eventually(() => view.text().includes("tags 1 (required)"));
  view.byId("argument-1-0").fire("input", { value: "one" });
  await eventually(() => view.byId("argument-1-0").value === "one");
  view.byId("argument-0").fire("input", { value: "12345678901234567890" });
  await eventually(() => !view.text().includes("id: required"));
  submit();
  await eventually(() => view.text().includes("it answered"));
  assert.deepEqual(app.log, [
    'call {"tool":"read_file","arguments":{"id":12345678901234567890,"tags":["one"]}}',
  ]);
  view.named("button", "Write it as JSON").fire("click");
  await eventually(() => view.text().includes("Arguments, as JSON"));
  const text = view.byId("arguments-json");
  text.fire("input", { value: '{"id": 7, "tags": ' });
  view.named("button", "Use the form").fire("click");
  await eventually(() => app.log.at(-1)?.startsWith("plain: line 1:"));
  text.fire("input", { value: '{"id": 7}' });
  await eventually(() => {
    const turn = view.elements("button").find(({ name }) => name === "Use the form");
    turn?.fire("click");
    return turn === undefined && view.byId("argument-0").value === "7";
  });
});

test("B9 the Sync form saves the differences, over the file it was drawn from, and gives the reason of a failure", async () => {
  const changed = new MountaineerError("config_changed", "another");
  const app = scriptedApp({ edit: [changed] });
  using view = viewOf("settings/sync", app);
  const field = () => view.byId("sync-2");
  const save = (): void => view.named("button", "Save").fire("click");
  await eventually(() => field().value === "1");
  field().fire("input", { value: "99" });
  await eventually(() => !view.named("button", "Save").disabled);
  save();
  await eventually(() => view.text().includes("Wait after last save (s): 0.01 to 60"));
  assert.deepEqual(app.log, []);
  field().fire("input", { value: "0.50" });
  await new Promise(setImmediate);
  await eventually(() => {
    if (app.log.length === 0) save();
    return view.text().includes("The file has changed since this form was drawn. Nothing was saved.");
  });
  assert.match(
    app.log[0] ?? "",
    /^edit \{"edits":\[\{"key":"sync\.debounce","value":"0\.5"\}\],"expected_sha256":"01234/,
  );
});

test("F2 actions are undone in one step: a save of settings, and a share that was unmounted", async () => {
  const app = scriptedApp({ unmount: { results: [done] } });
  {
    using view = viewOf("settings/sync", app);
    await eventually(() => view.byId("sync-2").value === "1");
    view.byId("sync-2").fire("input", { value: "0.50" });
    await eventually(() => !view.named("button", "Save").disabled);
    view.named("button", "Save").fire("click");
    await eventually(() => app.undo !== null);
    await app.undo?.();
    const edits = app.log.filter((line) => line.startsWith("edit"));
    for (const [at, value] of ["0.5", "1"].entries())
      assert.match(
        edits[at] ?? "",
        new RegExp(`^edit {"edits":\\[{"key":"sync.debounce","value":"${value}"}\\]`),
      );
  }
  app.log.length = 0;
  using view = viewOf("shares", app);
  view.named("button", "Unmount: CORE").fire("click");
  await settled(app, 3);
  await app.undo?.();
  assert.equal(app.log[3], 'mount {"shares":["CORE"]}');
});

test("E2 an approval covers the entry shown: by its digest, only with the right, and not once it differs", async () => {
  const [entry] = sampleApprovals().waiting;
  const digest = entry?.digest;
  const waiting = (changes: object[]): Partial<PageState> => ({
    approvals: {
      ...sampleApprovals(),
      waiting: changes.map((each) => ({ ...sampleApprovals().waiting[0], ...each })) as never,
    },
  });
  const answers = {
    approve: { approved: ["backends.files"], reload: sampleReload(), now: sampleApprovals() },
  };
  const click = "Approve backends.files";
  const rows: readonly [state: Partial<PageState>, meanwhile: Partial<PageState>, log: readonly string[]][] =
    [
      [{ session: { expiresAt: null, mayRunCommands: false, ownerUntil: null } }, {}, []],
      [
        {},
        {},
        [
          "? Approve backends.files?",
          `approve {"entries":[{"id":"backends.files","digest":"${digest}"}]}`,
          "good: Approved: backends.files (settings reloaded)",
        ],
      ],
      [{}, waiting([]), ["? Approve backends.files?", "! It no longer waits."]],
      [
        {},
        waiting([{ digest: "other" }]),
        [
          "? Approve backends.files?",
          "! The file has changed: the pending changes differ from those shown here. Close this, and read it again.",
        ],
      ],
    ];
  for (const [state, meanwhile, log] of rows) {
    const app: Scripted = scriptedApp(answers, state, true, () => app.store.set(meanwhile));
    using view = viewOf("settings/approvals", app);
    view.named("button", click).fire("click");
    await settled(app, log.length);
    assert.deepEqual(app.log, log);
  }
  const stale = new MountaineerError("config_changed", "another waits by now");
  const late = scriptedApp({ approve: stale });
  {
    using view = viewOf("settings/approvals", late);
    view.named("button", click).fire("click");
    await settled(late, 3);
    assert.equal(late.log.at(-1), "bad: Approve backends.files: another waits by now");
  }
  const app = scriptedApp({ approveTools: { approved: [], left: [] } });
  using view = viewOf("settings/approvals", app);
  await eventually(() => view.text().includes("Change of read_file") || view.text().includes("as it is now"));
  view.named("button", "Approve tool read_file").fire("click");
  await settled(app, 3);
  assert.deepEqual(app.log, [
    "? Approve read_file of files?",
    'approveTools {"items":[{"backend":"files","tool":"read_file","digest":"digest"}]}',
    "bad: read_file has changed since it was shown. It was not approved; read it again.",
  ]);
});

test("E6 a question answered elsewhere is read again after a late answer: its other call has a new code", async () => {
  const asked = { tool: "wipe", server: "files", opened: secondsAgo(1), lines: [] };
  const [before, now] = ["OLD-COD", "NEW-COD"].map((code) => ({ questions: [{ ...asked, code }] }));
  const condition = {
    code: "question_waits",
    severity: "warning",
    title: "wipe",
    hint: null,
    since: "",
  } as const;
  const status = gatewayReport([], { gateway: { conditions: [condition] } });
  const session = { expiresAt: null, mayRunCommands: true, ownerUntil: secondsAgo(-60) };
  const late = new MountaineerError("permission_denied", "no question has this code now");
  const app = scriptedApp({ questions: [before, now], answer: late }, { status, session });
  using view = viewOf("home", app);
  await eventually(() => view.text().includes("OLD-COD"));
  view.named("button", "Allow once: wipe of files").fire("click");
  await eventually(() => view.text().includes("NEW-COD"));
});

test("F2 restoring an earlier content asks first, and reports the result", async () => {
  const rollback = [
    { ...sampleEdit(), errors: [sampleMistake()] },
    { ...sampleEdit(), errors: [], reload: null },
  ];
  const app = scriptedApp({ rollback });
  using view = viewOf("settings/configuration", app);
  const option = await eventually(() =>
    view
      .elements("button")
      .filter(({ parentNode }) => parentNode?.localName === "th")
      .at(1),
  );
  option.fire("click");
  for (const said of [
    /^bad: Rollback: nothing was saved: .*:3:\d+: .*expected /,
    /^good: Rollback: (saved|the file says so)/,
  ]) {
    await eventually(() => view.elements("button").some(({ name }) => name === "Go back to it …"));
    view.named("button", "Go back to it …").fire("click");
    await eventually(() => said.test(app.log.at(-1) ?? ""));
  }
  assert.match(app.log.join("\n"), /^\? Go back to this content\?\nrollback \{"n":1,/);
});

test("F2 an action that a person declines is not done: a rollback, a destructive tool, a tool's approval", async () => {
  const tool = sampleTool({ input_schema: { type: "object", properties: {} } } as never);
  const clicked = async (at: string, open: boolean, button: string): Promise<readonly string[]> => {
    const app = scriptedApp({ catalog: catalogOf([tool]) }, {}, false);
    using view = viewOf(at, app);
    if (open)
      (
        await eventually(() =>
          view.elements("button").findLast(({ parentNode }) => parentNode?.localName === "th"),
        )
      ).fire("click");
    if (button === "Try")
      (await eventually(() => view.elements("form").find(({ name }) => name.startsWith("Try")))).fire(
        "submit",
      );
    else (await eventually(() => view.named("button", button))).fire("click");
    await settled(app, 1);
    return app.log;
  };
  assert.deepEqual(await clicked("settings/configuration", true, "Go back to it …"), [
    "? Go back to this content?",
  ]);
  assert.deepEqual(await clicked("servers/tools", true, "Try"), ["? Call read_file?"]);
  assert.deepEqual(await clicked("settings/approvals", false, "Approve tool read_file"), [
    "? Approve read_file of files?",
  ]);
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
