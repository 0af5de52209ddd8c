// The timeline's file in the home. It is written rarely, and never while nothing happens, so that an idle disk can sleep. If it
// cannot be read or written, only the past of the timeline is lost.

import { join } from "node:path";
import type { TimelineReport } from "../../api/contract/timeline.ts";
import { errorText } from "../../runtime/errors.ts";
import { moveAside, readRegularFile, removeLeftovers } from "../../runtime/files/durable-file.ts";
import { createDurableValue } from "../../runtime/files/durable-value.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { settlesWithin, type Timer } from "../../runtime/time/clock.ts";
import { type KnownTimeline, knownShape, startTimeline, type TimelineOptions } from "./timeline.ts";

const FILE_NAME = "timeline.json";
const VERSION = 2;
/** Maximum size of a file that is read, in bytes; files written here are always smaller. */
export const LARGEST_FILE = 8 * 1024 * 1024;
/** Time between two saves, ms: a crash loses no more than this. */
export const SAVE_AFTER_MS = 60_000;
/** Deadline for reading the file, ms: a disk without an answer must not delay a start. */
const READ_MS = 2_000;

interface StoredTimelineOptions extends TimelineOptions {
  readonly home: string;
  readonly logger: Logger;
  /** True: the previous daemon has handed over to this one, so its last states still hold. */
  readonly follows: boolean;
}

/**
 * Keeps the timeline in its file while this daemon is in charge. Disposing saves it a last time; after that nothing is
 * written, because the next daemon owns the file. Never rejects.
 */
export async function keepTimeline(options: StoredTimelineOptions) {
  const { home, clock, logger, follows } = options;
  const path = join(home, FILE_NAME);
  const { known, mayWrite } = await findBefore(path, options);
  const timeline = startTimeline(options, known, follows);
  const file = createDurableValue({
    path,
    clock,
    content: () => `${JSON.stringify({ version: VERSION, ...timeline.known() })}\n`,
    onUnsaved: ({ message }) =>
      logger.warn(
        "the timeline cannot be saved: a restart would lose it; free space, or make the home writable",
        { path, reason: message },
      ),
    onSavedAgain: () => logger.info("the timeline is saved again", { path }),
  });
  let saved = 0;
  const save = async (): Promise<void> => {
    const now = timeline.changes;
    if ((await file.save()) === null) saved = now;
  };
  const beat = (): void => {
    timer = clock.setTimer(SAVE_AFTER_MS, beat);
    if (mayWrite && timeline.changes !== saved) void save();
  };
  let timer: Timer = clock.setTimer(SAVE_AFTER_MS, beat);
  return {
    timeline: (): Promise<TimelineReport> => timeline.timeline(),
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]();
      if (mayWrite) void file.save();
      await file[Symbol.asyncDispose]();
      timeline[Symbol.dispose]();
    },
  };
}

interface Found {
  /** The timeline in the file; null if there is no usable one. */
  readonly known: KnownTimeline | null;
  /** False: the file must not be overwritten. */
  readonly mayWrite: boolean;
}

/** Reads the previous timeline. Never rejects, so that a broken file cannot prevent a start. */
async function findBefore(
  path: string,
  { clock, logger }: Pick<StoredTimelineOptions, "clock" | "logger">,
): Promise<Found> {
  const read = async (): Promise<Found> => {
    // A crash during a write may have left temporary files, which are useless.
    await removeLeftovers(path).catch(() => {});
    try {
      const text = await readRegularFile(path, LARGEST_FILE);
      return { known: text === null ? null : decoded(text), mayWrite: true };
    } catch (error) {
      return { known: null, mayWrite: await setAside(errorText(error)) };
    }
  };
  const setAside = async (reason: string): Promise<boolean> => {
    try {
      const set_aside = await moveAside(path, clock.wallMs());
      logger.warn(
        "the timeline starts empty; delete the file set aside, or start the version that can read it",
        { reason, set_aside },
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
  const reading = read();
  if (await settlesWithin(clock, READ_MS, reading)) return reading;
  logger.warn(
    "the timeline starts empty and is not saved: the disk does not answer; check it, then restart",
    { path },
  );
  return { known: null, mayWrite: false };
}

/** Throws if the text is not a timeline of this version. */
function decoded(text: string): KnownTimeline {
  const value: unknown = parseJson(text);
  const { version } = objectOf(value);
  if (version !== VERSION)
    throw new Error(`its format is ${JSON.stringify(version)}, and this version writes ${VERSION}`);
  const fault = knownShape.faultIn(value);
  if (fault !== null) throw new Error(`${fault.path}: not ${fault.expected}`);
  // The assertion holds: `knownShape` has checked the value.
  return value as KnownTimeline;
}
