// The id and the method of each message in a line of JSON-RPC, found while the line passes, whatever its length.
import { valueOr } from "../runtime/errors.ts";
import { JsonScan } from "../runtime/json/json-scan.ts";
import { isRawNumber, parseExactly } from "../runtime/text/exact-json.ts";
import { isObject, type JsonMembers } from "../runtime/text/json-object.ts";

/** An id as JSON, with all digits. */
export type MessageId = string;

/** A message with an id but no method is an answer. Messages with neither are ignored. */
export interface ScannedMessage {
  readonly id: MessageId | null;
  readonly method: string | null;
}

/** Maximum number of messages in one batch; the gateway refuses a larger batch as a whole. */
const MOST_MESSAGES = 100;
const NAMES: ReadonlySet<unknown> = new Set(["id", "method"]);

export function createMessageScan() {
  const scan = new JsonScan(null, NAMES);
  return {
    push: (bytes: Buffer): void => void scan.push(bytes),
    /** The line's messages, in order. Empty for invalid JSON and for a batch that is too large. */
    end(): readonly ScannedMessage[] {
      if (!scan.isValid || scan.heads.length > MOST_MESSAGES) return [];
      return scan.heads.map(({ id, method }) => ({
        id: idOf(id),
        method: typeof method === "string" ? method : null,
      }));
    },
  };
}

export function idOf(value: unknown): MessageId | null {
  const isId = typeof value === "string" || Number.isFinite(value) || isRawNumber(value);
  return isId ? JSON.stringify(value) : null;
}

/** Returns the messages of a line by index, parsed on first use; empty objects if it is invalid. */
export function messagesOf(line: Buffer): (index: number) => JsonMembers {
  let read: readonly JsonMembers[] | null = null;
  return (index) => {
    read ??= readMessages(line);
    return read[index] ?? {};
  };
}

function readMessages(line: Buffer): readonly JsonMembers[] {
  const value = valueOr(() => parseExactly(line.toString("utf8")), []);
  return (Array.isArray(value) ? value : [value]).filter(isObject);
}
