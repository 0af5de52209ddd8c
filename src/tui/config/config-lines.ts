// Draws the Config screen: the file's text, the changes of a save, changes by somebody else, and the history.
import { counted } from "../../runtime/text/plain-text.ts";
import { localClock, localDay } from "../../runtime/time/clock.ts";
import {
  cell,
  cutText,
  diffTone,
  type Line,
  markedLines,
  span,
  spread,
  type Tone,
} from "../terminal/line.ts";
import { drawnRows, rowMark } from "../terminal/list-state.ts";
import type { ScreenSize } from "../terminal/screen.ts";
import { noteMark } from "../terminal/terminal-style.ts";
import { belowText, type Scroller, shownLines } from "../text/scroller.ts";
import { shownLine } from "../text/shown-text.ts";
import { type ConfigPage, type ConfigRequest, type ConfigState, FOOT, HEAD } from "./config-state.ts";

const REQUESTS: Readonly<Record<ConfigRequest, string>> = {
  read: "reading",
  edit: "in your editor",
  check: "checking",
  save: "saving",
  history: "reading the history",
  version: "reading the version",
  rollback: "rolling back",
};
const SOURCE_WIDTH = 11;

const PAGES = {
  mistakes: { title: "What is wrong", toneFor: plain, question: null },
  review: {
    title: "What a save would change",
    toneFor: diffTone,
    question: "Save it? Enter saves, Esc goes back to your text",
  },
  conflict: {
    title: "What somebody else changed in the file",
    toneFor: diffTone,
    question: "Enter opens your text again, Ctrl-S shows what saving it would change",
  },
} as const;

export function configLines(state: ConfigState, size: ScreenSize): readonly Line[] {
  const { page, file } = state;
  if (file === null) return waitingLines(state, size);
  if (page.kind === "text") return textLines(state, page.text, size);
  if (page.kind === "history") return [...historyLines(page, size), ...noteLines(state, size)];
  const version =
    page.kind === "version" ? `From version ${page.entries[page.at]?.n ?? ""} to the file now` : "";
  const { title, toneFor, question } =
    page.kind === "version" ? { title: version, toneFor: diffTone, question: null } : PAGES[page.kind];
  return [
    headLine(title, belowText(page.text), size),
    ...pageLines(page.text, toneFor),
    ...(question === null ? noteLines(state, size) : [questionLine(state, question, size)]),
  ];
}

function plain(): Tone {
  return "plain";
}

function waitingLines({ busy, note }: ConfigState, { symbols }: ScreenSize): readonly Line[] {
  if (note !== null)
    return [[span(`${symbols.error} ${note.text}`, "bad")], [span("Enter reads it again", "faint")]];
  return [[span(`${busy === null ? "" : REQUESTS[busy]} ${symbols.ellipsis}`, "faint")]];
}

function headLine(title: string, right: string, { width, symbols }: ScreenSize): Line {
  return spread([span(title, "strong")], [span(right, "faint")], width, symbols.ellipsis);
}

/** The visible part of the text, filled up with empty lines so that the lines below it do not move. */
function pageLines(text: Scroller, toneFor: (line: string) => Tone): readonly Line[] {
  const shown = shownLines(text).map((line): Line => [span(line, toneFor(line))]);
  return [...shown, ...Array.from({ length: Math.max(0, text.size.height - shown.length) }, (): Line => [])];
}

function questionLine(state: ConfigState, question: string, { width, symbols }: ScreenSize): Line {
  const { busy, note } = state;
  if (busy !== null) return [span(`${REQUESTS[busy]} ${symbols.ellipsis}`, "faint")];
  // A note, such as a failed save, may replace the question, because the hints in the last line still name
  // the question's keys.
  if (note !== null)
    return [span(cutText(`${symbols.error} ${note.text}`, width, symbols.ellipsis), note.tone)];
  return [span(cutText(question, width, symbols.ellipsis), "warning")];
}

function textLines(state: ConfigState, text: Scroller, size: ScreenSize): readonly Line[] {
  const { file, written, busy } = state;
  const { symbols } = size;
  const mark = written === null ? "" : `${symbols.on} not saved  `;
  const how = busy === null ? "" : `${REQUESTS[busy]} ${symbols.ellipsis}  `;
  const right = [span(mark, "warning"), span(`${how}${belowText(text)}`, "faint")];
  return [
    spread([span(file?.path ?? "", "strong")], right, size.width, symbols.ellipsis),
    ...pageLines(text, plain),
    ...noteLines(state, size),
  ];
}

function noteLines({ note }: ConfigState, view: ScreenSize): readonly Line[] {
  return note === null
    ? []
    : markedLines(noteMark(note.tone, view.symbols), note.text, note.tone, view, FOOT);
}

function historyLines(page: Extract<ConfigPage, { kind: "history" }>, size: ScreenSize): readonly Line[] {
  const { symbols, width, height } = size;
  const { entries, at } = page;
  const head = headLine(
    "History, newest first",
    entries === null ? "" : counted(entries.length, "version"),
    size,
  );
  if (entries === null) return [head, [span(symbols.ellipsis, "faint")]];
  if (entries.length === 0) return [head, [span("nothing was changed yet", "faint")]];
  const room = Math.max(1, height - HEAD - FOOT);
  const rows = drawnRows(entries, room, at, ({ n, time, source, summary }, isChosen): Line => {
    const when = new Date(time);
    const start = `${String(n).padStart(4)}  ${localDay(when)} ${localClock(when)}  `;
    const who = `${cell(shownLine(source), SOURCE_WIDTH, size)} `;
    const left = Math.max(0, width - 2 - start.length - who.length);
    return [
      rowMark(isChosen, size),
      span(start, isChosen ? "strong" : "plain"),
      span(who, "faint"),
      span(cutText(shownLine(n === 0 ? `${summary} (runs now)` : summary), left, symbols.ellipsis)),
    ];
  });
  return [head, ...rows, ...Array.from({ length: Math.max(0, room - rows.length) }, (): Line => [])];
}

export function configHints({ page, written, file }: ConfigState): readonly string[] {
  if (file === null) return ["Enter read again", "q quit"];
  switch (page.kind) {
    case "text":
      return [
        "Enter edit",
        ...(written === null ? [] : ["Ctrl-S save", "Esc drop"]),
        "Space more",
        "h history",
        "q quit",
      ];
    case "mistakes":
      return ["Enter edit again", "Space more", "Esc back"];
    case "review":
      return ["Enter save", "Space more", "Esc back"];
    case "conflict":
      return ["Enter edit", "Ctrl-S review", "Space more", "Esc back"];
    case "history":
      return ["Enter compare", "r roll back", "Esc back"];
    case "version":
      return ["Space more", "r roll back", "Esc back"];
  }
}
