// A text that is scrolled: folded to the width of its area. Pure.

import { folded, linesOf } from "./folded.ts";
import { type Key, rowsMoved } from "./key.ts";

export interface TextSize {
  readonly width: number;
  readonly height: number;
}

export interface Scroller {
  readonly text: string;
  readonly size: TextSize;
  /** Control characters are spelled out, and lines are folded to `size.width`. */
  readonly lines: readonly string[];
  readonly top: number;
}

const INDENT = "  ";

export function createScroller(text: string, size: TextSize): Scroller {
  return { text, size, lines: foldedText(text, size.width), top: 0 };
}

function foldedText(text: string, width: number): readonly string[] {
  return linesOf(text).flatMap((line) => folded(line, Math.max(1, width), diffMark(line)));
}

/**
 * Returns what each further piece of a folded line begins with: the mark of a removed or added line, else an indent.
 */
function diffMark(line: string): string {
  return line.startsWith("+") || line.startsWith("-") ? `${line.slice(0, 1)} ` : INDENT;
}

export function shownLines({ lines, top, size }: Scroller): readonly string[] {
  return lines.slice(top, top + size.height);
}

export function linesBelow({ lines, top, size }: Scroller): number {
  return Math.max(0, lines.length - top - size.height);
}

/** The state after a key; null if the key does not scroll. */
export function pressScrollKey(state: Scroller, key: Key): Scroller | null {
  const by = rowsMoved(key, Math.max(1, state.size.height - 1));
  return by === 0 ? null : within({ ...state, top: state.top + by });
}

function within(state: Scroller): Scroller {
  const most = Math.max(0, state.lines.length - state.size.height);
  const top = Math.max(0, Math.min(state.top, most));
  return top === state.top ? state : { ...state, top };
}
