// The views of lists and of what changed: differences, history, logs, reloads, tools.
import assert from "node:assert/strict";
import { test } from "node:test";
import { isAboutShare, logLineJson } from "../../../src/cli/sessions/show-log.ts";
import { renderDiff } from "../../../src/cli/views/diff-view.ts";
import { renderFleet } from "../../../src/cli/views/fleet-view.ts";
import { localTime, renderHistory } from "../../../src/cli/views/history-view.ts";
import { editExit, reloadExit, renderReload } from "../../../src/cli/views/reload-view.ts";
import { terminalStyle } from "../../../src/cli/views/terminal-style.ts";
import { renderToolChanges, renderTools } from "../../../src/cli/views/tools-view.ts";
import { diffText } from "../../../src/config/history/text-diff.ts";
import { jsonLine } from "../../../src/runtime/log/log-lines.ts";
import { paintFor } from "../../../src/runtime/text/paint.ts";
import { columns, printableLines } from "../../../src/runtime/text/plain-text.ts";
import { sampleEdit, sampleEntry, sampleMistake, sampleReload } from "../../api/sample-config.ts";
import { sampleFleet, sampleMachine, sampleMachineState } from "../../api/sample-fleet.ts";
import { sampleTool, sampleToolChange } from "../../api/sample-gateway.ts";
import { secondsAgo } from "../../api/sample-report.ts";
import { assertHarmless, HOSTILE, PLAIN } from "../../api/views/looks.ts";
import { fc } from "../../support/properties.ts";

const colour = { width: 80, color: true, unicode: true };
const ESCAPE = "\u001b";

test("a text for a terminal keeps tabs and line breaks, and no control characters", () => {
  assert.equal(printableLines(`a\tb\r\n${ESCAPE}[31mc\u202e\n`), "a\tb\n\\x1b[31mc\\u{202e}\n");
});

test("in colour, removed lines are red, added lines green", () => {
  const diff = diffText("a\nb\n", "a\nc\n", { before: "history 1", after: "config.toml" });
  assert.equal(
    renderDiff(diff, colour),
    [
      `${ESCAPE}[1m--- history 1${ESCAPE}[22m`,
      `${ESCAPE}[1m+++ config.toml${ESCAPE}[22m`,
      `${ESCAPE}[36m@@ -1,2 +1,2 @@${ESCAPE}[39m`,
      " a",
      `${ESCAPE}[31m-b${ESCAPE}[39m`,
      `${ESCAPE}[32m+c${ESCAPE}[39m`,
      "",
    ].join("\n"),
  );
  assert.equal(renderDiff(diff, { ...colour, color: false }), diff);
  assert.equal(renderDiff("", colour), "");
});

test("a line for each entry, in columns", () => {
  const time = new Date(2026, 10, 20, 9, 5, 7).toISOString();
  const entries = Array.from({ length: 11 }, (_, n) => sampleEntry(n, { time }));
  entries[1] = sampleEntry(1, { time, source: "rollback 3", summary: "2 shares reloaded" });
  const lines = renderHistory(entries, PLAIN).split("\n");
  assert.equal(lines[0], " 0  2026-11-20 09:05:07  01234567  file        settings reloaded");
  assert.equal(lines[1], " 1  2026-11-20 09:05:07  01234567  rollback 3  2 shares reloaded");
  assert.equal(lines[10], "10  2026-11-20 09:05:07  01234567  file        settings reloaded");
  assert.match(renderHistory(entries.slice(0, 10), PLAIN), /^0 .*\n1 /);
  assert.equal(renderHistory([], PLAIN), "");
});

test("hostile sources, summaries and times do not reach the terminal", () => {
  const hostile = { time: HOSTILE, sha256: HOSTILE, source: HOSTILE, summary: HOSTILE };
  assertHarmless(renderHistory([sampleEntry(0, hostile)], PLAIN));
  assert.equal(localTime("yesterday"), "yesterday");
});

function line(fields: Record<string, string | number | readonly string[]>): string {
  return jsonLine({
    time: "2026-01-02T12:00:00.000Z",
    level: "warn",
    message: "share.failover",
    fields,
  }).trimEnd();
}

test("lines belong to a share by their field, not by their text", () => {
  assert.ok(isAboutShare(line({ share: "CORE" }), "CORE"));
  assert.ok(isAboutShare(line({ share: 'a"b\\c' }), 'a"b\\c'));
  for (const name of ["ab\u200ecd", "a\u202eb", "Größe 2", "\ufeffa", "a\\u0062"])
    assert.ok(isAboutShare(line({ share: name }), name), JSON.stringify(name));
  assert.ok(!isAboutShare(line({ share: "CORE2", text: "CORE" }), "CORE"));
  assert.ok(!isAboutShare("CORE", "CORE"));
});

test("pin: as JSON every line is an object", () => {
  const whole = line({ share: "CORE" });
  assert.equal(logLineJson(whole), `${whole}\n`);
  assert.deepEqual(JSON.parse(logLineJson("torn {")), { time: null, level: null, message: "torn {" });
});

const none = { added: [], removed: [], changed: [] };

test("added, removed and changed parts have a line each, shares before the rest", () => {
  const report = sampleReload({
    shares: { added: ["NEW"], removed: ["OLD"], changed: ["CORE", "MEDIA"] },
    backends: { ...none, changed: ["files"] },
    middleware: ["audit"],
    settings: ["global.lsof_recheck", "sync.debounce"],
    summary: "1 server, 4 shares reloaded",
  });
  assert.equal(
    renderReload(report, PLAIN),
    `✓ 1 server, 4 shares reloaded (generation 3)
    started         NEW
    let go          OLD
    changed         CORE, MEDIA
    changed server  files
    set middleware  audit
    set             global.lsof_recheck, sync.debounce
`,
  );
});

test("a reload that touches nothing is one line, done or only tried", () => {
  const same = sampleReload({ reloaded: false, summary: "no changes" });
  assert.equal(renderReload(same, PLAIN), "– no changes: this configuration runs already\n");
  const dry = { ...same, dry_run: true };
  assert.equal(renderReload(dry, PLAIN), "✓ this configuration runs already\n");
  assert.equal(
    renderReload(dry, PLAIN, { shares: ["CORE"], backends: ["files"] }),
    "✓ this configuration runs already\n    stay         CORE\n    stay server  files\n",
  );
  const first = { ...dry, generation: 0 };
  assert.equal(renderReload(first, PLAIN), "✓ a daemon would begin with defaults, and no shares\n");
});

test("long lists keep within the width, and hostile names are neutralized", () => {
  const added = Array.from({ length: 60 }, (_, index) => `SHARE-${index}`);
  const text = renderReload(sampleReload({ shares: { ...none, added } }), { ...PLAIN, width: 60 });
  for (const line of text.split("\n")) assert.ok(columns(line) <= 60, line);
  assert.equal(text.match(/SHARE-/g)?.length, 60);
  for (const width of [0, 1, Number.NaN])
    assertHarmless(renderReload(sampleReload({ shares: { ...none, added } }), { ...PLAIN, width }));
  const hostile = sampleReload({ shares: { ...none, removed: [HOSTILE] }, summary: HOSTILE });
  assertHarmless(renderReload(hostile, PLAIN));
});

test("pin: an invalid file ends with 3, a failure to apply it with 1, all else with 0", () => {
  assert.equal(reloadExit(sampleReload()), 0);
  assert.equal(reloadExit(sampleReload({ errors: [sampleMistake()] })), 3);
  assert.equal(reloadExit(sampleReload({ failure: "port taken" })), 1);
  assert.equal(editExit(sampleEdit()), 0);
  assert.equal(editExit(sampleEdit({ changed: false, reload: null })), 0);
  assert.equal(editExit(sampleEdit({ errors: [sampleMistake()], reload: null })), 3);
  assert.equal(editExit(sampleEdit({ reload: sampleReload({ failure: "port taken" }) })), 1);
});

const drawn = (changes: Parameters<typeof sampleToolChange>[0], color = false): string =>
  renderToolChanges(
    { changes: [sampleToolChange(changes)], unseen: [], lost: null },
    { ...PLAIN, color },
    false,
  );

test("each member of a changed tool is shown old next to new, with hidden text spelled out, in colours", () => {
  const members = [
    { member: "title", before: null, after: "Read" },
    { member: "description", before: "Reads a file.", after: "Reads a\u202e file." },
  ];
  assert.equal(
    drawn({ members, published_as: "files_read", withheld: true }),
    `read_file of files, published as files_read  changed, withheld until it is approved
--- title
+++ title
@@ -0,0 +1 @@
+Read
--- description
+++ description
@@ -1 +1 @@
-Reads a file.
+Reads a\\u{202e} file.
`,
  );
  assert.ok(drawn({ members }, true).includes("\x1b[32m+Read"));
});

test("text that was too long to store is shown as missing, and hidden text with the command that shows it", () => {
  assert.match(
    drawn({ before_known: false }),
    /published\n {4}the approved version was too long to keep.*\n---/,
  );
  assert.doesNotMatch(drawn({}), /too long/);
  assert.match(drawn({ members: null }), /published\n {4}mountaineer tools diff files:read_file shows it\n$/);
});

const look = { width: 60, color: false, unicode: true };

test("a tool is a line: its name, its backend, and the beginning of its description", () => {
  const tools = [
    sampleTool(),
    sampleTool({ name: "get-sum", backend: "everything", description: null }),
    sampleTool({
      name: "search",
      backend: "web",
      description: "Searches the web for whatever\nis asked of it, and then some more.",
    }),
  ];
  assert.equal(
    renderTools(tools, look),
    `read_file  files       Reads a file.
get-sum    everything
search     web         Searches the web for whatever is…
`,
  );
});

test("a narrow terminal has no room for descriptions", () => {
  assert.equal(renderTools([sampleTool()], { ...look, width: 30 }), "read_file  files\n");
  assert.equal(renderTools([sampleTool()], { ...look, width: Number.NaN }), "read_file  files\n");
  assert.equal(renderTools([], look), "");
});

test("five thousand tools, even hostile ones, stay within the width unless their names do not", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.constantFrom("日本語".repeat(9), "a b c"),
  );
  fc.assert(
    fc.property(
      text,
      text,
      fc.integer({ min: 0, max: 200 }),
      fc.boolean(),
      (name, description, width, unicode) => {
        const lines = renderTools([sampleTool({ name, description })], { ...look, width, unicode });
        // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there.
        assert.doesNotMatch(lines.slice(0, -1), /[\x00-\x1f\x7f]/);
        const fixed = renderTools([sampleTool({ name, description: null })], { ...look, width, unicode });
        assert.ok(columns(lines.slice(0, -1)) <= Math.max(width, columns(fixed.slice(0, -1))));
      },
    ),
  );
  const many = Array.from({ length: 5_000 }, (_, index) => sampleTool({ name: `tool_${index}` }));
  assert.equal(renderTools(many, look).split("\n").length, 5_001);
});

const utf8 = { LANG: "de_DE.UTF-8" };

test("colour is for terminals, unless requested otherwise", () => {
  const tty = { isTTY: true, columns: 100 };
  assert.equal(terminalStyle(tty, {}).color, true);
  assert.equal(terminalStyle({}, {}).color, false);
  assert.equal(terminalStyle(tty, { NO_COLOR: "1" }).color, false);
  assert.equal(terminalStyle(tty, { NO_COLOR: "" }).color, true);
  assert.equal(terminalStyle(tty, { TERM: "dumb" }).color, false);
  assert.equal(terminalStyle({}, { FORCE_COLOR: "1" }).color, true);
  assert.equal(terminalStyle({}, { FORCE_COLOR: "0" }).color, false);
  assert.equal(terminalStyle(tty, { FORCE_COLOR: "1", NO_COLOR: "1" }).color, false);
});

test("the width is the terminal's, else COLUMNS, else 80", () => {
  assert.equal(terminalStyle({ isTTY: true, columns: 100 }, { COLUMNS: "60" }).width, 100);
  assert.equal(terminalStyle({}, { COLUMNS: "60" }).width, 60);
  for (const COLUMNS of ["", "x", "-3", "0", undefined])
    assert.equal(terminalStyle({}, { COLUMNS }).width, 80);
});

test("symbols beyond ASCII need a UTF-8 locale; LC_ALL overrides LC_CTYPE overrides LANG", () => {
  assert.equal(terminalStyle({}, utf8).unicode, true);
  assert.equal(terminalStyle({}, { LANG: "C.utf8" }).unicode, true);
  assert.equal(terminalStyle({}, {}).unicode, false);
  assert.equal(terminalStyle({}, { ...utf8, LC_ALL: "C" }).unicode, false);
  assert.equal(terminalStyle({}, { ...utf8, LC_ALL: "", LC_CTYPE: "C" }).unicode, false);
});

test("without UTF-8 every symbol is ASCII, and without colour no style adds a byte", () => {
  const paint = paintFor({ color: false, unicode: false });
  assert.match(Object.values(paint.symbols).join(""), /^[ -~]+$/);
  assert.equal(paint.banner(paint.red(paint.bold("x"))), "x");
  assert.equal(paintFor({ color: true, unicode: true }).red("x"), "\x1b[31mx\x1b[39m");
});

test("G1 the fleet as text: the connection, and each machine with its report", () => {
  assert.equal(
    renderFleet(sampleFleet(), PLAIN),
    `Fleet, as laptop  ● connected (for 3 min)
  server    tls://nas.example:4222
  4 machines: 2 here, 1 silent, 1 unreadable; trouble on 2

laptop (this machine)  ● here  Mountaineer 0.1.0
  share     CORE mounted over Thunderbolt
  server    files Ready, 12 tools

nas  ✗ silent, last heard from 1 min ago  Mountaineer 0.1.0
  ▲ state.json cannot be written
  share     CORE not mounted: no host answers
  server    files Ready, 12 tools
    and 2 more

phone  ▲ unreadable
  ▲ it is not a JSON object

desktop  ● here, last heard from 4 s ago  Mountaineer 0.1.0
  share     CORE mounted over Thunderbolt
  server    files Ready, 12 tools
`,
  );
});

test("G1 a disconnected fleet gives the reason and the fix", () => {
  const link = {
    state: "away" as const,
    server: "tls://nas.example:4222",
    since: secondsAgo(90),
    last_error: "no answer in time",
    hint: null,
  };
  const condition = {
    code: "fleet_unreachable",
    severity: "warning" as const,
    title: "The fleet is not reached: no answer in time",
    hint: "It is tried again and again.",
    since: secondsAgo(90),
  };
  const machines = [
    sampleMachine({ presence: "unheard", heard_secs_ago: null }),
    sampleMachine({ name: "nas", presence: "gone", heard_secs_ago: 300 }),
  ];
  const text = renderFleet(sampleFleet({ link, conditions: [condition], machines, more: 2 }), PLAIN);
  assert.match(text, /▲ not connected \(for 1 min\)/);
  assert.match(text, /▲ The fleet is not reached: no answer in time[\s\S]*It is tried again/);
  assert.match(text, /desktop {2}○ not heard from yet/);
  assert.match(text, /nas {2}○ stopped 5 min ago/);
  assert.match(text, /2 more are too many/);
  const first = renderFleet(sampleFleet({ link: { ...link, last_error: null } }), PLAIN);
  assert.match(first, /○ connecting/);
});

test("G1 each of a thousand machines is a line, those with problems first, and a name shows all of one", () => {
  const machines = Array.from({ length: 1_000 }, (_, index) => {
    const name = `m${String(index).padStart(3, "0")}`;
    if (index === 700) return sampleMachine({ name, presence: "silent", heard_secs_ago: 95 });
    return sampleMachine({ name, own: index === 0 });
  });
  const lines = renderFleet(sampleFleet({ machines }), PLAIN).split("\n");
  assert.deepEqual(lines.slice(2, 7), [
    "  1000 machines: 999 here, 1 silent; trouble on 1",
    "",
    "m000  ● this machine  1 share, 1 server, 12 tools",
    "m700  ✗ silent        ✗ silent, last heard from 1 min ago",
    "m001  ● here          1 share, 1 server, 12 tools",
  ]);
  assert.deepEqual(lines.slice(-3), ["", "mountaineer fleet status NAME shows all of one", ""]);
  assert.equal(lines.length, 4 + 1_000 + 3);
  const chosen = machines.filter(({ name }) => name === "m700");
  const one = renderFleet(sampleFleet({ machines: chosen }), PLAIN, { isChosen: true });
  assert.match(
    one,
    /^Fleet, as laptop.*\n.*\n\nm700 {2}✗ silent, last heard from 1 min ago[\s\S]*CORE mounted/,
  );
});

test("G1 texts of other machines do not control the terminal, whatever a daemon lets through", () => {
  const state = sampleMachineState({
    version: HOSTILE,
    shares: [
      {
        name: HOSTILE,
        phase: HOSTILE,
        route: HOSTILE,
        reason: HOSTILE,
        words: { text: HOSTILE, tone: "bad" },
      },
    ],
    backends: [
      { name: HOSTILE, phase: HOSTILE, tools: 1, reason: HOSTILE, words: { text: HOSTILE, tone: "bad" } },
    ],
    conditions: [{ code: HOSTILE, severity: "error", title: HOSTILE }],
  });
  const text = renderFleet(
    sampleFleet({ machines: [sampleMachine({ name: HOSTILE, problem: HOSTILE, state })] }),
    PLAIN,
  );
  assertHarmless(text);
});
