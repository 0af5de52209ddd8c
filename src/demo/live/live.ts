// Runs the live view over the demo's home, with a strip of its cables: looks at the share all the time, and acts on keys.
import type { RouteName, ShareStatus } from "../../api/contract.ts";
import { ROUTE_LABELS, type Tone, type Words } from "../../api/words/words.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { settledWithin, systemClock } from "../../runtime/time/clock.ts";
import { startTui, type TuiOptions } from "../../tui/start-tui.ts";
import { createStore } from "../../tui/terminal/store.ts";
import { setCarry } from "../stage/carry-setting.ts";
import type { FileHolder } from "../stage/file-holder.ts";
import type { Reading } from "../stage/share-reader.ts";
import type { Stage } from "../stage/stage.ts";
import type { CopyAtShare } from "../stage/work-at-share.ts";
import { type CopySeen, type StripState, stripLines } from "./strip-lines.ts";

export interface LiveOptions extends Pick<TuiOptions, "style" | "yieldInterrupts" | "signal"> {
  readonly print: (text: string) => void;
}

const STATUS_EVERY_MS = 150;
const READ_EVERY_MS = 500;
/** Pause between reads while the demo measures how long the share is away. */
const READ_AGAIN_MS = 5;
const READ_WITHIN_MS = 3_000;
/** A read that takes longer is shown as one that waits. */
const WAITS_FROM_MS = 300;

/** Resolves when the person quits. Rejects with the signal's reason. */
export async function playLive(
  stage: Stage,
  { style, yieldInterrupts, print, signal }: LiveOptions,
): Promise<void> {
  const over = new AbortController();
  const ending = AbortSignal.any([over.signal, signal]);
  const failed = new AbortController();
  const changes = createStore(0);
  let share: ShareStatus | null = null;
  let notice: Words | null = null;
  let acting: Promise<void> = Promise.resolve();
  const draw = (): void => changes.set(changes.get() + 1);
  const tell = (text: string, tone: Tone = "plain"): void => {
    notice = { text, tone };
    draw();
  };
  const act = (what: () => Promise<void>): void => {
    // One after the other, in the order of the keys.
    acting = acting.then(async () => {
      if (ending.aborted) return;
      try {
        await what();
      } catch (error) {
        if (!(error instanceof MountaineerError)) throw error;
        if (!ending.aborted) tell(error.message, "bad");
      }
      draw();
    });
    acting.catch((error: unknown) => failed.abort(error));
  };
  const every = async (pauseMs: () => number, look: () => Promise<void>): Promise<void> => {
    while (!ending.aborted) {
      await look();
      draw();
      await systemClock.sleep(pauseMs(), ending);
    }
  };
  const play = createPlay({ stage, ending, share: () => share, tell });
  const strip = {
    changes,
    draw: (view: Parameters<typeof stripLines>[1]) =>
      stripLines(stripState(stage, play, { share, notice }), view),
    onKey(key: string): void {
      if (key === "1") act(() => play.toggleCable("tb"));
      else if (key === "2") act(() => play.toggleCable("fallback"));
      else if (key === "3") act(play.toggleFile);
      else if (key === "4") act(play.toggleCarry);
    },
  };
  const look = async (): Promise<void> => {
    await stage.startMonitor();
    await Promise.all([
      every(
        () => STATUS_EVERY_MS,
        async () => {
          share = await stage.share();
          act(play.keepCopying);
          if (share === null && stage.monitor?.running === false)
            tell(`the daemon has ended; ${stage.layout.daemonOutput} says why`, "bad");
        },
      ),
      every(() => (play.cutAtMs === null ? READ_EVERY_MS : READ_AGAIN_MS), play.readAgain),
    ]);
  };
  try {
    signal.throwIfAborted();
    look().catch((error: unknown) => {
      if (!ending.aborted) failed.abort(error);
    });
    const shown = { home: stage.layout.home, configPath: null, endpoint: null, screen: null };
    const until = AbortSignal.any([signal, failed.signal]);
    await startTui({ ...shown, style, yieldInterrupts, strip, signal: until });
  } finally {
    over.abort(new MountaineerError("aborted", "the view is closed"));
    print("cleaning up\n");
    await settledWithin(systemClock, 1_000, acting).catch((error: unknown) => print(`${errorText(error)}\n`));
  }
}

function stripState(
  { nas, layout }: Stage,
  play: ReturnType<typeof createPlay>,
  seen: Pick<StripState, "share" | "notice">,
): StripState {
  const waitingMs = play.readingSinceMs === null ? 0 : systemClock.monotonicMs() - play.readingSinceMs;
  return {
    ...seen,
    driver: nas.driver,
    plugged: { tb: nas.cables.tb.plugged, fallback: nas.cables.fallback.plugged },
    addresses: { tb: nas.cables.tb.address, fallback: nas.cables.fallback.address },
    stablePath: layout.stablePath,
    reading: play.reading,
    copy: play.copied(),
    waitingMs: waitingMs < WAITS_FROM_MS ? null : waitingMs,
    heldBy: play.holder === null || play.holder.ended ? null : play.holder.pid,
  };
}

interface PlayParts {
  readonly stage: Stage;
  readonly ending: AbortSignal;
  readonly share: () => ShareStatus | null;
  readonly tell: (text: string, tone?: Tone) => void;
}

/** What the keys do to the stage, and whether the share is still read meanwhile. */
function createPlay({ stage, ending, share, tell }: PlayParts) {
  const { nas } = stage;
  let reading: Reading | null = null;
  let readingSinceMs: number | null = null;
  let holder: FileHolder | null = null;
  let copy: CopyAtShare | null = null;
  let copied: CopySeen | null = null;
  let copiedAtMs = 0;
  /** When the route in use was cut, until the share is readable again; monotonic ms. */
  let cutAtMs: number | null = null;
  const toggleCable = async (route: RouteName): Promise<void> => {
    const cable = nas.cables[route];
    if (cable.plugged) {
      tell(`you pull the ${ROUTE_LABELS[route]} cable`);
      if (share()?.active_interface === route) cutAtMs = systemClock.monotonicMs();
      await cable.pull();
    } else {
      tell(`you plug in the ${ROUTE_LABELS[route]} cable`);
      await cable.plug();
    }
  };
  const toggleFile = async (): Promise<void> => {
    if (holder !== null && !holder.ended) {
      tell("you close the file");
      await holder.close();
      holder = null;
    } else {
      tell("you open a file");
      holder = await stage.holdFile();
    }
  };
  /** A file that is open holds what is mounted per route: there nothing copies. */
  const keepCopying = async (): Promise<void> => {
    if (copy !== null || share()?.carried === undefined) return;
    // What was seen last may be of the mount before.
    if ((await stage.share())?.carried?.phase === "carrying") copy = await stage.startCopy();
  };
  const toggleCarry = async (): Promise<void> => {
    if (nas.driver !== "smb") return tell("folders are not carried", "plain");
    const to = share()?.carried === undefined ? "auto" : "off";
    tell(`you set carry = "${to}"; it is mounted anew`);
    await copy?.stop();
    await setCarry(stage, to, ending);
    copy = null;
    copied = null;
  };
  const lookAtCopy = (): CopySeen | null => {
    if (copy === null) return null;
    const nowMs = systemClock.monotonicMs();
    const progress = copy.progress();
    if (progress !== copied?.progress) copiedAtMs = nowMs;
    const waitedMs = nowMs - copiedAtMs;
    copied = { progress, complaint: copy.complaint(), waitingMs: waitedMs < WAITS_FROM_MS ? null : waitedMs };
    return copied;
  };
  const readAgain = async (): Promise<void> => {
    const expected = await stage.sign();
    readingSinceMs = systemClock.monotonicMs();
    const startedAtMs = readingSinceMs;
    try {
      reading = await stage.read(READ_WITHIN_MS);
    } finally {
      readingSinceMs = null;
    }
    if (cutAtMs === null || startedAtMs < cutAtMs || !reading.ok || reading.text !== expected) return;
    tell(`readable again ${Math.round(systemClock.monotonicMs() - cutAtMs)} ms after the cut`, "good");
    cutAtMs = null;
  };

  return {
    get readingSinceMs() {
      return readingSinceMs;
    },
    get reading() {
      return reading;
    },
    get holder() {
      return holder;
    },
    toggleCable,
    toggleFile,
    toggleCarry,
    keepCopying,
    copied: lookAtCopy,
    readAgain,
    get cutAtMs() {
      return cutAtMs;
    },
  };
}
