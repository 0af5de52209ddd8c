// Pages of records from files of JSON lines, newest first: one file access at a time, each with a deadline.

import { type LogLine, type LogRequest, MOST_RECORDS, USUAL_RECORDS } from "../../api/contract/records.ts";
import type { Control } from "../../api/operations/operations.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { LogLevel } from "../../runtime/log/log.ts";
import { LOG_LEVELS } from "../../runtime/log/log-lines.ts";
import { type LinePosition, readLinesBackwards } from "../../runtime/log/read-backwards.ts";
import { type JsonMembers, jsonObject } from "../../runtime/text/json-object.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { oneByOne } from "../../runtime/time/one-by-one.ts";

const DEADLINE_MS = 5_000;
/** A search that has lasted this long answers with what it has found, ms. */
const SEARCH_MS = 4_000;
/** Maximum size of a page: number of characters of all lines together. */
const MOST_OF_PAGE = 2 * 1024 * 1024;

interface PageRequest<Record> {
  readonly path: string;
  /** Number of rotated files that are kept. */
  readonly keep: number;
  readonly limit?: number | undefined;
  /** The `next` of the previous page, or an ISO time. */
  readonly before?: string | undefined;
  /** An ISO time: older records are not read. */
  readonly since?: string | undefined;
  /** Returns null for a record that does not match the request. */
  readonly read: (line: JsonMembers) => Record | null;
}

interface Page<Record> {
  readonly records: Record[];
  readonly more: boolean;
  readonly next: string | null;
}

export type ReadPage = <Record>(request: PageRequest<Record>, signal: AbortSignal) => Promise<Page<Record>>;

/**
 * Creates a function that reads pages. It rejects with `timed_out` if a disk does not answer in time, or at
 * once while an earlier access hangs. If the file cannot be read, it rejects with the system's error.
 */
export function createRecordPages(clock: Clock, readLines = readLinesBackwards): ReadPage {
  const inTurn = oneByOne();
  let inProgress: { readonly path: string; readonly sinceMs: number } | null = null;
  return async (request, signal) => {
    if (inProgress !== null && clock.monotonicMs() - inProgress.sinceMs >= DEADLINE_MS)
      throw timedOut(inProgress.path);
    const late = new AbortController();
    using _timer = clock.setTimer(DEADLINE_MS, () => late.abort(timedOut(request.path)));
    const stopped = AbortSignal.any([signal, late.signal]);
    // Accesses run one at a time, so that a disk that hangs blocks only one of the process's few threads for
    // files.
    const work = inTurn(async () => {
      stopped.throwIfAborted();
      inProgress = { path: request.path, sinceMs: clock.monotonicMs() };
      try {
        const endMs = clock.monotonicMs() + SEARCH_MS;
        return await readPage(request, stopped, readLines, () => clock.monotonicMs() >= endMs);
      } finally {
        inProgress = null;
      }
    });
    return await unlessAborted(work, stopped);
  };
}

async function readPage<Record>(
  { path, keep, limit = USUAL_RECORDS, before, since = "", read }: PageRequest<Record>,
  signal: AbortSignal,
  readLines: typeof readLinesBackwards,
  isLate: () => boolean,
): Promise<Page<Record>> {
  const position = before === undefined ? null : positionOf(before);
  const beforeMs = before === undefined || position !== null ? Number.POSITIVE_INFINITY : Date.parse(before);
  const most = Math.max(1, Math.min(limit, MOST_RECORDS));
  const records: Record[] = [];
  let characters = 0;
  const sinceMs = since === "" ? Number.NEGATIVE_INFINITY : Date.parse(since);
  let isOver = false;
  const next = await readLines({ path, keep, before: position, signal }, (line) => {
    // The value is null for a truncated line, or one that is not a JSON object.
    const value = jsonObject(line);
    const timeMs = value === null ? Number.NaN : Date.parse(String(value["time"]));
    isOver = timeMs < sinceMs;
    if (isOver) return false;
    const isEarlier = value !== null && timeMs < beforeMs;
    const found = isEarlier ? read(value) : null;
    if (found !== null) {
      records.push(found);
      characters += line.length;
    }
    return records.length < most && characters < MOST_OF_PAGE && !isLate();
  });
  const hasMore = next !== null && !isOver;
  return { records, more: hasMore, next: hasMore ? `${next.file}.${next.offset}` : null };
}

function positionOf(text: string): LinePosition | null {
  const [, file, offset] = /^(\d+-\d+)\.(\d+)$/.exec(text) ?? [];
  return file === undefined ? null : { file, offset: Number(offset) };
}

/** Whether any value contains the text; letter case does not matter. */
export function containsText(values: Iterable<unknown>, wanted: string | undefined): boolean {
  if (wanted === undefined || wanted === "") return true;
  const needle = wanted.toLowerCase();
  for (const value of values) {
    const written = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
    if (written.toLowerCase().includes(needle)) return true;
  }
  return false;
}

function timedOut(path: string): MountaineerError {
  return new MountaineerError("timed_out", `${path} gave no answer within ${DEADLINE_MS / 1000} s`, {
    retry: "later",
  });
}

/** Number of rotated log files that are kept. */
const RETAINED = 1;

export function createLogReader(path: string, clock: Clock): Control["daemonLog"] {
  const pages = createRecordPages(clock);
  return async (request, signal) => {
    const { limit, before, since } = request;
    const read = (line: JsonMembers): LogLine | null => {
      const found = logLine(line);
      return found !== null && matches(found, request) ? found : null;
    };
    const { records, ...page } = await pages({ path, keep: RETAINED, limit, before, since, read }, signal);
    return { path, lines: records, ...page };
  };
}

function matches({ level, message, fields = {} }: LogLine, { level: least, text }: LogRequest): boolean {
  if (least !== undefined && LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(least)) return false;
  return containsText([message, ...Object.values(fields)], text);
}

function logLine({ time, level, message, ...fields }: JsonMembers): LogLine | null {
  if (typeof time !== "string" || typeof message !== "string" || !isLevel(level)) return null;
  const line = { at: time, level, message };
  return Object.keys(fields).length === 0 ? line : { ...line, fields };
}

function isLevel(value: unknown): value is LogLevel {
  return LOG_LEVELS.some((level) => level === value);
}
