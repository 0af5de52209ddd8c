// The timeline in the home: read when a daemon is in charge, written while it is. Rarely, and never while nothing happens,
// so that an idle disk may sleep. What cannot be read or written costs the past of the timeline, and nothing else.
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { TimelineReport } from "../../api/timeline-contract.ts";
import { errorText } from "../../runtime/errors.ts";
import { removeLeftovers, writeDurably } from "../../runtime/files/durable-file.ts";
import { readRegularFile } from "../../runtime/files/read-regular-file.ts";
import { setAside } from "../../runtime/files/set-aside.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { settledWithin, type Timer } from "../../runtime/time/clock.ts";
import { startTimeline, type TimelineOptions } from "./timeline.ts";
import { decodeTimeline, encodeTimeline, type KnownTimeline } from "./timeline-format.ts";

const FILE_NAME = "timeline.json";
const PRIVATE_FILE = 0o600;
/** Above what is ever written. */
export const LARGEST_FILE = 4 * 1024 * 1024;
/** What a crash may cost, ms. */
export const SAVE_AFTER_MS = 60_000;
/** Calls alone are written so many times less often: an agent at work makes some in every minute. */
export const CALLS_EVERY = 5;
/** A disk that gives no answer holds up no start, ms. */
const READ_MS = 2_000;
/** Nor a stop, nor a handover, ms. */
const LAST_WRITE_MS = 1_000;

interface KeptTimelineOptions extends TimelineOptions {
  readonly home: string;
  readonly logger: Logger;
  /** The daemon before this one has handed over to it. */
  readonly follows: boolean;
}

interface KeptTimeline extends AsyncDisposable {
  timeline(): Promise<TimelineReport>;
}

/**
 * For the daemon in charge. Disposed, it has written what is known by then, and writes nothing more: the next daemon has
 * the file. Never rejects.
 */
export async function keepTimeline(options: KeptTimelineOptions): Promise<KeptTimeline> {
  const { home, clock, logger, follows } = options;
  const path = join(home, FILE_NAME);
  const found = await findBefore(path, options);
  const timeline = startTimeline(options, found.known, follows);
  const stop = new AbortController();
  let saved = { changes: 0, calls: new Map<string, string>() };
  let writing: Promise<void> | null = null;
  let isFailing = false;
  let beats = 0;

  const write = async (): Promise<void> => {
    try {
      const calls = lastCalls(options);
      await setImmediate();
      // The one before this may have taken longer than there was time.
      stop.signal.throwIfAborted();
      const known = timeline.known();
      const now = { changes: timeline.changes, calls };
      await writeDurably(path, encodeTimeline(known), { mode: PRIVATE_FILE, signal: stop.signal });
      saved = now;
      if (isFailing) logger.info("the timeline is saved again", { path });
      isFailing = false;
    } catch (error) {
      if (!isFailing) {
        logger.warn(
          "the timeline cannot be saved: a restart would lose it; free space, or make the home writable",
          {
            path,
            reason: errorText(error),
          },
        );
      }
      isFailing = true;
    }
  };
  const save = (): Promise<void> => {
    writing ??= write().finally(() => {
      writing = null;
    });
    return writing;
  };
  // Minutes that are a day old by now are nothing new.
  const hasNewCalls = (): boolean =>
    [...lastCalls(options)].some(([name, last]) => saved.calls.get(name) !== last);
  const beat = (): void => {
    timer = clock.setTimer(SAVE_AFTER_MS, beat);
    beats += 1;
    if (!found.mayWrite) return;
    if (timeline.changes !== saved.changes || (beats % CALLS_EVERY === 0 && hasNewCalls())) void save();
  };
  let timer: Timer = clock.setTimer(SAVE_AFTER_MS, beat);

  const end = async (): Promise<void> => {
    timer[Symbol.dispose]();
    if (found.mayWrite) {
      const last = (writing ?? Promise.resolve()).then(save);
      if (!(await settledWithin(clock, LAST_WRITE_MS, last)))
        stop.abort(new Error("the disk gives no answer"));
    }
    timeline[Symbol.dispose]();
  };
  let ending: Promise<void> | null = null;
  return {
    timeline: () => timeline.timeline(),
    [Symbol.asyncDispose]() {
      ending ??= end();
      return ending;
    },
  };
}

/** By backend, another text after each call. */
function lastCalls({ minutes }: Pick<KeptTimelineOptions, "minutes">): Map<string, string> {
  return new Map(
    [...minutes()].flatMap(([name, list]) => {
      const last = list.at(-1);
      return last === undefined ? [] : [[name, `${last.atMs} ${last.calls}`]];
    }),
  );
}

interface Found {
  /** null: nothing that can be used. */
  readonly known: KnownTimeline | null;
  /** False: what stands there is nobody's to overwrite. */
  readonly mayWrite: boolean;
}

/** Never rejects: whatever stands there, the start goes on. */
async function findBefore(
  path: string,
  { clock, logger }: Pick<KeptTimelineOptions, "clock" | "logger">,
): Promise<Found> {
  let found: Found = { known: null, mayWrite: false };
  const reading = async (): Promise<void> => {
    // What a crash left over takes room, and nothing else.
    await removeLeftovers(path).catch(() => {});
    try {
      const text = await readRegularFile(path, LARGEST_FILE);
      const decoded = text === null ? null : decodeTimeline(text);
      if (decoded === null || decoded.kind === "whole") {
        found = { known: decoded?.known ?? null, mayWrite: true };
        return;
      }
      const { kind } = decoded;
      const reason =
        kind === "newer" ? `a newer version wrote it (format ${decoded.version})` : decoded.reason;
      found = { known: null, mayWrite: await makeWay(reason) };
    } catch (error) {
      found = { known: null, mayWrite: await makeWay(errorText(error)) };
    }
  };
  const makeWay = async (reason: string): Promise<boolean> => {
    try {
      const set_aside = await setAside(path, clock.wallMs());
      logger.warn(
        "the timeline starts empty; delete the file set aside, or start the version that can read it",
        {
          reason,
          set_aside,
        },
      );
      return true;
    } catch (error) {
      logger.warn("the timeline starts empty and is not saved: move its file away, then restart", {
        path,
        reason: `${reason}; ${errorText(error)}`,
      });
      return false;
    }
  };
  if (!(await settledWithin(clock, READ_MS, reading()))) {
    logger.warn(
      "the timeline starts empty and is not saved: the disk gives no answer; see to it, then restart",
      {
        path,
      },
    );
    return { known: null, mayWrite: false };
  }
  return found;
}
