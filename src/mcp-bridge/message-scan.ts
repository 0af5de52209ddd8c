// Finds the id and the method of each message in a line of JSON-RPC as it passes, however long the line is. Keeps
// nothing else, and ignores invalid JSON.
import { isRawNumber, parseExactly } from "../runtime/text/exact-json.ts";
import { isObject, type JsonMembers } from "../runtime/text/json-object.ts";

/** An id as JSON, with every digit: used to find the request again, and to write it. */
export type MessageId = string;

/** Both null: the message does not matter here. Without a method it is an answer. */
export interface SeenMessage {
  readonly id: MessageId | null;
  readonly method: string | null;
}

/** Messages in one batch; the gateway refuses larger batches whole. */
const MOST_MESSAGES = 100;
/** Bytes of a key, an id or a method as written; nothing longer matters here. */
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
  /** Which part of a message is being read. */
  let spelled: "key" | "value" | null = null;
  let depth = 0;
  /** 1 within a batch. */
  let base = 0;
  let begun = false;
  let inString = false;
  let escaped = false;
  let inMessage = false;
  let expects: "key" | "value" = "key";
  let key: unknown = null;
  let id: unknown = null;
  let method: unknown = null;
  let messages: SeenMessage[] = [];
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
      key = null;
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
    if (count > MOST_MESSAGES) messages = [];
    else messages.push({ id: idOf(id), method: typeof method === "string" ? method : null });
  };
  const take = (byte: number): void => {
    // A number, true, false or null ends with whatever comes after it.
    const isPlain = byte > LAST_SPACE && !isMark(byte);
    if (spelled === "value" && !isPlain) spelledOut();
    if (byte === QUOTE) {
      inString = true;
      if (!atMember()) return;
      if (expects === "key") spelled = "key";
      else if (isWanted()) spelled = "value";
      if (spelled !== null) spell(byte);
    } else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      // Such a value is neither an id nor a method, whatever an earlier member with this key was.
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
          // Most of a long message is text that does not matter here.
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
    /**
     * The messages of the line, in order; valid until the next line begins. Empty if the line is no message, or too
     * large a batch.
     */
    end(): readonly SeenMessage[] {
      const isWhole = depth === 0 && !inString && count <= (base === 1 ? MOST_MESSAGES : 1);
      const seen = isWhole ? messages : [];
      spelled = null;
      length = 0;
      depth = 0;
      base = 0;
      begun = false;
      inString = false;
      escaped = false;
      inMessage = false;
      messages = [];
      count = 0;
      return seen;
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

/** Null for what is no JSON, too. */
function parsed(text: string): unknown {
  try {
    return parseExactly(text);
  } catch {
    return null;
  }
}

/** Null for what is no id. */
export function idOf(value: unknown): MessageId | null {
  const isId = typeof value === "string" || Number.isFinite(value) || isRawNumber(value);
  return isId ? JSON.stringify(value) : null;
}

/**
 * The messages of a line by their index among its objects, read when one is asked for; empty ones where `line` is null
 * or no JSON.
 */
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
