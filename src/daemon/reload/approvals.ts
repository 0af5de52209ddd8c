// The operations of the management API for entries that wait for approval.
import type { ApprovalsReport } from "../../api/contract/approvals.ts";
import type { Control } from "../../api/operations/operations.ts";
import { entrySummary, entryText, waitingText } from "../../config/approval/entry-text.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { ConfigWatcher } from "../../sync/config-watcher.ts";
import { type ApprovalStore, waitingDigest } from "../approvals/approval-store.ts";
import type { AcceptedFile } from "./accepted-file.ts";
import { reportOf } from "./reload-report.ts";

export function createApprovals(watcher: ConfigWatcher<ConfigSnapshot>, accepted: AcceptedFile) {
  const report = (): ApprovalsReport => approvalsReport(accepted.approvalStore, accepted.file);
  return {
    approvals: report,
    approve: ({ entries, loosen = false }) =>
      watcher.inTurn(async (turn) => {
        const ids = requireWaiting(accepted.approvalStore, entries);
        accepted.grant(accepted.file.sha256, { ids, loosens: loosen });
        const outcome = await turn.applyAgain("approve");
        const reload = reportOf(outcome, watcher.running, false, accepted.waiting);
        if (reload.failure !== null) {
          await accepted.withdraw();
          throw new MountaineerError("secret_unavailable", `nothing was approved: ${reload.failure}`, {
            retry: "later",
          });
        }
        return { approved: [...ids], reload, now: report() };
      }),
  } satisfies Partial<Control>;
}

export function approvalsReport(approvalStore: ApprovalStore, file: ConfigSnapshot): ApprovalsReport {
  return {
    mode: approvalStore.mode,
    asked: file.config.trust.approve,
    lost: approvalStore.lostBecause,
    waiting: approvalStore.waiting.map((entry) => ({
      ...{ id: entry.id, name: entry.name, kind: entry.kind, summary: entrySummary(entry) },
      approved: entryText(entry.approved),
      waiting: waitingText(entry),
      digest: waitingDigest(entry),
    })),
  };
}

/**
 * Checks the entries to approve, and returns their ids. Throws `entry_unknown`, and `config_changed` if a
 * waiting entry differs from the one that was shown.
 */
export function requireWaiting(
  approvalStore: ApprovalStore,
  entries: readonly { readonly id: string; readonly digest: string }[],
): ReadonlySet<string> {
  const waiting = new Map(approvalStore.waiting.map((entry) => [entry.id, entry]));
  for (const { id, digest } of entries) {
    const entry = waiting.get(id);
    if (entry === undefined) {
      throw new MountaineerError("entry_unknown", `nothing called ${JSON.stringify(id)} waits for approval`, {
        hint: "mountaineer approve --list",
      });
    }
    if (waitingDigest(entry) === digest) continue;
    throw new MountaineerError(
      "config_changed",
      `${id} has changed since it was shown; nothing was approved`,
      {
        hint: "review it again: mountaineer approve",
        retry: "now",
      },
    );
  }
  return new Set(entries.map(({ id }) => id));
}
