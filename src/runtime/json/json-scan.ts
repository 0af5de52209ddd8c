// Checks JSON byte by byte, in steps of any length, and finds the parts of it that cost most to parse.

/** What is nested deeper than this becomes a part: parsing and writing it could overflow the stack. */
const MOST_LEVELS = 500;

/** A value of the text, as a range of its bytes. */
export interface JsonPart {
  readonly start: number;
  readonly end: number;
  readonly kind: "object" | "list" | "text";
}

interface ScanBounds {
  /** A list or an object with more values becomes a part, unless it is the whole text or a member of it. */
  readonly partValues: number;
  /** A text of at least this many bytes becomes a part, and a list or an object with so many outside of other parts. */
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
// Everything from here on is no state, but something to do.
const [OPEN, CLOSE, NEXT, BEGIN_TEXT, END_TEXT, LINE_END, WRONG] = [32, 33, 34, 35, 36, 37, 38] as const;

const [LIST, OBJECT, LAST_CONTROL, SPACE] = [0x5b, 0x7b, 0x1f, 0x20] as const;
const DIGITS = "0123456789";

/** What follows a byte in a state: `state * 256 + byte`. */
const TABLE = tableOf([
  [[ITEM, FIRST_ITEM, KEY, FIRST_KEY, COLON, AFTER], " \t", null],
  [[ZERO, WHOLE, FRACTION, POWER], " \t", AFTER],
  [[ITEM, FIRST_ITEM, KEY, FIRST_KEY, COLON, AFTER, ZERO, WHOLE, FRACTION, POWER], "\r\n", LINE_END],
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
  ...["true", "false", "null"].flatMap((word, nth) => literalRows(word, LITERALS + 4 * nth)),
]);

type Row = readonly [states: readonly number[], characters: string, next: number | null];

function literalRows(word: string, first: number): readonly Row[] {
  return [...word].map((letter, at) => [
    at === 0 ? [ITEM, FIRST_ITEM] : [first + at - 1],
    letter,
    at === word.length - 1 ? AFTER : first + at,
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
 * The bytes must be UTF-8. Line ends between values are replaced by spaces within `bytes`, so that each part fits on
 * one line.
 */
export class JsonScan {
  /** Whether it is JSON; null: not known yet. */
  isValid: boolean | null = null;
  /** It is nested so deep that it must not be parsed as a whole. */
  isDeep = false;
  /** Number of values in the text so far. */
  values = 1;
  /** Number of values outside of the parts. */
  light = 1;
  /** In order. No part lies within another. */
  readonly parts: JsonPart[] = [];
  /** The members of the whole text that are lists or objects, as ranges. `key`: as it is spelled. */
  readonly members: { readonly key: string; readonly start: number; readonly end: number }[] = [];
  readonly #bytes: Buffer;
  readonly #bounds: ScanBounds;
  #at = 0;
  #state: number = ITEM;
  #depth = 0;
  #textStart = 0;
  #isKey = false;
  #key: readonly [number, number] = [0, 0];
  /** The first byte of each open list or object. */
  #opened = new Uint8Array(MOST_LEVELS);
  /** For the outer ones: where they begin, and the values outside of parts before them. */
  readonly #starts = new Uint32Array(MOST_LEVELS);
  readonly #lightBefore = new Uint32Array(MOST_LEVELS);
  readonly #partBytesBefore = new Uint32Array(MOST_LEVELS);
  /** Number of bytes in the parts. */
  #partBytes = 0;

  constructor(bytes: Buffer, bounds: ScanBounds) {
    this.#bytes = bytes;
    this.#bounds = bounds;
  }

  /** The whole text is a list. */
  get isList(): boolean {
    return this.#opened[0] === LIST;
  }

  /** Looks at the next bytes; returns true at the end. */
  step(length: number): boolean {
    const bytes = this.#bytes;
    const end = Math.min(bytes.length, this.#at + length);
    let state = this.#state;
    for (let at = this.#at; at < end; at += 1) {
      const byte = bytes[at] ?? 0;
      const next = TABLE[state * 256 + byte] ?? WRONG;
      if (next < OPEN) state = next;
      else {
        state = this.#act(next, byte, at, state);
        if (state === WRONG) {
          this.isValid = false;
          return true;
        }
      }
    }
    this.#at = end;
    this.#state = state;
    if (end < bytes.length) return false;
    this.isValid = this.#depth === 0 && (state === AFTER || (state >= ZERO && state <= POWER));
    return true;
  }

  #act(action: number, byte: number, at: number, state: number): number {
    const bytes = this.#bytes;
    switch (action) {
      case OPEN:
        this.#open(byte, at);
        return this.#count(byte === LIST ? FIRST_ITEM : FIRST_KEY);
      case CLOSE:
        if (state === FIRST_ITEM || state === FIRST_KEY) {
          this.values -= 1;
          this.light -= 1;
        }
        return this.#close(byte, at + 1);
      case NEXT:
        if (this.#depth === 0) return WRONG;
        return this.#count(this.#isIn(OBJECT) ? KEY : ITEM);
      case BEGIN_TEXT:
        this.#textStart = at;
        this.#isKey = state === KEY || state === FIRST_KEY;
        return TEXT;
      case END_TEXT:
        if (!this.#isKey) {
          if (this.#depth > 1 && at - this.#textStart >= this.#bounds.partBytes) {
            this.parts.push({ start: this.#textStart, end: at + 1, kind: "text" });
            this.#partBytes += at + 1 - this.#textStart;
          }
          return AFTER;
        }
        if (this.#depth === 1) this.#key = [this.#textStart, at + 1];
        return COLON;
      case LINE_END:
        bytes[at] = SPACE;
        return state >= ZERO ? AFTER : state;
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

  #open(byte: number, at: number): void {
    // Writing beyond the end of a typed array has no effect.
    this.#starts[this.#depth] = at;
    this.#lightBefore[this.#depth] = this.light;
    this.#partBytesBefore[this.#depth] = this.#partBytes;
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
    const { partValues, partBytes, memberValues } = this.#bounds;
    const start = this.#starts[this.#depth] ?? 0;
    const lightBefore = this.#lightBefore[this.#depth] ?? 0;
    if (this.#depth === 1) this.members.push({ key: this.#bytes.toString("utf8", ...this.#key), start, end });
    if (this.#depth >= MOST_LEVELS) this.isDeep = true;
    const most = this.#depth === 1 ? memberValues : partValues;
    const bytesBefore = this.#partBytesBefore[this.#depth] ?? 0;
    const isLong = this.#depth > 1 && end - start - (this.#partBytes - bytesBefore) > partBytes;
    const isPart = this.#depth === MOST_LEVELS - 1 || this.light - lightBefore > most || isLong;
    if (this.#depth === 0 || this.#depth >= MOST_LEVELS || !isPart) return AFTER;
    while ((this.parts.at(-1)?.start ?? 0) > start) this.parts.pop();
    this.light = lightBefore;
    this.#partBytes = bytesBefore + end - start;
    this.parts.push({ start, end, kind: byte - 2 === LIST ? "list" : "object" });
    return AFTER;
  }
}
