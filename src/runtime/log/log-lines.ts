// Formats a log record as one JSON line for the file, or one readable line for a terminal. Escapes names and values, so that
// they cannot break out of their line or field.

import { replaceInvisible } from "../text/invisible-characters.ts";
import { printableJson, unicodeEscape } from "../text/plain-text.ts";
import { exactLocalClock } from "../time/clock.ts";
import type { LogFields, LogLevel, LogRecord } from "./log.ts";

/** Longer texts are cut, because a bounded queue needs bounded records. */
const MAX_TEXT_LENGTH = 8_192;
const RESERVED = new Set(["time", "level", "message"]);

/** C0, DEL, C1 and line separators, and characters that change the direction of text. */
const CONTROLS = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f]/gu;
const PLAIN_VALUE = /^[^\s"=\\]+$/u;

export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

const COLOURS: Readonly<Record<LogLevel, string>> = {
  debug: "\u001b[2m",
  info: "\u001b[32m",
  warn: "\u001b[33m",
  error: "\u001b[31m",
};
const DIM = "\u001b[2m";
const NORMAL = "\u001b[0m";

/** `{"time":…,"level":…,"message":…,FIELD:…}` and a newline. A field named like a reserved key gets the suffix `_`. */
export function jsonLine(record: LogRecord): string {
  const line: Record<string, unknown> = {
    time: record.time,
    level: record.level,
    message: clip(record.message),
  };
  for (const [name, value] of Object.entries(record.fields)) {
    if (value !== undefined) line[RESERVED.has(name) ? `${name}_` : name] = jsonValue(value);
  }
  return `${printableJson(JSON.stringify(line))}\n`;
}

/** `14:32:05.123 warn  message  name=value other="two words"` and a newline, in local time. */
export function readableLine(record: LogRecord, colour: boolean): string {
  const paint = (text: string, style: string): string => (colour ? `${style}${text}${NORMAL}` : text);
  const parts = [
    paint(exactLocalClock(new Date(record.time)), DIM),
    paint(record.level.padEnd(5), COLOURS[record.level]),
    plain(clip(record.message)),
  ];
  for (const [name, value] of Object.entries(record.fields)) {
    if (value !== undefined) parts.push(`${paint(`${plain(name)}=`, DIM)}${readableValue(value)}`);
  }
  return `${parts.join(" ")}\n`;
}

type LogValue = Exclude<LogFields[string], undefined>;

function jsonValue(value: LogValue): unknown {
  if (typeof value === "string") return clip(value);
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value === "boolean" || value === null) return value;
  return value.map(clip);
}

function readableValue(value: LogValue): string {
  if (typeof value === "string") return readableText(value);
  if (typeof value !== "object" || value === null) return String(value);
  return `[${value.map(readableText).join(", ")}]`;
}

function readableText(text: string): string {
  const clipped = clip(text);
  return plain(PLAIN_VALUE.test(clipped) ? clipped : `"${clipped.replace(/["\\]/gu, "\\$&")}"`);
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Control characters as escapes: `\n`, `\x1b`, `\u202e`. */
function plain(text: string): string {
  return replaceInvisible(text.toWellFormed(), unicodeEscape).replace(CONTROLS, (character) => {
    const hex = character.charCodeAt(0).toString(16);
    return (
      SHORT_ESCAPES[character] ?? (hex.length <= 2 ? `\\x${hex.padStart(2, "0")}` : unicodeEscape(character))
    );
  });
}

function clip(text: string): string {
  if (text.length <= MAX_TEXT_LENGTH) return text;
  return `${text.slice(0, MAX_TEXT_LENGTH)}… (${text.length - MAX_TEXT_LENGTH} more)`;
}
