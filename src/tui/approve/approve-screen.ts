// The Approve screen: the entries that wait for approval, one at a time, each with its difference.
import { cutLine, diffTone, type Line, markedLines, span, type View } from "../terminal/line.ts";
import type { KeyHelp, Screen, ShellLine } from "../terminal/screen.ts";
import { linesBelow, shownLines } from "../terminal/scroller.ts";
import type { ApproveSession } from "./approve-session.ts";
import { type ApproveState, entryOf, isQuestion } from "./approve-state.ts";

/** Number of lines above the difference; `FOOT_LINES`: below it. */
const HEAD_LINES = 4;
const FOOT_LINES = 2;

const KEYS: readonly KeyHelp[] = [
  { keys: "Tab, Shift-Tab", does: "next, previous entry" },
  { keys: "Space, arrows", does: "scroll; an entry can be approved once you have seen its end" },
  { keys: "y, then Enter", does: "approves the entry; any other key leaves it" },
  { keys: "n", does: "denies a call that waits for your answer" },
];

const SHELLS: readonly ShellLine[] = [
  { does: "see what waits, and answer", command: "mountaineer approve" },
  { does: "only see it", command: "mountaineer approve --list" },
];

export function createApproveScreen(session: ApproveSession): Screen {
  const { state } = session;
  return {
    key: "a",
    view: "Settings",
    title: "Approve",
    about: "changes that wait for your approval",
    keys: KEYS,
    changes: state,
    resize: ({ width, height }) => session.sized(width, Math.max(1, height - HEAD_LINES - FOOT_LINES)),
    draw: (size) => approveLines(state.get(), size),
    hints: () => hintsOf(state.get()),
    onKey: (key) => session.onKey(key),
    shells: () => SHELLS,
    queuesKeys: () => state.get().isBusy,
    saved: () => session.approved(),
  };
}

export function approveLines(state: ApproveState, view: View): readonly Line[] {
  const { report, notice, questionDigest, isBusy } = state;
  const { symbols, width } = view;
  const entry = entryOf(state);
  const result: Line[] = [];
  if (notice?.kind === "approved" && notice.ids.length > 0)
    result.push(
      ...markedLines(symbols.good, `approved and applied: ${notice.ids.join(", ")}`, "good", view, 1),
    );
  if (notice?.kind === "failed") result.push(...markedLines(symbols.bad, notice.reason, "bad", view, 2));
  if (report === null) return [[span(symbols.ellipsis, "faint")]];
  if (entry === null) {
    const text = `nothing waits for approval (mode ${report.mode})`;
    return [...result, ...markedLines(symbols.good, text, "good", view, 1)];
  }
  const lost =
    report.lost === null
      ? []
      : markedLines(symbols.warning, `no approval is known: ${report.lost}`, "warning", view, 1);
  const at = report.waiting.indexOf(entry) + 1;
  const head = markedLines(
    symbols.warning,
    `${at} of ${report.waiting.length}: ${entry.id}: ${entry.summary}`,
    "warning",
    view,
    2,
  );
  const below = linesBelow(state.text);
  const foot =
    questionDigest !== null
      ? span(`Approve ${entry.id}? Enter approves it, Esc leaves it`, "warning")
      : isBusy
        ? span(`approving ${entry.id} ${symbols.ellipsis}`, "faint")
        : span(below > 0 ? `${below} more lines` : "", "faint");
  return [
    ...[...result, ...lost, ...head].slice(0, HEAD_LINES),
    ...shownLines(state.text).map((line): Line => [span(line, diffTone(line))]),
    cutLine([foot], width, symbols.ellipsis),
  ];
}

function hintsOf(state: ApproveState): readonly string[] {
  if (state.questionDigest !== null) return ["Enter approve", "Esc leave it"];
  if (entryOf(state) === null) return ["s Sync", "q quit"];
  const many = (state.report?.waiting.length ?? 0) > 1;
  const more = linesBelow(state.text) > 0;
  const deny = isQuestion(entryOf(state)) ? ["n deny"] : [];
  const keys = [...(many ? ["Tab next"] : []), ...(more ? ["Space more"] : ["y approve"]), ...deny];
  return [...keys, "s Sync", "q quit"];
}
