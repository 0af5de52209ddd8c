// Shows a person what waits for approval, an entry at a time, in a window of the desktop's, and approves what they say yes to.
import type { WaitingEntryWire } from "../../api/approval-contract.ts";
import type { DaemonClient } from "../../api/client/client.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { columns, harmless } from "../../runtime/text/plain-text.ts";
import type { MenuAction } from "./action.ts";
import type { ActionOutcome } from "./world.ts";

/** Texts are lines of plain text, harmless. */
export interface YesQuestion {
  readonly title: string;
  readonly text: string;
  readonly yes: string;
  readonly no: string;
}

/** A person would approve unseen what does not fit a window. */
const MOST_LINES = 40;
/** Longer lines are broken by the window. */
const WINDOW_COLUMNS = 80;

interface Ports {
  readonly askYes: (question: YesQuestion, signal: AbortSignal) => Promise<boolean>;
}

/** Rejects as the daemon does: with `config_changed` if an entry is not as it was shown any more. */
export async function approveWaiting(
  action: Extract<MenuAction, { kind: "approve" }>,
  daemon: DaemonClient,
  { askYes }: Ports,
  signal: AbortSignal,
): Promise<ActionOutcome> {
  const approved: string[] = [];
  const { waiting } = await daemon.ask("approvals", null, signal);
  for (const entry of waiting) {
    const text = textOf(entry);
    if (text === null) {
      throw new MountaineerError("usage", `what waits of ${harmless(entry.id)} is too long for a window`, {
        hint: `see it in a terminal: mountaineer approve ${harmless(entry.id)}`,
      });
    }
    const question = { title: "Mountaineer: a change waits for you", text, yes: "Approve", no: "Leave it" };
    if (!(await askYes(question, signal))) continue;
    const { id, digest } = entry;
    approved.push(...(await daemon.ask("approve", { entries: [{ id, digest }] }, signal)).approved);
  }
  const outcome = approved.length === 0 ? "nothing was approved" : approved.map(harmless).join(", ");
  const text = waiting.length === 0 ? "nothing waits" : outcome;
  return { action, ok: true, text: `Approve: ${text}`, hint: null, results: [] };
}

/** null: too long to be shown whole. */
function textOf({ id, summary, approved, waiting }: WaitingEntryWire): string | null {
  const diff = diffText(approved, waiting, { before: "approved", after: "waiting" });
  const lines = [`${id}: ${summary}`, "", ...diff.split("\n").slice(2, -1)].map((line) =>
    harmless(line.replaceAll("\t", "  ")),
  );
  const rows = lines.map((line) => Math.max(1, Math.ceil(columns(line) / WINDOW_COLUMNS)));
  return rows.reduce((sum, count) => sum + count, 0) > MOST_LINES ? null : lines.join("\n");
}
