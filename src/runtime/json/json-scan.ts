// Checks JSON byte by byte, in pieces of any length. Finds the parts of it that cost most to parse, and a few members of its
// messages.

import { parseExactly } from "../text/exact-json.ts";
import { parseJson } from "../text/parse-json.ts";

/** A value that is nested deeper than this becomes a part: parsing and writing it could overflow the stack. */
const MOST_LEVELS = 500;

/** A value of the text, as a range of its bytes. */
export interface JsonPart {
  readonly start: number;
  readonly end: number;
  readonly isList: boolean;
}

/** A message's members that were asked for. One longer than `MOST_SPELLED` is undefined. */
export type MessageHead = Readonly<Record<string, unknown>>;

/** Longest key or value that is read, in bytes, with the space around it. */
const MOST_SPELLED = 4_096;
/** A text with more bytes is decoded in slices. */
const LONG_TEXT = 256 * 1024;
/** Maximum number of messages that are read of a list. */
export const MOST_HEADS = 1_000;
const NONE = Buffer.alloc(0);

interface ScanBounds {
  /** A list or an object with more values becomes a part, unless it is the whole text or a member of it. */
  readonly partValues: number;
  /** The same with more bytes outside of other parts. */
  readonly partBytes: number;
  /** A member of the whole text with more values outside of parts becomes a part. */
  readonly memberValues: number;
}

// States of the automaton. In the last four a number may end.
const [ITEM, FIRST_ITEM, KEY, FIRST_KEY, COLON, AFTER, TEXT, ESCAPE, HEX_4, HEX_3, HEX_2, HEX_1] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
] as const;
const [MINUS, POINT, EXPONENT, EXPONENT_SIGN, ZERO, WHOLE, FRACTION, POWER] = [
  12, 13, 14, 15, 16, 17, 18, 19,
] as const;
/** The first state within `true`, `false` and `null`. */
const LITERALS = 20;
// Everything from here on is an action, not a state.
const [OPEN, CLOSE, NEXT, BEGIN_TEXT, END_TEXT, WRONG] = [32, 33, 34, 35, 36, 37] as const;

const [LIST, OBJECT, LAST_CONTROL] = [0x5b, 0x7b, 0x1f] as const;
const DIGITS = "0123456789";

/** What follows a byte in a state: `state * 256 + byte`. */
const TABLE = tableOf([
  [[ITEM, FIRST_ITEM, KEY, FIRST_KEY, COLON, AFTER], " \t\r\n", null],
  [[ZERO, WHOLE, FRACTION, POWER], " \t\r\n", AFTER],
  [[AFTER, ZERO, WHOLE, FRACTION, POWER], "]}", CLOSE],
  [[AFTER, ZERO, WHOLE, FRACTION, POWER], ",", NEXT],
  [[FIRST_ITEM], "]", CLOSE],
  [[FIRST_KEY], "}", CLOSE],
  [[ITEM, FIRST_ITEM], "[{", OPEN],
  [[ITEM, FIRST_ITEM, KEY, FIRST_KEY], '"', BEGIN_TEXT],
  [[COLON], ":", ITEM],
  [[ITEM, FIRST_ITEM], "-", MINUS],
  [[ITEM, FIRST_ITEM, MINUS], "0", ZERO],
  [[ITEM, FIRST_ITEM, MINUS], "123456789", WHOLE],
  [[WHOLE], DIGITS, WHOLE],
  [[ZERO, WHOLE], ".", POINT],
  [[POINT, FRACTION], DIGITS, FRACTION],
  [[ZERO, WHOLE, FRACTION], "eE", EXPONENT],
  [[EXPONENT], "+-", EXPONENT_SIGN],
  [[EXPONENT, EXPONENT_SIGN, POWER], DIGITS, POWER],
  [[TEXT], '"', END_TEXT],
  [[TEXT], "\\", ESCAPE],
  [[ESCAPE], '"\\/bfnrt', TEXT],
  [[ESCAPE], "u", HEX_4],
  ...[HEX_4, HEX_3, HEX_2, HEX_1].map(
    (state): Row => [[state], `${DIGITS}abcdefABCDEF`, state === HEX_1 ? TEXT : state + 1],
  ),
  ...["true", "false", "null"].flatMap((literal, nth) => literalRows(literal, LITERALS + 4 * nth)),
]);

type Row = readonly [states: readonly number[], characters: string, next: number | null];

function literalRows(literal: string, first: number): readonly Row[] {
  return [...literal].map((letter, at) => [
    at === 0 ? [ITEM, FIRST_ITEM] : [first + at - 1],
    letter,
    at === literal.length - 1 ? AFTER : first + at,
  ]);
}

/** `next` null: the state stays. */
function tableOf(rows: readonly Row[]): Uint8Array {
  const table = new Uint8Array(OPEN * 256).fill(WRONG);
  table.fill(TEXT, TEXT * 256 + LAST_CONTROL + 1, TEXT * 256 + 256);
  for (const [states, characters, next] of rows)
    for (const state of states)
      for (const character of characters) table[state * 256 + character.charCodeAt(0)] = next ?? state;
  return table;
}

/**
 * Messages are the whole text, if it is an object, or the objects in it, if it is a list. Members of theirs whose names are in
 * `names` are read.
 */
export class JsonScan {
  /** It is nested so deep that it must not be parsed as a whole. */
  isDeep = false;
  /** Number of values in the text so far. */
  values = 1;
  /** Number of values outside of the parts. */
  light = 1;
  /** In order. No part lies within another. */
  readonly parts: JsonPart[] = [];
  /** The members of the whole text that are lists or objects, as ranges. `key` null: it is very long. */
  readonly members: { readonly key: unknown; readonly start: number; readonly end: number }[] = [];
  /** Long texts that are values, with their quotes, in order. */
  readonly texts: { readonly start: number; readonly end: number }[] = [];
  /** In order. */
  readonly heads: MessageHead[] = [];
  readonly #bounds: ScanBounds | null;
  readonly #names: ReadonlySet<unknown>;
  /** Number of bytes before the current piece. */
  #before = 0;
  #state: number = ITEM;
  #depth = 0;
  #isKey = false;
  /** Where the text that was opened last begins. */
  #textFrom = 0;
  /** The first byte of each open list or object. */
  #opened = new Uint8Array(64);
  /** For the outer ones: where they begin, the values outside of parts before them, and the bytes in parts before them. */
  readonly #starts: number[] = [];
  readonly #lightBefore: number[] = [];
  readonly #partBytesBefore: number[] = [];
  /** Number of bytes in the parts. */
  #partBytes = 0;
  /** The message that is open, and the depth of its members. */
  #head: Record<string, unknown> | null = null;
  #headDepth = 1;
  #key: unknown = null;
  /** Where the key or value that is read begins in the current piece; null: none is read. */
  #spelledFrom: number | null = null;
  /** What earlier pieces have of it. */
  #spelled: Buffer = NONE;

  /** `bounds` null: only the heads are wanted. */
  constructor(bounds: ScanBounds | null, names: ReadonlySet<unknown>) {
    this.#bounds = bounds;
    this.#names = names;
  }

  /** Whether all so far is JSON, and whole. */
  get isValid(): boolean {
    const state = this.#state;
    return this.#depth === 0 && (state === AFTER || (state >= ZERO && state <= POWER));
  }

  /** The whole text is a list. */
  get isList(): boolean {
    return this.#opened[0] === LIST;
  }

  /** Scans the next bytes; returns false if they are wrong. */
  push(bytes: Buffer): boolean {
    let state = this.#state;
    for (let at = 0; at < bytes.length && state !== WRONG; at += 1) {
      const byte = bytes[at] ?? 0;
      const next = TABLE[state * 256 + byte] ?? WRONG;
      state = next < OPEN ? next : this.#act(next, state, byte, bytes, at);
    }
    this.#state = state;
    this.#before += bytes.length;
    if (this.#spelledFrom !== null) {
      this.#spelled = this.#spelledUntil(bytes, bytes.length);
      this.#spelledFrom = 0;
    }
    return state !== WRONG;
  }

  #act(action: number, state: number, byte: number, bytes: Buffer, at: number): number {
    switch (action) {
      case OPEN:
        this.#open(byte, this.#before + at);
        return this.#count(byte === LIST ? FIRST_ITEM : FIRST_KEY);
      case CLOSE:
        if (state === FIRST_ITEM || state === FIRST_KEY) {
          this.values -= 1;
          this.light -= 1;
        }
        this.#endValue(bytes, at);
        return this.#close(byte, this.#before + at + 1);
      case NEXT:
        if (this.#depth === 0) return WRONG;
        this.#endValue(bytes, at);
        return this.#count(this.#isIn(OBJECT) ? KEY : ITEM);
      case BEGIN_TEXT:
        this.#isKey = state === KEY || state === FIRST_KEY;
        this.#textFrom = this.#before + at;
        if (this.#isKey && this.#isInMessage()) this.#spelledFrom = at;
        return TEXT;
      case END_TEXT:
        if (!this.#isKey) {
          const end = this.#before + at + 1;
          if (end - this.#textFrom > LONG_TEXT) this.texts.push({ start: this.#textFrom, end });
          return AFTER;
        }
        if (this.#isInMessage()) this.#endKey(bytes, at + 1);
        return COLON;
      default:
        return WRONG;
    }
  }

  #count(state: number): number {
    this.values += 1;
    this.light += 1;
    return state;
  }

  #isIn(opening: number): boolean {
    return this.#opened[this.#depth - 1] === opening;
  }

  #isInMessage(): boolean {
    return this.#head !== null && this.#depth === this.#headDepth;
  }

  /** The bytes read, up to a position in the current piece; not much more than `MOST_SPELLED` bytes of it. */
  #spelledUntil(bytes: Buffer, end: number): Buffer {
    const from = this.#spelledFrom ?? end;
    const piece = bytes.subarray(from, Math.min(end, from + MOST_SPELLED + 1));
    if (this.#spelled.length === 0) return piece;
    return this.#spelled.length > MOST_SPELLED ? this.#spelled : Buffer.concat([this.#spelled, piece]);
  }

  #endSpelled(bytes: Buffer, end: number): string | null {
    const spelled = this.#spelledUntil(bytes, end);
    this.#spelledFrom = null;
    this.#spelled = NONE;
    return spelled.length > MOST_SPELLED ? null : spelled.toString();
  }

  #endKey(bytes: Buffer, end: number): void {
    const text = this.#endSpelled(bytes, end);
    this.#key = text === null ? null : parseJson(text);
    if (this.#names.has(this.#key)) this.#spelledFrom = end;
  }

  #endValue(bytes: Buffer, end: number): void {
    if (this.#spelledFrom === null || !this.#isInMessage()) return;
    const text = this.#endSpelled(bytes, end);
    const value = text === null ? undefined : parseExactly(text.slice(text.indexOf(":") + 1));
    if (this.#head !== null) this.#head[String(this.#key)] = value;
  }

  #open(byte: number, at: number): void {
    if (this.#depth === 0 && byte === LIST) this.#headDepth = 2;
    else if (this.#depth === this.#headDepth - 1) this.#head = byte === OBJECT ? {} : null;
    if (this.#depth < MOST_LEVELS) {
      this.#starts[this.#depth] = at;
      this.#lightBefore[this.#depth] = this.light;
      this.#partBytesBefore[this.#depth] = this.#partBytes;
    }
    if (this.#depth === this.#opened.length) {
      const larger = new Uint8Array(2 * this.#depth);
      larger.set(this.#opened);
      this.#opened = larger;
    }
    this.#opened[this.#depth] = byte;
    this.#depth += 1;
  }

  #close(byte: number, end: number): number {
    // In ASCII a closing bracket is two places after its opening one.
    if (this.#depth === 0 || !this.#isIn(byte - 2)) return WRONG;
    this.#depth -= 1;
    if (this.#depth === this.#headDepth - 1 && this.#head !== null) {
      if (this.heads.length < MOST_HEADS) this.heads.push(this.#head);
      this.#head = null;
    }
    if (this.#depth >= MOST_LEVELS) this.isDeep = true;
    if (this.#bounds === null || this.#depth === 0 || this.#depth >= MOST_LEVELS) return AFTER;
    const { partValues, partBytes, memberValues } = this.#bounds;
    const start = this.#starts[this.#depth] ?? 0;
    const lightBefore = this.#lightBefore[this.#depth] ?? 0;
    const bytesBefore = this.#partBytesBefore[this.#depth] ?? 0;
    const most = this.#depth === 1 ? memberValues : partValues;
    const isLong = this.#depth > 1 && end - start - (this.#partBytes - bytesBefore) > partBytes;
    // A member of the whole with this many values before this one becomes a part itself: so there are never millions of
    // them.
    const isWithinPart = lightBefore - (this.#lightBefore[1] ?? 0) > memberValues;
    const isHeavy = this.#depth === MOST_LEVELS - 1 || this.light - lightBefore > most || isLong;
    if (isHeavy && !isWithinPart) {
      while ((this.parts.at(-1)?.start ?? 0) > start) this.parts.pop();
      this.light = lightBefore;
      this.#partBytes = bytesBefore + end - start;
      this.parts.push({ start, end, isList: byte - 2 === LIST });
    }
    if (this.#depth === 1 && this.light <= memberValues) this.members.push({ key: this.#key, start, end });
    return AFTER;
  }
}

/** How many values a text has that is JSON. */
export function countValues(json: string): number {
  const scan = new JsonScan(null, new Set());
  scan.push(Buffer.from(json));
  return scan.values;
}
