// A list with a text filter, a chosen row and a look at its details: its state, its keys, and what of it is shown. Pure.
import { isNamed, type Key } from "./key.ts";
import { cutLine, type Line, paragraph, span } from "./line.ts";
import type { View } from "./terminal-style.ts";
import { pressTextKey, type TypedText, textSpans } from "./typed-text.ts";

export interface ListState {
  readonly filter: TypedText;
  /** Keys go into the filter. */
  readonly isTyping: boolean;
  /** The chosen row by its id; null: the newest, whatever comes. */
  readonly chosen: number | null;
  /** Its details are shown, from this line on; null: the list. */
  readonly detailsTop: number | null;
}

export const EMPTY_LIST: ListState = {
  filter: { text: "", caret: 0 },
  isTyping: false,
  chosen: null,
  detailsTop: null,
};

const PAGE = 10;

/** null: the key means nothing to the list. `ids` are those of the rows that match, from the top on. */
export function pressListKey(state: ListState, key: Key, ids: readonly number[]): ListState | null {
  if (state.isTyping) return pressFilterKey(state, key);
  const by = stepOf(key);
  if (state.detailsTop !== null) {
    if (by !== 0) return { ...state, detailsTop: Math.max(0, state.detailsTop + by) };
    return isNamed(key, "escape") || isNamed(key, "enter") ? { ...state, detailsTop: null } : null;
  }
  if (key.kind === "character" && key.text === "/") return { ...state, isTyping: true };
  if (isNamed(key, "enter"))
    return ids.length === 0 ? null : { ...state, chosen: chosenId(state, ids), detailsTop: 0 };
  if (isNamed(key, "escape")) {
    const isClear = state.filter.text === "" && state.chosen === null;
    return isClear ? null : { ...state, filter: EMPTY_LIST.filter, chosen: null };
  }
  if (by === 0) return null;
  const at = ids.indexOf(chosenId(state, ids) ?? Number.NaN);
  const next = Math.max(0, Math.min(ids.length - 1, Math.max(0, at) + by));
  // Back at the top: it follows what comes.
  return { ...state, chosen: next === 0 ? null : (ids[next] ?? null) };
}

/** All keys but those that end it go into the text. */
function pressFilterKey(state: ListState, key: Key): ListState {
  if (isNamed(key, "enter")) return { ...state, isTyping: false };
  if (isNamed(key, "escape")) return { ...state, isTyping: false, filter: EMPTY_LIST.filter };
  const filter = pressTextKey(state.filter, key);
  return filter === null ? state : { ...state, filter, chosen: null };
}

/** Those of the newest row, or of the nearest older one where the chosen one is gone. */
export function chosenId({ chosen }: ListState, ids: readonly number[]): number | null {
  if (chosen === null) return ids[0] ?? null;
  return ids.includes(chosen) ? chosen : (ids.findLast((id) => id > chosen) ?? ids[0] ?? null);
}

const STEPS: Readonly<Record<string, number>> = {
  down: 1,
  up: -1,
  pagedown: PAGE,
  pageup: -PAGE,
  home: -100_000,
  end: 100_000,
};

function stepOf(key: Key): number {
  if (key.kind === "named") return STEPS[key.name] ?? 0;
  if (key.text === "j") return 1;
  if (key.text === "k") return -1;
  return key.text === " " ? PAGE : 0;
}

/** Whether a row with this text matches: every word of the filter is in it. */
export function filterOf({ filter }: ListState): (text: string) => boolean {
  const words = filter.text
    .toLowerCase()
    .split(" ")
    .filter((word) => word !== "");
  if (words.length === 0) return () => true;
  return (text) => {
    const small = text.toLowerCase();
    return words.every((word) => small.includes(word));
  };
}

/** The first of `height` rows such that row `at` is shown. */
export function windowStart(count: number, height: number, at: number): number {
  return Math.max(0, Math.min(count - height, at - Math.floor(height / 2)));
}

/** `Filter: words` while there is one, or is typed. */
export function filterLine(state: ListState, view: View): readonly Line[] {
  if (!state.isTyping && state.filter.text === "") return [];
  const line = [span("/", "accent"), ...textSpans(state.filter, state.isTyping, view)];
  return [cutLine(line, view.width, view.symbols.ellipsis)];
}

/** A part of the details, and how much is below. */
export function detailsPart(
  lines: readonly Line[],
  top: number,
  height: number,
  { symbols }: View,
): readonly Line[] {
  const start = Math.max(0, Math.min(top, lines.length - height));
  const part = lines.slice(start, start + height);
  const below = lines.length - start - part.length;
  return below <= 0
    ? part
    : [...part.slice(0, -1), [span(`${symbols.ellipsis} ${below + 1} more lines`, "faint")]];
}

/** Of each field of a record. */
const FIELD_LINES = 500;

/** A record in whole: each field by its name. */
export function fieldLines(record: object, { width, symbols }: View): readonly Line[] {
  return Object.entries(record).flatMap(([name, value]) => {
    const text = `${name}: ${typeof value === "string" ? value : JSON.stringify(value, null, 1)}`;
    return paragraph(text, width - 2, FIELD_LINES, symbols.ellipsis).map((line): Line => [span(`  ${line}`)]);
  });
}
