// Parses large JSON without holding up the thread: parts with very many values stay as bytes, and are written as they came.
import { isUtf8 } from "node:buffer";
import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MountaineerError } from "../errors.ts";
import { TEXT_BOUNDS } from "../text/bounds.ts";
import { parseExactly, restored } from "../text/exact-json.ts";
import { objectOf } from "../text/json-object.ts";
import { JsonScan, type MessageHead } from "./json-scan.ts";

/** Smaller texts are parsed at once, and nothing in them is counted. */
const SMALL_BYTES = 64 * 1024;
/** A text with more values, or more bytes, is not parsed as a whole. */
export const MOST_VALUES = TEXT_BOUNDS.values.most;
const MOST_BYTES = 4 * 1024 * 1024;
const BOUNDS = { partValues: 5_000, partBytes: 1024 * 1024, memberValues: MOST_VALUES };
/** Bytes that are checked in one turn of the event loop: about a millisecond. */
const SLICE_BYTES = 64 * 1024;

/** The members that are read of each message, even if the whole cannot be parsed. */
const NAMES: ReadonlySet<unknown> = new Set(["id", "method"]);

const [LINE_FEED, CARRIAGE_RETURN, SPACE] = [0x0a, 0x0d, 0x20] as const;

interface Unparsed {
  readonly bytes: Buffer;
  readonly values: number;
  readonly drop: () => void;
}

/**
 * For the parts that stay bytes: each is represented in its message by an object or a list whose members cannot be
 * read.
 */
const unparsed = new WeakMap<object, Unparsed>();
/** For objects with unparsed parts anywhere in them: the number of values in the whole text. */
const partly = new WeakMap<object, number>();
/**
 * True: they are being written as bytes. The parts met so far, and how their positions are marked; null: nothing yet.
 */
let isWriting = false;
let met: { readonly mark: string; readonly parts: Buffer[] } | null = null;

export interface LargeJson {
  /** `id` and `method` of the message, or of each in a batch. */
  readonly heads: readonly MessageHead[];
  /**
   * Throws `too_many_values` if the text to parse has too many values. Reading a part that stays bytes also throws it.
   */
  parse(): unknown;
  /**
   * The bytes of a member of the whole text; null: it has none or several of that name, or it is not a list or object.
   */
  bytesOf(key: string): Buffer | null;
}

export function isLarge(text: Buffer | string): boolean {
  return text.length > SMALL_BYTES;
}

/**
 * Many messages may become complete at once, and each may take long to parse: each has its own turn of the event loop.
 */
let lastWhole: Promise<void> = Promise.resolve();

/** Takes over `given`. Rejects with a SyntaxError. */
export async function readLarge(given: Buffer): Promise<LargeJson> {
  const bytes = isUtf8(given) ? given : Buffer.from(given.toString());
  const scan = new JsonScan(BOUNDS, NAMES);
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    const slice = bytes.subarray(at, at + SLICE_BYTES);
    if (!scan.push(slice)) break;
    toOneLine(slice);
    await nextTurn();
  }
  if (!scan.isValid) throw new SyntaxError("it is not JSON");
  lastWhole = lastWhole.then(() => nextTurn());
  await lastWhole;
  const isWhole = scan.values <= MOST_VALUES && bytes.length <= MOST_BYTES && !scan.isDeep;
  return {
    heads: scan.heads,
    parse() {
      if (isWhole) return parsed(bytes.toString());
      if (scan.light > MOST_VALUES || scan.isList) throw tooMany(scan.values);
      return parseAround(bytes, scan);
    },
    bytesOf(key) {
      const [only, ...others] = scan.members.filter((member) => member.key === key);
      return only === undefined || others.length > 0 ? null : bytes.subarray(only.start, only.end);
    },
  };
}

/** Line ends stand between values only. Each part shall fit on one line. */
function toOneLine(bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at += 1)
    if (bytes[at] === LINE_FEED || bytes[at] === CARRIAGE_RETURN) bytes[at] = SPACE;
}

/**
 * Like `JSON.stringify`; also writes what `readLarge` left as bytes. `keepsBytes` false: it looks into that first. Throws
 * `too_many_values` for what is nested thousands of levels deep, and a TypeError for what JSON does not have.
 */
export function writeJson(value: unknown, keepsBytes = true): string {
  isWriting = keepsBytes;
  try {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError("JSON has no such value");
    return met === null ? text : withParts(text, met);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new MountaineerError("too_many_values", "it is nested too deep to be written as JSON");
  } finally {
    isWriting = false;
    met = null;
  }
}

function withParts(text: string, { mark, parts }: NonNullable<typeof met>): string {
  const around = text.split(`"${mark}"`);
  return around.map((piece, at) => piece + (parts[at]?.toString() ?? "")).join("");
}

/** The number of bytes of a part that stays bytes; null: it is any other value. */
export function unparsedBytes(value: object): number | null {
  return unparsed.get(value)?.bytes.length ?? null;
}

/** Removes all that is in the value. */
export function emptied(value: object): void {
  const part = unparsed.get(value);
  if (part === undefined) for (const key of Object.keys(value)) Reflect.deleteProperty(value, key);
  else part.drop();
}

/** Whether looking into the value throws `too_many_values`. */
export function isUnreadable(value: object): boolean {
  return (unparsed.get(value)?.values ?? 0) > MOST_VALUES;
}

/** Throws `too_many_values` if the value itself, or anything in it that was parsed with it, stays bytes. */
export function assertParsed(value: object): void {
  const values = partly.get(value) ?? unparsed.get(value)?.values;
  if (values !== undefined && values > MOST_VALUES) throw tooMany(values);
}

function tooMany(values: number): MountaineerError {
  const [found, most] = [values, MOST_VALUES].map((count) => count.toLocaleString("en"));
  const message = `${found} values are more than the ${most} that can be read in one message`;
  return new MountaineerError("too_many_values", message);
}

/** `parseExactly`, which gives up a number of many millions of digits. */
function parsed(text: string): unknown {
  try {
    return parseExactly(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new MountaineerError("too_many_values", "it has a number too long to be read");
  }
}

/** Parses all but the parts. */
function parseAround(bytes: Buffer, { parts, values }: JsonScan): unknown {
  const mark = randomUUID();
  let at = 0;
  let text = "";
  for (const [index, { start, end }] of parts.entries()) {
    text += `${bytes.toString("utf8", at, start)}"${mark}${index}"`;
    at = end;
  }
  const around = parsed(text + bytes.toString("utf8", at));
  const value = restored(around, mark, (index) => {
    const part = parts[index];
    return part === undefined ? null : partOf(bytes.subarray(part.start, part.end), part.isList, values);
  });
  if (parts.length > 0)
    for (const member of Object.values(objectOf(value)))
      if (typeof member === "object" && member !== null) partly.set(member, values);
  return value;
}

/** `values`: of the whole text. */
function partOf(given: Buffer, isList: boolean, values: number): object {
  const target = isList ? [] : {};
  let bytes = given;
  let isParsed = false;
  /** A part that was left out only for its size can be parsed when it is read. */
  const look = (): void => {
    if (values > MOST_VALUES) throw tooMany(values);
    if (isParsed) return;
    Object.defineProperties(target, Object.getOwnPropertyDescriptors(Object(parsed(bytes.toString()))));
    isParsed = true;
  };
  /**
   * Bytes whose members were read are not sent: another parser may find something else in them, such as the first of
   * two keys.
   */
  const toJSON = (): unknown => {
    if (!isWriting || isParsed) {
      look();
      return target;
    }
    met ??= { mark: randomUUID(), parts: [] };
    met.parts.push(bytes);
    return met.mark;
  };
  const looked =
    <Given extends readonly unknown[], Found>(trap: (...given: Given) => Found) =>
    (...given: Given): Found => {
      look();
      return trap(...given);
    };
  const get = looked(Reflect.get);
  const part = new Proxy(target, {
    get: (of, key, receiver) => (key === "toJSON" ? toJSON : get(of, key, receiver)),
    has: looked(Reflect.has),
    ownKeys: looked(Reflect.ownKeys),
    getOwnPropertyDescriptor: looked(Reflect.getOwnPropertyDescriptor),
  });
  const drop = (): void => {
    bytes = Buffer.from(isList ? "[]" : "{}");
    unparsed.set(part, { bytes, values, drop });
    for (const key of Object.keys(target)) Reflect.deleteProperty(target, key);
  };
  unparsed.set(part, { bytes, values, drop });
  return part;
}
