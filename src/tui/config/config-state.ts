// The Config screen's state and its reaction to keys. Pure: reading, checking, saving and asking are returned as actions.
import type {
  ConfigCheckReport,
  ConfigMistakeWire,
  EditReport,
  HistoryEntry,
  NameChanges,
  ReloadReport,
} from "../../api/contract.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { counted } from "../../runtime/text/plain-text.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import type { Note } from "../terminal/prompt.ts";
import { createScroller, pressScrollKey, type Scroller, type TextSize, withSize } from "../text/scroller.ts";
import {
  createTextEditor,
  editorText,
  pasteText,
  pressEditorKey,
  type TextEditor,
  withCaretAt,
} from "../text/text-editor.ts";

/** The file as it was read. */
export interface ConfigFile {
  readonly path: string;
  readonly sha256: string;
  readonly text: string;
}

export type ConfigPage =
  | { readonly kind: "text"; readonly isEditing: boolean }
  /** What a save would change, before it. */
  | { readonly kind: "review"; readonly text: Scroller }
  /** What somebody else has changed in the file. */
  | { readonly kind: "conflict"; readonly text: Scroller }
  /** null: not read yet. */
  | { readonly kind: "history"; readonly entries: readonly HistoryEntry[] | null; readonly at: number }
  | {
      readonly kind: "version";
      readonly entries: readonly HistoryEntry[];
      readonly at: number;
      readonly text: Scroller;
    };

/** What the daemon is asked; keys wait for its answer. */
export type ConfigErrand = "read" | "check" | "save" | "history" | "version" | "rollback";

export interface ConfigState {
  /** What the text below came from; null: not read yet. */
  readonly file: ConfigFile | null;
  /** Another content that the file has by now, while the text is not saved. */
  readonly fresh: ConfigFile | null;
  readonly editor: TextEditor;
  /** Whether the text is not what was read. */
  readonly isDirty: boolean;
  readonly page: ConfigPage;
  readonly busy: ConfigErrand | null;
  /** In the text that was checked last. */
  readonly mistakes: readonly ConfigMistakeWire[];
  readonly note: Note | null;
  readonly size: TextSize;
}

export type ConfigAction =
  | { readonly kind: "read" }
  | { readonly kind: "check"; readonly text: string }
  | { readonly kind: "save"; readonly text: string; readonly sha256: string }
  | { readonly kind: "history" }
  | { readonly kind: "version"; readonly entry: HistoryEntry }
  /** To be asked about first. */
  | { readonly kind: "rollback"; readonly entry: HistoryEntry; readonly sha256: string }
  /** To be asked about first: drops what was typed. */
  | { readonly kind: "drop" };

interface ConfigStep {
  readonly state: ConfigState;
  readonly action: ConfigAction | null;
  /** False: the key means nothing here. */
  readonly used: boolean;
}

export const EMPTY_CONFIG: ConfigState = {
  file: null,
  fresh: null,
  editor: createTextEditor(""),
  isDirty: false,
  page: { kind: "text", isEditing: false },
  busy: null,
  mistakes: [],
  note: null,
  size: { width: 80, height: 20 },
};

/** The line above every page, and the one below the text. */
export const HEAD = 1;
export const FOOT = 1;

/** The file as it is read now. What is typed and not saved stays. */
export function withFile(state: ConfigState, file: ConfigFile): ConfigState {
  const idle = state.busy === "read" ? { ...state, busy: null } : state;
  if (state.file === null) return { ...idle, file, editor: createTextEditor(file.text), isDirty: false };
  if (state.file.sha256 === file.sha256) return { ...idle, fresh: null };
  if (!state.isDirty) {
    const { row, column } = state.editor.caret;
    const editor = withCaretAt(createTextEditor(file.text), row + 1, column + 1);
    return { ...idle, file, fresh: null, editor, mistakes: [] };
  }
  return {
    ...idle,
    fresh: file,
    note: {
      tone: "warning",
      text: "the file was changed by somebody else; your text is kept, Ctrl-S shows what changed",
    },
  };
}

/** The check's answer: mistakes at their places, else what a save would change. null: this daemon checks at the save. */
export function withCheck(state: ConfigState, check: ConfigCheckReport | null): ConfigState {
  const { file, editor, size } = state;
  const idle: ConfigState = { ...state, busy: null, mistakes: [] };
  if (check !== null && check.mistakes.length > 0) return withMistakes(idle, check.mistakes);
  const diff = diffText(file?.text ?? "", editorText(editor), { before: "the file", after: "your text" });
  const text = createScroller(reviewText(check, diff), pageSize(size));
  return { ...idle, note: null, page: { kind: "review", text } };
}

function reviewText(check: ConfigCheckReport | null, diff: string): string {
  if (check === null) return diff;
  const changes = check.would_change === null ? [] : changesOf(check.would_change);
  const waits = check.waits_for_approval;
  return [
    ...(changes.length === 0 ? ["Changes nothing that runs."] : ["Would change:", ...changes.map(bullet)]),
    ...(waits.length === 0 ? [] : ["Runs something new. Saving it here approves it:", ...waits.map(bullet)]),
    "",
    diff,
  ].join("\n");
}

/** One line each: "sync.poll_interval", "adds the backend files". */
function changesOf({ settings, shares, backends, middleware }: ReloadReport): readonly string[] {
  return [
    ...settings,
    ...namesOf(shares, "share"),
    ...namesOf(backends, "backend"),
    ...middleware.map((name) => `changes the middleware ${name}`),
  ];
}

function namesOf({ added, removed, changed }: NameChanges, noun: string): readonly string[] {
  return [
    ...added.map((name) => `adds the ${noun} ${name}`),
    ...removed.map((name) => `removes the ${noun} ${name}`),
    ...changed.map((name) => `changes the ${noun} ${name}`),
  ];
}

/** The caret at the first of them; nothing is saved. */
function withMistakes(state: ConfigState, mistakes: readonly ConfigMistakeWire[]): ConfigState {
  const [first] = mistakes;
  return {
    ...state,
    mistakes,
    editor: withCaretAt(state.editor, first?.line ?? 1, first?.column ?? 1),
    page: { kind: "text", isEditing: true },
    note: { tone: "bad", text: `not saved: ${counted(mistakes.length, "mistake")}` },
  };
}

function bullet(text: string): string {
  return `  ${text}`;
}

/** What became of a save of `text`. */
export function withSaved(state: ConfigState, text: string, report: EditReport): ConfigState {
  const idle: ConfigState = { ...state, busy: null, mistakes: [] };
  if (report.errors.length > 0) return withMistakes(idle, report.errors);
  const file = { path: report.path, sha256: report.sha256, text };
  return {
    ...idle,
    file,
    fresh: state.fresh?.sha256 === file.sha256 ? null : state.fresh,
    isDirty: editorText(state.editor) !== text,
    page: { kind: "text", isEditing: false },
    note: savedNote(report),
  };
}

function savedNote({ changed, reload }: EditReport): Note {
  if (!changed) return { tone: "good", text: "the file says so already" };
  if (reload === null) return { tone: "good", text: "saved" };
  const { failure, errors, summary, waiting = [] } = reload;
  if (failure !== null) return { tone: "bad", text: `saved, but not applied: ${failure}` };
  if (errors.length > 0)
    return { tone: "bad", text: `saved, but not applied: the file has ${counted(errors.length, "mistake")}` };
  if (waiting.length === 0) return { tone: "good", text: `saved: ${summary}` };
  return { tone: "warning", text: `saved: ${summary}; waits for your approval (a): ${waiting.join(", ")}` };
}

/** A save was refused because the file is another one by now: what changed there is shown, what was typed is kept. */
export function withConflict(state: ConfigState, fresh: ConfigFile): ConfigState {
  const before = state.file?.text ?? "";
  const diff = diffText(before, fresh.text, { before: "the file you read", after: "the file now" });
  return {
    ...state,
    busy: null,
    file: fresh,
    fresh: null,
    isDirty: editorText(state.editor) !== fresh.text,
    page: { kind: "conflict", text: createScroller(diff === "" ? "nothing" : diff, pageSize(state.size)) },
    note: {
      tone: "bad",
      text: "not saved, your text is kept: somebody else changed the file",
    },
  };
}

/** An errand came to nothing; what is typed stays. */
export function withFailure(state: ConfigState, reason: string): ConfigState {
  return { ...state, busy: null, note: { tone: "bad", text: reason } };
}

export function withHistory(state: ConfigState, entries: readonly HistoryEntry[]): ConfigState {
  const at = state.page.kind === "history" ? Math.min(state.page.at, Math.max(0, entries.length - 1)) : 0;
  return { ...state, busy: null, page: { kind: "history", entries, at } };
}

/** The difference from a version to the file as it is. */
export function withVersion(state: ConfigState, entry: HistoryEntry, text: string): ConfigState {
  const { page, file, size } = state;
  if (page.kind !== "history" || page.entries === null) return { ...state, busy: null };
  const diff = diffText(text, file?.text ?? "", { before: `version ${entry.n}`, after: "the file now" });
  const shown = createScroller(diff === "" ? "The file is the same now." : diff, pageSize(size));
  return { ...state, busy: null, page: { kind: "version", entries: page.entries, at: page.at, text: shown } };
}

/** What became of a rollback; the file is to be read again. */
export function withRollback(state: ConfigState, entry: HistoryEntry, report: EditReport): ConfigState {
  const idle: ConfigState = { ...state, busy: null };
  const [first] = report.errors;
  if (first !== undefined) {
    const text = `not rolled back: ${first.line}:${first.column}: ${first.path} found ${first.found}, expected ${first.expected}`;
    return { ...idle, note: { tone: "bad", text } };
  }
  const { text, tone } = savedNote(report);
  const note: Note = { tone, text: `rolled back to version ${entry.n}: ${text}` };
  return { ...idle, page: { kind: "text", isEditing: false }, note };
}

/** What was typed is dropped: the text is the file's again. */
export function withoutChanges(state: ConfigState): ConfigState {
  const file = state.fresh ?? state.file;
  if (file === null) return state;
  return {
    ...state,
    file,
    fresh: null,
    editor: createTextEditor(file.text),
    isDirty: false,
    mistakes: [],
    note: null,
    page: { kind: "text", isEditing: false },
  };
}

export function withConfigSize(state: ConfigState, { width, height }: TextSize): ConfigState {
  const size = { width, height };
  const { page } = state;
  if (page.kind === "text" || page.kind === "history") return { ...state, size };
  return { ...state, size, page: { ...page, text: withSize(page.text, pageSize(size)) } };
}

function pageSize({ width, height }: TextSize): TextSize {
  return { width, height: Math.max(1, height - HEAD - FOOT) };
}

/** Lines of the text that are in sight. */
export function textHeight({ size, mistakes, note }: ConfigState): number {
  const shown = mistakes.length > 0 || note !== null ? MISTAKE_LINES : FOOT;
  return Math.max(1, size.height - HEAD - shown);
}

/** Below the text: the mistake at hand, or the note. */
export const MISTAKE_LINES = 3;

export function pressConfigKey(state: ConfigState, key: Key): ConfigStep {
  const { page } = state;
  if (state.file === null)
    return isNamed(key, "enter") ? { state, action: { kind: "read" }, used: true } : unused(state);
  switch (page.kind) {
    case "text":
      return page.isEditing ? inEditor(state, key) : inText(state, key);
    case "review":
      return inReview(state, page, key);
    case "conflict":
      return inConflict(state, page, key);
    case "history":
      return inHistory(state, page, key);
    case "version":
      return inVersion(state, page, key);
  }
}

/** Text that came as one piece; it begins the edit where none is under way. */
export function pasteIntoConfig(state: ConfigState, text: string): ConfigState {
  if (state.file === null || state.page.kind !== "text") return state;
  return edited({ ...state, page: { kind: "text", isEditing: true } }, pasteText(state.editor, text));
}

function used(state: ConfigState): ConfigStep {
  return { state, action: null, used: true };
}

function unused(state: ConfigState): ConfigStep {
  return { state, action: null, used: false };
}

function onText(state: ConfigState, isEditing: boolean): ConfigStep {
  return used({ ...state, page: { kind: "text", isEditing } });
}

function edited(state: ConfigState, editor: TextEditor): ConfigState {
  if (editor.lines === state.editor.lines) return { ...state, editor };
  // What was found is about another text.
  return { ...state, editor, isDirty: editorText(editor) !== state.file?.text, mistakes: [], note: null };
}

/** The text is read: keys that write are the frame's. */
function inText(state: ConfigState, key: Key): ConfigStep {
  const { editor } = state;
  if (editor.search !== null) return inEditor(state, key);
  if (key.kind === "character") {
    if (key.text === "h") return asked(state, { kind: "history" }, { kind: "history", entries: null, at: 0 });
    if (key.text === "/") return inEditor(state, { kind: "named", name: "find" });
    return key.text === " " ? inEditor(state, { kind: "named", name: "pagedown" }) : unused(state);
  }
  switch (key.name) {
    case "enter":
      return onText(state, true);
    case "save":
      return saveStep(state);
    case "escape":
      if (state.isDirty) return { state, action: { kind: "drop" }, used: true };
      return state.note === null && state.mistakes.length === 0
        ? unused(state)
        : used({ ...state, note: null, mistakes: [] });
    case "up":
    case "down":
    case "left":
    case "right":
    case "home":
    case "end":
    case "pageup":
    case "pagedown":
    case "find":
    case "undo":
    case "redo":
      return inEditor(state, key);
    default:
      return unused(state);
  }
}

function inEditor(state: ConfigState, key: Key): ConfigStep {
  if (state.editor.search === null && key.kind === "named") {
    if (key.name === "escape") return onText(state, false);
    if (key.name === "save") return saveStep(state);
  }
  const step = pressEditorKey({ ...state.editor, pageLines: textHeight(state) }, key);
  return { state: edited(state, step.state), action: null, used: step.used };
}

function asked(
  state: ConfigState,
  action: ConfigAction & { kind: ConfigErrand },
  page?: ConfigPage,
): ConfigStep {
  return { state: { ...state, busy: action.kind, note: null, page: page ?? state.page }, action, used: true };
}

function saveStep(state: ConfigState): ConfigStep {
  if (!state.isDirty) return used({ ...state, note: { tone: "good", text: "nothing to save" } });
  if (state.fresh !== null) return used(withConflict(state, state.fresh));
  return asked(state, { kind: "check", text: editorText(state.editor) });
}

function inReview(state: ConfigState, page: Extract<ConfigPage, { kind: "review" }>, key: Key): ConfigStep {
  if (isNamed(key, "escape")) return onText(state, true);
  if (isNamed(key, "enter") || isNamed(key, "save")) {
    const { file } = state;
    if (file === null) return used(state);
    return asked(state, { kind: "save", text: editorText(state.editor), sha256: file.sha256 });
  }
  return scrolled(state, page, key);
}

function scrolled(state: ConfigState, page: Extract<ConfigPage, { text: Scroller }>, key: Key): ConfigStep {
  const text = pressScrollKey(page.text, key);
  return text === null ? unused(state) : used({ ...state, page: { ...page, text } });
}

function inConflict(
  state: ConfigState,
  page: Extract<ConfigPage, { kind: "conflict" }>,
  key: Key,
): ConfigStep {
  if (isNamed(key, "escape") || isNamed(key, "enter")) return onText(state, true);
  if (isNamed(key, "save")) return saveStep(state);
  return scrolled(state, page, key);
}

function inHistory(state: ConfigState, page: Extract<ConfigPage, { kind: "history" }>, key: Key): ConfigStep {
  if (isNamed(key, "escape") || isNamed(key, "left")) return onText(state, false);
  const entries = page.entries ?? [];
  const entry = entries[page.at];
  if (key.kind === "character")
    return key.text === "r" && entry !== undefined ? rollbackStep(state, entry) : unused(state);
  const room = pageSize(state.size).height;
  const by = { up: -1, down: 1, pageup: -room, pagedown: room, home: -entries.length, end: entries.length };
  const moved = Object.entries(by).find(([name]) => name === key.name)?.[1];
  if (moved !== undefined) {
    const at = Math.max(0, Math.min(entries.length - 1, page.at + moved));
    return used({ ...state, page: { ...page, at } });
  }
  if (key.name === "enter" && entry !== undefined) return asked(state, { kind: "version", entry });
  return unused(state);
}

function rollbackStep(state: ConfigState, entry: HistoryEntry): ConfigStep {
  const { file } = state;
  if (file === null) return unused(state);
  if (state.isDirty)
    return used({ ...state, note: { tone: "warning", text: "save or drop what you typed first" } });
  return {
    state: { ...state, note: null },
    action: { kind: "rollback", entry, sha256: file.sha256 },
    used: true,
  };
}

function inVersion(state: ConfigState, page: Extract<ConfigPage, { kind: "version" }>, key: Key): ConfigStep {
  const { entries, at } = page;
  if (isNamed(key, "escape") || isNamed(key, "left"))
    return used({ ...state, page: { kind: "history", entries, at } });
  const entry = entries[at];
  if (key.kind === "character" && key.text === "r" && entry !== undefined) return rollbackStep(state, entry);
  return scrolled(state, page, key);
}
