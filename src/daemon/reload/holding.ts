// What of the watched file is held back until a person approves it: the file as it was accepted, beside what runs of it.
import type { Grant, WaitingEntry } from "../../config/approval/decide-held.ts";
import { entrySummary } from "../../config/approval/entry-text.ts";
import type { ConfigSnapshot } from "../../config/snapshot.ts";
import { type CheckedContent, NO_CHANGES } from "../../sync/config-steps.ts";
import type { ApprovalKeeper, JudgedFile } from "../approvals/approval-keeper.ts";

export type Judged = Pick<JudgedFile, "file" | "effective"> & { readonly told: JudgedFile | null };

export interface Holding {
  readonly keeper: ApprovalKeeper | null;
  /** The newest accepted file. */
  readonly file: ConfigSnapshot;
  /** Ids. */
  readonly waiting: readonly string[];
  /** The same in a few words each. */
  readonly summaries: readonly string[];
  preview(file: ConfigSnapshot, running: ConfigSnapshot): Judged;
  judge(content: CheckedContent<ConfigSnapshot>, running: ConfigSnapshot): Promise<Judged>;
  applied(judged: Judged): void;
  /** What a person says yes to in the content with this hash, once it is applied. */
  grant(sha256: string, grant: Grant): void;
  /** It could not be applied: that yes counts no more, now or at the next start. */
  withdraw(): Promise<void>;
  /** Whether anything changes, and what is said of it; `touched`: what was touched, null for nothing. */
  told(
    judged: Judged,
    touched: string | null,
  ): { readonly changed: boolean; readonly details: string; readonly waiting: readonly string[] };
}

export function createHolding(keeper: ApprovalKeeper | null, first: ConfigSnapshot): Holding {
  let file = first;
  let granted: { readonly sha256: string; readonly grant: Grant } | null = null;

  /** What runs is applied once more where nothing was read: then the file is what it was made of. */
  const meant = (snapshot: ConfigSnapshot, running: ConfigSnapshot): ConfigSnapshot =>
    snapshot === running ? file : snapshot;
  const asJudged = (told: JudgedFile): Judged => ({ file: told.file, effective: told.effective, told });

  return {
    keeper,
    get file() {
      return file;
    },
    get waiting() {
      return idsOf(keeper?.waiting ?? []);
    },
    get summaries() {
      return (keeper?.waiting ?? []).map(entrySummary);
    },
    preview(loaded, running) {
      const told = keeper?.preview(meant(loaded, running), running.config) ?? null;
      return told === null ? { file: loaded, effective: loaded, told } : asJudged(told);
    },
    async judge({ snapshot, sha256 }, running) {
      if (keeper === null) return { file: snapshot, effective: snapshot, told: null };
      const grant = granted?.sha256 === sha256 ? granted.grant : undefined;
      return asJudged(await keeper.judge(meant(snapshot, running), running.config, grant));
    },
    applied({ file: accepted, told }) {
      file = accepted;
      granted = null;
      if (told !== null) keeper?.applied(told);
    },
    grant(sha256, grant) {
      granted = { sha256, grant };
    },
    async withdraw() {
      granted = null;
      await keeper?.withdraw();
    },
    told({ told }, touched) {
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
