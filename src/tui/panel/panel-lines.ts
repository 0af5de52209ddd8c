// The text of the settings panel: a line for each field with its error, and the result of a save.
import { diffText } from "../../config/history/text-diff.ts";
import { SECTIONS } from "../../config/schema/schema.ts";
import {
  cutLine,
  diffTone,
  hangingLines,
  type Line,
  markedLines,
  span,
  spread,
  type Tone,
  type View,
} from "../terminal/line.ts";
import { fieldLines } from "./field-lines.ts";
import { focusedField, isDirty, type PanelNotice, type PanelState, panelMistake } from "./panel-state.ts";

const HELP_LINES = 2;

/**
 * A title, and a line for each field with its error. `hasProblem`: the file's content is not in effect
 * because of an error.
 */
export function panelLines(state: PanelState, hasProblem: boolean, view: View): readonly Line[] {
  const { form, settings } = state;
  const fields = form.root.children;
  if (settings === null)
    return [titleLine(state, hasProblem, view), ...fields.map(({ label }) => [span(`  ${label}`, "faint")])];
  const section = SECTIONS.find(({ name }) => name === state.section);
  const lines = fieldLines(form, view).map((line, index) => {
    const field = fields[index];
    const mistake = field === undefined ? null : panelMistake(state, field);
    const message = mistake === null ? [] : [span("  "), span(`${view.symbols.bad} ${mistake}`, "bad")];
    const unit = field === undefined ? null : section?.keyDoc(field.label).unit;
    return cutLine([...line, span(unit ? ` ${unit}` : ""), ...message], view.width, view.symbols.ellipsis);
  });
  return [titleLine(state, hasProblem, view), ...lines];
}

function titleLine(state: PanelState, hasProblem: boolean, { width, symbols }: View): Line {
  const title = [span("Settings ", "strong"), span(`[${state.section}]`, "faint")];
  const right: Line[] = [];
  if (hasProblem) right.push([span(`${symbols.bad} the file is not in effect`, "bad")]);
  if (state.saving) right.push([span(`saving${symbols.ellipsis}`, "accent")]);
  else if (isDirty(state)) right.push([span(`${symbols.on} not saved`, "warning")]);
  const spaced = right.flatMap((piece, index): Line => (index === 0 ? piece : [span("  "), ...piece]));
  return spread(title, spaced, width, symbols.ellipsis);
}

/** The result of a save, or that the file has changed; at most `limit` lines. */
export function panelNoticeLines(state: PanelState, view: View, limit: number): readonly Line[] {
  if (state.fileChanged) {
    const text =
      "the file has changed since it was read: not saved; Esc reads it again and drops these changes";
    return markedLines(view.symbols.warning, text, "warning", view, limit);
  }
  return state.notice === null ? [] : noticeLines(state.notice, view, limit);
}

export function panelHelpLines(state: PanelState, view: View): readonly Line[] {
  const field = focusedField(state);
  if (field === null || state.notice !== null || state.fileChanged) return [];
  return hangingLines(span("  "), field.field.about, "faint", view, HELP_LINES);
}

function noticeLines(notice: PanelNotice, view: View, limit: number): readonly Line[] {
  const { symbols } = view;
  const marked = (mark: string, text: string, tone: Tone): readonly Line[] =>
    markedLines(mark, text, tone, view, limit);
  switch (notice.kind) {
    case "saved": {
      const message =
        notice.applied === null
          ? marked(
              symbols.good,
              `saved and in effect${notice.lines.length > 0 ? "; the file now:" : ""}`,
              "good",
            )
          : marked(symbols.warning, `saved, but not in effect: ${notice.applied}`, "warning");
      return [...message, ...changedLinesShown(notice.lines, view, limit - message.length)];
    }
    case "reloaded":
      return marked(symbols.good, `reloaded: ${notice.summary}`, "good");
    case "nothing":
      return [[span("nothing to save", "faint")]];
    case "invalid":
      return marked(symbols.bad, "not saved: correct what is marked first", "bad");
    case "unsaved":
      return marked(symbols.warning, "not saved: Ctrl-S saves, Esc drops, q again leaves", "warning");
    case "failed":
      return marked(symbols.bad, notice.reason, "bad");
  }
}

/** The lines that an edit removed and added, as a diff marks them. */
export function changedLines(before: string, after: string): readonly string[] {
  const [, , ...lines] = diffText(before, after, { before: "", after: "" }).split("\n");
  return lines.filter((line) => /^[-+]/.test(line)).map((line) => line.replace(/\r$/, ""));
}

function changedLinesShown(lines: readonly string[], view: View, limit: number): readonly Line[] {
  const shown = lines.length <= limit ? lines : lines.slice(0, Math.max(0, limit - 1));
  const rest = lines.length - shown.length;
  return [
    ...shown.map((line) =>
      cutLine([span("  "), span(line, diffTone(line))], view.width, view.symbols.ellipsis),
    ),
    ...(rest === 0 || limit <= 0 ? [] : [[span(`  +${rest} more changed lines`, "faint")]]),
  ];
}
