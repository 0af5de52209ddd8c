// Draws the Config screen: the file's text, what a save would change, what changed underneath, and the history.
import { counted, padded } from "../../runtime/text/plain-text.ts";
import { localClock, localDay } from "../../runtime/time/clock.ts";
import { cutText, diffTone, type Line, paragraph, span, spread, type Tone } from "../terminal/line.ts";
import type { ScreenSize } from "../terminal/screen.ts";
import { toneMark } from "../terminal/terminal-style.ts";
import { belowText, type Scroller, shownLines } from "../text/scroller.ts";
import { shownLine } from "../text/shown-text.ts";
import { type ConfigErrand, type ConfigPage, type ConfigState, FOOT, HEAD } from "./config-state.ts";

const ERRANDS: Readonly<Record<ConfigErrand, string>> = {
  read: "reading",
  edit: "in your editor",
  check: "checking",
  save: "saving",
  history: "reading the history",
  version: "reading the version",
  rollback: "rolling back",
};
const SOURCE_WIDTH = 10;

export function configLines(state: ConfigState, size: ScreenSize): readonly Line[] {
  const { page, file } = state;
  if (file === null) return waitingLines(state, size);
  switch (page.kind) {
    case "text":
      return textLines(state, page.text, size);
    case "mistakes":
      return [
        headLine("What is wrong", belowText(page.text), size),
        ...pageLines(page.text, () => "plain"),
        ...noteLines(state, size),
      ];
    case "review":
      return [
        headLine("What a save would change", belowText(page.text), size),
        ...pageLines(page.text, diffTone),
        questionLine(state, "Save it? Enter saves, Esc goes back to your text", size),
      ];
    case "conflict":
      return [
        headLine("What somebody else changed in the file", belowText(page.text), size),
        ...pageLines(page.text, diffTone),
        questionLine(state, "Enter opens your text again, Ctrl-S shows what saving it would change", size),
      ];
    case "history":
      return [...historyLines(page, size), ...noteLines(state, size)];
    case "version": {
      const entry = page.entries[page.at];
      const title = `From version ${entry?.n ?? ""} to the file now`;
      return [
        headLine(title, belowText(page.text), size),
        ...pageLines(page.text, diffTone),
        ...noteLines(state, size),
      ];
    }
  }
}

function waitingLines({ busy, note }: ConfigState, { symbols }: ScreenSize): readonly Line[] {
  if (note !== null)
    return [[span(`${symbols.error} ${note.text}`, "bad")], [span("Enter reads it again", "faint")]];
  return [[span(`${busy === null ? "" : ERRANDS[busy]} ${symbols.ellipsis}`, "faint")]];
}

function headLine(title: string, right: string, { width, symbols }: ScreenSize): Line {
  return spread([span(title, "strong")], [span(right, "faint")], width, symbols.ellipsis);
}

/** As high as the page is, so that what stands below it stays at its place. */
function pageLines(text: Scroller, toneFor: (line: string) => Tone): readonly Line[] {
  const shown = shownLines(text).map((line): Line => [span(line, toneFor(line))]);
  return [...shown, ...Array.from({ length: Math.max(0, text.size.height - shown.length) }, (): Line => [])];
}

function questionLine(state: ConfigState, question: string, { width, symbols }: ScreenSize): Line {
  const { busy, note } = state;
  if (busy !== null) return [span(`${ERRANDS[busy]} ${symbols.ellipsis}`, "faint")];
  // Why a save came to nothing is more than what comes next, which the last line says too.
  if (note !== null)
    return [span(cutText(`${symbols.error} ${note.text}`, width, symbols.ellipsis), note.tone)];
  return [span(cutText(question, width, symbols.ellipsis), "warning")];
}

function textLines(state: ConfigState, text: Scroller, size: ScreenSize): readonly Line[] {
  const { file, written, busy } = state;
  const { symbols } = size;
  const mark = written === null ? "" : `${symbols.on} not saved  `;
  const how = busy === null ? "" : `${ERRANDS[busy]} ${symbols.ellipsis}  `;
  const right = [span(mark, "warning"), span(`${how}${belowText(text)}`, "faint")];
  return [
    spread([span(file?.path ?? "", "strong")], right, size.width, symbols.ellipsis),
    ...pageLines(text, () => "plain"),
    ...noteLines(state, size),
  ];
}

function noteLines({ note }: ConfigState, { width, symbols }: ScreenSize): readonly Line[] {
  if (note === null) return [];
  const { text, tone } = note;
  const mark = tone === "good" ? symbols.same : toneMark(tone, symbols);
  return paragraph(`${mark} ${text}`, width, FOOT, symbols.ellipsis).map((line): Line => [span(line, tone)]);
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
  const top = Math.max(0, Math.min(entries.length - room, at - (room >> 1)));
  const rows = entries.slice(top, top + room).map(({ n, time, source, summary }, index): Line => {
    const isChosen = top + index === at;
    const when = new Date(time);
    const start = `${String(n).padStart(4)}  ${localDay(when)} ${localClock(when)}  `;
    const who = `${padded(cutText(shownLine(source), SOURCE_WIDTH, symbols.ellipsis), SOURCE_WIDTH)}  `;
    const left = Math.max(0, width - 2 - start.length - who.length);
    return [
      span(isChosen ? `${symbols.focus} ` : "  ", "accent"),
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
