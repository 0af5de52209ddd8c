// Parses large JSON without holding up the thread: parts with very many values stay as bytes, and are written as they came.
import { isUtf8 } from "node:buffer";
import { randomUUID } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MountaineerError } from "../errors.ts";
import { isRawNumber, parseExactly, rawJson, restored } from "../text/exact-json.ts";
import { objectOf } from "../text/json-object.ts";
import { type JsonPart, JsonScan } from "./json-scan.ts";

/** Smaller texts are parsed at once, and nothing in them is counted. */
const SMALL_BYTES = 64 * 1024;
/** A text with more values, or more bytes, is not parsed as a whole. */
export const MOST_VALUES = 100_000;
const MOST_BYTES = 4 * 1024 * 1024;
const BOUNDS = { partValues: 5_000, partBytes: 1024 * 1024, memberValues: MOST_VALUES };
/** Bytes that are checked in one turn of the event loop: about a millisecond. */
const SLICE_BYTES = 64 * 1024;

const BYTE_ORDER_MARK = Buffer.from("\u{feff}");

interface Unparsed {
  readonly bytes: Buffer;
  readonly values: number;
}

/** For the parts that stay bytes: each stands in its message as an object or a list that cannot be looked into. */
const unparsed = new WeakMap<object, Unparsed>();
/** For objects with such parts anywhere in them: the number of values in the whole text. */
const partly = new WeakMap<object, number>();
/** What `writeJson` has met of them, and how it marks their places; null: it is not writing. */
let writing: { mark: string; readonly parts: Buffer[] } | null = null;

export interface LargeJson {
  readonly value: unknown;
  /** The bytes of a member of the whole text; null: it has none or several of that name, or it is no list or object. */
  bytesOf(key: string): Buffer | null;
}

export function isLarge(text: Buffer | string): boolean {
  return text.length > SMALL_BYTES;
}

/**
 * Takes over `given`, and passes over a byte order mark. Rejects with a SyntaxError, or with `too_many_values` if what has to be
 * parsed has too many values. Looking into a part that stays bytes throws `too_many_values`, too.
 */
export async function parseLarge(given: Buffer): Promise<LargeJson> {
  const whole = isUtf8(given) ? given : Buffer.from(given.toString());
  const bytes = whole.subarray(whole.indexOf(BYTE_ORDER_MARK) === 0 ? BYTE_ORDER_MARK.length : 0);
  const scan = new JsonScan(bytes, BOUNDS);
  while (!scan.step(SLICE_BYTES)) await nextTurn();
  if (scan.isValid !== true) throw new SyntaxError("it is not JSON");
  const isWhole = scan.values <= MOST_VALUES && bytes.length <= MOST_BYTES && !scan.isDeep;
  if (!isWhole && (scan.light > MOST_VALUES || scan.isList)) throw tooMany(scan.values);
  const value = isWhole ? parseExactly(bytes.toString()) : parseAround(bytes, scan);
  return {
    value,
    bytesOf(key) {
      const [only, ...others] = scan.members.filter((member) => JSON.parse(member.key) === key);
      return only === undefined || others.length > 0 ? null : bytes.subarray(only.start, only.end);
    },
  };
}

/**
 * Like `JSON.stringify`; also writes what `parseLarge` left as bytes. Throws `too_many_values` for what is nested thousands of
 * levels deep, and a TypeError for what JSON does not have.
 */
export function writeJson(value: unknown): string {
  const outer = writing;
  const inner = { mark: "", parts: [] as Buffer[] };
  writing = inner;
  try {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError("JSON has no such value");
    if (inner.parts.length === 0) return text;
    const around = text.split(`"${inner.mark}"`);
    return around.map((piece, at) => piece + (inner.parts[at]?.toString() ?? "")).join("");
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new MountaineerError("too_many_values", "it is nested too deep to be written as JSON");
  } finally {
    writing = outer;
  }
}

/** The text, even if `parseLarge` left it as JSON; null: the value is no string. */
export function textOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  return isRawNumber(value) && value.rawJSON.startsWith('"') ? String(JSON.parse(value.rawJSON)) : null;
}

/** The number of bytes of a part that stays bytes; null: it is any other value. */
export function unparsedBytes(value: object): number | null {
  return unparsed.get(value)?.bytes.length ?? null;
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

/** Parses all but the parts. */
function parseAround(bytes: Buffer, { parts, values }: JsonScan): unknown {
  const mark = randomUUID();
  let at = 0;
  let text = "";
  for (const [index, { start, end }] of parts.entries()) {
    text += `${bytes.toString("utf8", at, start)}"${mark}${index}"`;
    at = end;
  }
  const around = parseExactly(text + bytes.toString("utf8", at));
  const value = restored(around, mark, (index) => {
    const part = parts[index];
    return part === undefined ? null : partOf(bytes.subarray(part.start, part.end), part.kind, values);
  });
  if (parts.some(({ kind }) => kind !== "text"))
    for (const member of Object.values(objectOf(value)))
      if (typeof member === "object" && member !== null) partly.set(member, values);
  return value;
}

/** `values`: of the whole text. */
function partOf(bytes: Buffer, kind: JsonPart["kind"], values: number): object {
  if (kind === "text") return rawJson(bytes.toString());
  const target = kind === "list" ? [] : {};
  let isParsed = false;
  /** What was left out for its bytes alone can be parsed when somebody looks. */
  const look = (): void => {
    if (values > MOST_VALUES) throw tooMany(values);
    if (isParsed) return;
    isParsed = true;
    Object.defineProperties(target, Object.getOwnPropertyDescriptors(parseExactly(bytes.toString())));
  };
  const toJSON = (): string => {
    if (writing === null) throw tooMany(values);
    if (writing.mark === "") writing.mark = randomUUID();
    writing.parts.push(bytes);
    return writing.mark;
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
  unparsed.set(part, { bytes, values });
  return part;
}
