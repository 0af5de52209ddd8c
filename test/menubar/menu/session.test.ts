import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { MenuAction } from "../../../src/menubar/menu/action.ts";
import type { Menu, MenuItem } from "../../../src/menubar/menu/menu.ts";
import type { MenuSession } from "../../../src/menubar/menu/session.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { startRig } from "../../api/management-rig.ts";
import { sampleSyncState, scriptedConfig } from "../../api/sample-config.ts";
import { sampleReport, sampleResult, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { ANSWERS_MS, BETWEEN_LOOKS_MS, eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { startHangingApi } from "../hanging-api.ts";
import { everyItem, outline, startQuietMenu } from "../worlds.ts";

function start(t: TestContext, home: string, ports: Parameters<typeof startQuietMenu>[2] = {}) {
  const stop = new AbortController();
  let quits = 0;
  const onQuit = () => {
    quits += 1;
  };
  const session = startQuietMenu(home, stop.signal, { onQuit, ...ports });
  t.after(async () => {
    stop.abort();
    await session.ended;
  });
  return { session, stop, quits: () => quits };
}

/** A menu of a daemon that answers so. */
async function startServed(t: TestContext, control = scriptedControl()): Promise<MenuSession> {
  const never = () => Promise.reject(new Error("not asked for here"));
  const places = { aliases: never, reconcileAliases: never, folders: never };
  const { home } = await startRig(t, { control, config: scriptedConfig(), places });
  return start(t, home).session;
}

function itemOf(session: MenuSession, label: string | RegExp): MenuItem {
  const found = everyItem(session.menu().items).find(
    (item) =>
      item.kind !== "separator" &&
      (typeof label === "string" ? item.label === label : label.test(item.label)),
  );
  return found ?? assert.fail(`no item ${label}:\n${outline(session.menu().items).join("\n")}`);
}

/** A daemon whose looks are counted, and a menu whose time moves only as the test says. */
async function countingScene(t: TestContext, result: Parameters<typeof sampleResult>[0] = {}) {
  const share = sampleShare();
  const control = scriptedControl(sampleReport([share]), (name) => sampleResult({ ...result, share: name }));
  const config = scriptedConfig();
  let looks = 0;
  const counting = {
    ...control,
    status() {
      looks += 1;
      return control.status();
    },
  };
  const { home } = await startRig(t, { control: counting, config });
  const clock = createManualClock();
  const { session } = start(t, home, { clock });
  /** Each time it is looked, `eachMs` pass for the menu. */
  const until = (holds: () => unknown, eachMs = 0) =>
    eventually(
      async () => {
        await clock.advance(eachMs);
        return holds();
      },
      ANSWERS_MS,
      BETWEEN_LOOKS_MS,
    );
  await until(() => session.menu().state === "healthy");
  return { share, config, clock, session, until, looks: () => looks };
}

test("A8 the menu follows the daemon by its events, and sends nothing without them", async (t) => {
  const { share, config, clock, session, until, looks } = await countingScene(t);
  // Shorter than what a silent stream of events is given up after.
  await clock.advance(40_000);
  share.tb_recovery_pending = true;
  config.emit({ kind: "transition", transition: { name: "share.tb_ready", share: "CORE" } });
  await until(() => session.menu().state === "tb_ready");
  assert.equal(looks(), 2, "a menu that polls keeps machines awake");
});

test("A8 10,000 events a second cause at most twenty checks and redraws, and the menu still answers", async (t) => {
  const { share, config, clock, session, until, looks } = await countingScene(t);
  let redraws = 0;
  const unregister = session.onChange(() => {
    redraws += 1;
  });
  const looksBefore = looks();
  const menus = new Set<Menu>();
  for (let turn = 0; turn < 100; turn += 1) {
    for (let index = 0; index < 100; index += 1) {
      config.emit({ kind: "transition", transition: { name: "share.open_files_checked", share: "CORE" } });
    }
    share.last_error = `error ${turn}`;
    menus.add(session.menu());
    await clock.advance(10);
  }
  const looked = looks() - looksBefore;
  // One at the beginning of the second, and twenty more.
  assert.ok(looked <= 21, `${looked} looks in a second`);
  assert.ok(redraws <= 21, `${redraws} redraws in a second`);
  assert.ok(menus.size <= looked + 1, `${menus.size} menus were made of ${looked} looks`);
  // The last word is heard, however many came before.
  await until(() => itemOf(session, "Last error: error 99"), 5);
  assert.equal(config.listenerCount, 1, "it kept up with the events");
  // A look that was put off is over, too.
  await clock.advance(1_000);
  unregister();
  const told = [redraws, looks()];
  config.emit(sampleSyncState({ waiting: ["backends.files"] }));
  await until(() => itemOf(session, "Waits for you: backends.files"), 5);
  await clock.advance(1_000);
  assert.deepEqual([redraws, looks()], told, "the event says all of it");
});

test("A8 with a daemon that hangs, the menu says so, stays clickable, and recovers with it", async (t) => {
  const gate = Promise.withResolvers<void>();
  let hangs = false;
  const control = scriptedControl(sampleReport(), async (share) => {
    if (hangs) await gate.promise;
    return sampleResult({ share });
  });
  const session = await startServed(t, control);
  await eventually(() => session.menu().state === "healthy");
  hangs = true;
  const item = itemOf(session, "Unmount all");
  session.click(item);
  session.click(item);
  session.click(itemOf(session, /^Unmount all/));
  assert.ok(outline(session.menu().items).includes("Unmount all … <off>"));
  assert.equal(control.calls.length, 0, "a click waits for nothing");
  await eventually(() => control.calls.length === 1);
  assert.ok(outline(session.menu().items).includes("Unmount all … <off>"), "the daemon still hangs");
  gate.resolve();
  await eventually(() => outline(session.menu().items).includes("Unmount all <do/unmount>"));
  assert.equal(control.calls.length, 1, "a double click is one click");
});

test("a refusal because of open files offers force for that share, until it is unmounted", async (t) => {
  const holders = [{ pid: 7, command: "vim", path: "/s/CORE/a" }];
  let result: "busy" | "skipped" | "pending" | "failed" = "busy";
  const control = scriptedControl(sampleReport(), (share, { options }) =>
    "force" in options && options.force === true
      ? sampleResult({ share, result: "unmounted", detail: "unmounted" })
      : sampleResult({ share, result, detail: "1 file is open", holders: result === "busy" ? holders : [] }),
  );
  const session = await startServed(t, control);
  await eventually(() => session.menu().state === "healthy");
  session.click(itemOf(session, "Mount all"));
  assert.equal(control.calls.length, 0, "a grey item does nothing");
  session.click(itemOf(session, "Unmount all"));
  for (const again of ["skipped", "pending", "failed"] as const) {
    await eventually(() => itemOf(session, /by force: cut off 1 file of vim/));
    result = again;
    const asked = control.calls.length;
    session.click(await eventually(() => itemOf(session, "Unmount all")));
    await eventually(() => control.calls.length > asked);
  }
  const force = await eventually(() => itemOf(session, /by force: cut off 1 file of vim/));
  await eventually(() =>
    outline(session.menu().items).includes("!! Unmount all shares: CORE: 1 file is open"),
  );
  session.click(force);
  await eventually(() => !/force|1 file/.test(outline(session.menu().items).join("\n")));
  assert.deepEqual(control.calls.at(-1)?.options, { force: true });
  assert.ok(control.calls.every(({ name }) => name === "unmount"));
});

test("an action that open files blocked is no longer offered once another program has unmounted the share", async (t) => {
  const { share, config, session, until } = await countingScene(t, {
    result: "busy",
    detail: "1 file is open",
  });
  session.click(itemOf(session, "Unmount all"));
  await until(() => itemOf(session, /by force/), 5);
  Object.assign(share, { mount_state: "unmounted", active_interface: "none" });
  config.emit({ kind: "transition", transition: { name: "share.unmounted", share: "CORE" } });
  await until(() => !outline(session.menu().items).some((line) => line.includes("by force")), 5);
});

test("a failure stays until it is dismissed, or cleared by a success", async (t) => {
  const answers = ["failed", "failed", "mounted"] as const;
  let asked = 0;
  const control = scriptedControl(
    sampleReport([sampleShare({ mount_state: "unmounted", active_interface: "none" })]),
    (share) => sampleResult({ share, result: answers[asked++] ?? "mounted", detail: "no route answers" }),
  );
  const session = await startServed(t, control);
  await eventually(() => itemOf(session, "Mount all"));
  const isTold = () => outline(session.menu().items).includes("!! Mount all shares: CORE: no route answers");
  session.click(itemOf(session, "Mount all"));
  await eventually(isTold);
  session.click(itemOf(session, "Dismiss"));
  assert.equal(isTold(), false);
  session.click(itemOf(session, "Mount all"));
  await eventually(isTold);
  session.click(itemOf(session, "Mount"));
  await eventually(() => !isTold());
});

test("a failed action is cleared only by a success of the same action", async (t) => {
  const refused = new MountaineerError("program_unavailable", "no opener");
  let fails = true;
  const control = scriptedControl(sampleReport(), (share) =>
    sampleResult({ share, result: fails ? "failed" : "mounted", detail: "no route" }),
  );
  const { home } = await startRig(t, { control, config: scriptedConfig() });
  const outcomes: boolean[] = [];
  const { session } = start(t, home, {
    openPath: async () => (fails ? Promise.reject(refused) : undefined),
    onOutcome: ({ ok }) => outcomes.push(ok),
  });
  await eventually(() => session.menu().state === "healthy");
  const does = async (action: MenuAction): Promise<boolean> => {
    const before = outcomes.length;
    session.act(action);
    await eventually(() => outcomes.length > before);
    return outline(session.menu().items).some((line) => line.startsWith("!! Open /a: no opener"));
  };
  const open = { kind: "open", path: "/a" } as const;
  assert.equal(await does(open), true);
  fails = false;
  assert.equal(await does({ kind: "do", id: ["mount", "CORE"], force: false }), true);
  assert.equal(await does(open), false);
  assert.deepEqual(outcomes, [false, true, true]);
});

test("a failure of two shares is cleared by a success of both together", async (t) => {
  const out = { mount_state: "unmounted", active_interface: "none" } as const;
  const wrong = new Set(["CORE", "MEDIA"]);
  const control = scriptedControl(
    sampleReport([sampleShare(out), sampleShare({ ...out, name: "MEDIA" })]),
    (share) => sampleResult({ share, result: wrong.has(share) ? "failed" : "mounted", detail: "no route" }),
  );
  const session = await startServed(t, control);
  session.click(await eventually(() => itemOf(session, "Mount all")));
  const isTold = () => outline(session.menu().items).some((line) => line.startsWith("!! Mount all shares"));
  await eventually(isTold);
  wrong.clear();
  for (const [id, isLeft] of [
    [["mount", "CORE"], true],
    [["mount"], false],
  ] as const) {
    const asked = control.calls.length;
    session.act({ kind: "do", id, force: false });
    await eventually(() => control.calls.length > asked);
    await eventually(() => isTold() === isLeft);
  }
});

test("an action that the menu's end cuts off is reported to no listener, and no timer is left", async (t) => {
  const control = scriptedControl(sampleReport(), () => new Promise(() => {}));
  const { home } = await startRig(t, { control, config: scriptedConfig() });
  const outcomes: unknown[] = [];
  const clock = createManualClock();
  const { session, stop, quits } = start(t, home, { clock, onOutcome: (outcome) => outcomes.push(outcome) });
  session.click(await passTimeUntil(clock, () => itemOf(session, "Unmount all"), 100));
  await eventually(() => control.calls.length === 1);
  stop.abort();
  await session.ended;
  await eventually(() => clock.pendingTimers === 0);
  assert.deepEqual(outcomes, []);
  const last = session.menu();
  for (const kind of ["quit", "dismiss", "start"] as const) session.act({ kind });
  assert.deepEqual([quits(), clock.pendingTimers], [0, 0], "after its end it does nothing");
  assert.equal(session.menu(), last);
});

test("the advice to stop a silent daemon disappears once it answers again; a failure stays", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { control: scriptedControl(sampleReport([sampleShare()])), config });
  const api = await startHangingApi(t, server.socketPath);
  const clock = createManualClock();
  const { session } = start(t, api.home, { clock });
  const lines = () => outline(session.menu().items);
  const isTold = (what: RegExp) => lines().some((line) => what.test(line));
  await passTimeUntil(clock, () => itemOf(session, "Unmount all"), 100);
  api.hang();
  session.click(itemOf(session, "Unmount all"));
  await passTimeUntil(clock, () => isTold(/it hangs or the machine is overloaded/), 500);
  await passTimeUntil(clock, () => isTold(/does not answer; this is its last state/), 500);
  for (let seconds = 0; seconds < 6; seconds += 1) await clock.advance(1_000);
  assert.ok(isTold(/it hangs or the machine is overloaded/), "it is as silent as before");
  api.goOn();
  await passTimeUntil(clock, () => !isTold(/it hangs or the machine is overloaded/), 100);
  assert.ok(isTold(/Unmount: the daemon.* has said nothing for/), lines().join("\n"));
  // A silent daemon is asked again, also when nothing happens.
  api.hang();
  config.emit({ kind: "transition", transition: { name: "share.tb_ready", share: "CORE" } });
  await passTimeUntil(clock, () => isTold(/does not answer; this is its last state/), 500);
  const isSilent = (): boolean => isTold(/does not answer; this is its last state/);
  for (const [silentMs, soonMs] of [
    [500, 4_000],
    [30_000, 12_000],
  ] as const) {
    const untilMs = clock.monotonicMs() + silentMs;
    await passTimeUntil(clock, () => isSilent() && clock.monotonicMs() >= untilMs, 500);
    api.goOn();
    const atMs = clock.monotonicMs();
    await passTimeUntil(clock, () => !isSilent(), 500);
    const tookMs = clock.monotonicMs() - atMs;
    assert.ok(tookMs <= soonMs, `${tookMs} ms after ${silentMs}`);
    api.hang();
    session.open();
  }
  api.goOn();
});

test("A8 a silent daemon is tried again after pauses that grow to 8 s, and then as soon as before", async (t) => {
  const { server } = await startRig(t, { config: scriptedConfig() });
  const api = await startHangingApi(t, server.socketPath);
  const clock = createManualClock();
  const pauses: number[] = [];
  const sleep: typeof clock.sleep = (delayMs, signal) => {
    pauses.push(delayMs);
    return clock.sleep(delayMs, signal);
  };
  const { session } = start(t, api.home, {
    clock: { ...clock, monotonicMs: () => clock.monotonicMs(), sleep },
  });
  await passTimeUntil(clock, () => pauses.length === 1, 50);
  api.hang();
  session.open();
  await passTimeUntil(clock, () => pauses.length === 7, 500);
  api.goOn();
  await passTimeUntil(clock, () => pauses.length === 8, 500);
  assert.deepEqual(pauses, [50, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 50]);
});

test("a daemon that goes during a request is gone, and not silent", async (t) => {
  const { server } = await startRig(t, { config: scriptedConfig() });
  const api = await startHangingApi(t, server.socketPath);
  // Time stands still at its end: nobody looks for the next one.
  const clock = createManualClock();
  const { session } = start(t, api.home, { clock });
  await eventually(() => session.menu().state === "healthy");
  api.hang();
  session.open();
  await passTimeUntil(clock, () => api.waiting > 0, 50);
  await server[Symbol.asyncDispose]();
  await eventually(() => itemOf(session, "Start Mountaineer"));
  await eventually(() => api.waiting === 0);
  assert.ok(itemOf(session, "Start Mountaineer"));
});

test("a daemon that goes leaves an offer to start one; one that appears is followed", async (t) => {
  const home = await temporaryFolder(t);
  let started = 0;
  const { session, quits } = start(t, home, {
    startDaemon: async () => {
      started += 1;
      throw new MountaineerError("program_unavailable", "it ended at once");
    },
  });
  const offer = await eventually(() => itemOf(session, "Start Mountaineer"));
  session.click(offer);
  const isTold = () => outline(session.menu().items).includes("!! Start Mountaineer: it ended at once");
  await eventually(isTold);
  assert.equal(started, 1);
  await startRig(t, { home, config: scriptedConfig() });
  await eventually(() => session.menu().state === "healthy");
  assert.equal(isTold(), false, "somebody else started it");
  session.click(itemOf(session, /^Quit/));
  assert.equal(quits(), 1);
});

test("A8 a daemon in the place of one that was silent is shown at once", async (t) => {
  const { server } = await startRig(t, { config: scriptedConfig() });
  const api = await startHangingApi(t, server.socketPath);
  const clock = createManualClock();
  const { session } = start(t, api.home, { clock });
  const isSilent = () =>
    outline(session.menu().items).some((line) => /does not answer; this is its last state/.test(line));
  await passTimeUntil(clock, () => session.menu().state === "healthy", 100);
  api.hang();
  session.open();
  await passTimeUntil(clock, isSilent, 500);
  // Long pauses between its looks.
  for (let seconds = 0; seconds < 20; seconds += 1) await clock.advance(1_000);
  api.goOn();
  api.cut();
  const cutAtMs = clock.monotonicMs();
  await passTimeUntil(clock, () => session.menu().state === "healthy" && !isSilent(), 100);
  const tookMs = clock.monotonicMs() - cutAtMs;
  assert.ok(tookMs < 2_000, `${tookMs} ms`);
});
