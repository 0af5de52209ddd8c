// Runs the TUI on the demo's home, with a strip of cables above it: polls the share, and acts on keys.
import type { RouteName, ShareStatus } from "../../api/contract/contract.ts";
import type { Label, Tone } from "../../api/labels/label.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { createStore } from "../../runtime/store.ts";
import { settlesWithin, systemClock } from "../../runtime/time/clock.ts";
import type { TuiOptions } from "../../tui/live-view.ts";
import { startTui } from "../../tui/start-tui.ts";
import type { OpenedFile } from "../stage/file-holder.ts";
import { setRouteChange } from "../stage/route-change-setting.ts";
import type { Reading } from "../stage/share-reader.ts";
import type { Stage } from "../stage/stage.ts";
import type { CopyAtShare } from "../stage/work-at-share.ts";
import { CABLES, type CopyObservation, type StripState, stripLines } from "./strip-lines.ts";

export interface LiveOptions extends Pick<TuiOptions, "style" | "signal"> {
  readonly print: (text: string) => void;
}

const STATUS_EVERY_MS = 150;
const READ_EVERY_MS = 500;
/** Pause between reads, ms, while the demo measures how long the share is away. */
const READ_AGAIN_MS = 5;
const READ_WITHIN_MS = 3_000;
/** A read or a copy that waits longer than this, ms, is shown as waiting. */
const WAITS_FROM_MS = 300;

/** Resolves when the person quits. Rejects with the signal's reason. */
export async function playLive(stage: Stage, { style, print, signal }: LiveOptions): Promise<void> {
  const over = new AbortController();
  const ending = AbortSignal.any([over.signal, signal]);
  const failed = new AbortController();
  const changes = createStore(0);
  let share: ShareStatus | null = null;
  let notice: Label | null = null;
  let acting: Promise<void> = Promise.resolve();
  const draw = (): void => changes.set(changes.get() + 1);
  const notify = (text: string, tone: Tone = "plain"): void => {
    notice = { text, tone };
    draw();
  };
  const act = (what: () => Promise<void>): void => {
    // Actions run one after the other, in the order of the keys.
    acting = acting.then(async () => {
      if (ending.aborted) return;
      try {
        await what();
      } catch (error) {
        if (!(error instanceof MountaineerError)) throw error;
        if (!ending.aborted) notify(error.message, "bad");
      }
      draw();
    });
    acting.catch((error: unknown) => failed.abort(error));
  };
  const poll = async (pauseMs: () => number, check: () => Promise<void>): Promise<void> => {
    while (!ending.aborted) {
      await check();
      draw();
      await systemClock.sleep(pauseMs(), ending);
    }
  };
  const play = createPlay(stage, ending, () => share, notify);
  const strip = {
    changes,
    draw: (view: Parameters<typeof stripLines>[1]) =>
      stripLines(stripState(stage, play, { share, notice }), view),
    onKey(key: string): void {
      if (!play.hasServed) return;
      if (key === "1") act(() => play.toggleCable("tb"));
      else if (key === "2") act(() => play.toggleCable("fallback"));
      else if (key === "3") act(play.toggleFile);
      else if (key === "4") act(play.toggleMoves);
    },
  };
  const follow = async (): Promise<void> => {
    await stage.startMonitor();
    await Promise.all([
      poll(
        () => STATUS_EVERY_MS,
        async () => {
          share = await stage.share();
          act(play.keepCopying);
          if (share === null && stage.monitor?.running === false)
            notify(`the daemon has ended; ${stage.layout.daemonOutput} says why`, "bad");
        },
      ),
      poll(() => (play.cutAtMs === null ? READ_EVERY_MS : READ_AGAIN_MS), play.readAgain),
    ]);
  };
  try {
    signal.throwIfAborted();
    follow().catch((error: unknown) => {
      if (!ending.aborted) failed.abort(error);
    });
    const shown = { home: stage.layout.home, configPath: null, endpoint: null, screen: null };
    const until = AbortSignal.any([signal, failed.signal]);
    await startTui({ ...shown, style, strip, signal: until });
  } finally {
    over.abort(new MountaineerError("aborted", "the view is closed"));
    print("cleaning up\n");
    await settlesWithin(systemClock, 1_000, acting).catch((error: unknown) => print(`${errorText(error)}\n`));
  }
}

function stripState(
  { nas, layout }: Stage,
  { readingSinceMs, reading, hasServed, copied, holder }: ReturnType<typeof createPlay>,
  shown: Pick<StripState, "share" | "notice">,
): StripState {
  return {
    ...shown,
    driver: nas.driver,
    plugged: { tb: nas.cables.tb.plugged, fallback: nas.cables.fallback.plugged },
    addresses: { tb: nas.cables.tb.address, fallback: nas.cables.fallback.address },
    stablePath: layout.stablePath,
    ...{ reading, hasServed },
    copy: copied(),
    waitingMs: readingSinceMs === null ? null : waitedSince(readingSinceMs),
    openedBy: holder === null || holder.ended ? null : holder.pid,
  };
}

/** Time since `startMs`, ms; null while that is too short to show. */
function waitedSince(startMs: number): number | null {
  const waitedMs = systemClock.monotonicMs() - startMs;
  return waitedMs < WAITS_FROM_MS ? null : waitedMs;
}

/** The actions of the keys, and the reads and the copy that run during the demo. */
function createPlay(
  stage: Stage,
  ending: AbortSignal,
  share: () => ShareStatus | null,
  notify: (text: string, tone?: Tone) => void,
) {
  const { nas } = stage;
  let copy: CopyAtShare | null = null;
  let copied: CopyObservation | null = null;
  let copiedAtMs = 0;

  const play = {
    reading: null as Reading | null,
    readingSinceMs: null as number | null,
    hasServed: false,
    holder: null as OpenedFile | null,
    /**
     * When the route in use was cut, monotonic ms; null before a cut, and once the share is readable again.
     */
    cutAtMs: null as number | null,
    async toggleCable(route: RouteName): Promise<void> {
      const cable = nas.cables[route];
      if (cable.plugged) {
        notify(`you pull the ${CABLES[route].toLowerCase()} cable`);
        // The last polled status may be older than the present mount.
        if ((await stage.share())?.active_interface === route) play.cutAtMs = systemClock.monotonicMs();
        await cable.pull();
      } else {
        notify(`you plug in the ${CABLES[route].toLowerCase()} cable`);
        await cable.plug();
      }
    },
    async toggleFile(): Promise<void> {
      const { holder } = play;
      if (holder !== null && !holder.ended) {
        notify("you close the file");
        await holder.close();
        play.holder = null;
      } else {
        notify("you open a file");
        play.holder = await stage.openFile();
      }
    },
    /**
     * Starts the copy if the share moves. On a share that is remounted, the open file of the copy would
     * prevent a change of routes.
     */
    async keepCopying(): Promise<void> {
      if (copy !== null || share()?.moves === undefined) return;
      // Asks again, because the last polled status may be older than the present mount.
      if ((await stage.share())?.moves?.phase === "serving") copy = await stage.startCopy();
    },
    async toggleMoves(): Promise<void> {
      if (nas.driver !== "smb") return notify("folders do not move");
      const to = share()?.moves === undefined ? "move" : "remount";
      notify(`you set on_route_change = "${to}"; it is remounted`);
      await copy?.stop();
      await setRouteChange(stage, to, ending);
      copy = null;
      copied = null;
    },
    copied(): CopyObservation | null {
      if (copy === null) return null;
      const progress = copy.progress();
      if (progress !== copied?.progress) copiedAtMs = systemClock.monotonicMs();
      copied = { progress, complaint: copy.complaint(), waitingMs: waitedSince(copiedAtMs) };
      return copied;
    },
    async readAgain(): Promise<void> {
      const expected = await stage.sign();
      const startedAtMs = systemClock.monotonicMs();
      play.readingSinceMs = startedAtMs;
      try {
        play.reading = await stage.read(READ_WITHIN_MS);
        play.hasServed ||= play.reading.ok;
      } finally {
        play.readingSinceMs = null;
      }
      const { cutAtMs, reading } = play;
      if (cutAtMs === null || startedAtMs < cutAtMs || !reading.ok || reading.text !== expected) return;
      notify(`readable again ${Math.round(systemClock.monotonicMs() - cutAtMs)} ms after the cut`, "good");
      play.cutAtMs = null;
    },
  };
  return play;
}
