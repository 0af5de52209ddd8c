// The settings panel's reaction to keys. Pure: requests to the daemon are returned as actions.

import {
  draftMistakes,
  draftOf,
  FIELDS,
  type FieldName,
  isNumberField,
  type NumberField,
  type SyncDraft,
  TEXT_LIMIT,
} from "../../api/forms/sync-fields.ts";
import type { Key } from "../terminal/key.ts";
import { next, type Step, unused } from "../terminal/step.ts";
import { pressTextKey } from "../terminal/typed-text.ts";
import { CHOICES, isDirty, type PanelState } from "./panel-state.ts";

/** "reread": read the report and the file again. */
export type PanelAction = "save" | "reload" | "reread";

export type PanelStep = Step<PanelState, PanelAction>;

/**
 * Handles a key. `needsReload`: the file does not run as it is, or is not watched; saving an unchanged panel
 * then applies the file.
 */
export function pressKey(state: PanelState, key: Key, needsReload: boolean): PanelStep {
  const { draft, focus } = state;
  if (draft === null || state.settings === null || state.saving) return unused(state);
  const name = key.kind === "named" ? key.name : key.text === " " ? "space" : "character";
  if (name === "tab") return moved(state, draft, 1);
  if (name === "backtab") return moved(state, draft, -1);
  if (name === "save") return save(state, draft, needsReload);
  if (name === "escape") return revert(state, draftOf(state.settings));
  if (focus === null || name === "quit") return unused(state);
  if (name === "enter" && focus !== "enabled") return moved(state, draft, 1);
  if (isNumberField(focus)) return inNumber(state, draft, focus, key);
  if (name === "character") return unused(state);
  if (focus === "enabled") {
    const isToggle = name === "enter" || name === "space";
    return isToggle ? changed(state, { ...draft, enabled: !draft.enabled }) : next(state);
  }
  const by = { space: 1, right: 1, down: 1, left: -1, up: -1 }[name as string];
  if (by === undefined) return next(state);
  const choices: readonly string[] = CHOICES[focus];
  const at = choices.indexOf(draft[focus]) + by + choices.length;
  return changed(state, { ...draft, [focus]: choices[at % choices.length] });
}

/** Focuses a field, and marks its number, so that typing replaces it. */
function focused(state: PanelState, draft: SyncDraft, focus: FieldName | null): PanelState {
  const length = focus !== null && isNumberField(focus) ? draft[focus].length : 0;
  return { ...state, draft, focus, caret: length, marked: length > 0 };
}

function moved(state: PanelState, draft: SyncDraft, by: 1 | -1): PanelStep {
  const from = state.focus === null ? (by === 1 ? -1 : 0) : FIELDS.indexOf(state.focus);
  return next(focused(state, draft, FIELDS[(from + by + FIELDS.length) % FIELDS.length] ?? null));
}

function save(state: PanelState, draft: SyncDraft, needsReload: boolean): PanelStep {
  if (Object.keys(draftMistakes(draft)).length > 0) return next({ ...state, note: { kind: "invalid" } });
  const action = isDirty(state) ? "save" : needsReload ? "reload" : null;
  if (action === null) return next({ ...state, note: { kind: "nothing" } });
  return next({ ...state, saving: true, note: null }, action);
}

function revert(state: PanelState, draft: SyncDraft): PanelStep {
  const wasDirty = isDirty(state) || state.fileChanged;
  return {
    state: {
      ...focused(state, draft, wasDirty ? state.focus : null),
      fileChanged: false,
      // null, so that the next read of the file is the base of further changes, even if the user types before
      // it.
      file: null,
      seenSha256: null,
      refused: {},
      note: null,
    },
    action: "reread",
    used: wasDirty || state.focus !== null || state.note !== null,
  };
}

function changed(state: PanelState, draft: SyncDraft): PanelStep {
  const { focus } = state;
  const refused = { ...state.refused };
  if (focus !== null) delete refused[focus];
  return next({ ...state, draft, refused, note: null });
}

function inNumber(state: PanelState, draft: SyncDraft, focus: NumberField, key: Key): PanelStep {
  const text = draft[focus];
  const name = key.kind === "named" ? key.name : null;
  const replaces = state.marked && (name === null || name === "backspace" || name === "delete");
  const caret = state.marked && name === "left" ? 0 : state.caret;
  const typed = pressTextKey(replaces ? { text: "", caret: 0 } : { text, caret }, key);
  if (typed === null || typed.text.length > TEXT_LIMIT) return next(state);
  const unmarked = { ...state, caret: typed.caret, marked: false };
  return typed.text === text ? next(unmarked) : changed(unmarked, { ...draft, [focus]: typed.text });
}
