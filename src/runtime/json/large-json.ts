// Parses large JSON without holding up the thread: parts with very many values stay as bytes, and are written as they came.
import { isUtf8 } from "node:buffer";
import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MountaineerError } from "../errors.ts";
import { TEXT_BOUNDS } from "../text/bounds.ts";
import { parseExactly, restored } from "../text/exact-json.ts";
import { objectOf } from "../text/json-object.ts";
import { parseJson } from "../text/parse-json.ts";
import { JsonScan, type MessageHead } from "./json-scan.ts";

/** Smaller texts are parsed at once, and nothing in them is counted. */
const SMALL_BYTES = 64 * 1024;
/** A text with more values, or more bytes, is not parsed as a whole. */
export const MOST_VALUES = TEXT_BOUNDS.values.most;
const MOST_BYTES = 4 * 1024 * 1024;
const BOUNDS = { partValues: 5_000, partBytes: 1024 * 1024, memberValues: MOST_VALUES };
/** Bytes that are checked in one turn of the event loop: about a millisecond. */
const SLICE_BYTES = 64 * 1024;

/** Bytes of a character as JSON: `\\u0000`. */
const LONGEST_CHARACTER = 6;
/** Bytes of a long text that are decoded in one turn: some two milliseconds. */
const TEXT_SLICE_BYTES = 128 * 1024;

/** The members that are read of each message, even if the whole cannot be parsed. */
const NAMES: ReadonlySet<unknown> = new Set(["id", "method"]);

const [LINE_FEED, CARRIAGE_RETURN, SPACE, BACKSLASH, U] = [0x0a, 0x0d, 0x20, 0x5c, 0x75] as const;

/** A long text, with its place in the bytes, quotes included. */
interface LongText {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

interface Unparsed {
  readonly bytes: Buffer;
  readonly texts: readonly LongText[];
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
  const texts = isWhole ? [] : await decoded(bytes, scan.texts);
  return {
    heads: scan.heads,
    parse() {
      if (isWhole) return parsed(bytes.toString());
      if (scan.light > MOST_VALUES || scan.isList) throw tooMany(scan.values);
      return parseAround(bytes, scan, texts);
    },
    bytesOf(key) {
      const [only, ...others] = scan.members.filter((member) => member.key === key);
      return only === undefined || others.length > 0 ? null : bytes.subarray(only.start, only.end);
    },
  };
}

/** Decodes long texts in slices, each in a separate turn. */
async function decoded(bytes: Buffer, ranges: JsonScan["texts"]): Promise<readonly LongText[]> {
  const texts: LongText[] = [];
  for (const { start, end } of ranges) {
    let text = "";
    for (let at = start + 1; at < end - 1; ) {
      const until = characterEnd(bytes, at, at + TEXT_SLICE_BYTES, end - 1);
      text += String(parseJson(`"${bytes.toString("utf8", at, until)}"`));
      at = until;
      await nextTurn();
    }
    texts.push({ start, end, text });
  }
  return texts;
}

/** The first position from `until` on, at most `end`, at which no character of the text is cut, written as an escape or in several bytes. */
function characterEnd(bytes: Buffer, from: number, until: number, end: number): number {
  if (until >= end) return end;
  let at = until;
  const nearest = bytes.subarray(Math.max(from, at - 5), at).lastIndexOf(BACKSLASH);
  if (nearest >= 0) {
    const last = Math.max(from, at - 5) + nearest;
    let first = last;
    while (first > from && bytes[first - 1] === BACKSLASH) first -= 1;
    // Of an even number, each second one is escaped by the one before.
    if ((last - first) % 2 === 0) at = Math.max(at, last + (bytes[last + 1] === U ? 6 : 2));
  }
  while (at < end && ((bytes[at] ?? 0) & 0xc0) === 0x80) at += 1;
  return at;
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

/** Parses all but the parts, which stay bytes, and the long texts. */
function parseAround(bytes: Buffer, { parts, values }: JsonScan, texts: readonly LongText[]): unknown {
  const inParts = new Set<LongText>();
  const left = parts.map(({ start, end, isList }) => {
    const own = texts.filter((text) => text.start >= start && text.end <= end);
    for (const text of own) inParts.add(text);
    const moved = own.map((text) => ({ ...text, start: text.start - start, end: text.end - start }));
    return { start, end, value: () => partOf(bytes.subarray(start, end), isList, values, moved) };
  });
  const others = texts.filter((text) => !inParts.has(text));
  const value = parseWith(bytes, [...left, ...others.map(given)]);
  if (parts.length > 0)
    for (const member of Object.values(objectOf(value)))
      if (typeof member === "object" && member !== null) partly.set(member, values);
  return value;
}

function given({ start, end, text }: LongText) {
  return { start, end, value: () => text };
}

/** Parses what is around the pieces, and puts their values in their places. */
function parseWith(
  bytes: Buffer,
  pieces: readonly { readonly start: number; readonly end: number; readonly value: () => unknown }[],
): unknown {
  const mark = randomUUID();
  const inOrder = pieces.toSorted((one, other) => one.start - other.start);
  let at = 0;
  let text = "";
  for (const [index, { start, end }] of inOrder.entries()) {
    text += `${bytes.toString("utf8", at, start)}"${mark}${index}"`;
    at = end;
  }
  return restored(parsed(text + bytes.toString("utf8", at)), mark, (index) => inOrder[index]?.value());
}

/** `values`: of the whole text. */
function partOf(whole: Buffer, isList: boolean, values: number, long: readonly LongText[]): object {
  const target: object = isList ? [] : {};
  let [bytes, texts] = [whole, long];
  let isParsed = false;
  /** A part that was left out only for its size can be parsed when it is read. */
  const look = (): void => {
    if (values > MOST_VALUES) throw tooMany(values);
    if (isParsed) return;
    Object.defineProperties(
      target,
      Object.getOwnPropertyDescriptors(Object(parseWith(bytes, texts.map(given)))),
    );
    isParsed = true;
  };
  /**
   * Bytes whose members were read are not sent: another parser may find something else in them, such as the first of
   * two keys.
   */
  const toJSON = (): unknown => {
    if (isWriting && !isParsed) return asBytes(bytes);
    look();
    return isWriting && texts.length > 0 ? withTextsAsBytes(target, bytes, texts) : target;
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
    [bytes, texts] = [Buffer.from(isList ? "[]" : "{}"), []];
    unparsed.set(part, { bytes, texts, values, drop });
    for (const key of Object.keys(target)) Reflect.deleteProperty(target, key);
  };
  unparsed.set(part, { bytes, texts, values, drop });
  return part;
}

/** Takes the bytes, and returns the mark that stands for them until they are written. */
function asBytes(bytes: Buffer): string {
  met ??= { mark: randomUUID(), parts: [] };
  met.parts.push(bytes);
  return met.mark;
}

/** A text has one meaning for every parser, so its bytes can be sent although it was read. */
function withTextsAsBytes(target: object, bytes: Buffer, texts: readonly LongText[]): unknown {
  const written = ([key, value]: [string, unknown]): [string, unknown] => {
    const long = typeof value === "string" ? texts.find(({ text }) => text === value) : undefined;
    return [key, long === undefined ? value : asBytes(bytes.subarray(long.start, long.end))];
  };
  const entries = Object.entries<unknown>({ ...target }).map(written);
  return Array.isArray(target) ? entries.map(([, value]) => value) : Object.fromEntries(entries);
}

/**
 * The object with its long text `key` cut, at most `most` bytes as JSON in all; the text is written as it came. Null: the
 * object has no such text, or its other members are larger.
 */
export function withTextCut(value: object, key: string, most: number): object | null {
  const { bytes, texts = [], values = 0 } = unparsed.get(value) ?? {};
  const whole: unknown = Reflect.get(value, key);
  const long = texts.find(({ text }) => text === whole);
  if (bytes === undefined || long === undefined) return null;
  const mark = randomUUID();
  const [before = "", after = ""] = writeJson({ ...value, [key]: mark }).split(mark);
  const allowed = most - Buffer.byteLength(before) - Buffer.byteLength(after) - LONGEST_CHARACTER;
  if (allowed <= 0) return null;
  const from = long.start + 1;
  const until = characterEnd(bytes, from, from + allowed, long.end - 1);
  const tailAt = characterEnd(bytes, from, Math.max(from, until - 2 * LONGEST_CHARACTER), until);
  // One half of a pair of surrogates is written as an escape.
  const isHalf = /[\ud800-\udbff]$/.test(String(parseJson(`"${bytes.toString("utf8", tailAt, until)}"`)));
  const cut = bytes.subarray(from, isHalf ? until - LONGEST_CHARACTER : until);
  return partOf(Buffer.concat([Buffer.from(before), cut, Buffer.from(after)]), false, values, []);
}
