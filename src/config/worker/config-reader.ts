// A reader process that is started at the first sign of a change, so that its start and often the reading itself fall
// into the debounce time.
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { type Clock, settledWithin, type Timer } from "../../runtime/time/clock.ts";
import type { ConfigLayer } from "../layer/layer.ts";
import type { ConfigPlace } from "../locate.ts";
import type { ApartReply, ApartRequest } from "./apart-messages.ts";
import { type LoadedApart, loadedApart } from "./load-apart.ts";
import { type ReaderProcess, startReaderProcess } from "./reader-process.ts";

/** A reader that was started ahead ends this long after the last sign of a change, if no content came for it, ms. */
const UNUSED_MS = 5_000;
/** How long to wait for a reader that is busy with another content, ms: no longer than a new one takes to start. */
const BUSY_MS = 200;

interface ConfigReaderOptions {
  /** Absolute. */
  readonly path: string;
  readonly place: ConfigPlace;
  /** The layer that is under the file now. Default: none. */
  readonly layer?: () => ConfigLayer | null;
  readonly clock: Clock;
}

interface Guess {
  readonly sha256: string;
  readonly layer: ConfigLayer | null;
  readonly reply: Promise<ApartReply>;
}

interface Ahead {
  readonly process: ReaderProcess;
  guess: Guess | null;
  looking: boolean;
  /** Another sign came while the last one was being handled. */
  again: boolean;
}

/** Has at most one process at a time, and none 5 s after the last sign of a change. */
export function createConfigReader({ path, place, clock, layer = () => null }: ConfigReaderOptions) {
  let ahead: Ahead | null = null;
  let unused: Timer | null = null;
  let loading = false;
  let disposed = false;

  const take = (): Ahead | null => {
    const taken = ahead;
    ahead = null;
    unused?.[Symbol.dispose]();
    return taken;
  };
  const request = (bytes: Uint8Array): ApartRequest => {
    const content = Buffer.from(bytes).toString("base64");
    return { kind: "load", path, place, layer: layer(), content, writeStarter: false };
  };

  /** Reads the current content, unless it is known; again while there are further signs. */
  const lookAhead = async (own: Ahead, look: () => Promise<Uint8Array | null>): Promise<void> => {
    own.looking = true;
    await own.process.ready;
    do {
      own.again = false;
      const bytes = await look().catch(() => null);
      if (ahead !== own) break;
      if (bytes === null || bytes.length === 0) continue;
      const sha256 = sha256Of(bytes);
      if (own.guess?.sha256 === sha256 && own.guess.layer === layer()) continue;
      const guess: Guess = { sha256, layer: layer(), reply: own.process.ask(request(bytes)) };
      own.guess = guess;
      await guess.reply.catch(() => {});
    } while (own.again && own.process.isRunning && ahead === own);
    own.looking = false;
  };

  /** The answer of a reader that was started ahead; null: it is of no use. */
  const fromAhead = async (
    { process, guess }: Ahead,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<ApartReply | null> => {
    if (guess !== null && guess.layer === layer() && guess.sha256 === sha256Of(bytes)) {
      return unlessAborted(guess.reply, signal, () => cancelled(path, signal));
    }
    const guessed = guess?.reply.catch(() => {});
    if (guessed !== undefined && !(await settledWithin(clock, BUSY_MS, guessed))) return null;
    return process.isRunning ? process.ask(request(bytes), signal) : null;
  };

  /**
   * A reader that is found dead had died before: its end had not been reported yet, and says nothing about these bytes.
   */
  const fromAheadIfItLives: typeof fromAhead = async (taken, bytes, signal) => {
    const begunMs = clock.monotonicMs();
    try {
      return await fromAhead(taken, bytes, signal);
    } catch (error) {
      const atOnce = clock.monotonicMs() - begunMs < BUSY_MS;
      if (signal.aborted || !atOnce || taken.process.isRunning) throw error;
      return null;
    }
  };

  return {
    /**
     * Says that a content may have to be loaded soon. `look` returns the current content, which is read ahead in case
     * it stays the same; null or a rejection: there is none yet. Does nothing while a content is being loaded.
     */
    expect(look: () => Promise<Uint8Array | null>): void {
      if (disposed || loading) return;
      if (ahead?.process.isRunning === false) take();
      unused?.[Symbol.dispose]();
      unused = clock.setTimer(UNUSED_MS, () => take()?.process.end());
      ahead ??= { process: startReaderProcess(clock), guess: null, looking: false, again: false };
      if (ahead.looking) ahead.again = true;
      else void lookAhead(ahead, look);
    },
    /** One at a time. Rejects as `loadConfigApart` does. */
    async load(bytes: Uint8Array, signal: AbortSignal): Promise<LoadedApart> {
      loading = true;
      const taken = take();
      let process = taken?.process ?? null;
      try {
        let reply = taken === null ? null : await fromAheadIfItLives(taken, bytes, signal);
        if (reply === null) {
          process?.end();
          process = startReaderProcess(clock);
          reply = await process.ask(request(bytes), signal);
        }
        return loadedApart(reply, path);
      } finally {
        process?.end();
        loading = false;
      }
    },
    [Symbol.dispose]() {
      disposed = true;
      take()?.process.end();
    },
  };
}

function cancelled(path: string, signal: AbortSignal): MountaineerError {
  return new MountaineerError("aborted", `reading ${path} was cancelled`, { cause: signal.reason });
}
