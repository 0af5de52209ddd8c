// The state of the settings panel, and its changes by reports and answers of the daemon. Pure.
import type { ConfigMistakeWire, SyncSettingsWire } from "../../api/contract.ts";
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
  type SyncDraft,
  settingsOf,
} from "../../api/forms/sync-fields.ts";
import { mistakesText } from "../../api/words/outcome-words.ts";
import type { ChangedLine } from "./changed-lines.ts";

/** The values of the fields with a choice. */
export const CHOICES = { detection: DETECTIONS, on_failure: FAILURE_MODES } as const;

/** The configuration file as it was when the panel was last clean: an edit is based on it. */
export interface FileSeen {
  readonly sha256: string;
  readonly text: string;
}

/** Result of the last save or reload, until the next change. `applied`: why a saved file does not run, or null. */
export type PanelNote =
  | { readonly kind: "saved"; readonly lines: readonly ChangedLine[]; readonly applied: string | null }
  | { readonly kind: "reloaded"; readonly summary: string }
  | { readonly kind: "nothing" }
  | { readonly kind: "invalid" }
  | { readonly kind: "unsaved" }
  | { readonly kind: "failed"; readonly reason: string };

export interface PanelState {
  /** The running settings; null before the first report. */
  readonly settings: SyncSettingsWire | null;
  readonly draft: SyncDraft | null;
  readonly file: FileSeen | null;
  /** Hash of the content that ran when the panel was last clean: the user has seen it before the first change. */
  readonly seenSha256: string | null;
  /** True if the file has changed since the draft was begun. */
  readonly fileChanged: boolean;
  readonly focus: FieldName | null;
  /** Position in the focused number. */
  readonly caret: number;
  /** The whole number is marked: typing replaces it. */
  readonly marked: boolean;
  /** The daemon's mistakes, by field. */
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

/** The mistakes in the draft, by field; those of the panel's own rules win over the daemon's. */
export function panelMistakes(state: PanelState): FieldMistakes {
  return state.draft === null ? {} : { ...state.refused, ...draftMistakes(state.draft) };
}

/** Whether a character typed now goes into a field. */
export function takesText({ focus }: PanelState): boolean {
  return focus !== null && isNumberField(focus);
}

/** New running settings. Changed fields keep their draft. */
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
  // The content that the user has seen may be read only after the first change, for instance after a daemon restart.
  if (!isDirty(state) || seenSha256 === null || file.sha256 === seenSha256) {
    return { ...state, file, fileChanged: false };
  }
  // The file has changed before it was read: the user's edit must not be made in a content they have not seen.
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
