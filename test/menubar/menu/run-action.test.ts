import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { WaitingEntryWire } from "../../../src/api/contract/approvals.ts";
import { actionText, type MenuAction, parseAction } from "../../../src/menubar/menu/action.ts";
import { type RunnableAction, runAction } from "../../../src/menubar/menu/run-action.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { type ConfigScript, sampleReload, scriptedConfig } from "../../api/sample-config.ts";
import { gatewayReport, sampleBackend, scriptedGateway } from "../../api/sample-gateway.ts";
import {
  sampleAlias,
  sampleReport,
  sampleResult,
  sampleShare,
  scriptedControl,
} from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { fc } from "../../support/properties.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const name = fc.string({ minLength: 1, unit: "grapheme" });
const actions: fc.Arbitrary<MenuAction> = fc.oneof(
  fc.record({ kind: fc.constant("do" as const), id: fc.array(name, { minLength: 1 }), force: fc.boolean() }),
  fc.record({
    kind: fc.constant("toggle" as const),
    setting: fc.constantFrom("auto_failback" as const, "lsof_recheck" as const),
    on: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("alias-choose" as const), share: name }),
  fc.record({ kind: fc.constant("alias-add" as const), share: name, subpath: name }),
  fc.record({ kind: fc.constant("alias-remove" as const), alias: name }),
  fc.record({ kind: fc.constant("open" as const), path: name.map((each) => `/${each}`) }),
  fc.constantFrom(
    { kind: "alias-repair" as const },
    { kind: "approve" as const },
    { kind: "dismiss" as const },
    { kind: "start" as const },
    { kind: "quit" as const },
  ),
);

test("whatever shares are called, an action is spelled in characters that no menu and no shell touches", () => {
  fc.assert(
    fc.property(actions, (action) => {
      const text = actionText(action);
      assert.match(text, /^[\w%./-]+$/);
      assert.doesNotMatch(text, /^-|---|~/);
      assert.deepEqual(parseAction(text), { ...action });
    }),
  );
});

for (const [text, why] of [
  ["", "nothing"],
  ["format-disk", "nothing that is known"],
  ["do", "nothing to do"],
  ["force", "nothing to do"],
  ["switch/CORE/tb", "not said whether by force"],
  ["toggle/check_interval_secs/on", "a setting that is no switch"],
  ["toggle/auto_failback/perhaps", "neither on nor off"],
  ["open/relative", "a path that depends on where one stands"],
  ["do/mount/%E0%A4", "half a character"],
  ["do/mount/a b", "a space"],
  ["alias-add/CORE", "a folder is missing"],
] as const) {
  test(`${JSON.stringify(text)} is no action: ${why}`, () => {
    assert.equal(parseAction(text), null);
  });
}

const NEVER = new AbortController().signal;

function portsOf(home: string, clock: Clock = systemClock) {
  const opened: string[] = [];
  let starts = 0;
  return {
    home,
    clock,
    opened,
    starts: () => starts,
    openPath: async (path: string) => void opened.push(path),
    chooseFolder: async (): Promise<string | null> => null,
    askYes: async (): Promise<boolean> => false,
    startDaemon: async () => {
      starts += 1;
    },
  };
}

async function sceneOf(
  t: TestContext,
  answer?: Parameters<typeof scriptedControl>[1],
  script: ConfigScript = {},
) {
  const control = scriptedControl(
    gatewayReport([sampleBackend()], { shares: [sampleShare(), sampleShare({ name: "MEDIA" })] }),
    answer,
  );
  const config = scriptedConfig(script);
  const gateway = scriptedGateway();
  const { home } = await startRig(t, { control, config, gateway });
  return { control, config, gateway, ports: portsOf(home) };
}

const doing = (...id: string[]) => ({ kind: "do", id, force: false }) as const;
const forcing = (...id: string[]) => ({ kind: "do", id, force: true }) as const;

const CALLS: readonly (readonly [RunnableAction, string, readonly string[] | null, object])[] = [
  [doing("mount"), "mount", null, {}],
  [doing("mount", "CORE"), "mount", ["CORE"], {}],
  [doing("unmount"), "unmount", null, { force: false }],
  [forcing("unmount", "CORE"), "unmount", ["CORE"], { force: true }],
  [forcing("switch", "CORE", "tb"), "switch", ["CORE"], { to: "tb", force: true, wait: false }],
  [doing("switch", "CORE", "auto"), "switch", ["CORE"], { to: "auto", force: false, wait: false }],
];

test("A8 each action is one call of the management API, with what the item said", async (t) => {
  const { control, config, gateway, ports } = await sceneOf(t);
  for (const [action, name, selection, options] of CALLS) {
    const outcome = await runAction(action, ports, NEVER);
    assert.equal(outcome.ok, true, outcome.text);
    const call = control.calls.at(-1) ?? assert.fail();
    assert.deepEqual([call.name, call.selection, call.options], [name, selection, options]);
  }
  const toggled = await runAction({ kind: "toggle", setting: "lsof_recheck", on: false }, ports, NEVER);
  assert.equal(toggled.text, "Set lsof_recheck: settings reloaded");
  assert.deepEqual(config.edits, [
    { edits: [{ key: "global.lsof_recheck", value: "false" }], source: "menu" },
  ]);
  assert.equal((await runAction(doing("reload"), ports, NEVER)).ok, true);
  assert.equal(config.calls.filter(({ name }) => name === "reload").length, 1);
  await runAction(doing("restart", "files"), ports, NEVER);
  await runAction(doing("restart"), ports, NEVER);
  assert.deepEqual(pluck(gateway.calls, "name", "request"), [
    ["restart", ["files"]],
    ["restart", null],
  ]);
  await runAction({ kind: "open", path: "/s/a b" }, ports, NEVER);
  assert.deepEqual(ports.opened, ["/s/a b"]);
  await runAction({ kind: "start" }, ports, NEVER);
  assert.equal(ports.starts(), 1);
});

const digestOf = (name: string): string => Buffer.from(name).toString("hex").padEnd(64, "0");

const waits = (name: string, waiting: string): WaitingEntryWire => ({
  id: `backends.${name}`,
  name,
  kind: "runs",
  summary: `would run ${name}`,
  approved: 'command = "old"\n',
  waiting,
  digest: digestOf(name),
});

test("E2 approving shows each change in a window, and approves those that a person said yes to", async (t) => {
  const { ports, config } = await sceneOf(t);
  config.waiting.splice(0, 1, waits("one", 'command = "new\u202e"\n'), waits("two", 'command = "other"\n'));
  const shown: string[] = [];
  const asking = async ({ text }: { readonly text: string }): Promise<boolean> => {
    shown.push(text);
    return text.startsWith("backends.two");
  };
  const some = await runAction({ kind: "approve" }, { ...ports, askYes: asking }, NEVER);
  assert.deepEqual([some.ok, some.text], [true, "Approve: backends.two"]);
  assert.deepEqual(config.approved, [{ entries: [{ id: "backends.two", digest: digestOf("two") }] }]);
  assert.match(shown[0] ?? "", /^backends\.one: would run one\n\n@@.*\n-command = "old"\n\+command = "new/);
  assert.ok(!shown[0]?.includes("\u202e"));
  const none = await runAction({ kind: "approve" }, ports, NEVER);
  assert.deepEqual([none.ok, none.text], [true, "Approve: nothing was approved"]);
  assert.equal(config.approved.length, 1);
  config.waiting.splice(0);
  assert.equal((await runAction({ kind: "approve" }, ports, NEVER)).text, "Approve: nothing waits");
});

test("E2 what is too long for a window is approved in none, and one that closes without an answer approves nothing", async (t) => {
  const { ports, config } = await sceneOf(t);
  config.waiting.splice(0, 1, waits("long", "x".repeat(3_000)));
  const long = await runAction({ kind: "approve" }, { ...ports, askYes: async () => true }, NEVER);
  assert.deepEqual([long.ok, long.hint], [false, "see it in a terminal: mountaineer approve backends.long"]);
  // Broken by the window, its lines are more than fit.
  config.waiting.splice(0, 1, waits("broken", `${"a\n".repeat(32)}${"x".repeat(1_700)}\n`));
  assert.equal(
    (await runAction({ kind: "approve" }, { ...ports, askYes: async () => true }, NEVER)).ok,
    false,
  );
  // A window has 40 lines: the summary, an empty one, the place, the line that goes, and those that come.
  for (const [lines, shown] of [
    [36, 1],
    [37, 0],
  ] as const) {
    let windows = 0;
    const counting = async (): Promise<boolean> => {
      windows += 1;
      return false;
    };
    config.waiting.splice(0, 1, waits("edge", "a\n".repeat(lines)));
    await runAction({ kind: "approve" }, { ...ports, askYes: counting }, NEVER);
    assert.equal(windows, shown, `${lines} lines`);
  }
  config.waiting.splice(0, 1, waits("one", "y\n"));
  const gone = async (): Promise<never> => {
    throw new MountaineerError("program_unavailable", "no window could be shown (exit code 255)");
  };
  assert.equal((await runAction({ kind: "approve" }, { ...ports, askYes: gone }, NEVER)).ok, false);
  assert.deepEqual(config.approved, []);
});

test("a share that is busy is told with who holds it; one that failed, with why", async (t) => {
  const holders = [{ pid: 7, command: "vim", path: "/s/CORE/a" }];
  const { ports } = await sceneOf(t, (share) =>
    share === "CORE"
      ? sampleResult({ share, result: "busy", detail: "1 file is open", hint: "close it", holders })
      : sampleResult({ share, result: "unmounted", detail: "unmounted" }),
  );
  const outcome = await runAction(doing("unmount"), ports, NEVER);
  assert.equal(outcome.ok, false);
  assert.equal(outcome.text, "Unmount all shares: CORE: 1 file is open");
  assert.equal(outcome.hint, "close it");
  assert.deepEqual(pluck(outcome.results, "share", "result"), [
    ["CORE", "busy"],
    ["MEDIA", "unmounted"],
  ]);
});

test("an error of the daemon, a mistake in the file, a daemon that is not there: outcomes, not throws", async (t) => {
  const mistake = { file: "c.toml", line: 3, column: 1, path: "x", found: "y", expected: "z", hint: null };
  const reload = () => sampleReload({ errors: [mistake] });
  const { ports } = await sceneOf(t, undefined, { reload });
  const unknown = await runAction(doing("mount", "NOPE"), ports, NEVER);
  assert.equal(unknown.ok, false);
  assert.equal(unknown.text, "Mount NOPE: it is not configured any more");

  const rejected = await runAction(doing("reload"), ports, NEVER);
  assert.equal(rejected.text, "Reload the configuration: c.toml:3:1: x: found y, expected z");
  assert.equal(rejected.ok, false);

  const nobody = await runAction(doing("reload"), portsOf(await temporaryFolder(t)), NEVER);
  assert.equal(nobody.text, "Reload: Mountaineer is not running");
  assert.match(nobody.hint ?? "", /mountaineer up/);

  const failing = {
    ...ports,
    openPath: () =>
      Promise.reject(new MountaineerError("program_unavailable", "no xdg-open", { hint: "get it" })),
  };
  const opened = await runAction({ kind: "open", path: "/x" }, failing, NEVER);
  assert.deepEqual([opened.ok, opened.text, opened.hint], [false, "Open /x: no xdg-open", "get it"]);
});

test("an alias is made of the folder that a person chose, with its link, under a name that is free", async (t) => {
  const { ports, edits, mended } = await aliasScene(t);
  const asked: string[][] = [];
  const choosing = (chosen: string | null) => ({
    ...ports,
    async chooseFolder(prompt: string, folder: string) {
      asked.push([prompt, folder]);
      return chosen;
    },
  });
  const action = { kind: "alias-choose", share: "CORE" } as const;
  const made = await runAction(action, choosing("/home/ada/Shares/CORE/Projects/2026/"), NEVER);
  assert.deepEqual([made.ok, made.text], [true, "Alias in CORE: 2026 is there"]);
  assert.deepEqual(asked, [["A folder in CORE to link to", "/home/ada/Shares/CORE"]]);
  // Windows that follow links tell the mount's own path; a name that is taken gets a number.
  await runAction(action, choosing("/home/ada/.mountaineer/volumes/CORE/docs"), NEVER);
  assert.deepEqual(edits, [
    { add: "aliases", entry: { name: "2026", share: "CORE", target_subpath: "Projects/2026" } },
    { add: "aliases", entry: { name: "docs 2", share: "CORE", target_subpath: "docs" } },
  ]);
  assert.equal(mended(), 2);
  assert.equal((await runAction(action, choosing(null), NEVER)).text, "Alias in CORE: nothing was chosen");
  for (const wrong of [
    "/home/ada/Shares/CORE",
    "/home/ada/Shares",
    "/home/ada/Shares/CORE/../MEDIA/x",
    "/home/ada/Shares/COREX/x",
    "/etc",
    "relative",
  ]) {
    const refused = await runAction(action, choosing(wrong), NEVER);
    assert.equal(refused.ok, false, wrong);
    assert.match(refused.text, /no folder inside of the share/);
  }
  assert.equal(edits.length, 2);
});

test("an alias is made of a folder that was found in the menu", async (t) => {
  const { ports, edits } = await aliasScene(t);
  const action = { kind: "alias-add", share: "CORE", subpath: "Projects/film" } as const;
  const made = await runAction(action, ports, NEVER);
  assert.deepEqual([made.ok, made.text], [true, "Alias in CORE: film 2 is there"]);
  assert.deepEqual(edits, [
    { add: "aliases", entry: { name: "film 2", share: "CORE", target_subpath: "Projects/film" } },
  ]);
});

test("an alias' name is the folder's as far as an alias can have it", async (t) => {
  const { ports, edits } = await aliasScene(t);
  for (const subpath of ["A/ 2026 ", "Cafe\u0301", "A/ "]) {
    const { ok, text } = await runAction({ kind: "alias-add", share: "CORE", subpath }, ports, NEVER);
    assert.ok(ok, text);
  }
  assert.deepEqual(
    edits.map((edit) => "entry" in edit && edit.entry),
    [
      { name: "2026", share: "CORE", target_subpath: "A/ 2026 " },
      { name: "Caf\u00e9", share: "CORE", target_subpath: "Cafe\u0301" },
      { name: "folder", share: "CORE", target_subpath: "A/ " },
    ],
    "the folder itself is spelled as it is on the share",
  );
});

test("an alias is removed with its link, and all links are mended", async (t) => {
  const { ports, edits, mended } = await aliasScene(t);
  assert.equal((await runAction({ kind: "alias-remove", alias: "docs" }, ports, NEVER)).ok, true);
  assert.deepEqual(edits, [{ remove: "aliases", name: "docs" }]);
  const outcome = await runAction({ kind: "alias-repair" }, ports, NEVER);
  assert.deepEqual([outcome.ok, outcome.text], [false, "Repair the aliases: film: a folder stands there"]);
  assert.equal(mended(), 2);
});

async function aliasScene(t: TestContext) {
  const edits: object[] = [];
  let mended = 0;
  const right = sampleAlias({ name: "docs" });
  const aliases = [right, sampleAlias({ name: "film", link: "taken", detail: "a folder stands there" })];
  const report = async () => {
    const added = edits.flatMap((edit) =>
      "entry" in edit && typeof edit.entry === "object" && edit.entry !== null && "name" in edit.entry
        ? [sampleAlias({ name: String(edit.entry.name) })]
        : [],
    );
    return { aliases: [...aliases, ...added] };
  };
  const scripted = scriptedConfig();
  const config: typeof scripted = {
    ...scripted,
    edit(request, signal, rights) {
      edits.push(...request.edits);
      return scripted.edit(request, signal, rights);
    },
  };
  const { home } = await startRig(t, {
    control: scriptedControl({ ...sampleReport(), aliases }),
    config,
    places: {
      aliases: report,
      reconcileAliases() {
        mended += 1;
        return report();
      },
      folders: () => Promise.reject(new Error("not asked for here")),
    },
  });
  return { ports: portsOf(home), edits, mended: () => mended };
}

test("what hangs ends at its deadline, told as late", async (t) => {
  const { ports } = await sceneOf(t);
  const clock = createManualClock();
  const hanging = { ...ports, clock, openPath: () => new Promise<void>(() => {}) };
  const outcome = runAction({ kind: "open", path: "/hung" }, hanging, NEVER);
  await eventually(() => clock.pendingTimers > 0);
  clock.advance(10_000);
  assert.equal((await outcome).text, "Open /hung: no answer within 10 s");
  const opened = await runAction({ kind: "open", path: "/s" }, { ...ports, clock }, NEVER);
  assert.equal(opened.ok, true);
  assert.equal(clock.pendingTimers, 0, "no deadline is left");
});

test("a menu that ends leaves nothing under way waiting", async (t) => {
  const { ports } = await sceneOf(t, () => new Promise(() => {}));
  const stop = new AbortController();
  const outcome = runAction(doing("mount", "CORE") satisfies MenuAction, ports, stop.signal);
  stop.abort(new MountaineerError("aborted", "stopped"));
  assert.equal((await outcome).ok, false);
});
