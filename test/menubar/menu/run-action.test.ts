import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { actionText, type MenuAction, parseAction } from "../../../src/menubar/menu/action.ts";
import { type RunnableAction, runAction } from "../../../src/menubar/menu/run-action.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { type ConfigScript, sampleReload, scriptedConfig } from "../../api/sample-config.ts";
import { gatewayReport, sampleBackend, scriptedGateway } from "../../api/sample-gateway.ts";
import { sampleResult, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { fc } from "../../support/properties.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const name = fc.string({ minLength: 1, unit: "grapheme" });
const actions: fc.Arbitrary<MenuAction> = fc.oneof(
  fc.record({ kind: fc.constant("do" as const), id: fc.array(name, { minLength: 1 }), force: fc.boolean() }),
  fc.record({ kind: fc.constant("open" as const), path: name.map((each) => `/${each}`) }),
  fc.constantFrom({ kind: "dashboard" as const }, { kind: "start" as const }, { kind: "quit" as const }),
);

test("whatever names shares have, an action is written in characters that no menu and no shell interprets", () => {
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
  ["open/relative", "a path that depends on where one stands"],
  ["do/mount/%E0%A4", "half a character"],
  ["do/mount/a b", "a space"],
  ["dashboard/x", "more than the page"],
] as const) {
  test(`${JSON.stringify(text)} is not an action: ${why}`, () => {
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
    openDashboard: async () => void opened.push("the page"),
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

test("A8 each action is one call of the management API, with the item's parameters", async (t) => {
  const { control, config, gateway, ports } = await sceneOf(t);
  for (const [action, name, selection, options] of CALLS) {
    const outcome = await runAction(action, ports, NEVER);
    assert.equal(outcome.ok, true, outcome.text);
    const call = control.calls.at(-1) ?? assert.fail();
    assert.deepEqual([call.name, call.selection, call.options], [name, selection, options]);
  }
  assert.equal((await runAction(doing("reload"), ports, NEVER)).ok, true);
  assert.equal(config.calls.filter(({ name }) => name === "reload").length, 1);
  await runAction(doing("restart", "files"), ports, NEVER);
  await runAction(doing("restart"), ports, NEVER);
  assert.deepEqual(pluck(gateway.calls, "name", "request"), [
    ["restart", ["files"]],
    ["restart", null],
  ]);
  await runAction({ kind: "open", path: "/s/a b" }, ports, NEVER);
  await runAction({ kind: "dashboard" }, ports, NEVER);
  assert.deepEqual(ports.opened, ["/s/a b", "the page"]);
  await runAction({ kind: "start" }, ports, NEVER);
  assert.equal(ports.starts(), 1);
});

test("a busy share is reported with the programs that use it; a failed one, with the reason", async (t) => {
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
});

test("an error of the daemon, an invalid file, a missing daemon: outcomes, not throws", async (t) => {
  const mistake = { file: "c.toml", line: 3, column: 1, path: "x", found: "y", expected: "z", hint: null };
  const reload = () => sampleReload({ errors: [mistake] });
  const { ports } = await sceneOf(t, undefined, { reload });
  const unknown = await runAction(doing("mount", "NOPE"), ports, NEVER);
  assert.equal(unknown.ok, false);
  assert.equal(unknown.text, "Mount NOPE: it is no longer configured");

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

test("an action that hangs ends at its deadline, reported as late", async (t) => {
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

test("a menu that ends leaves no action waiting", async (t) => {
  const { ports } = await sceneOf(t, () => new Promise(() => {}));
  const stop = new AbortController();
  const outcome = runAction(doing("mount", "CORE") satisfies MenuAction, ports, stop.signal);
  stop.abort(new MountaineerError("aborted", "stopped"));
  assert.equal((await outcome).ok, false);
});
