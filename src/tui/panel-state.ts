// Owns what the settings panel is at any moment, and how it goes on from there. Pure: what is to be asked of the
// daemon comes out as a wish.
import type { ConfigMistakeWire, SyncSettingsWire } from "../api/contract.ts";
import type { ChangedLine } from "./changed-lines.ts";
import type { Key } from "./key.ts";
import {
  changedFields,
  DETECTIONS,
  draftMistakes,
  draftOf,
  FAILURE_MODES,
  FIELDS,
  type FieldMistakes,
  type FieldName,
  isNumberField,
  type NumberField,
  type SyncDraft,
  settingsOf,
  TEXT_LIMIT,
} from "./sync-fields.ts";

/** The configuration file as it was when the panel was last clean: what an edit builds on. */
export interface FileSeen {
  readonly sha256: string;
  readonly text: string;
}

/** What became of the last save, until a key is pressed that changes something. */
export type PanelNote =
  | { readonly kind: "saved"; readonly lines: readonly ChangedLine[]; readonly applied: string | null }
  | { readonly kind: "reloaded"; readonly summary: string }
  | { readonly kind: "nothing" }
  | { readonly kind: "invalid" }
  | { readonly kind: "unsaved" }
  | { readonly kind: "failed"; readonly reason: string };

export interface PanelState {
  /** What runs; null until a daemon told. */
  readonly settings: SyncSettingsWire | null;
  readonly draft: SyncDraft | null;
  readonly file: FileSeen | null;
  /** Of the content that ran when the panel was last clean: what a person saw before the first change. */
  readonly seenSha256: string | null;
  /** The file is another than the one this draft builds on. */
  readonly fileChanged: boolean;
  readonly focus: FieldName | null;
  /** Where in a number the next character goes. */
  readonly caret: number;
  /** The whole number is marked: typing replaces it. */
  readonly marked: boolean;
  /** What the daemon found wrong, by field. */
  readonly refused: FieldMistakes;
  readonly saving: boolean;
  readonly note: PanelNote | null;
}

/** What is to be asked of the daemon. */
export type PanelWish = "save" | "reload" | "reread";

export interface PanelStep {
  readonly state: PanelState;
  readonly wish: PanelWish | null;
  /** False: the key means nothing here, and may mean something elsewhere. */
  readonly used: boolean;
}

export const EMPTY_PANEL: PanelState = {
  settings: null,
  draft: null,
  file: null,
  seenSha256: null,
  fileChanged: false,
  focus: null,
  caret: 0,
  marked: false,
  refused: {},
  saving: false,
  note: null,
};

export function isDirty({ draft, settings }: PanelState): boolean {
  return draft !== null && settings !== null && changedFields(draft, settings).length > 0;
}

/** What is wrong with the draft, by field: its own rules first, then what the daemon said. */
export function panelMistakes(state: PanelState): FieldMistakes {
  return state.draft === null ? {} : { ...state.refused, ...draftMistakes(state.draft) };
}

/** Whether a character typed now goes into a field. */
export function takesText({ focus }: PanelState): boolean {
  return focus !== null && isNumberField(focus);
}

/** What runs is this now. What a person has changed stays; everything else follows. */
export function withRunning(state: PanelState, settings: SyncSettingsWire, sha256: string): PanelState {
  const next = withSettings(state, settings);
  return isDirty(state) ? next : { ...next, seenSha256: sha256 };
}

function withSettings(state: PanelState, settings: SyncSettingsWire): PanelState {
  const fresh = draftOf(settings);
  if (state.draft === null || state.settings === null) return { ...state, settings, draft: fresh };
  const mine = changedFields(state.draft, state.settings);
  let draft = fresh;
  for (const field of mine) draft = { ...draft, [field]: state.draft[field] };
  const { focus } = state;
  const isTyping = focus !== null && isNumberField(focus) && !mine.includes(focus);
  if (!isTyping || draft[focus] === state.draft[focus]) return { ...state, settings, draft };
  return { ...state, settings, draft, caret: draft[focus].length, marked: true };
}

/** The file was read again. */
export function withFile(state: PanelState, file: FileSeen): PanelState {
  if (!isDirty(state) || state.file === null) return { ...state, file, fileChanged: false };
  // The read of what a person saw may come only after the first change, over a restart of the daemon, say.
  if (file.sha256 === state.seenSha256) return { ...state, file, fileChanged: false };
  return { ...state, fileChanged: file.sha256 !== state.file.sha256 };
}

/** The daemon wrote the edit. `applied` is null, or why it does not run yet. */
export function withSaved(
  state: PanelState,
  file: FileSeen,
  lines: readonly ChangedLine[],
  applied: string | null,
): PanelState {
  const note: PanelNote = { kind: "saved", lines, applied };
  const next = {
    ...state,
    file,
    fileChanged: false,
    saving: false,
    refused: {},
    note,
    seenSha256: file.sha256,
  };
  return applied === null && state.draft !== null ? withSettings(next, settingsOf(state.draft)) : next;
}

/** The daemon wrote nothing because of these mistakes. */
export function withMistakes(state: PanelState, mistakes: readonly ConfigMistakeWire[]): PanelState {
  const refused: Partial<Record<FieldName, string>> = {};
  const elsewhere: string[] = [];
  for (const { file, line, column, path, found, expected } of mistakes) {
    const field = FIELDS.find((name) => path === `sync.${name}`);
    if (field !== undefined) refused[field] = `expected ${expected}`;
    else elsewhere.push(`${file}:${line}:${column}: ${path} found ${found}, expected ${expected}`);
  }
  const [first, ...more] = elsewhere;
  const note: PanelNote =
    first === undefined
      ? { kind: "invalid" }
      : {
          kind: "failed",
          reason: `nothing saved, the file has mistakes: ${first}${more.length > 0 ? ` (+${more.length} more)` : ""}`,
        };
  return { ...state, saving: false, refused, note };
}

/** The file was not the one expected; nothing was written. */
export function withConflict(state: PanelState): PanelState {
  return { ...state, saving: false, fileChanged: true, note: null };
}

export function withFailure(state: PanelState, reason: string): PanelState {
  return { ...state, saving: false, note: { kind: "failed", reason } };
}

export function withNote(state: PanelState, note: PanelNote | null): PanelState {
  return { ...state, saving: false, note };
}

/**
 * What a key does. `needsReload`: the file's content does not run, or nobody watches it, so that saving an unchanged
 * panel is a wish to apply what is there.
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
  return { state, wish: null, used: false };
}

function used(state: PanelState): PanelStep {
  return { state, wish: null, used: true };
}

function moved(state: PanelState, draft: SyncDraft, by: 1 | -1): PanelStep {
  const from = state.focus === null ? (by === 1 ? -1 : 0) : FIELDS.indexOf(state.focus);
  const focus = FIELDS[(from + by + FIELDS.length) % FIELDS.length] ?? null;
  const length = focus !== null && isNumberField(focus) ? draft[focus].length : 0;
  return used({ ...state, focus, caret: length, marked: length > 0 });
}

function save(state: PanelState, draft: SyncDraft, needsReload: boolean): PanelStep {
  if (Object.keys(draftMistakes(draft)).length > 0) return used({ ...state, note: { kind: "invalid" } });
  if (isDirty(state)) return { state: { ...state, saving: true, note: null }, wish: "save", used: true };
  if (needsReload) return { state: { ...state, saving: true, note: null }, wish: "reload", used: true };
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
      refused: {},
      note: null,
      caret: length,
      marked: length > 0,
    },
    wish: "reread",
    used: wasDirty || state.focus !== null || state.note !== null,
  };
}

type FieldKey = Exclude<Extract<Key, { kind: "named" }>["name"], "tab" | "backtab" | "save" | "escape">;

function inField(state: PanelState, draft: SyncDraft, focus: FieldName, name: FieldKey): PanelStep {
  if (name === "quit") return unused(state);
  if (name === "enter" && focus !== "enabled") return moved(state, draft, 1);
  if (focus === "enabled")
    return name === "enter" ? changed(state, { ...draft, enabled: !draft.enabled }) : used(state);
  if (isNumberField(focus)) return inNumber(state, draft, focus, name);
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
  const before = state.marked ? "" : draft[focus].slice(0, state.caret);
  const after = state.marked ? "" : draft[focus].slice(state.caret);
  const text = before + character + after;
  if (text.length > TEXT_LIMIT) return used(state);
  return withNumber(state, draft, focus, text, before.length + character.length);
}

function inNumber(state: PanelState, draft: SyncDraft, focus: NumberField, name: FieldKey): PanelStep {
  const text = draft[focus];
  const { caret, marked } = state;
  switch (name) {
    case "left":
      return used({ ...state, caret: marked ? 0 : Math.max(0, caret - 1), marked: false });
    case "right":
      return used({
        ...state,
        caret: marked ? text.length : Math.min(text.length, caret + 1),
        marked: false,
      });
    case "home":
      return used({ ...state, caret: 0, marked: false });
    case "end":
      return used({ ...state, caret: text.length, marked: false });
    case "backspace":
    case "delete": {
      if (marked) return withNumber(state, draft, focus, "", 0);
      const from = name === "backspace" ? caret - 1 : caret;
      if (from < 0 || from >= text.length) return used(state);
      return withNumber(state, draft, focus, text.slice(0, from) + text.slice(from + 1), from);
    }
    case "clear":
      return withNumber(state, draft, focus, "", 0);
    default:
      return used(state);
  }
}

function withNumber(
  state: PanelState,
  draft: SyncDraft,
  field: NumberField,
  text: string,
  caret: number,
): PanelStep {
  return changed({ ...state, caret, marked: false }, { ...draft, [field]: text });
}
