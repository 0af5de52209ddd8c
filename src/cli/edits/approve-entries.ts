// `mountaineer approve`: shows the waiting entries, asks, and approves them.
import type { ApprovalsReport, ApproveReport, WaitingEntryWire } from "../../api/contract/approvals.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { refusalError } from "../../config/values/mistakes.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { paintFor, type TerminalStyle } from "../../runtime/text/paint.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { CommandContext, Terminal } from "../input/command.ts";
import { isYes } from "../input/confirm.ts";
import { doneLine, showResult, warningLine } from "../input/options.ts";
import { callEdits, changeConfig } from "../sessions/config-session.ts";
import { show, withOperations } from "../sessions/control-session.ts";
import { renderDiff } from "../views/diff-view.ts";
import { FAILED_EXIT } from "../views/results-view.ts";

/**
 * Prints the waiting entries, or those with the given names. Resolves with the exit code. Rejects with
 * `entry_unknown`.
 */
export async function listEntries(context: CommandContext, names: readonly string[]): Promise<number> {
  const report = await show(context, "approvals", null);
  const shown = { ...report, waiting: [...named(report.waiting, names)] };
  showResult(context, shown, () => renderApprovals(shown, context.stdoutStyle));
  return 0;
}

/**
 * Approves waiting entries; if `needsConfirmation` is true, only those to which a person agrees. Resolves with the exit code.
 * Rejects with `entry_unknown`, with `usage` if it has to ask without a terminal, and with the errors of the
 * operation `approve`.
 */
export function approveEntries(
  context: CommandContext,
  names: readonly string[],
  { needsConfirmation, all }: { readonly needsConfirmation: boolean; readonly all: boolean },
): Promise<number> {
  return withOperations(context, "approve", async (call) => {
    const before = await call("approvals", null, context.signal);
    const shown = named(before.waiting, names);
    if (shown.length === 0) {
      const report = { approved: [], reload: null, now: before };
      showResult(context, report, () => renderApprovals(before, context.stdoutStyle));
      return 0;
    }
    const chosen = needsConfirmation ? await chosenBy(context, shown, all) : shown;
    if (chosen.length === 0) {
      context.notify("nothing was approved");
      return FAILED_EXIT;
    }
    const entries = chosen.map(({ id, digest }) => ({ id, digest }));
    showApproved(context, await call("approve", { entries }, context.signal));
    return chosen.length === shown.length ? 0 : FAILED_EXIT;
  });
}

/**
 * Sets `trust.approve`, the rule for which changes wait for approval, and approves this edit of the rule
 * itself. Resolves with the exit code.
 */
export async function setApproveMode(
  context: CommandContext,
  mode: string,
  needsConfirmation: boolean,
): Promise<number> {
  if (needsConfirmation && !(await isApproved(context, `${MODES[mode] ?? ""} Is that right?`))) {
    context.notify("nothing was changed");
    return FAILED_EXIT;
  }
  const value = mode === "default" ? null : mode;
  const edit = await changeConfig(context, (call) =>
    callEdits(context, call, [{ key: "trust.approve", value }]),
  );
  if (edit.errors.length > 0) throw refusalError(edit.errors);
  return withOperations(context, "approve", async (call) => {
    const { waiting } = await call("approvals", null, context.signal);
    const entries = waiting.filter(({ id }) => id === "trust").map(({ id, digest }) => ({ id, digest }));
    showApproved(context, await call("approve", { entries, loosen: true }, context.signal));
    return 0;
  });
}

const MODES: Readonly<Record<string, string>> = {
  none: "From now on no change of the file waits: whatever can write to it can run programs as you.",
  commands: "From now on changes wait that decide what runs.",
  all: "From now on changes wait that decide what runs, where credentials go, and who may do what.",
  default: "From now on changes that decide what runs wait only while a server can reach Mountaineer's home.",
};

function named(waiting: readonly WaitingEntryWire[], names: readonly string[]): readonly WaitingEntryWire[] {
  if (names.length === 0) return waiting;
  return names.flatMap((name) => {
    const found = waiting.filter((entry) => entry.id === name || entry.name === name);
    if (found.length > 0) return found;
    throw new MountaineerError("entry_unknown", `nothing called ${JSON.stringify(name)} waits for approval`, {
      hint: "mountaineer approve --list",
    });
  });
}

/** Resolves with the entries that the person approves. `all`: one question for all of them. */
async function chosenBy(
  context: Terminal,
  shown: readonly WaitingEntryWire[],
  all: boolean,
): Promise<readonly WaitingEntryWire[]> {
  const chosen: WaitingEntryWire[] = [];
  for (const entry of shown) {
    context.print(renderEntry(entry, context.stdoutStyle));
    if (all) continue;
    if (await isApproved(context, `Approve ${printable(entry.id)}?`)) chosen.push(entry);
  }
  if (!all) return chosen;
  return (await isApproved(context, `Approve all ${shown.length}?`)) ? shown : [];
}

async function isApproved({ prompt }: Terminal, question: string): Promise<boolean> {
  if (prompt === null) {
    throw new MountaineerError("usage", "there is no terminal to ask at; nothing was approved", {
      hint: "review it with: mountaineer approve --list; then add --yes",
    });
  }
  return isYes(prompt, question, "no");
}

function showApproved(context: Terminal, report: ApproveReport): void {
  const { approved, reload, now } = report;
  const count = now.waiting.length;
  const what =
    approved.length === 0 ? `changes wait as "${now.mode}" says` : `approved: ${approved.join(", ")}`;
  showResult(context, report, (paint) => [
    doneLine(paint, printable(what)),
    ...(reload === null ? [paint.dim("  no daemon runs; the next one applies it")] : []),
    ...(count === 0
      ? []
      : [paint.dim(count === 1 ? "  1 entry still waits" : `  ${count} entries still wait`)]),
  ]);
}

// The waiting entries, for a terminal. Pure.

function renderApprovals({ mode, lost, waiting }: ApprovalsReport, style: TerminalStyle): string {
  const paint = paintFor(style);
  const lines: string[] = [];
  if (lost !== null && waiting.length > 0) {
    lines.push(`${warningLine(paint, `no approval is known: ${printable(lost)}`)}\n`);
  }
  if (waiting.length === 0) {
    lines.push(`${doneLine(paint, `nothing waits for approval (mode ${mode})`)}\n`);
  }
  return [...lines, ...waiting.map((entry) => renderEntry(entry, style))].join("");
}

function renderEntry({ id, summary, approved, waiting }: WaitingEntryWire, style: TerminalStyle): string {
  const paint = paintFor(style);
  const diff = diffText(approved, waiting, { before: "approved", after: "waiting" });
  const head = warningLine(paint, `${paint.bold(printable(id))}: ${printable(summary)}`);
  return `${head}\n${renderDiff(diff, style)}`;
}
