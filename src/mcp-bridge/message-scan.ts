// Finds the id and the method of each message in a line of JSON-RPC while the line passes, whatever its length. Ignores
// invalid JSON.
import { isRawNumber, parseExactly } from "../runtime/text/exact-json.ts";
import { isObject, type JsonMembers } from "../runtime/text/json-object.ts";

/** An id as JSON, with all digits. */
export type MessageId = string;

/** A message with an id but no method is an answer. Messages with neither are ignored. */
export interface SeenMessage {
  readonly id: MessageId | null;
  readonly method: string | null;
}

/** Maximum number of messages in one batch; the gateway refuses a larger batch as a whole. */
const MOST_MESSAGES = 100;
/** Longest key, id or method that is read, in bytes. */
const MOST_BYTES = 4_096;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const LAST_SPACE = 0x20;

export function createMessageScan() {
  const text = Buffer.alloc(MOST_BYTES);
  let length = 0;
  /** What is being read: a key, or the value of `id` or `method`; null: anything else. */
  let spelled: "key" | "value" | null = null;
  let depth = 0;
  /** The nesting depth at which messages begin: 1 in a batch, else 0. */
  let base = 0;
  let begun = false;
  let inString = false;
  let escaped = false;
  let inMessage = false;
  let expects: "key" | "value" = "key";
  let key: unknown = null;
  let id: unknown = null;
  let method: unknown = null;
  const messages: SeenMessage[] = [];
  let count = 0;

  const spell = (byte: number): void => {
    if (length < MOST_BYTES) text[length] = byte;
    length += 1;
  };
  const takeValue = (value: unknown): void => {
    if (key === "id") id = value;
    else method = value;
  };
  const spelledOut = (): void => {
    const value = length > MOST_BYTES ? null : parsed(text.toString("utf8", 0, length));
    if (spelled === "key") key = value;
    else takeValue(value);
    spelled = null;
    length = 0;
  };
  const atMember = (): boolean => inMessage && depth === base + 1;
  const isWanted = (): boolean => expects === "value" && (key === "id" || key === "method");

  const open = (byte: number): void => {
    if (!begun && byte === OPEN_LIST) base = 1;
    else if (depth === base && byte === OPEN_OBJECT) {
      inMessage = true;
      expects = "key";
      id = null;
      method = null;
    }
    begun = true;
    depth += 1;
  };
  const close = (): void => {
    depth -= 1;
    if (!inMessage || depth !== base) return;
    inMessage = false;
    count += 1;
    if (count <= MOST_MESSAGES)
      messages.push({ id: idOf(id), method: typeof method === "string" ? method : null });
  };
  const take = (byte: number): void => {
    // A number, true, false or null ends only at the next punctuation mark or space.
    const isPlain = byte > LAST_SPACE && !isMark(byte);
    if (spelled === "value" && !isPlain) spelledOut();
    if (byte === QUOTE) {
      inString = true;
      if (!atMember()) return;
      if (expects === "key") spelled = "key";
      else if (isWanted()) spelled = "value";
      if (spelled !== null) spell(byte);
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      // An object or a list is no valid id or method. It counts as null, and replaces an earlier member with the same
      // key.
      if (atMember() && isWanted()) takeValue(null);
      open(byte);
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) close();
    else if (byte === COMMA) {
      if (atMember()) expects = "key";
    } else if (byte === COLON) {
      if (atMember()) expects = "value";
    } else if (isPlain && atMember() && isWanted()) {
      spelled = "value";
      spell(byte);
    }
  };

  return {
    push(bytes: Buffer): void {
      for (let index = 0; index < bytes.length; index += 1) {
        let byte = bytes[index];
        if (!inString) {
          take(byte ?? 0);
          continue;
        }
        if (spelled === null && !escaped) {
          // Skips quickly through text, which is most of a long message.
          while (byte !== QUOTE && byte !== BACKSLASH && byte !== undefined) {
            index += 1;
            byte = bytes[index];
          }
        }
        if (byte === undefined) return;
        if (spelled !== null) spell(byte);
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) {
          inString = false;
          if (spelled !== null) spelledOut();
        }
      }
    },
    /** The line's messages, in order. Empty for invalid JSON and for a batch that is too large. */
    end(): readonly SeenMessage[] {
      const isWhole = depth === 0 && !inString && count <= (base === 1 ? MOST_MESSAGES : 1);
      return isWhole ? messages : [];
    },
  };
}

function isMark(byte: number): boolean {
  return (
    byte === QUOTE ||
    byte === COMMA ||
    byte === COLON ||
    byte === OPEN_LIST ||
    byte === CLOSE_LIST ||
    byte === OPEN_OBJECT ||
    byte === CLOSE_OBJECT
  );
}

function parsed(text: string): unknown {
  try {
    return parseExactly(text);
  } catch {
    return null;
  }
}

export function idOf(value: unknown): MessageId | null {
  const isId = typeof value === "string" || Number.isFinite(value) || isRawNumber(value);
  return isId ? JSON.stringify(value) : null;
}

/** Returns the messages of a line by index, parsed on first use; empty objects if `line` is null or invalid. */
export function messagesOf(line: Buffer | null): (index: number) => JsonMembers {
  let read: readonly JsonMembers[] | null = null;
  return (index) => {
    read ??= readMessages(line);
    return read[index] ?? {};
  };
}

function readMessages(line: Buffer | null): readonly JsonMembers[] {
  if (line === null) return [];
  try {
    const value = parseExactly(line.toString("utf8"));
    return (Array.isArray(value) ? value : [value]).filter(isObject);
  } catch {
    return [];
  }
}
