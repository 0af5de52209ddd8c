// What servers write that is not one message on each line, read where it has one meaning only.

import { JsonScan } from "../../../runtime/json/json-scan.ts";
import { TEXT_BOUNDS } from "../../../runtime/text/bounds.ts";
import { GatheredBytes } from "../../../runtime/text/gathered-bytes.ts";
import { jsonObject } from "../../../runtime/text/json-object.ts";
import { isRpcId, type JsonObject, type RpcId } from "../../json-rpc.ts";

interface MixedLine {
  /** Each is one JSON object. */
  readonly messages: readonly string[];
  /** What else is on the line; "": nothing. */
  readonly text: string;
}

/**
 * The messages on a line that is not JSON; null: it has none that can be separated. Next to text only a single answer
 * is accepted: otherwise a server that logs what it receives would seem to send requests.
 */
export function mixedLine(line: string): MixedLine | null {
  const messages: string[] = [];
  const found: JsonObject[] = [];
  let text = "";
  let at = 0;
  for (let start = line.indexOf("{"); start !== -1; start = line.indexOf("{", at)) {
    const end = endOfObject(line, start);
    if (end === -1) break;
    const piece = line.slice(start, end);
    // In quotes it is part of the text.
    const isQuoted = /["'`]$/.test(line.slice(Math.max(at, start - 1), start));
    const value = isQuoted ? null : jsonObject(piece);
    text += line.slice(at, start);
    if (value?.["jsonrpc"] !== "2.0") text += piece;
    else {
      messages.push(piece);
      found.push(value);
    }
    at = end;
  }
  text = (text + line.slice(at)).trim();
  const [first, ...others] = found;
  if (first === undefined) return null;
  return text === "" || (others.length === 0 && isAnswer(first)) ? { messages, text } : null;
}

/** Where the braces that open at `start` are closed; -1: nowhere. */
function endOfObject(line: string, start: number): number {
  let depth = 0;
  let inString = false;
  for (let at = start; at < line.length; at += 1) {
    const character = line[at];
    if (inString && character === "\\") at += 1;
    else if (character === '"') inString = !inString;
    else if (!inString && character === "{") depth += 1;
    else if (!inString && character === "}") {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return -1;
}

function isAnswer({ id, method }: JsonObject): boolean {
  return isRpcId(id) && method === undefined;
}

/** An unterminated string also matches: otherwise each of its quotes would be tried as the beginning of a string. */
const STRINGS_AND_NO_NUMBERS = /"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?$)|-?\b(?:NaN|Infinity)\b/gs;

/** The id of an answer that has numbers which JSON does not have; null: the text is anything else. */
export function unreadableAnswer(text: string): RpcId | null {
  if (text.length > TEXT_BOUNDS.oddLine.most || !/NaN|Infinity/.test(text)) return null;
  const answer = jsonObject(
    text.replace(STRINGS_AND_NO_NUMBERS, (found) => (found.startsWith('"') ? found : "null")),
  );
  const id = answer?.["id"];
  return answer !== null && isAnswer(answer) && isRpcId(id) ? id : null;
}

/** The length of a message that a line announces; null: it is any other line. */
export function frameLength(line: string): number | null {
  const [, digits] = /^Content-Length: *(\d{1,9})$/i.exec(line) ?? [];
  return digits === undefined ? null : Number(digits);
}

/** A line that begins where pretty-printed JSON is nested is part of it, even if it parses as a message. */
export function isMessageByItself(line: string): boolean {
  return line.startsWith("{") && jsonObject(line)?.["jsonrpc"] === "2.0";
}

/** Lines that may become one JSON object together. */
export class SpreadLines {
  readonly #scan = new JsonScan(null, new Set());
  readonly #bytes = new GatheredBytes();

  get length(): number {
    return this.#bytes.length;
  }

  push(line: Buffer): "whole" | "more" | "wrong" {
    const bytes = Buffer.concat([line, Buffer.from("\n")]);
    if (!this.#scan.push(bytes)) return "wrong";
    this.#bytes.push(bytes);
    return this.#scan.isValid ? "whole" : "more";
  }

  take(): Buffer {
    return this.#bytes.take();
  }
}
