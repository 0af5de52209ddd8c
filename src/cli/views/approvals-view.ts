// What waits for approval, for a terminal. Pure.
import type { ApprovalsReport, WaitingEntryWire } from "../../api/approval-contract.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import { renderDiff } from "./diff-view.ts";
import { paintFor, type TerminalStyle } from "./terminal-style.ts";

/** `diffOf`: of one entry, from what serves to what waits. */
export function renderApprovals(
  { mode, lost, waiting }: ApprovalsReport,
  style: TerminalStyle,
  diffOf: (entry: WaitingEntryWire) => string,
): string {
  const paint = paintFor(style);
  const lines: string[] = [];
  if (lost !== null && waiting.length > 0) {
    lines.push(`${paint.yellow(paint.symbols.warning)} nothing counts as approved: ${harmless(lost)}\n`);
  }
  if (waiting.length === 0) {
    lines.push(`${paint.green(paint.symbols.good)} nothing waits for approval (mode ${mode})\n`);
  }
  return [...lines, ...waiting.map((entry) => renderEntry(entry, diffOf(entry), style))].join("");
}

export function renderEntry({ id, summary }: WaitingEntryWire, diff: string, style: TerminalStyle): string {
  const paint = paintFor(style);
  const head = `${paint.yellow(paint.symbols.warning)} ${paint.bold(harmless(id))}: ${harmless(summary)}\n`;
  return `${head}${renderDiff(diff, style)}`;
}
