// `logs`: picks the file and its lines, and follows it if asked.
import { MountaineerError } from "../../runtime/errors.ts";
import type { LogFields, LogRecord } from "../../runtime/log/log.ts";
import { LOG_LEVELS, readableLine } from "../../runtime/log/log-lines.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { localDay, systemClock } from "../../runtime/time/clock.ts";
import type { CommandContext } from "../input/command.ts";
import { findShare, readMembers } from "./config-members.ts";
import { viewConfig } from "./config-session.ts";
import { openLogFile } from "./log-lines-file.ts";

interface LogRequest {
  readonly path: string;
  readonly share: string | null;
  readonly lines: number;
  readonly follow: boolean;
}

/**
 * Prints what was logged, and with `follow` what is, until the signal aborts, which is no failure. Rejects with
 * `share_unknown` for a share that neither the configuration nor the log knows, and with the system's error.
 */
export async function showLog(context: CommandContext, request: LogRequest): Promise<void> {
  const { path, lines: count, follow } = request;
  const share = request.share === null ? null : await spelledAsConfigured(context, request.share);
  const matches = (line: string): boolean => share === null || isAboutShare(line, share.name);
  await using log = await openLogFile({ path, count, matches, clock: systemClock });
  if (share?.unknown && log.last.length === 0) throw share.unknown;
  const print = (line: string): void =>
    context.print(context.json ? logLineJson(line) : renderLogLine(line, context.stdoutStyle.color));
  for (const line of log.last) print(line);
  if (!log.exists) context.note(`nothing is logged yet in ${path}`);
  if (!follow) return;
  // The reader may have read enough.
  const unread = new AbortController();
  process.stdout.once("error", () => unread.abort());
  for await (const line of log.follow(AbortSignal.any([context.signal, unread.signal]))) {
    if (matches(line)) print(line);
  }
}

interface NamedShare {
  readonly name: string;
  /** Set when it is not configured: it may have been once. */
  readonly unknown: MountaineerError | null;
}

async function spelledAsConfigured(context: CommandContext, name: string): Promise<NamedShare> {
  try {
    const found = await viewConfig(context, async (view) => findShare(await readMembers(view), name));
    return { name: found.name, unknown: null };
  } catch (error) {
    if (!(error instanceof MountaineerError)) throw error;
    if (error.code === "aborted") throw error;
    // A log is needed most when the configuration, or the daemon, is broken.
    return { name: name.normalize("NFC"), unknown: error.code === "share_unknown" ? error : null };
  }
}

// A line of the log file as text, and whether it is about a share. Pure.

/** The record that a line holds; null for what is none: another program's words, or a line that a crash cut off. */
export function logRecord(line: string): LogRecord | null {
  const value = jsonObject(line);
  if (value === null) return null;
  const { time, level, message, ...fields } = value;
  const known = LOG_LEVELS.find((each) => each === level);
  if (typeof time !== "string" || typeof message !== "string" || known === undefined) return null;
  return { time, level: known, message, fields: plainFields(fields) };
}

/** Whether the line is about that share. */
export function isAboutShare(line: string, share: string): boolean {
  // Most lines are about another one: the name is looked for before the line is read. The log spells some characters
  // of a name otherwise than JSON does by itself.
  const isPlain = /^[\p{L}\p{N} ._-]*$/u.test(share);
  return (!isPlain || line.includes(`"${share}"`)) && jsonObject(line)?.["share"] === share;
}

/** `2026-11-20 14:32:05.123 warn  message  name=value` and a newline, in the reader's own time. */
export function renderLogLine(line: string, color: boolean): string {
  const record = logRecord(line);
  if (record === null) return `${harmless(line)}\n`;
  return `${localDate(record.time)} ${readableLine(record, color)}`;
}

/** The line as JSON, whatever it was. */
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

function localDate(time: string): string {
  const at = new Date(time);
  return Number.isNaN(at.getTime()) ? "????-??-??" : localDay(at);
}
