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
  /**
   * Hash of the content that ran when the panel was last clean, which is what the user saw before a change.
   */
  readonly seenSha256: string | null;
  /** True if the file has changed since the draft was begun. */
  readonly fileChanged: boolean;
  readonly focus: FieldName | null;
  /** Position in the focused number. */
  readonly caret: number;
  /** True if the whole number is marked: typing replaces it. */
  readonly marked: boolean;
  /** The mistakes that the daemon has reported, by field. */
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

/** The mistakes in the draft, by field; a mistake found by the panel wins over one found by the daemon. */
export function panelMistakes(state: PanelState): FieldMistakes {
  return state.draft === null ? {} : { ...state.refused, ...draftMistakes(state.draft) };
}

/** Whether a character typed now goes into a field. */
export function takesText({ focus }: PanelState): boolean {
  return focus !== null && isNumberField(focus);
}

/** Applies new running settings; fields that the user has changed keep their draft. */
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

/** Applies the file that was read again. */
export function withFile(state: PanelState, file: FileSeen): PanelState {
  const { seenSha256 } = state;
  // Read after the first change, the file is still a valid base if the user has seen this content.
  if (!isDirty(state) || seenSha256 === null || file.sha256 === seenSha256) {
    return { ...state, file, fileChanged: false };
  }
  // The file has changed before its first read: the seen hash prevents an edit of content that the user has
  // not seen.
  if (state.file === null) return { ...state, file: { ...file, sha256: seenSha256 }, fileChanged: true };
  return { ...state, fileChanged: file.sha256 !== state.file.sha256 };
}

/** Shows that the daemon has written the edit. `applied`: why it does not run yet, or null. */
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

/** Shows that the daemon has written nothing because of these mistakes. */
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

/** Shows that the daemon has written nothing, because the file was not the expected one. */
export function withConflict(state: PanelState): PanelState {
  return { ...state, saving: false, fileChanged: true, note: null };
}

export function withFailure(state: PanelState, reason: string): PanelState {
  return { ...state, saving: false, note: { kind: "failed", reason } };
}

export function withNote(state: PanelState, note: PanelNote | null): PanelState {
  return { ...state, saving: false, note };
}
