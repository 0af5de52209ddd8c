// Knows the newest accepted file, the part of it that runs (entries that wait for approval do not), and the
// approvals that come with the next content (its "grant").
import type { Grant } from "../../config/approval/apply-approvals.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { type CheckedContent, NO_CHANGES } from "../../sync/config-steps.ts";
import type { ApprovalStore, EvaluatedFile } from "../approvals/approval-store.ts";

export type AcceptedFile = ReturnType<typeof createAcceptedFile>;

export function createAcceptedFile(approvalStore: ApprovalStore, first: ConfigSnapshot) {
  let file = first;
  let granted: { readonly sha256: string; readonly grant: Grant } | null = null;

  /**
   * Returns the snapshot of the file for a reload. If the reload did not read the file, `snapshot` is the running
   * one, and the newest accepted file counts.
   */
  const fileOf = (snapshot: ConfigSnapshot, running: ConfigSnapshot): ConfigSnapshot =>
    snapshot === running ? file : snapshot;

  return {
    approvalStore,
    /** The newest accepted file. */
    get file(): ConfigSnapshot {
      return file;
    },
    /** Ids of the entries that wait for approval. */
    get waiting(): readonly string[] {
      return idsOf(approvalStore.waiting);
    },
    preview: (loaded: ConfigSnapshot, running: ConfigSnapshot): EvaluatedFile =>
      approvalStore.preview(fileOf(loaded, running), running.config),
    judge(
      { snapshot, sha256 }: CheckedContent<ConfigSnapshot>,
      running: ConfigSnapshot,
    ): Promise<EvaluatedFile> {
      const grant = granted?.sha256 === sha256 ? granted.grant : undefined;
      return approvalStore.judge(fileOf(snapshot, running), running.config, grant);
    },
    applied(judged: EvaluatedFile): void {
      file = judged.file;
      granted = null;
      approvalStore.applied(judged);
    },
    /** Approves entries of the content with this hash; the grant takes effect when that content is applied. */
    grant(sha256: string, grant: Grant): void {
      granted = { sha256, grant };
    },
    /** Removes the grant from memory and disk, because the content that it approves could not be applied. */
    async withdraw(): Promise<void> {
      granted = null;
      await approvalStore.withdraw();
    },
  };
}

/** Sums up what applying the file changes. `touched`: a text about changed sections; null: no section changes. */
export function summaryOf({ outcome, changes }: EvaluatedFile, touched: string | null) {
  const waiting = idsOf(outcome.waiting);
  const changed = touched !== null || changes;
  if (!changed) return { changed, details: NO_CHANGES, waiting };
  const entries = waiting.length === 1 ? "entry waits" : "entries wait";
  const parts = [touched, waiting.length === 0 ? null : `${waiting.length} ${entries} for approval`];
  const details = parts.filter((text) => text !== null).join(", ") || "nothing waits for approval now";
  return { changed, details, waiting };
}

function idsOf(waiting: ApprovalStore["waiting"]): readonly string[] {
  return waiting.map(({ id }) => id);
}
