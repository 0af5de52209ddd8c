// The Approve screen: what waits for approval, one entry at a time, with what it would change.
import { createElement as h, type ReactElement, useEffect, useSyncExternalStore } from "react";
import { markedLines } from "../status/status-lines.ts";
import type { Connection } from "../terminal/connection.ts";
import { cutLine, type Line, span, type Tone } from "../terminal/line.ts";
import { Lines } from "../terminal/lines-view.ts";
import type { Screen, ScreenProps } from "../terminal/screen.ts";
import type { Readable } from "../terminal/store.ts";
import { symbolsFor } from "../terminal/terminal-style.ts";
import type { View } from "../terminal/view.ts";
import type { ApproveSession } from "./approve-session.ts";
import { type ApproveState, differenceLines, entryOf, linesBelow } from "./approve-state.ts";

/** Above the difference, and below it. */
const HEAD_LINES = 4;
const FOOT_LINES = 2;

export function createApproveScreen(session: ApproveSession, connection: Readable<Connection>): Screen {
  const { state } = session;
  const Body = ({ width, height, style }: ScreenProps): ReactElement => {
    const shown = useSyncExternalStore(state.subscribe, state.get);
    const room = Math.max(1, height - HEAD_LINES - FOOT_LINES);
    useEffect(() => session.sized(width, room), [width, room]);
    const lines = approveLines(shown, { width, style, symbols: symbolsFor(style) });
    return h(Lines, { lines: lines.slice(0, height), style });
  };
  const known = new Map<string, readonly string[]>();
  return {
    key: "a",
    name: "Approve",
    Body,
    hints: {
      subscribe: state.subscribe,
      get() {
        const fresh = hintsOf(state.get());
        const mark = fresh.join("\n");
        const kept = known.get(mark) ?? fresh;
        known.set(mark, kept);
        return kept;
      },
    },
    connection,
    onKey: (key) => session.onKey(key),
    warnUnsaved: () => false,
  };
}

/** In as many lines as it takes; the difference in as many as there is room for. */
export function approveLines(state: ApproveState, view: View): readonly Line[] {
  const { report, note, asked, isBusy } = state;
  const { symbols, width } = view;
  const entry = entryOf(state);
  const told: Line[] = [];
  if (note?.kind === "approved" && note.ids.length > 0)
    told.push(...markedLines(symbols.same, `approved and applied: ${note.ids.join(", ")}`, "good", view, 1));
  if (note?.kind === "failed") told.push(...markedLines(symbols.error, note.reason, "bad", view, 2));
  if (report === null) return [[span(symbols.ellipsis, "faint")]];
  if (entry === null) {
    const text = `nothing waits for approval (mode ${report.mode})`;
    return [...told, ...markedLines(symbols.same, text, "good", view, 1)];
  }
  const lost =
    report.lost === null
      ? []
      : markedLines(symbols.warning, `nothing counts as approved: ${report.lost}`, "warning", view, 1);
  const at = report.waiting.indexOf(entry) + 1;
  const head = markedLines(
    symbols.warning,
    `${at} of ${report.waiting.length}: ${entry.id}: ${entry.summary}`,
    "warning",
    view,
    2,
  );
  const below = linesBelow(state);
  const shown = differenceLines(state).slice(state.top, state.top + state.size.height);
  const foot =
    asked !== null
      ? span(`Approve ${entry.id}? Enter approves it, Esc leaves it`, "warning")
      : isBusy
        ? span(`approving ${entry.id} ${symbols.ellipsis}`, "faint")
        : span(below > 0 ? `${below} more lines` : "", "faint");
  return [
    ...[...told, ...lost, ...head].slice(0, HEAD_LINES),
    ...shown.map((line): Line => [span(line, toneOf(line))]),
    cutLine([foot], width, symbols.ellipsis),
  ];
}

function toneOf(line: string): Tone {
  if (line.startsWith("@@")) return "accent";
  if (line.startsWith("+")) return "good";
  return line.startsWith("-") ? "bad" : "plain";
}

function hintsOf(state: ApproveState): readonly string[] {
  if (state.asked !== null) return ["Enter approve", "Esc leave it"];
  if (entryOf(state) === null) return ["s Sync", "q quit"];
  const many = (state.report?.waiting.length ?? 0) > 1;
  const more = linesBelow(state) > 0;
  return [...(many ? ["Tab next"] : []), ...(more ? ["Space more"] : ["y approve"]), "s Sync", "q quit"];
}
