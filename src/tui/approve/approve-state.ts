// The state of the Approve screen and its reaction to keys. Pure: the entry to approve is returned as the action.
import type { ApprovalsReport, WaitingEntryWire } from "../../api/contract/approvals.ts";
import type { QuestionReport } from "../../api/contract/questions.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import { createScroller, linesBelow, pressScrollKey, type Scroller } from "../terminal/scroller.ts";
import { next, type Step, unused } from "../terminal/step.ts";

export interface ApproveState {
  /** null before the first report. */
  readonly report: ApprovalsReport | null;
  /** Id of the shown entry; null: the first one. */
  readonly chosen: string | null;
  /** The shown entry's difference, complete and scrollable: nothing that would be approved is cut off. */
  readonly text: Scroller;
  /** Digest of the entry in the open question, as it was shown; null: no question. */
  readonly questionDigest: string | null;
  readonly isBusy: boolean;
  readonly notice: ApproveNotice | null;
}

type ApproveNotice =
  | { readonly kind: "approved"; readonly ids: readonly string[] }
  | { readonly kind: "failed"; readonly reason: string };

export const EMPTY_APPROVE: ApproveState = {
  report: null,
  chosen: null,
  text: createScroller("", { width: 80, height: 1 }),
  questionDigest: null,
  isBusy: false,
  notice: null,
};

/** `denies`: the call that waits for an answer is denied. */
export type ApproveAction = WaitingEntryWire & { readonly denies?: true };

const QUESTION = "question";

/** A call that waits for the owner's answer, among the entries that wait. */
export function questionEntry({ code, tool, server, opened, lines }: QuestionReport): WaitingEntryWire {
  const shown = { summary: `${tool} of ${server}`, approved: "", waiting: lines.join("\n") };
  return { id: code, name: code, kind: QUESTION, digest: `${code} ${opened}`, ...shown };
}

export function isQuestion(entry: WaitingEntryWire | null): boolean {
  return entry?.kind === QUESTION;
}

export function entryOf({ report, chosen }: ApproveState): WaitingEntryWire | null {
  return report?.waiting.find(({ id }) => id === chosen) ?? report?.waiting[0] ?? null;
}

function withEntry(state: ApproveState, entry: WaitingEntryWire | null): ApproveState {
  const { approved = "", waiting = "" } = entry ?? {};
  const diff = diffText(approved, waiting, { before: "approved", after: "waiting" });
  const shown = isQuestion(entry) ? waiting : diff.split("\n").slice(2, -1).join("\n");
  const text = createScroller(shown, state.text.size);
  return { ...state, chosen: entry?.id ?? null, text };
}

/** Closes the open question if its entry has changed. */
export function withApprovals(state: ApproveState, report: ApprovalsReport): ApproveState {
  const before = entryOf(state);
  const fresh = { ...state, report };
  const now = entryOf(fresh);
  const isSame = before !== null && now !== null && before.id === now.id && before.digest === now.digest;
  return isSame ? fresh : { ...withEntry(fresh, now), questionDigest: null };
}

export function pressApproveKey(state: ApproveState, key: Key): Step<ApproveState, ApproveAction> {
  const entry = entryOf(state);
  if (entry === null || state.isBusy) return unused(state);
  if (state.questionDigest !== null) {
    if (isNamed(key, "enter"))
      return next({ ...state, questionDigest: null, isBusy: true, notice: null }, entry);
    const isLeft = isNamed(key, "escape") || key.kind === "character";
    return isLeft ? next({ ...state, questionDigest: null }) : unused(state);
  }
  if (key.kind === "character" && key.text === "y" && linesBelow(state.text) === 0)
    return next({ ...state, questionDigest: entry.digest, notice: null });
  if (key.kind === "character" && key.text === "n" && isQuestion(entry))
    return next({ ...state, isBusy: true, notice: null }, { ...entry, denies: true });
  const by = { tab: 1, right: 1, backtab: -1, left: -1 }[key.kind === "named" ? (key.name as string) : ""];
  if (by !== undefined) {
    const waiting = state.report?.waiting ?? [];
    const at = waiting.indexOf(entry) + by + waiting.length;
    return next({ ...withEntry(state, waiting[at % waiting.length] ?? entry), notice: null });
  }
  // y approves only after the end of the difference was shown; until then it shows the next page.
  const isEarly = key.kind === "character" && key.text === "y";
  const text = pressScrollKey(state.text, isEarly ? { kind: "named", name: "pagedown" } : key);
  return text === null ? unused(state) : next({ ...state, text });
}
