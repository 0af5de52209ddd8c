// The text of the settings panel: a line for each field with its mistake, and the result of a save.
import {
  FIELDS,
  type FieldName,
  isNumberField,
  type NumberField,
  type SyncDraft,
} from "../../api/forms/sync-fields.ts";
import { columns } from "../../runtime/text/plain-text.ts";
import {
  cutLine,
  cutText,
  type Line,
  lineColumns,
  markedLines,
  type Span,
  span,
  spread,
  type Tone,
} from "../terminal/line.ts";
import { rowMark } from "../terminal/list-state.ts";
import type { View } from "../terminal/terminal-style.ts";
import type { ChangedLine } from "./changed-lines.ts";
import { CHOICES, isDirty, type PanelNote, type PanelState, panelMistakes } from "./panel-state.ts";

const LABEL_WIDTH = 12;
const NUMBER_WIDTH = 8;

const FIELD_LABELS: Readonly<Record<FieldName, string>> = {
  enabled: "enabled",
  poll_interval: "interval",
  debounce: "debounce",
  detection: "detection",
  on_failure: "on failure",
};

const HELP: Readonly<Record<FieldName, string>> = {
  enabled: "watch the file, and apply every change at once",
  poll_interval: "seconds from one look at the file to the next",
  debounce: "seconds without a change before the file is read",
  detection: "by the file's time, by its content, or by the system's events",
  on_failure: "after a failed reload: try again ever later, at the interval, or not",
};

/** The panel in its fixed height: a title, and a line for each field. */
export const PANEL_HEIGHT = 1 + FIELDS.length;

/** The title and the fields: PANEL_HEIGHT lines. `hasProblem`: the file does not run as it is. */
export function panelLines(state: PanelState, hasProblem: boolean, view: View): readonly Line[] {
  const { draft } = state;
  const mistakes = panelMistakes(state);
  return [
    titleLine(state, hasProblem, view),
    ...FIELDS.map((field) => {
      if (draft === null) return [span(`  ${FIELD_LABELS[field]}`, "faint")];
      const line = fieldLine(field, state, draft, view);
      const mistake = mistakes[field];
      if (mistake === undefined) return cutLine(line, view.width, view.symbols.ellipsis);
      const said = span(`${view.symbols.error} ${mistake}`, "bad");
      return cutLine([...line, span("  "), said], view.width, view.symbols.ellipsis);
    }),
  ];
}

function titleLine(state: PanelState, hasProblem: boolean, { width, symbols }: View): Line {
  const title = [span("Settings ", "strong"), span("[sync]", "faint")];
  const right: Line[] = [];
  if (hasProblem) right.push([span(`${symbols.error} the file is not in effect`, "bad")]);
  if (state.saving) right.push([span(`saving${symbols.ellipsis}`, "accent")]);
  else if (isDirty(state)) right.push([span(`${symbols.on} not saved`, "warning")]);
  const spaced = right.flatMap((piece, index): Line => (index === 0 ? piece : [span("  "), ...piece]));
  return spread(title, spaced, width, symbols.ellipsis);
}

function fieldLine(field: FieldName, state: PanelState, draft: SyncDraft, view: View): Line {
  const isFocused = state.focus === field;
  const { symbols } = view;
  const label = FIELD_LABELS[field].padEnd(LABEL_WIDTH);
  const lead = [rowMark(isFocused, view), span(label, isFocused ? "strong" : "plain")];
  if (isNumberField(field)) return [...lead, ...numberSpans(field, state, draft, isFocused, view)];
  if (field === "enabled") {
    const text = draft.enabled ? symbols.checked : symbols.notChecked;
    return [...lead, span(text, isFocused ? "cursor" : "plain")];
  }
  return [...lead, ...choiceSpans(CHOICES[field], draft[field], isFocused, view)];
}

function choiceSpans(
  choices: readonly string[],
  chosen: string,
  isFocused: boolean,
  { symbols }: View,
): readonly Span[] {
  return choices.flatMap((choice, index): Span[] => {
    const isChosen = choice === chosen;
    const text = `${isChosen ? symbols.chosen : symbols.notChosen} ${choice}`;
    const tone = isChosen ? (isFocused ? "cursor" : "strong") : "faint";
    return [span(index === 0 ? "" : "  "), span(text, tone)];
  });
}

function numberSpans(
  field: NumberField,
  { caret, marked }: PanelState,
  draft: SyncDraft,
  isFocused: boolean,
  { style }: View,
): readonly Span[] {
  const text = span(draft[field]).text;
  const rest = " ".repeat(Math.max(0, NUMBER_WIDTH - columns(text)));
  if (!isFocused) return [span(text, "strong"), span(`${rest} s`, "faint")];
  if (marked && style.color) return [span(text, "cursor"), span(`${rest} s`, "faint")];
  const at = marked ? "" : text.slice(caret, caret + 1);
  // Without colour, an underscore shows the caret.
  const spot: Span[] = style.color ? [span(at === "" ? " " : at, "cursor")] : [span("_", "cursor"), span(at)];
  const filled = rest.slice(style.color && at !== "" ? 0 : 1);
  return [span(text.slice(0, caret)), ...spot, span(text.slice(caret + 1)), span(`${filled} s`, "faint")];
}

/** The result of a save, or that the file has changed; at most `limit` lines. */
export function panelNoteLines(state: PanelState, view: View, limit: number): readonly Line[] {
  if (state.fileChanged) {
    const text = "the file has changed meanwhile: not saved; Esc reads it again and drops these changes";
    return markedLines(view.symbols.warning, text, "warning", view, limit);
  }
  return state.note === null ? [] : noteLines(state.note, view, limit);
}

/** The description of the focused field; none while a note is shown. */
export function panelHelpLines({ focus, note, fileChanged, draft }: PanelState, view: View): readonly Line[] {
  if (focus === null || note !== null || fileChanged || draft === null) return [];
  return [cutLine([span("  "), span(HELP[focus], "faint")], view.width, view.symbols.ellipsis)];
}

function noteLines(note: PanelNote, view: View, limit: number): readonly Line[] {
  const { symbols } = view;
  const marked = (mark: string, text: string, tone: Tone): readonly Line[] =>
    markedLines(mark, text, tone, view, limit);
  switch (note.kind) {
    case "saved": {
      const said =
        note.applied === null
          ? marked(
              symbols.same,
              `saved and in effect${note.lines.length > 0 ? "; the file now:" : ""}`,
              "good",
            )
          : marked(symbols.warning, `saved, but not in effect: ${note.applied}`, "warning");
      return [...said, ...changedLinesShown(note.lines, view, limit - said.length)];
    }
    case "reloaded":
      return marked(symbols.same, `reloaded: ${note.summary}`, "good");
    case "nothing":
      return [[span("nothing to save", "faint")]];
    case "invalid":
      return marked(symbols.error, "not saved: mend what is marked first", "bad");
    case "unsaved":
      return marked(symbols.warning, "not saved: Ctrl-S saves, Esc drops, q again leaves", "warning");
    case "failed":
      return marked(symbols.error, note.reason, "bad");
  }
}

function changedLinesShown(lines: readonly ChangedLine[], view: View, limit: number): readonly Line[] {
  if (lines.length <= limit) return lines.map((line) => changedLine(line, lines, view));
  if (limit <= 0) return [];
  const shown = lines.slice(0, limit - 1);
  const rest: Line = [span(`  +${lines.length - shown.length} more changed lines`, "faint")];
  return [...shown.map((line) => changedLine(line, lines, view)), rest];
}

function changedLine({ mark, number, text }: ChangedLine, all: readonly ChangedLine[], view: View): Line {
  const digits = Math.max(...all.map((line) => String(line.number).length));
  const lead = `  ${String(number).padStart(digits)} ${mark} `;
  const room = view.width - lineColumns([span(lead)]);
  const tone = mark === "+" ? "good" : "faint";
  return [span(lead, tone), span(cutText(span(text).text, room, view.symbols.ellipsis), tone)];
}
