// The icon in a real panel: what a person sees and clicks, on an X server without a screen.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startMenuSession } from "../../../src/menubar/menu/session.ts";
import { runTray } from "../../../src/menubar/tray/run-tray.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { startRig } from "../../api/management-rig.ts";
import { scriptedConfig } from "../../api/sample-config.ts";
import { sampleReport, sampleShare, scriptedControl } from "../../api/sample-report.ts";
import { eventually } from "../../support/eventually.ts";
import { desktopMissing, startDesktop } from "./desktop.ts";

/** The panel takes seconds to come up on a busy machine. */
const SOON_MS = 60_000;
/** How long a click is waited for before the next, at first: each time twice as long, since the machine may be slow. */
const FIRST_PATIENCE_MS = 1_500;
const TRIES = 6;
const BETWEEN_LOOKS_MS = 20;
const ICON = [18, 18] as const;

test("A8 clicks under Xfce's panel do what the menu says", { skip: desktopMissing }, async (t) => {
  const stop = new AbortController();
  const ends: Promise<unknown>[] = [];
  t.after(async () => {
    stop.abort();
    await Promise.allSettled(ends);
  });
  const desktop = await startDesktop(t);
  const share = sampleShare({ active_interface: "fallback", tb_recovery_pending: true });
  const control = scriptedControl(sampleReport([share, sampleShare({ name: "MEDIA" })]));
  const config = scriptedConfig();
  const { home } = await startRig(t, { control, config });
  const notes: string[] = [];
  let opened = 0;
  const session = startMenuSession({
    home,
    clock: systemClock,
    signal: stop.signal,
    logPath: null,
    reportsOpening: true,
    onQuit: () => stop.abort(),
    openPath: async () => {},
    chooseFolder: async () => null,
    askYes: async () => false,
    startDaemon: async () => {},
  });
  const ended = runTray({
    session: {
      ...session,
      open(item) {
        opened += 1;
        session.open(item);
      },
    },
    home,
    environment: desktop.environment,
    clock: systemClock,
    signal: stop.signal,
    note: (line) => void notes.push(line),
  });
  ends.push(ended, session.ended);
  await eventually(() => notes.includes("the icon is shown"), SOON_MS);
  await eventually(() => session.menu().state === "tb_ready", SOON_MS);

  /** Opens the menu and clicks down the way, until that was done; a panel may miss a click while it draws. */
  const clickUntil = async (way: readonly (readonly [x: number, y: number])[], isDone: () => boolean) => {
    for (let tries = 0; tries < TRIES && !isDone(); tries += 1) {
      const patienceMs = FIRST_PATIENCE_MS * 2 ** tries;
      const before = opened;
      await desktop.click(...ICON);
      if (!(await comesWithin(patienceMs, () => opened > before))) continue;
      for (const at of way) await desktop.click(...at);
      await comesWithin(patienceMs, isDone);
    }
    assert.ok(isDone(), `${TRIES} times the menu was opened and clicked in, and nothing was done`);
  };

  // The second line: "TB Ready – switch CORE".
  await clickUntil([[60, 77]], () => control.calls.length > 0);
  assert.equal(control.calls[0]?.name, "switch");
  assert.deepEqual(control.calls[0]?.selection, ["CORE"]);
  assert.deepEqual(control.calls[0]?.options, { to: "tb", force: false, wait: false });

  // The first box: "Go back to Thunderbolt by itself".
  await clickUntil([[60, 281]], () => config.edits.length > 0);
  assert.deepEqual(config.edits[0]?.edits, [{ key: "global.auto_failback", value: "true" }]);

  // The last line.
  await clickUntil([[60, 357]], () => stop.signal.aborted);
  await ended;
});

async function comesWithin(limitMs: number, holds: () => boolean): Promise<boolean> {
  for (let leftMs = limitMs; !holds() && leftMs > 0; leftMs -= BETWEEN_LOOKS_MS)
    await pause(BETWEEN_LOOKS_MS);
  return holds();
}
