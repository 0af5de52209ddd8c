// Shows each waiting entry in a window of the desktop, and approves it if the user says yes.

import type { DaemonClient } from "../../api/client/client.ts";
import type { WaitingEntryWire } from "../../api/contract/approvals.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import { columns, harmless, shellCommand } from "../../runtime/text/plain-text.ts";
import type { DesktopPrograms } from "../desktop/desktop-programs.ts";

/** More lines do not fit into a window, and the user must see the whole entry. */
const MOST_LINES = 40;
/** A longer line wraps in the desktop's window. */
const WINDOW_COLUMNS = 80;

/**
 * Resolves with the result for people. Rejects with `usage` if an entry is too long for a window, and with the daemon's
 * errors: `config_changed` if an entry has changed since it was shown.
 */
export async function approveWaiting(
  daemon: DaemonClient,
  { askYes }: Pick<DesktopPrograms, "askYes">,
  signal: AbortSignal,
): Promise<string> {
  const approved: string[] = [];
  const { waiting } = await daemon.ask("approvals", null, signal);
  for (const entry of waiting) {
    const text = textOf(entry);
    if (text === null) {
      throw new MountaineerError("usage", `what waits of ${harmless(entry.id)} is too long for a window`, {
        hint: `see it in a terminal: ${shellCommand`mountaineer approve ${entry.id}`}`,
      });
    }
    const question = { title: "Mountaineer: a change waits for you", text, yes: "Approve", no: "Leave it" };
    if (!(await askYes(question, signal))) continue;
    const { id, digest } = entry;
    approved.push(...(await daemon.ask("approve", { entries: [{ id, digest }] }, signal)).approved);
  }
  if (waiting.length === 0) return "nothing waits";
  return approved.length === 0 ? "nothing was approved" : approved.map(harmless).join(", ");
}

/**
 * Returns the window's text: the entry, and how the waiting version differs from the approved one. Returns null if
 * the text is too long for a window.
 */
function textOf({ id, summary, approved, waiting }: WaitingEntryWire): string | null {
  const diff = diffText(approved, waiting, { before: "approved", after: "waiting" });
  const lines = [`${id}: ${summary}`, "", ...diff.split("\n").slice(2, -1)].map((line) =>
    harmless(line.replaceAll("\t", "  ")),
  );
  const rows = lines.map((line) => Math.max(1, Math.ceil(columns(line) / WINDOW_COLUMNS)));
  return rows.reduce((sum, count) => sum + count, 0) > MOST_LINES ? null : lines.join("\n");
}
