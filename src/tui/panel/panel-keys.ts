// The settings panel's reaction to keys. Pure: requests to the daemon are returned as actions.

import {
  DETECTIONS,
  draftMistakes,
  draftOf,
  FAILURE_MODES,
  FIELDS,
  type FieldName,
  isNumberField,
  type NumberField,
  type SyncDraft,
  TEXT_LIMIT,
} from "../../api/forms/sync-fields.ts";
import type { Key } from "../terminal/key.ts";
import { pressTextKey } from "../terminal/typed-text.ts";
import { isDirty, type PanelState } from "./panel-state.ts";

/** What is to be asked of the daemon. */
export type PanelAction = "save" | "reload" | "reread";

export interface PanelStep {
  readonly state: PanelState;
  readonly action: PanelAction | null;
  /** False: the key means nothing here, and may mean something elsewhere. */
  readonly used: boolean;
}

/**
 * What a key does. `needsReload`: the file's content does not run, or nobody watches it, so that saving an unchanged
 * panel asks to apply what is there.
 */
export function pressKey(state: PanelState, key: Key, needsReload: boolean): PanelStep {
  const { draft } = state;
  if (draft === null || state.settings === null || state.saving) return unused(state);
  if (key.kind === "character") return typed(state, draft, key.text);
  switch (key.name) {
    case "tab":
      return moved(state, draft, 1);
    case "backtab":
      return moved(state, draft, -1);
    case "save":
      return save(state, draft, needsReload);
    case "escape":
      return revert(state);
    default:
      return state.focus === null ? unused(state) : inField(state, draft, state.focus, key.name);
  }
}

function unused(state: PanelState): PanelStep {
  return { state, action: null, used: false };
}

function used(state: PanelState): PanelStep {
  return { state, action: null, used: true };
}

function moved(state: PanelState, draft: SyncDraft, by: 1 | -1): PanelStep {
  const from = state.focus === null ? (by === 1 ? -1 : 0) : FIELDS.indexOf(state.focus);
  const focus = FIELDS[(from + by + FIELDS.length) % FIELDS.length] ?? null;
  const length = focus !== null && isNumberField(focus) ? draft[focus].length : 0;
  return used({ ...state, focus, caret: length, marked: length > 0 });
}

function save(state: PanelState, draft: SyncDraft, needsReload: boolean): PanelStep {
  if (Object.keys(draftMistakes(draft)).length > 0) return used({ ...state, note: { kind: "invalid" } });
  if (isDirty(state)) return { state: { ...state, saving: true, note: null }, action: "save", used: true };
  if (needsReload) return { state: { ...state, saving: true, note: null }, action: "reload", used: true };
  return used({ ...state, note: { kind: "nothing" } });
}

function revert(state: PanelState): PanelStep {
  const { settings } = state;
  if (settings === null) return unused(state);
  const wasDirty = isDirty(state) || state.fileChanged;
  const draft = draftOf(settings);
  const focus = wasDirty ? state.focus : null;
  const length = focus !== null && isNumberField(focus) ? draft[focus].length : 0;
  return {
    state: {
      ...state,
      draft,
      focus,
      fileChanged: false,
      // What is read next is what was asked for, also when typing goes on before it is there.
      file: null,
      seenSha256: null,
      refused: {},
      note: null,
      caret: length,
      marked: length > 0,
    },
    action: "reread",
    used: wasDirty || state.focus !== null || state.note !== null,
  };
}

type FieldKey = Exclude<Extract<Key, { kind: "named" }>["name"], "tab" | "backtab" | "save" | "escape">;

function inField(state: PanelState, draft: SyncDraft, focus: FieldName, name: FieldKey): PanelStep {
  if (name === "quit") return unused(state);
  if (name === "enter" && focus !== "enabled") return moved(state, draft, 1);
  if (focus === "enabled")
    return name === "enter" ? changed(state, { ...draft, enabled: !draft.enabled }) : used(state);
  if (isNumberField(focus)) return inNumber(state, draft, focus, { kind: "named", name });
  const by = name === "right" || name === "down" ? 1 : name === "left" || name === "up" ? -1 : 0;
  return by === 0 ? used(state) : chosen(state, draft, focus, by);
}

function chosen(
  state: PanelState,
  draft: SyncDraft,
  focus: "detection" | "on_failure",
  by: 1 | -1,
): PanelStep {
  return focus === "detection"
    ? changed(state, { ...draft, detection: neighbour(DETECTIONS, draft.detection, by) })
    : changed(state, { ...draft, on_failure: neighbour(FAILURE_MODES, draft.on_failure, by) });
}

/** The next choice, round and round. */
function neighbour<T extends string>(choices: readonly T[], value: T, by: 1 | -1): T {
  return choices[(choices.indexOf(value) + by + choices.length) % choices.length] ?? value;
}

function changed(state: PanelState, draft: SyncDraft): PanelStep {
  const { focus } = state;
  const refused = { ...state.refused };
  if (focus !== null) delete refused[focus];
  return used({ ...state, draft, refused, note: null });
}

function typed(state: PanelState, draft: SyncDraft, character: string): PanelStep {
  const { focus } = state;
  if (focus === null) return unused(state);
  if (!isNumberField(focus)) {
    if (character !== " ") return unused(state);
    return focus === "enabled"
      ? changed(state, { ...draft, enabled: !draft.enabled })
      : chosen(state, draft, focus, 1);
  }
  return inNumber(state, draft, focus, { kind: "character", text: character });
}

function inNumber(state: PanelState, draft: SyncDraft, focus: NumberField, key: Key): PanelStep {
  const text = draft[focus];
  const named = key.kind === "named" ? key.name : null;
  const replaces = state.marked && (named === null || named === "backspace" || named === "delete");
  const caret = state.marked && named === "left" ? 0 : state.caret;
  const next = pressTextKey(replaces ? { text: "", caret: 0 } : { text, caret }, key);
  if (next === null || next.text.length > TEXT_LIMIT) return used(state);
  const moved = { ...state, caret: next.caret, marked: false };
  return next.text === text ? used(moved) : changed(moved, { ...draft, [focus]: next.text });
}
