import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Menu, MenuItem } from "../../../src/menubar/menu/menu.ts";
import { type MenuSession, startMenuSession } from "../../../src/menubar/menu/session.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { sampleSyncState, scriptedConfig } from "../../api/sample-config.ts";
import { sampleReport, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { ANSWERS_MS, BETWEEN_LOOKS_MS, eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntil } from "../../support/pass-time.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { startHangingApi } from "../hanging-api.ts";
import { everyItem, outline } from "../worlds.ts";

function start(t: TestContext, home: string, clock: Clock = systemClock): MenuSession {
  const stop = new AbortController();
  const session = startMenuSession({ home, clock, signal: stop.signal, logPath: null });
  t.after(async () => {
    stop.abort();
    await session.ended;
  });
  return session;
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
async function countingScene(t: TestContext) {
  const share = sampleShare();
  const control = scriptedControl(sampleReport([share]));
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
  const session = start(t, home, clock);
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

const SILENT = /does not answer; this is its last state/;
const LOOK = { kind: "transition", transition: { name: "share.tb_ready", share: "CORE" } } as const;

test("A8 a silent daemon's last state stays, and is replaced soon after it answers again", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { control: scriptedControl(sampleReport([sampleShare()])), config });
  const api = await startHangingApi(t, server.socketPath);
  const clock = createManualClock();
  const session = start(t, api.home, clock);
  const isSilent = (): boolean => outline(session.menu().items).some((line) => SILENT.test(line));
  await passTimeUntil(clock, () => itemOf(session, "Unmount all"), 100);
  for (const [silentMs, soonMs] of [
    [500, 4_000],
    [30_000, 12_000],
  ] as const) {
    api.hang();
    config.emit(LOOK);
    await passTimeUntil(clock, isSilent, 500);
    const untilMs = clock.monotonicMs() + silentMs;
    await passTimeUntil(clock, () => isSilent() && clock.monotonicMs() >= untilMs, 500);
    api.goOn();
    const atMs = clock.monotonicMs();
    await passTimeUntil(clock, () => !isSilent(), 500);
    const tookMs = clock.monotonicMs() - atMs;
    assert.ok(tookMs <= soonMs, `${tookMs} ms after ${silentMs}`);
  }
});

test("A8 a silent daemon is tried again after pauses that grow to 8 s, and then as soon as before", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const api = await startHangingApi(t, server.socketPath);
  const clock = createManualClock();
  const pauses: number[] = [];
  const sleep: typeof clock.sleep = (delayMs, signal) => {
    pauses.push(delayMs);
    return clock.sleep(delayMs, signal);
  };
  start(t, api.home, { ...clock, monotonicMs: () => clock.monotonicMs(), sleep });
  await passTimeUntil(clock, () => pauses.length === 1, 50);
  api.hang();
  config.emit(LOOK);
  await passTimeUntil(clock, () => pauses.length === 7, 500);
  api.goOn();
  await passTimeUntil(clock, () => pauses.length === 8, 500);
  assert.deepEqual(pauses, [50, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 50]);
});

test("a daemon that goes during a request is gone, and not silent", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const api = await startHangingApi(t, server.socketPath);
  // Time stands still at its end: nobody looks for the next one.
  const clock = createManualClock();
  const session = start(t, api.home, clock);
  await eventually(() => session.menu().state === "healthy");
  api.hang();
  config.emit(LOOK);
  await passTimeUntil(clock, () => api.waiting > 0, 50);
  await server[Symbol.asyncDispose]();
  await eventually(() => itemOf(session, "Start Mountaineer"));
  await eventually(() => api.waiting === 0);
  assert.ok(itemOf(session, "Start Mountaineer"));
});

test("a daemon that goes leaves an offer to start one; one that appears is followed", async (t) => {
  const home = await temporaryFolder(t);
  const session = start(t, home);
  await eventually(() => itemOf(session, "Start Mountaineer"));
  const text = "Start Mountaineer: it ended at once";
  session.showFailure({ action: { kind: "start" }, ok: false, text, hint: null });
  const isTold = () => outline(session.menu().items).includes(`!! ${text}`);
  assert.ok(isTold());
  await startRig(t, { home, config: scriptedConfig() });
  await eventually(() => session.menu().state === "healthy");
  assert.equal(isTold(), false, "somebody else started it");
});

test("A8 a daemon in the place of one that was silent is shown at once", async (t) => {
  const config = scriptedConfig();
  const { server } = await startRig(t, { config });
  const api = await startHangingApi(t, server.socketPath);
  const clock = createManualClock();
  const session = start(t, api.home, clock);
  const isSilent = () => outline(session.menu().items).some((line) => SILENT.test(line));
  await passTimeUntil(clock, () => session.menu().state === "healthy", 100);
  api.hang();
  config.emit(LOOK);
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
