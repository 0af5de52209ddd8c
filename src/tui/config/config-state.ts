// The Config screen's state and its reaction to keys. Pure: reading, checking, saving and asking are returned as actions.
import type {
  ConfigCheckReport,
  ConfigMistakeWire,
  EditReport,
  HistoryEntry,
  NameChanges,
  ReloadReport,
} from "../../api/contract.ts";
import { editOutcome, mistakeText } from "../../api/words/outcome-words.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { counted } from "../../runtime/text/plain-text.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import type { Note } from "../terminal/prompt.ts";
import {
  createScroller,
  pressScrollKey,
  type Scroller,
  type TextSize,
  withSize,
  withText,
} from "../text/scroller.ts";
import { linesOf } from "../text/shown-text.ts";

/** The file as it was read. */
export interface ConfigFile {
  readonly path: string;
  readonly sha256: string;
  readonly text: string;
}

export type ConfigPage =
  /** What was written and is not saved, else the file. */
  | { readonly kind: "text"; readonly text: Scroller }
  /** What is wrong with what was written. */
  | { readonly kind: "mistakes"; readonly text: Scroller }
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

/** What the daemon, or the person's editor, is asked for; keys wait for its answer. */
export type ConfigErrand = "read" | "edit" | "check" | "save" | "history" | "version" | "rollback";

export interface ConfigState {
  /** What the text below came from; null: not read yet. */
  readonly file: ConfigFile | null;
  /** Another content that the file has by now, while the text is not saved. */
  readonly fresh: ConfigFile | null;
  /** What the person wrote and has not saved; null: nothing. */
  readonly written: string | null;
  readonly page: ConfigPage;
  readonly busy: ConfigErrand | null;
  readonly note: Note | null;
  readonly size: TextSize;
}

export type ConfigAction =
  | { readonly kind: "read" }
  | { readonly kind: "edit"; readonly text: string }
  | { readonly kind: "check"; readonly text: string }
  | { readonly kind: "save"; readonly text: string; readonly sha256: string }
  | { readonly kind: "history" }
  | { readonly kind: "version"; readonly entry: HistoryEntry }
  /** To be asked about first. */
  | { readonly kind: "rollback"; readonly entry: HistoryEntry; readonly sha256: string }
  /** To be asked about first: drops what was written. */
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
  written: null,
  page: { kind: "text", text: createScroller("", { width: 80, height: 17 }) },
  busy: null,
  note: null,
  size: { width: 80, height: 20 },
};

/** The line above every page, and those below it. */
export const HEAD = 1;
export const FOOT = 2;

/** The file as it is read now. What is written and not saved stays, and so does what an editor has begun with. */
export function withFile(state: ConfigState, file: ConfigFile): ConfigState {
  const idle = state.busy === "read" ? { ...state, busy: null } : state;
  if (state.file?.sha256 === file.sha256) return { ...idle, fresh: null };
  if (state.file === null || (state.written === null && state.busy !== "edit")) {
    const next: ConfigState = { ...idle, file, fresh: null };
    if (next.page.kind !== "text") return next;
    const text = withText(next.page.text, numbered(file.text));
    return { ...next, page: { kind: "text", text } };
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

/** What the editor was left with: to be checked, or shown beside what somebody else wrote meanwhile. */
export function withWritten(state: ConfigState, text: string): ConfigStep {
  const { file, fresh } = state;
  if (text === file?.text) {
    const note: Note = { tone: "good", text: "nothing was changed" };
    return used({
      ...onText({ ...state, busy: null, written: null, file: fresh ?? file, fresh: null }),
      note,
    });
  }
  return saveStep(onText({ ...state, busy: null, written: text }));
}

/** The check's answer: mistakes at their places, else what a save would change. null: this daemon checks at the save. */
export function withCheck(state: ConfigState, check: ConfigCheckReport | null): ConfigState {
  const { file, written, size } = state;
  const idle: ConfigState = { ...state, busy: null };
  if (check !== null && check.mistakes.length > 0) return withMistakes(idle, check.mistakes);
  const before = file?.text ?? "";
  const diff = diffText(before, written ?? before, { before: "the file", after: "your text" });
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

/** Nothing is saved. */
function withMistakes(state: ConfigState, mistakes: readonly ConfigMistakeWire[]): ConfigState {
  const text = mistakes
    .map((mistake) => `${mistake.line}:${mistake.column}: ${mistakeText(mistake)}`)
    .join("\n");
  return {
    ...state,
    page: { kind: "mistakes", text: createScroller(text, pageSize(state.size)) },
    note: { tone: "bad", text: `not saved: ${counted(mistakes.length, "mistake")}` },
  };
}

function bullet(text: string): string {
  return `  ${text}`;
}

/** What became of a save of `text`. */
export function withSaved(state: ConfigState, text: string, report: EditReport): ConfigState {
  const idle: ConfigState = { ...state, busy: null };
  if (report.errors.length > 0) return withMistakes(idle, report.errors);
  const file = { path: report.path, sha256: report.sha256, text };
  const fresh = state.fresh?.sha256 === file.sha256 ? null : state.fresh;
  return onText({ ...idle, file, fresh, written: null, note: editOutcome(report) });
}

/** A save was refused because the file is another one by now: what changed there is shown, what was written is kept. */
export function withConflict(state: ConfigState, fresh: ConfigFile): ConfigState {
  const before = state.file?.text ?? "";
  const diff = diffText(before, fresh.text, { before: "the file you read", after: "the file now" });
  return {
    ...state,
    busy: null,
    file: fresh,
    fresh: null,
    page: { kind: "conflict", text: createScroller(diff === "" ? "nothing" : diff, pageSize(state.size)) },
    note: {
      tone: "bad",
      text: "not saved, your text is kept: somebody else changed the file",
    },
  };
}

/** An errand failed; what is written stays. */
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
  const { text, tone } = editOutcome(report);
  const note: Note = { tone, text: `rollback to version ${entry.n}: ${text}` };
  return onText({ ...idle, note });
}

/** What was written is dropped: the text is the file's again. */
export function withoutChanges(state: ConfigState): ConfigState {
  return onText({ ...state, file: state.fresh ?? state.file, fresh: null, written: null, note: null });
}

export function withConfigSize(state: ConfigState, { width, height }: TextSize): ConfigState {
  const size = { width, height };
  const { page } = state;
  if (page.kind === "history") return { ...state, size };
  return { ...state, size, page: { ...page, text: withSize(page.text, pageSize(size)) } };
}

function pageSize({ width, height }: TextSize): TextSize {
  return { width, height: Math.max(1, height - HEAD - FOOT) };
}

export function pressConfigKey(state: ConfigState, key: Key): ConfigStep {
  const { page } = state;
  if (state.file === null)
    return isNamed(key, "enter") ? { state, action: { kind: "read" }, used: true } : unused(state);
  switch (page.kind) {
    case "text":
      return inText(state, page, key);
    case "mistakes":
      return inMistakes(state, page, key);
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

function used(state: ConfigState): ConfigStep {
  return { state, action: null, used: true };
}

function unused(state: ConfigState): ConfigStep {
  return { state, action: null, used: false };
}

/** What was written, else the file; at the same place where that is in sight already. */
function onText(state: ConfigState): ConfigState {
  const { page, written, file, size } = state;
  const text = numbered(written ?? file?.text ?? "");
  return {
    ...state,
    page: {
      kind: "text",
      text: page.kind === "text" ? withText(page.text, text) : createScroller(text, pageSize(size)),
    },
  };
}

function numbered(text: string): string {
  const lines = linesOf(text);
  const width = String(lines.length).length;
  return lines.map((line, index) => `${String(index + 1).padStart(width)} ${line}`).join("\n");
}

function inText(state: ConfigState, page: Extract<ConfigPage, { kind: "text" }>, key: Key): ConfigStep {
  if (key.kind === "character" && key.text === "h")
    return asked(state, { kind: "history" }, { kind: "history", entries: null, at: 0 });
  if (isNamed(key, "enter")) return editStep(state);
  if (isNamed(key, "save")) return saveStep(state);
  if (isNamed(key, "escape")) {
    if (state.written !== null) return { state, action: { kind: "drop" }, used: true };
    return state.note === null ? unused(state) : used({ ...state, note: null });
  }
  return scrolled(state, page, key);
}

function inMistakes(
  state: ConfigState,
  page: Extract<ConfigPage, { kind: "mistakes" }>,
  key: Key,
): ConfigStep {
  if (isNamed(key, "enter")) return editStep(state);
  return isNamed(key, "escape") ? used(onText(state)) : scrolled(state, page, key);
}

function editStep(state: ConfigState): ConfigStep {
  return asked(state, { kind: "edit", text: state.written ?? state.file?.text ?? "" });
}

function asked(
  state: ConfigState,
  action: ConfigAction & { kind: ConfigErrand },
  page?: ConfigPage,
): ConfigStep {
  return { state: { ...state, busy: action.kind, note: null, page: page ?? state.page }, action, used: true };
}

function saveStep(state: ConfigState): ConfigStep {
  const { written, fresh } = state;
  if (written === null) return used({ ...state, note: { tone: "good", text: "nothing to save" } });
  if (fresh !== null) return used(withConflict(state, fresh));
  return asked(state, { kind: "check", text: written });
}

function inReview(state: ConfigState, page: Extract<ConfigPage, { kind: "review" }>, key: Key): ConfigStep {
  if (isNamed(key, "escape")) return used(onText(state));
  if (isNamed(key, "enter") || isNamed(key, "save")) {
    const { file, written } = state;
    if (file === null || written === null) return used(state);
    return asked(state, { kind: "save", text: written, sha256: file.sha256 });
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
  if (isNamed(key, "escape")) return used(onText(state));
  if (isNamed(key, "enter")) return editStep(state);
  if (isNamed(key, "save")) return saveStep(state);
  return scrolled(state, page, key);
}

function inHistory(state: ConfigState, page: Extract<ConfigPage, { kind: "history" }>, key: Key): ConfigStep {
  if (isNamed(key, "escape") || isNamed(key, "left")) return used(onText(state));
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
  if (state.written !== null)
    return used({ ...state, note: { tone: "warning", text: "save or drop what you wrote first" } });
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
