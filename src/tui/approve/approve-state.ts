// What the Approve screen shows, and its reaction to keys. Pure: what is to be approved is returned.
import type { ApprovalsReport, WaitingEntryWire } from "../../api/approval-contract.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { columns, harmless } from "../../runtime/text/plain-text.ts";
import { isNamed, type Key } from "../terminal/key.ts";

export interface ApproveState {
  /** null: not known yet. */
  readonly report: ApprovalsReport | null;
  /** The entry that is looked at; null: the first. */
  readonly chosen: string | null;
  /** The first line of the difference that is shown. */
  readonly top: number;
  /** Digest of what a person is asked about, as it was shown; null: nothing. */
  readonly asked: string | null;
  readonly isBusy: boolean;
  readonly note: ApproveNote | null;
  /** Of the space for the difference. */
  readonly size: { readonly width: number; readonly height: number };
}

type ApproveNote =
  | { readonly kind: "approved"; readonly ids: readonly string[] }
  | { readonly kind: "failed"; readonly reason: string };

export const EMPTY_APPROVE: ApproveState = {
  report: null,
  chosen: null,
  top: 0,
  asked: null,
  isBusy: false,
  note: null,
  size: { width: 80, height: 1 },
};

interface ApproveStep {
  readonly state: ApproveState;
  readonly approve: WaitingEntryWire | null;
  /** False: the key means nothing here. */
  readonly used: boolean;
}

/** The entry that is looked at; null: nothing waits. */
export function entryOf({ report, chosen }: ApproveState): WaitingEntryWire | null {
  return report?.waiting.find(({ id }) => id === chosen) ?? report?.waiting[0] ?? null;
}

/** All of the difference in lines of the width there is: nothing of what is approved is cut off. */
export function differenceLines(state: ApproveState): readonly string[] {
  const entry = entryOf(state);
  if (entry === null) return [];
  const diff = diffText(entry.approved, entry.waiting, { before: "approved", after: "waiting" });
  return diff
    .split("\n")
    .slice(2, -1)
    .flatMap((line) => wrapped(line, state.size.width));
}

/** In one pass: who may write the file chooses how long a line is. */
function wrapped(line: string, width: number): string[] {
  // Further lines begin with the same mark (+ or -), so that they still count as added or removed.
  const indent = width < 8 ? "" : `${line.slice(0, 1)}  `;
  const lines: string[] = [];
  let piece = "";
  let used = 0;
  for (const character of harmless(line.replaceAll("\t", "  "))) {
    const needed = columns(character);
    if (used + needed > width && used > 0) {
      lines.push(piece);
      piece = indent;
      used = indent.length;
    }
    piece += character;
    used += needed;
  }
  return [...lines, piece];
}

/** How many lines are below those that are shown. */
export function linesBelow(state: ApproveState): number {
  return Math.max(0, differenceLines(state).length - state.top - state.size.height);
}

/** What was asked about, or looked at, may be another by now. */
export function withApprovals(state: ApproveState, report: ApprovalsReport): ApproveState {
  const before = entryOf(state);
  const next = { ...state, report };
  const now = entryOf(next);
  const isSame = before !== null && now !== null && before.id === now.id && before.digest === now.digest;
  return isSame ? next : { ...next, chosen: now?.id ?? null, top: 0, asked: null };
}

export function pressApproveKey(state: ApproveState, key: Key): ApproveStep {
  const entry = entryOf(state);
  if (entry === null || state.isBusy) return unused(state);
  if (state.asked !== null) {
    if (isNamed(key, "enter") && state.asked === entry.digest)
      return { state: { ...state, asked: null, isBusy: true, note: null }, approve: entry, used: true };
    const isLeft = isNamed(key, "escape") || key.kind === "character";
    return isLeft ? used({ ...state, asked: null }) : unused(state);
  }
  if (key.kind === "character") {
    // Nobody approves what they were not shown to its end.
    if (key.text === " " || (key.text === "y" && linesBelow(state) > 0))
      return scrolled(state, pageOf(state));
    return key.text === "y" ? used({ ...state, asked: entry.digest, note: null }) : unused(state);
  }
  switch (key.name) {
    case "tab":
    case "right":
      return moved(state, entry, 1);
    case "backtab":
    case "left":
      return moved(state, entry, -1);
    case "down":
      return scrolled(state, 1);
    case "up":
      return scrolled(state, -1);
    case "home":
      return scrolled(state, -state.top);
    case "end":
      return scrolled(state, linesBelow(state));
    default:
      return unused(state);
  }
}

function unused(state: ApproveState): ApproveStep {
  return { state, approve: null, used: false };
}

function used(state: ApproveState): ApproveStep {
  return { state, approve: null, used: true };
}

function moved(state: ApproveState, entry: WaitingEntryWire, by: 1 | -1): ApproveStep {
  const waiting = state.report?.waiting ?? [];
  const at = waiting.findIndex(({ id }) => id === entry.id);
  const next = waiting[(at + by + waiting.length) % waiting.length] ?? entry;
  return used({ ...state, chosen: next.id, top: 0, note: null });
}

function scrolled(state: ApproveState, by: number): ApproveStep {
  const top = Math.max(0, state.top + Math.min(by, linesBelow(state)));
  return used({ ...state, top });
}

/** One line of what was shown stays. */
function pageOf({ size }: ApproveState): number {
  return Math.max(1, size.height - 1);
}
