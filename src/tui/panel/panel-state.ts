// The state of the settings panel, and its changes when something comes from the daemon. Pure.
import type { ConfigMistakeWire, SyncSettingsWire } from "../../api/contract.ts";
import {
  changedFields,
  draftMistakes,
  draftOf,
  FIELDS,
  type FieldMistakes,
  type FieldName,
  isNumberField,
  type SyncDraft,
  settingsOf,
} from "../../api/forms/sync-fields.ts";
import { mistakesText } from "../../api/words/outcome-words.ts";
import type { ChangedLine } from "./changed-lines.ts";

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
  /** Hash of the content that ran when the panel was last clean: what a person saw before the first change. */
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
  const { seenSha256 } = state;
  // The read of what a person saw may come only after the first change, over a restart of the daemon, say.
  if (!isDirty(state) || seenSha256 === null || file.sha256 === seenSha256) {
    return { ...state, file, fileChanged: false };
  }
  // It changed before it could be read: an edit of what the person saw must not be made in it.
  if (state.file === null) return { ...state, file: { ...file, sha256: seenSha256 }, fileChanged: true };
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
  const elsewhere: ConfigMistakeWire[] = [];
  for (const mistake of mistakes) {
    const field = FIELDS.find((name) => mistake.path === `sync.${name}`);
    if (field === undefined) elsewhere.push(mistake);
    else refused[field] = `expected ${mistake.expected}`;
  }
  const text = mistakesText(elsewhere);
  const note: PanelNote =
    text === null
      ? { kind: "invalid" }
      : { kind: "failed", reason: `nothing saved, the file has mistakes: ${text}` };
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
