// A line of the log file as text, and whether it is about a share. Pure.

import type { LogFields, LogRecord } from "../../runtime/log/log.ts";
import { LOG_LEVELS, readableLine } from "../../runtime/log/log-lines.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { localDay } from "../../runtime/time/local-time.ts";

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
