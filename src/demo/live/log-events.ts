// The daemon's log for people: one short line for each event, as it happens.

import { open } from "node:fs/promises";
import { transitionWords } from "../../api/words/event-words.ts";
import type { Tone } from "../../api/words/words.ts";
import { systemErrorCode } from "../../runtime/errors.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { createLineSplitter } from "../../runtime/text/line-splitter.ts";

export interface LogEvent {
  /** Wall clock, ms. */
  readonly atMs: number;
  readonly text: string;
  /** "person": it is what somebody at the keys did. */
  readonly tone: Tone | "person";
}

const READ_AT_MOST = 64 * 1024;
const LINE_AT_MOST = 1024 * 1024;

/** Reads what has been added to a JSON-lines log since the last time; nothing while there is no file. */
export function createLogTail(path: string): () => Promise<LogEvent[]> {
  let offset = 0;
  const splitter = createLineSplitter(LINE_AT_MOST, () => {});
  return async () => {
    const chunk = await readFrom(path, offset);
    offset += chunk.length;
    return [...splitter.take(chunk)].flatMap((line) => eventOf(line) ?? []);
  };
}

async function readFrom(path: string, offset: number): Promise<Buffer> {
  try {
    const file = await open(path, "r");
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(READ_AT_MOST), 0, READ_AT_MOST, offset);
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}

/** null if the line is not a record, or would tell people nothing new. */
export function eventOf(line: string): LogEvent | null {
  const record = jsonObject(line);
  if (record === null) return null;
  const { time, message, level: _, ...fields } = record;
  if (typeof time !== "string" || typeof message !== "string") return null;
  const known = OWN_WORDS[message];
  const atMs = Date.parse(time);
  if (known !== undefined) return { atMs, text: known, tone: "plain" };
  if (!message.includes(".")) return { atMs, text: message, tone: "plain" };
  if (!/^(share|network)\./.test(message)) return null;
  const words = transitionWords({ ...fields, name: message });
  return words === null ? null : { atMs, text: words.text, tone: words.tone };
}

const OWN_WORDS: Readonly<Record<string, string>> = {
  running: "the daemon runs",
  stopping: "the daemon is told to stop",
};
