// A list with a text filter, a chosen row and a view of its details: its state, its keys, and its visible part. Pure.
import { matcherOf } from "../../runtime/text/typed-words.ts";
import { isNamed, type Key, rowsMoved } from "./key.ts";
import { cell, cutLine, type Line, type Span, span, type View } from "./line.ts";
import { pressTextKey, type TypedText, textSpans } from "./typed-text.ts";

/**
 * The first visible line of a text. Drawing moves it back to the start of the last page if necessary, so that the
 * next key scrolls from what is shown.
 */
export interface ScrollPosition {
  top: number;
}

export interface FilterState {
  readonly filter: TypedText;
  /** True while typed characters go into the filter. */
  readonly isTyping: boolean;
}

const NO_FILTER: FilterState = { filter: { text: "", caret: 0 }, isTyping: false };

export interface ListState<Id = number> extends FilterState {
  /** Id of the chosen row; null: always the newest one, or the first share or server. */
  readonly chosen: Id | null;
  /** The place in the chosen row's details; null: the list is shown. */
  readonly details: ScrollPosition | null;
}

export const EMPTY_LIST: ListState<never> = { ...NO_FILTER, chosen: null, details: null };

/**
 * The state after a key; null if the key has no meaning for the list. `ids`: ids of the matching rows, from
 * the top down; `chosen`: of the row that counts as chosen. `top`: what a move to the top row chooses.
 */
export function pressListKey<Id>(
  state: ListState<Id>,
  key: Key,
  { ids, chosen, top }: { readonly ids: readonly Id[]; readonly chosen: Id | null; readonly top: Id | null },
): ListState<Id> | null {
  if (state.isTyping) {
    const typed = pressFilterKey(state, key);
    const isSame = typed.filter.text === state.filter.text;
    return { ...state, ...typed, chosen: isSame ? state.chosen : null };
  }
  const by = rowsMoved(key);
  if (state.details !== null) {
    if (by !== 0) return { ...state, details: { top: state.details.top + by } };
    return isNamed(key, "escape") || isNamed(key, "enter") ? { ...state, details: null } : null;
  }
  if (key.kind === "character" && key.text === "/") return { ...state, isTyping: true };
  if (isNamed(key, "enter")) return ids.length === 0 ? null : { ...state, chosen, details: { top: 0 } };
  if (isNamed(key, "escape")) {
    const isClear = state.filter.text === "" && state.chosen === null;
    return isClear ? null : { ...state, ...NO_FILTER, chosen: null };
  }
  if (by === 0) return null;
  const at = chosen === null ? -1 : ids.indexOf(chosen);
  const next = Math.max(0, Math.min(ids.length - 1, Math.max(0, at) + by));
  return { ...state, chosen: next === 0 ? top : (ids[next] ?? null) };
}

/** While a filter is typed or details are shown; null: otherwise. */
export function listHints({ isTyping, details }: ListState<unknown>): readonly string[] | null {
  if (isTyping) return ["type words", "Enter keep", "Esc drop"];
  return details === null ? null : ["arrows scroll", "Esc back"];
}

/** Every key edits the filter, but Enter keeps and Escape drops it. */
function pressFilterKey({ filter }: FilterState, key: Key): FilterState {
  if (isNamed(key, "escape")) return NO_FILTER;
  if (isNamed(key, "enter")) return { filter, isTyping: false };
  return { filter: pressTextKey(filter, key) ?? filter, isTyping: true };
}

/**
 * Returns the id of the chosen row; null if there are no rows. If the chosen row is gone, the next newer row counts
 * as chosen, or the newest if none is newer.
 */
export function chosenId({ chosen }: ListState, ids: readonly number[]): number | null {
  if (chosen === null) return ids[0] ?? null;
  return ids.includes(chosen) ? chosen : (ids.findLast((id) => id > chosen) ?? ids[0] ?? null);
}

/** Returns a function that tells whether a row's text contains every word of the filter. */
export function filterOf({ filter }: Pick<FilterState, "filter">): (text: string) => boolean {
  return matcherOf(filter.text);
}

/** Draws at most `height` rows around the row `at`, which is the chosen one. */
export function drawnRows<Row, Drawn>(
  rows: readonly Row[],
  height: number,
  at: number,
  draw: (row: Row, isChosen: boolean) => Drawn,
): readonly Drawn[] {
  const start = Math.max(0, Math.min(rows.length - height, at - Math.floor(height / 2)));
  return rows.slice(start, start + height).map((row, index) => draw(row, start + index === at));
}

/** `/words`, while a filter is set or being typed. */
export function filterLine(state: FilterState, view: View): readonly Line[] {
  if (!state.isTyping && state.filter.text === "") return [];
  const line = [span("/", "accent"), ...textSpans(state.filter, state.isTyping, view)];
  return [cutLine(line, view.width, view.symbols.ellipsis)];
}

/** `height` lines of the details from `position` on; the last one counts the lines below. */
export function detailsPart(
  lines: readonly Line[],
  position: ScrollPosition,
  height: number,
  { symbols }: View,
): readonly Line[] {
  position.top = Math.max(0, Math.min(position.top, lines.length - height));
  const part = lines.slice(position.top, position.top + height);
  const below = lines.length - position.top - part.length;
  return below <= 0
    ? part
    : [...part.slice(0, -1), [span(`${symbols.ellipsis} ${below + 1} more lines`, "faint")]];
}

export function rowMark(isChosen: boolean, { symbols }: View): Span {
  return span(isChosen ? `${symbols.focus} ` : "  ", "accent");
}

export function nameSpan(name: string, isChosen: boolean, width: number, view: View): Span {
  return span(cell(name, width, view), isChosen ? "strong" : "plain");
}
