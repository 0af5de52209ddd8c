// What of the watched file is held back until a person approves it: the file as it was accepted, beside what runs of it.
import type { Grant, WaitingEntry } from "../../config/approval/decide-held.ts";
import { entrySummary } from "../../config/approval/entry-text.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { type CheckedContent, NO_CHANGES } from "../../sync/config-steps.ts";
import type { ApprovalKeeper, JudgedFile } from "../approvals/approval-keeper.ts";

export type Judged = Pick<JudgedFile, "file" | "effective"> & { readonly told: JudgedFile | null };

export type Holding = ReturnType<typeof createHolding>;

export function createHolding(keeper: ApprovalKeeper | null, first: ConfigSnapshot) {
  let file = first;
  let granted: { readonly sha256: string; readonly grant: Grant } | null = null;

  /** What runs is applied once more where nothing was read: then the file is what it was made of. */
  const meant = (snapshot: ConfigSnapshot, running: ConfigSnapshot): ConfigSnapshot =>
    snapshot === running ? file : snapshot;
  const asJudged = (told: JudgedFile): Judged => ({ file: told.file, effective: told.effective, told });

  return {
    keeper,
    /** The newest accepted file. */
    get file(): ConfigSnapshot {
      return file;
    },
    /** Ids. */
    get waiting(): readonly string[] {
      return idsOf(keeper?.waiting ?? []);
    },
    /** The same in a few words each. */
    get summaries(): readonly string[] {
      return (keeper?.waiting ?? []).map(entrySummary);
    },
    preview(loaded: ConfigSnapshot, running: ConfigSnapshot): Judged {
      const told = keeper?.preview(meant(loaded, running), running.config) ?? null;
      return told === null ? { file: loaded, effective: loaded, told } : asJudged(told);
    },
    async judge(
      { snapshot, sha256 }: CheckedContent<ConfigSnapshot>,
      running: ConfigSnapshot,
    ): Promise<Judged> {
      if (keeper === null) return { file: snapshot, effective: snapshot, told: null };
      const grant = granted?.sha256 === sha256 ? granted.grant : undefined;
      return asJudged(await keeper.judge(meant(snapshot, running), running.config, grant));
    },
    applied({ file: accepted, told }: Judged): void {
      file = accepted;
      granted = null;
      if (told !== null) keeper?.applied(told);
    },
    /** What a person says yes to in the content with this hash, once it is applied. */
    grant(sha256: string, grant: Grant): void {
      granted = { sha256, grant };
    },
    /** It could not be applied: that yes counts no more, now or at the next start. */
    async withdraw(): Promise<void> {
      granted = null;
      await keeper?.withdraw();
    },
    /** Whether anything changes, and what is said of it; `touched`: what was touched, null for nothing. */
    told(
      { told }: Judged,
      touched: string | null,
    ): { readonly changed: boolean; readonly details: string; readonly waiting: readonly string[] } {
      const count = told?.held.waiting.length ?? 0;
      const waiting = idsOf(told?.held.waiting ?? []);
      const changed = touched !== null || told?.changes === true;
      if (!changed) return { changed, details: NO_CHANGES, waiting };
      const held =
        count === 0 ? null : `${count} ${count === 1 ? "entry waits" : "entries wait"} for approval`;
      const said = [touched, held].filter((text) => text !== null).join(", ");
      return { changed, details: said === "" ? "nothing waits for approval any more" : said, waiting };
    },
  };
}

function idsOf(waiting: readonly WaitingEntry[]): readonly string[] {
  return waiting.map(({ id }) => id);
}
