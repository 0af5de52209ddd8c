// Owns the words of the settings panel: a line for each field, what is wrong beside it, and what became of a save.
import type { SyncSettingsWire } from "../api/contract.ts";
import { columns, padded } from "../runtime/plain-text.ts";
import type { ChangedLine } from "./changed-lines.ts";
import { cutLine, cutText, type Line, lineColumns, type Span, span, spread } from "./line.ts";
import { isDirty, type PanelNote, type PanelState, panelMistakes } from "./panel-state.ts";
import { markedLines } from "./status-lines.ts";
import {
  DETECTIONS,
  FAILURE_MODES,
  FIELD_LABELS,
  FIELDS,
  type FieldName,
  isNumberField,
  type NumberField,
  type SyncDraft,
} from "./sync-fields.ts";
import type { View } from "./view.ts";

const LABEL_WIDTH = 12;
const NUMBER_WIDTH = 8;

const HELP: Readonly<Record<FieldName, string>> = {
  enabled: "watch the file, and apply every change at once",
  poll_interval: "seconds from one look at the file to the next",
  debounce: "seconds the file must rest before it is read",
  detection: "by the file's time, by its content, or by the system's events",
  on_failure: "after a failed reload: try again ever later, at the interval, or not",
};

/** The panel in its fixed height: a title, and a line for each field. */
export const PANEL_HEIGHT = 1 + FIELDS.length;

/** The title and the fields: PANEL_HEIGHT lines. */
export function panelLines(state: PanelState, view: View): readonly Line[] {
  const { draft } = state;
  const mistakes = panelMistakes(state);
  return [
    titleLine(state, view),
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

function titleLine(state: PanelState, { width, symbols }: View): Line {
  const title = [span("Settings ", "strong"), span("[sync]", "faint")];
  const right: Line = state.saving
    ? [span("saving", "accent"), span(symbols.ellipsis, "accent")]
    : isDirty(state)
      ? [span(`${symbols.on} not saved`, "warning")]
      : [];
  return spread(title, right, width, symbols.ellipsis);
}

function fieldLine(field: FieldName, state: PanelState, draft: SyncDraft, view: View): Line {
  const isFocused = state.focus === field;
  const { symbols } = view;
  const label = FIELD_LABELS[field].padEnd(LABEL_WIDTH);
  const lead = [
    span(isFocused ? padded(symbols.focus, 2) : "  ", "accent"),
    span(label, isFocused ? "strong" : "plain"),
  ];
  if (isNumberField(field)) return [...lead, ...numberSpans(field, state, draft, isFocused, view)];
  if (field === "enabled") {
    const text = draft.enabled ? symbols.checked : symbols.notChecked;
    return [...lead, span(text, isFocused ? "cursor" : "plain")];
  }
  return field === "detection"
    ? [...lead, ...choiceSpans(DETECTIONS, draft.detection, isFocused, view)]
    : [...lead, ...choiceSpans(FAILURE_MODES, draft.on_failure, isFocused, view)];
}

function choiceSpans(
  choices: readonly (SyncSettingsWire["detection"] | SyncSettingsWire["on_failure"])[],
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
  { look }: View,
): readonly Span[] {
  const text = span(draft[field]).text;
  const rest = " ".repeat(Math.max(0, NUMBER_WIDTH - columns(text)));
  if (!isFocused) return [span(text, "strong"), span(`${rest} s`, "faint")];
  if (marked && look.color) return [span(text, "cursor"), span(`${rest} s`, "faint")];
  const at = marked ? "" : text.slice(caret, caret + 1);
  // Without colour nothing can be shown inverted: the place is shown by a character of its own.
  const spot: Span[] = look.color ? [span(at === "" ? " " : at, "cursor")] : [span("_", "cursor"), span(at)];
  const filled = rest.slice(look.color && at !== "" ? 0 : 1);
  return [span(text.slice(0, caret)), ...spot, span(text.slice(caret + 1)), span(`${filled} s`, "faint")];
}

/** What there is to say below the fields: what became of a save, that the file changed, or help; any number of lines. */
export function panelNoteLines(state: PanelState, view: View): readonly Line[] {
  const { symbols } = view;
  const { focus, note } = state;
  const warn = (text: string): readonly Line[] => markedLines(symbols.warning, text, "warning", view, 2);
  if (state.fileChanged)
    return warn("the file has changed meanwhile: not saved; Esc reads it again and drops these changes");
  if (note !== null) return noteLines(note, view);
  if (focus === null || state.draft === null) return [];
  return [cutLine([span("  "), span(HELP[focus], "faint")], view.width, symbols.ellipsis)];
}

function noteLines(note: PanelNote, view: View): readonly Line[] {
  const { symbols } = view;
  switch (note.kind) {
    case "saved":
      return [
        note.applied === null
          ? [
              span(
                `${symbols.same} saved and in effect${note.lines.length > 0 ? "; the file now:" : ""}`,
                "good",
              ),
            ]
          : cutLine(
              [span(`${symbols.warning} saved, but not in effect: ${note.applied}`, "warning")],
              view.width,
              symbols.ellipsis,
            ),
        ...note.lines.map((line) => changedLine(line, note.lines, view)),
      ];
    case "reloaded":
      return [[span(`${symbols.same} reloaded: ${note.summary}`, "good")]];
    case "nothing":
      return [[span("nothing to save", "faint")]];
    case "invalid":
      return [[span(`${symbols.error} not saved: mend what is marked first`, "bad")]];
    case "unsaved":
      return [[span(`${symbols.warning} not saved: Ctrl-S saves, Esc drops, q again leaves`, "warning")]];
    case "failed":
      return markedLines(symbols.error, note.reason, "bad", view, 4);
  }
}

function changedLine({ mark, number, text }: ChangedLine, all: readonly ChangedLine[], view: View): Line {
  const digits = Math.max(...all.map((line) => String(line.number).length));
  const lead = `  ${String(number).padStart(digits)} ${mark} `;
  const room = view.width - lineColumns([span(lead)]);
  const tone = mark === "+" ? "good" : "faint";
  return [span(lead, tone), span(cutText(span(text).text, room, view.symbols.ellipsis), tone)];
}
