// Wrapped, marked and labelled lines for the status views. Pure.

import { type Paint, paintFor, type TerminalStyle, tonePaint } from "../../runtime/text/paint.ts";
import { columns, nonBreaking, padded, printable, wrapped } from "../../runtime/text/plain-text.ts";
import type { Condition, OpenFileHolder } from "../contract/contract.ts";
import { SEVERITY_TONES, sinceText, worstConditionFirst } from "../labels/label.ts";

export interface StatusViewOptions extends TerminalStyle {
  /** The current wall-clock time, ms, for durations such as "for 5 min". */
  readonly now: number;
}

export const INDENT = "    ";
const NARROWEST = 40;
/** Longer lines are hard to read, however wide the terminal. */
const WIDEST = 110;
const LONGEST_NAME = 24;

export type View = ReturnType<typeof viewOf>;

export function viewOf(options: StatusViewOptions) {
  return {
    paint: paintFor(options),
    width: Math.min(WIDEST, Math.max(NARROWEST, options.width || NARROWEST)),
    now: options.now,
  };
}

/** Columns for the names of a list: the longest name, up to a limit. */
export function nameColumns(items: readonly { readonly name: string }[], most = LONGEST_NAME): number {
  return Math.min(
    most,
    items.reduce((width, { name }) => Math.max(width, columns(printable(name))), 0),
  );
}

/** The content behind `lead`; its further lines are aligned with its first. */
export function hanging(
  lead: string,
  content: string,
  width: number,
  style = (text: string) => text,
): string[] {
  const indent = " ".repeat(columns(lead));
  return wrapped(content, width - columns(lead)).map(
    (line, index) => `${index === 0 ? style(lead) : indent}${line}`,
  );
}

export function labelled(label: string, content: string, { width, paint }: View): string[] {
  return hanging(`  ${padded(label, 8)}  `, content, width, paint.dim);
}

/** Conditions, the worst first, each with its mark, its hint, and the processes that hold files. */
export function conditionLines(conditions: readonly Condition[], indent: string, view: View): string[] {
  return worstConditionFirst(conditions).flatMap((condition) => [
    ...conditionText(condition, indent, view),
    ...openFileLines(condition.holders ?? []).map((line) => `${indent}  ${line}`),
  ]);
}

/** Whether no condition says `trouble` already. */
export function isUnsaid(trouble: string | null, conditions: readonly Condition[]): trouble is string {
  return trouble !== null && !conditions.some(({ title }) => title.includes(trouble));
}

/** How what is neither good nor bad is marked. */
export function infoPaint({ symbols, cyan }: Paint) {
  return { mark: symbols.info, style: cyan };
}

export function conditionText(condition: Condition, indent: string, view: View): string[] {
  const { paint } = view;
  const { severity } = condition;
  const { mark, style } = severity === "info" ? infoPaint(paint) : tonePaint(SEVERITY_TONES[severity], paint);
  const since = sinceText(condition.since, view.now);
  const title = `${printable(condition.title)}${since === null ? "" : ` (for ${nonBreaking(since)})`}`;
  const lines = marked(mark, title, indent, style, view);
  const hint = condition.hint === null ? [] : hintLines(condition.hint, `${indent}  `, view);
  return [...lines, ...hint];
}

/** A command in a hint: between backticks, or up to the hint's end. */
const COMMAND = /`[^`]*`|(?<=^|\s)(?:mountaineer|chmod|sudo|ls|mv) .*/g;

/** A hint, each command of it on one line: pasting only its first half may do something else. */
export function hintLines(hint: string, indent: string, view: View): string[] {
  return text(unbroken(hint), indent, view).map(view.paint.dim);
}

/** The text for `wrapped`, which keeps each command of it on one line. */
export function unbroken(plain: string): string {
  return printable(plain).replace(COMMAND, nonBreaking);
}

/** Facts in a line. */
export function factLines(facts: readonly string[], view: View): string[] {
  return text(facts.map(nonBreaking).join(", "), INDENT, view).map(view.paint.dim);
}

export function marked(
  mark: string,
  content: string,
  indent: string,
  style: (text: string) => string,
  view: View,
): string[] {
  const lead = `${mark} `;
  const lines = wrapped(content, view.width - columns(indent) - columns(lead));
  return lines.map(
    (line, index) => `${indent}${style(`${index === 0 ? lead : " ".repeat(columns(lead))}${line}`)}`,
  );
}

export function text(content: string, indent: string, view: View): string[] {
  return wrapped(content, view.width - columns(indent)).map((line) => `${indent}${line}`);
}

// Lists the processes that hold files: the first few by name, the others as a count.

const HOLDERS_SHOWN = 8;

export function openFileLines(holders: readonly OpenFileHolder[]): string[] {
  const lines = holders
    .slice(0, HOLDERS_SHOWN)
    .map(({ pid, command, path }) => `${printable(command)} (pid ${pid})  ${printable(path)}`);
  return withRest(lines, holders.length);
}

function withRest(lines: readonly string[], count: number): string[] {
  return count > lines.length ? [...lines, `+${count - lines.length} more`] : [...lines];
}
