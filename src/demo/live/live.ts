// Runs the live view: looks at the share all the time, acts on keys, and draws changes.
import type { ReadStream, WriteStream } from "node:tty";
import type { RouteName, ShareStatus, StepResult } from "../../api/contract.ts";
import { ROUTE_LABELS } from "../../api/words/words.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { settledWithin, systemClock } from "../../runtime/time/clock.ts";
import { setCarry } from "../stage/carry-setting.ts";
import type { FileHolder } from "../stage/file-holder.ts";
import type { Reading } from "../stage/share-reader.ts";
import type { Stage } from "../stage/stage.ts";
import type { TerminalStyle } from "../stage/terminal-style.ts";
import type { CopyAtShare } from "../stage/work-at-share.ts";
import { type CopySeen, type LiveState, renderLive } from "./live-view.ts";
import { createLogTail, type LogEvent } from "./log-events.ts";
import { openScreen } from "./screen.ts";

interface LiveOptions {
  readonly input: ReadStream;
  readonly output: WriteStream;
  readonly style: TerminalStyle;
  readonly print: (text: string) => void;
  readonly signal: AbortSignal;
}

const STATUS_EVERY_MS = 150;
const BUSY_TRIES = 8;
const BUSY_PAUSE_MS = 60;
const LOG_EVERY_MS = 100;
const READ_EVERY_MS = 500;
/** Pause between reads while the demo measures how long the share is away. */
const READ_AGAIN_MS = 5;
const READ_WITHIN_MS = 3_000;
/** A read that takes longer is shown as one that waits. */
const WAITS_FROM_MS = 300;
const EVENTS_KEPT = 100;
const CTRL_C = "\x03";
const INTERRUPTED_EXIT = 130;

/** Resolves with the exit code, when the person quits. Rejects with the signal's reason. */
export async function playLive(
  stage: Stage,
  { input, output, style, print, signal }: LiveOptions,
): Promise<number> {
  const { layout } = stage;
  const quit = Promise.withResolvers<number>();
  const over = new AbortController();
  const ending = AbortSignal.any([over.signal, signal]);
  let share: ShareStatus | null = null;
  let events: readonly LogEvent[] = [];
  let acting: Promise<void> = Promise.resolve();

  const tell = (text: string, tone: LogEvent["tone"] = "person"): void => {
    add([{ atMs: systemClock.wallMs(), text, tone }]);
  };
  const add = (more: readonly LogEvent[]): void => {
    if (more.length === 0) return;
    // The log is read a moment after its lines were written.
    events = [...events, ...more].sort((a, b) => a.atMs - b.atMs).slice(-EVENTS_KEPT);
    draw();
  };
  const draw = (): void =>
    screen.show(renderLive(liveState(stage, play, { share, events }), screen.size, style));

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
    acting.catch(quit.reject);
  };

  const onKey = (key: string): void => {
    if (key === "q") quit.resolve(0);
    else if (key === CTRL_C) quit.resolve(INTERRUPTED_EXIT);
    else if (key === "t") act(() => play.toggleCable("tb"));
    else if (key === "f") act(() => play.toggleCable("fallback"));
    else if (key === "o") act(play.toggleFile);
    else if (key === "h") act(play.toggleHold);
    else if (key === "c") act(play.toggleCarry);
  };

  const every = async (pauseMs: () => number, look: () => Promise<void>): Promise<void> => {
    while (!ending.aborted) {
      await look();
      draw();
      await systemClock.sleep(pauseMs(), ending);
    }
  };
  const play = createPlay({ stage, ending, share: () => share, tell });
  const loops = (): Promise<unknown> => {
    const logTail = createLogTail(layout.logFile);
    let missed = false;
    return Promise.all([
      every(
        () => STATUS_EVERY_MS,
        async () => {
          share = await stage.share();
          act(play.keepCopying);
          if (share !== null || missed || stage.monitor?.running !== false) return;
          missed = true;
          tell(`the daemon has ended; ${layout.daemonOutput} says why`, "bad");
        },
      ),
      every(
        () => LOG_EVERY_MS,
        async () => add(await logTail()),
      ),
      every(() => (play.cutAtMs === null ? READ_EVERY_MS : READ_AGAIN_MS), play.readAgain),
    ]);
  };

  const screen = openScreen({ input, output, onKey, onResize: () => draw(), onGone: () => quit.resolve(0) });
  const onAbort = (): void => quit.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    draw();
    await stage.startMonitor();
    const looking = loops();
    looking.catch((error: unknown) => quit.reject(error));
    return await quit.promise;
  } finally {
    signal.removeEventListener("abort", onAbort);
    over.abort(new MountaineerError("aborted", "the view is closed"));
    screen[Symbol.dispose]();
    print("cleaning up\n");
    await settledWithin(systemClock, 1_000, acting).catch((error: unknown) => print(`${errorText(error)}\n`));
  }
}

function liveState(
  { nas, layout }: Stage,
  play: ReturnType<typeof createPlay>,
  seen: Pick<LiveState, "share" | "events">,
): LiveState {
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
  readonly tell: (text: string, tone?: LogEvent["tone"]) => void;
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
  const toggleHold = async (): Promise<void> => {
    // If the share has not been seen yet, a person cannot mean to end its hold.
    const to = (share()?.held ?? null) === null ? "fallback" : "auto";
    tell(`you run mountaineer switch --to ${to}`);
    const daemon = await stage.daemon();
    let result: StepResult | undefined;
    // The view's own reader has the file open for some milliseconds at each look.
    for (let tries = 0; tries < BUSY_TRIES; tries++) {
      const report = await daemon?.ask("switchRoute", { to }, ending);
      result = report?.results[0];
      if (result?.result !== "busy") break;
      await systemClock.sleep(BUSY_PAUSE_MS, ending);
    }
    if (result !== undefined && result.result !== "switched") tell(result.detail, "plain");
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
    toggleHold,
    toggleCarry,
    keepCopying,
    copied: lookAtCopy,
    readAgain,
    get cutAtMs() {
      return cutAtMs;
    },
  };
}
