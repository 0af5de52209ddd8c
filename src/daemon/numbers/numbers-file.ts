// The file of the numbers in the home: a line for each share and server, then a line for what is new of each. It is written
// rarely, and never while nothing happens, so that an idle disk can sleep. If it cannot be read or written, only the past of
// the numbers is lost.
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { Control } from "../../api/operations/operations.ts";
import { errorText } from "../../runtime/errors.ts";
import {
  moveAside,
  readRegularFile,
  removeLeftovers,
  writeDurably,
} from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { choice, count, list, nullable, object, optional, reader, text } from "../../runtime/shape.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import { resultWithin, settlesWithin, type Timer } from "../../runtime/time/clock.ts";
import { type NumbersOptions, startNumbers } from "./numbers.ts";
import { numbersReport, seriesReport } from "./numbers-report.ts";
import { Slots } from "./slots.ts";
import { LEVEL_NAMES, Subject, TICK_MS } from "./subject.ts";

export const FILE_NAME = "numbers.log";
const HEADER = '{"numbers":1}';
/** Time between two saves, ms: a crash loses no more than this. */
export const SAVE_EVERY_MS = 300_000;
/** The limit of the file and of the new one that replaces it, together, in bytes. */
export const MOST_FILE_BYTES = 4_000_000;
/** A file is replaced when it has grown by half and by these bytes, so that reading it takes little time. */
const GROWTH_BYTES = 128 * 1_024;
/** Deadline for reading the file and for the last save, ms: a disk without an answer must not delay a start or a stop. */
const DISK_MS = 2_000;
/** The number of lines that are read or written in one turn of the event loop. */
const LINES_A_TURN = 16;

/** `slots`: packed slots of each width; `more`: packed ticks; both in base64. Each line begins with its CRC-32. */
const lineShape = object({
  of: choice("share", "server"),
  name: text,
  used_at: nullable(count),
  calls: count,
  slots: optional(list(text)),
  more: optional(text),
});
const readLine = reader(lineShape);

interface StoredNumbersOptions extends NumbersOptions {
  readonly home: string;
  readonly logger: Logger;
  /** True: the previous daemon has handed over to this one. */
  readonly follows: boolean;
}

/**
 * Keeps the numbers while this daemon is in charge. Disposing saves them a last time; after that nothing is written,
 * because the next daemon owns the file. Never rejects.
 */
export async function keepNumbers(options: StoredNumbersOptions) {
  const { home, clock, logger, follows } = options;
  const path = join(home, FILE_NAME);
  const found = await findBefore(path, options);
  const numbers = startNumbers(options, [...found.subjects.values()], follows);
  const stopping = new AbortController();
  /** The size of the file, if it may be appended to; null: it is replaced. */
  let size: number | null = null;
  let mostBytes = 0;
  let isFailing = false;

  const writeAll = async (): Promise<void> => {
    size = null;
    const lines = [HEADER];
    numbers.catchUp();
    for (const subject of [...numbers.shares.values(), ...numbers.servers.values()]) {
      if (lines.length % LINES_A_TURN === 0) await setImmediate();
      subject.takeUnsaved();
      const slots = LEVEL_NAMES.map((name) => base64(subject.levels[name].packed()));
      lines.push(lineOf(subject, { slots }));
    }
    const content = Buffer.from(`${lines.join("\n")}\n`);
    await writeDurably(path, content, { mode: 0o600, signal: stopping.signal });
    size = content.length;
    mostBytes = Math.min(1.5 * size + GROWTH_BYTES, MOST_FILE_BYTES - size);
  };
  const append = async (before: number): Promise<void> => {
    size = null;
    numbers.catchUp();
    const lines = [...numbers.shares.values(), ...numbers.servers.values()].flatMap((subject) => {
      if (!subject.isUnsavedWhole) throw new Error("only a part is left of what is new");
      const packed = subject.takeUnsaved();
      return packed === null ? [] : [`${lineOf(subject, { more: base64(packed) })}\n`];
    });
    const content = Buffer.from(lines.join(""));
    if (before + content.length > MOST_FILE_BYTES) throw new Error("the next start would not read it");
    // O_NONBLOCK: opening a pipe would wait for its reader.
    const { O_WRONLY, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = constants;
    const file = await open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK);
    try {
      // Another size: another program has written to it, so the next save replaces it.
      if ((await file.stat()).size !== before) throw new Error("the file was changed");
      await file.writeFile(content);
      await file.datasync();
    } finally {
      await file.close();
    }
    size = before + content.length;
  };
  const save = async (isLast: boolean): Promise<void> => {
    const news = numbers.takeNews();
    if (news === null && !isFailing && !isLast) return;
    try {
      const mayAppend = news !== "set_back" && size !== null && size < mostBytes;
      await (mayAppend && size !== null ? append(size).catch(writeAll) : writeAll());
      if (isFailing) logger.info("the numbers are saved again", { path });
      isFailing = false;
    } catch (error) {
      if (!isFailing)
        logger.warn(
          "the numbers over time cannot be saved: a restart would lose them; free space, or make the home writable",
          { path, reason: errorText(error) },
        );
      isFailing = true;
    }
  };
  let saving: Promise<void> | null = null;
  const beat = (): void => {
    timer = clock.setTimer(SAVE_EVERY_MS, beat);
    if (!found.mayWrite || saving !== null) return;
    saving = save(false).finally(() => {
      saving = null;
    });
  };
  let timer: Timer = clock.setTimer(SAVE_EVERY_MS, beat);
  let ending: Promise<void> | null = null;
  const end = async (): Promise<void> => {
    timer[Symbol.dispose]();
    numbers[Symbol.dispose]();
    const last = (saving ?? Promise.resolve()).then(() => (found.mayWrite ? save(true) : undefined));
    if (!(await settlesWithin(clock, DISK_MS, last))) stopping.abort(new Error("the disk gives no answer"));
  };
  return {
    control: {
      numbers: () => numbersReport(numbers, clock.wallMs()),
      series: (request) => seriesReport(numbers, request),
    } satisfies Pick<Control, "numbers" | "series">,
    [Symbol.asyncDispose](): Promise<void> {
      ending ??= end();
      return ending;
    },
  };
}

function lineOf(
  { of, name, usedAt, calls }: Subject,
  packed: { slots: string[] } | { more: string },
): string {
  const line = JSON.stringify({ of, name, used_at: usedAt, calls, ...packed });
  return `${checksum(line)} ${line}`;
}

function checksum(line: string): string {
  return crc32(line).toString(16).padStart(8, "0");
}

function base64(packed: Uint8Array): string {
  return Buffer.from(packed.buffer, packed.byteOffset, packed.length).toString("base64");
}

function unpacked(text: string): Uint8Array {
  return Buffer.from(text, "base64");
}

interface Found {
  readonly subjects: Map<string, Subject>;
  /** False: the file must not be overwritten. */
  readonly mayWrite: boolean;
}

/** Reads the numbers of the previous daemon. Never rejects, so that a broken file cannot prevent a start. */
async function findBefore(
  path: string,
  { clock, logger }: Pick<StoredNumbersOptions, "clock" | "logger">,
): Promise<Found> {
  const now = Math.floor(clock.wallMs() / TICK_MS);
  const none = { subjects: new Map<string, Subject>() };
  const read = async (): Promise<Found> => {
    // A crash during a write may have left temporary files, which are useless.
    await removeLeftovers(path).catch(() => {});
    try {
      const content = await readRegularFile(path, MOST_FILE_BYTES);
      return content === null
        ? { ...none, mayWrite: true }
        : { subjects: await parsed(content, now), mayWrite: true };
    } catch (error) {
      return { ...none, mayWrite: await setAside(errorText(error)) };
    }
  };
  const setAside = async (reason: string): Promise<boolean> => {
    try {
      const set_aside = await moveAside(path, clock.wallMs());
      logger.warn(
        "the numbers start empty; delete the file set aside, or start the version that can read it",
        {
          reason,
          set_aside,
        },
      );
      return true;
    } catch (error) {
      logger.warn("the numbers start empty and are not saved: move their file away, then restart", {
        path,
        reason: `${reason}; ${errorText(error)}`,
      });
      return false;
    }
  };
  const result = await resultWithin(clock, DISK_MS, read());
  if (result !== null) return result;
  logger.warn("the numbers start empty and are not saved: the disk does not answer; check it, then restart", {
    path,
  });
  return { ...none, mayWrite: false };
}

/** Throws if the file is damaged. A last line without an end is ignored: a crash has cut it off. */
async function parsed(content: string, now: number): Promise<Found["subjects"]> {
  const [header, ...lines] = content.split("\n");
  lines.pop();
  if (header !== HEADER) throw new Error("its format is not the one of this version");
  const subjects = new Map<string, Subject>();
  for (const [index, line] of lines.entries()) {
    if (index % LINES_A_TURN === 0) await setImmediate();
    const text = line.slice(9);
    const read = line.startsWith(checksum(text)) ? readLine(parseJson(text)) : null;
    if (read === null) throw new Error(`line ${index + 2} is damaged`);
    const { of, name, used_at, calls, slots, more } = read;
    const key = `${of} ${name}`;
    const subject = slots === undefined ? subjects.get(key) : new Subject(of, name, now, slots.map(unpacked));
    const known = subject ?? new Subject(of, name, now);
    for (const run of more === undefined ? [] : new Slots(unpacked(more)).runs()) known.replay(run);
    known.usedAt = used_at;
    known.calls = calls;
    subjects.set(key, known);
  }
  return subjects;
}
