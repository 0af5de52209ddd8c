// `logs`: prints the last lines of the log file, and follows the file.
import { realpath } from "node:fs/promises";
import type { LogLine, LogRequest as LogRequestWire } from "../../api/contract/records.ts";
import { logLabel } from "../../api/labels/event-labels.ts";
import { QUIET_MS, type Story, storiesOf, type TimedEvent } from "../../api/labels/event-stories.ts";
import { wholeText } from "../../api/labels/label.ts";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { entryExists } from "../../runtime/files/durable-file.ts";
import type { LogFields, LogRecord } from "../../runtime/log/log.ts";
import { LOG_LEVELS } from "../../runtime/log/log-lines.ts";
import { type LinePosition, readLinesBackwards } from "../../runtime/log/read-backwards.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { paintFor, type TerminalStyle, tonePaint } from "../../runtime/text/paint.ts";
import { printable, printableJson } from "../../runtime/text/plain-text.ts";
import { localClock, localDay, systemClock, type Timer } from "../../runtime/time/clock.ts";
import type { CommandContext, Signals, Target } from "../input/command.ts";
import { findShare, readMembers } from "./config-members.ts";
import { viewConfig } from "./config-session.ts";
import { type DaemonPurpose, withDaemon } from "./control-session.ts";
import { openPagedLog, type PageRequest } from "./paged-log.ts";

/** The newest records that are wanted, and from which time on. */
export interface Wanted {
  readonly lines: number;
  /** Wall-clock ms; null: however old. */
  readonly since: number | null;
}

interface LogRequest extends Wanted {
  readonly path: string;
  readonly share: string | null;
  readonly follow: boolean;
}

/**
 * Prints the last lines, and with `follow` new lines until the signal aborts. Rejects with `share_unknown` for a share
 * that is neither in the configuration nor in the log, and with the system's error.
 */
export async function showLog(context: CommandContext, request: LogRequest): Promise<void> {
  const { path, lines: count, since, follow } = request;
  const share = request.share === null ? null : await spelledAsConfigured(context, request.share);
  const matches = (line: string): boolean =>
    (share === null || isAboutShare(line, share.name)) && (context.json || !isRoutine(line));
  const isTooOld = (line: string): boolean => since !== null && timeOf(line) < since;
  const wanted = { count, matches, isTooOld };
  const log =
    context.remote === null
      ? await openLogFile(path, { ...wanted, signal: context.signal })
      : await openRemoteLog(context, wanted);
  if (share?.unknown && log.last.length === 0) throw share.unknown;
  const print = (lines: readonly string[]): void => {
    const texts = context.json ? lines.map(logLineJson) : sentences(lines, context.stdoutStyle);
    for (const text of texts) context.print(text);
  };
  print(log.last);
  if (context.remote === null && !(await entryExists(path)))
    context.notify(`nothing is logged yet in ${path}`);
  if (!follow) return;
  const signal = untilUnread(context.signal);
  const lines = log.follow(signal);
  await (context.json ? eachOf(lines, (line) => print([line])) : inStories(lines, signal, print));
}

async function eachOf(lines: AsyncIterable<string>, print: (line: string) => void): Promise<void> {
  for await (const line of lines) print(line);
}

/** Prints lines together after a pause of `QUIET_MS`, so that a story is whole. */
async function inStories(
  lines: AsyncIterable<string>,
  signal: AbortSignal,
  print: (lines: readonly string[]) => void,
): Promise<void> {
  let held: string[] = [];
  let quiet: Timer | null = null;
  const flush = (): void => {
    quiet?.[Symbol.dispose]();
    quiet = null;
    print(held.splice(0));
  };
  await eachOf(lines, (line) => {
    held = [...held, line];
    if (held.length >= MOST_HELD) return flush();
    quiet?.[Symbol.dispose]();
    quiet = systemClock.setTimer(QUIET_MS, flush);
  });
  if (!signal.aborted || held.length > 0) flush();
}

/** Lines that come without a pause are printed after this many. */
const MOST_HELD = 100;

/** Aborts with `signal`, and when the reader of stdout has ended, as in `| head`. */
export function untilUnread(signal: AbortSignal): AbortSignal {
  const unread = new AbortController();
  process.stdout.once("error", () => unread.abort());
  return AbortSignal.any([signal, unread.signal]);
}

const READING: DaemonPurpose = { intent: "look", so: "so nothing can read its log" };

/** Polling interval for the file, ms; short enough to seem immediate. */
const FILE_AGAIN_MS = 150;
/** Number of rotated log files that are kept. */
const ROTATED = 1;

interface WantedLines {
  readonly count: number;
  readonly matches: (line: string) => boolean;
  readonly isTooOld?: (line: string) => boolean;
}

/** The file at `path` and the rotated one. Rejects with `permission_denied` for a file that may not be read. */
export function openLogFile(path: string, { signal, ...wanted }: WantedLines & Pick<Signals, "signal">) {
  const read = async ({ limit, before = null }: PageRequest<LinePosition | null>) => {
    const records: string[] = [];
    // The daemon rotates the target of a symbolic link.
    const real = await realpath(path).catch(() => path);
    try {
      const files = { path: real, keep: ROTATED, before, signal };
      const next = await readLinesBackwards(files, (line) => records.push(line) < limit);
      return { records, next };
    } catch (error) {
      if (systemErrorCode(error) !== "EACCES") throw error;
      throw new MountaineerError("permission_denied", `${path} may not be read: ${errorText(error)}`, {
        cause: error,
        hint: "run this as the user whose daemon it is",
      });
    }
  };
  return openPagedLog({ ...wanted, read, clock: systemClock, againMs: FILE_AGAIN_MS });
}

/** The log of another machine's daemon, with the lines as in its file. */
function openRemoteLog(context: Target & Signals, wanted: WantedLines) {
  return withDaemon(context, READING, async (daemon) => {
    const call = async (request: LogRequestWire) => {
      const { lines, next } = await daemon.call("daemonLog", request, context.signal);
      return { records: lines.map(lineInFile), next };
    };
    return openPagedLog({ ...wanted, read: call, clock: systemClock });
  });
}

function lineInFile({ at, level, message, fields }: LogLine): string {
  return JSON.stringify({ time: at, level, message, ...fields });
}

interface NamedShare {
  readonly name: string;
  /** The error to throw if the log has no line about the share; null for a configured share. */
  readonly unknown: MountaineerError | null;
}

async function spelledAsConfigured(context: Target & Signals, name: string): Promise<NamedShare> {
  try {
    const found = await viewConfig(context, async (view) => findShare(await readMembers(view), name));
    return { name: found.name, unknown: null };
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    if (error.code === "aborted") throw error;
    // `logs` must also work with a broken configuration or daemon.
    return { name: name.normalize("NFC"), unknown: error.code === "share_unknown" ? error : null };
  }
}

// Formats and filters lines of the log file. Pure.

/** The record of a line; null for another program's output, or a line that a crash cut off. */
export function logRecord(line: string): LogRecord | null {
  const value = jsonObject(line);
  if (value === null) return null;
  const { time, level, message, ...fields } = value;
  const known = LOG_LEVELS.find((each) => each === level);
  if (typeof time !== "string" || typeof message !== "string" || known === undefined) return null;
  return { time, level: known, message, fields: plainFields(fields) };
}

/** True if the line is about this share: its field `share` has the name. */
export function isAboutShare(line: string, share: string): boolean {
  // This quick check avoids the parsing of lines about other shares. It only fits names that JSON writes as they are.
  const quoted = `"${share}"`;
  const isPlain = printableJson(JSON.stringify(share)) === quoted;
  return (!isPlain || line.includes(quoted)) && jsonObject(line)?.["share"] === share;
}

/** A line that says nothing to people, such as an attempt whose end has a line as well. */
function isRoutine(line: string): boolean {
  const record = logRecord(line);
  return record !== null && logLabel(record) === null;
}

function timeOf(line: string): number {
  const at = Date.parse(logRecord(line)?.time ?? "");
  return Number.isNaN(at) ? Number.POSITIVE_INFINITY : at;
}

/** One line for each story, such as `2026-11-20 14:32:05  ! CORE: Failed over from Thunderbolt to Fallback`. */
export function sentences(
  lines: readonly string[],
  style: Pick<TerminalStyle, "color" | "unicode">,
): readonly string[] {
  let atMs = 0;
  const events = lines.flatMap((line): readonly LineEvent[] => {
    const record = logRecord(line);
    if (record === null) {
      const text = `${printable(line)}\n`;
      return [{ name: "", about: null, tone: "plain", text, atMs, isForeign: true }];
    }
    const label = logLabel(record);
    if (label === null) return [];
    atMs = Date.parse(record.time) || 0;
    const tone = label.tone === "plain" ? LEVEL_TONES[record.level] : label.tone;
    return [{ ...label, tone, atMs, isForeign: false }];
  });
  return storiesOf(events.toReversed())
    .toReversed()
    .map((story) => (story.head.isForeign ? story.text : storyLine(story, style)));
}

interface LineEvent extends TimedEvent {
  /** It is not a line of the log, and is printed as it is. */
  readonly isForeign: boolean;
}

const LEVEL_TONES = { debug: "plain", info: "plain", warn: "warning", error: "bad" } as const;

function storyLine(story: Story<TimedEvent>, terminal: Pick<TerminalStyle, "color" | "unicode">): string {
  const paint = paintFor(terminal);
  const at = new Date(story.atMs);
  const time = story.atMs === 0 ? "????-??-?? ??:??:??" : `${localDay(at)} ${localClock(at)}`;
  const { mark, style } = tonePaint(story.tone, paint);
  const count = story.parts.length === 1 ? "" : paint.dim(` (${story.parts.length} events)`);
  return `${paint.dim(time)}  ${story.tone === "plain" ? " " : style(mark)} ${printable(wholeText(story))}${count}\n`;
}

/** A line that is not a JSON object becomes the `message` of a new object. */
export function logLineJson(line: string): string {
  if (jsonObject(line) !== null) return `${line}\n`;
  return `${JSON.stringify({ time: null, level: null, message: line })}\n`;
}

function plainFields(fields: Readonly<Record<string, unknown>>): LogFields {
  const plain: Record<string, LogFields[string]> = {};
  for (const [name, value] of Object.entries(fields)) plain[name] = plainValue(value);
  return plain;
}

function plainValue(value: unknown): LogFields[string] {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  if (value === null) return value;
  return Array.isArray(value) ? value.map(String) : JSON.stringify(value);
}
