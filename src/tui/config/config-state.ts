// The Config screen's state and its reaction to keys. Pure: requests and questions are returned as actions.
import type {
  ConfigCheckReport,
  ConfigMistakeWire,
  ConfigReport,
  EditReport,
  HistoryEntry,
  NameChanges,
  ReloadReport,
} from "../../api/contract/config.ts";
import { editOutcome, mistakeText } from "../../api/words/outcome-words.ts";
import { diffText } from "../../config/history/text-diff.ts";
import { counted } from "../../runtime/text/plain-text.ts";
import { isNamed, type Key, rowsMoved } from "../terminal/key.ts";
import type { Note } from "../terminal/prompt.ts";
import { next, type Step, unused } from "../terminal/step.ts";
import {
  createScroller,
  pressScrollKey,
  type Scroller,
  type TextSize,
  withSize,
  withText,
} from "../text/scroller.ts";
import { linesOf } from "../text/shown-text.ts";

export type ConfigFile = Pick<ConfigReport, "path" | "sha256" | "text">;

export type ConfigPage =
  | {
      /**
       * "text": the unsaved text, else the file. "mistakes": the mistakes of the unsaved text. "review": the
       * changes that a save would make. "conflict": the changes that somebody else has made in the file.
       */
      readonly kind: "text" | "mistakes" | "review" | "conflict";
      readonly text: Scroller;
    }
  /** `entries`: null until they are read. */
  | { readonly kind: "history"; readonly entries: readonly HistoryEntry[] | null; readonly at: number }
  /** A version, shown as the changes from it to the current file. */
  | {
      readonly kind: "version";
      readonly entries: readonly HistoryEntry[];
      readonly at: number;
      readonly text: Scroller;
    };

/** A request to the daemon or to the user's editor; keys wait for its answer. */
export type ConfigRequest = "read" | "edit" | "check" | "save" | "history" | "version" | "rollback";

export interface ConfigState {
  /** The file that the text is based on; null until it is read. */
  readonly file: ConfigFile | null;
  /** The file's newer content, kept apart while there is unsaved text; null: `file` is current. */
  readonly fresh: ConfigFile | null;
  /** The user's unsaved text; null: none. */
  readonly written: string | null;
  readonly page: ConfigPage;
  readonly busy: ConfigRequest | null;
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
  /** Rolls back to `entry`; the user must confirm it first. */
  | { readonly kind: "rollback"; readonly entry: HistoryEntry; readonly sha256: string }
  /** Drops the unsaved text; the user must confirm it first. */
  | { readonly kind: "drop" };

type ConfigStep = Step<ConfigState, ConfigAction>;

export const EMPTY_CONFIG: ConfigState = {
  file: null,
  fresh: null,
  written: null,
  page: { kind: "text", text: createScroller("", { width: 80, height: 17 }) },
  busy: null,
  note: null,
  size: { width: 80, height: 20 },
};

/** Number of lines above every page (`HEAD`) and below every page (`FOOT`). */
export const HEAD = 1;
export const FOOT = 2;

/** Keeps unsaved text, and text that is open in an editor. */
export function withFile(state: ConfigState, file: ConfigFile): ConfigState {
  const idle = state.busy === "read" ? { ...state, busy: null } : state;
  if (state.file?.sha256 === file.sha256) return { ...idle, fresh: null };
  if (state.file === null || (state.written === null && state.busy !== "edit")) {
    const fresh = { ...idle, file, fresh: null };
    return fresh.page.kind === "text" ? onText(fresh) : fresh;
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

/**
 * Requests the check of a changed text, or shows the conflict if the file has changed, too. An unchanged text is
 * dropped, and the newest content of the file is shown.
 */
export function withWritten(state: ConfigState, text: string): ConfigStep {
  const { file, fresh } = state;
  const idle = { ...state, busy: null };
  if (text !== file?.text) return saveStep(onText({ ...idle, written: text }));
  const note: Note = { tone: "good", text: "nothing was changed" };
  return next({ ...onText({ ...idle, written: null, file: fresh ?? file, fresh: null }), note });
}

/**
 * Shows the result of a check: mistakes with their places, else the changes of a save. `check` null: the
 * daemon checks only when it saves.
 */
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

/** What a reload changes, one line each: "sync.poll_interval", "adds the backend files". */
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

export function withSaved(state: ConfigState, text: string, report: EditReport): ConfigState {
  const idle: ConfigState = { ...state, busy: null };
  if (report.errors.length > 0) return withMistakes(idle, report.errors);
  const file = { path: report.path, sha256: report.sha256, text };
  const fresh = state.fresh?.sha256 === file.sha256 ? null : state.fresh;
  return onText({ ...idle, file, fresh, written: null, note: editOutcome(report) });
}

/** Somebody else's change of the file has prevented a save; the unsaved text stays. */
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

/** Shows why a request has failed; keeps the unsaved text. */
export function withFailure(state: ConfigState, reason: string): ConfigState {
  return { ...state, busy: null, note: { tone: "bad", text: reason } };
}

export function withHistory(state: ConfigState, entries: readonly HistoryEntry[]): ConfigState {
  const at = state.page.kind === "history" ? Math.min(state.page.at, Math.max(0, entries.length - 1)) : 0;
  return { ...state, busy: null, page: { kind: "history", entries, at } };
}

/** `text`: the content of that version. */
export function withVersion(state: ConfigState, entry: HistoryEntry, text: string): ConfigState {
  const { page, file, size } = state;
  if (page.kind !== "history" || page.entries === null) return { ...state, busy: null };
  const diff = diffText(text, file?.text ?? "", { before: `version ${entry.n}`, after: "the file now" });
  const shown = createScroller(diff === "" ? "The file is the same now." : diff, pageSize(size));
  return { ...state, busy: null, page: { kind: "version", entries: page.entries, at: page.at, text: shown } };
}

/** Shows the outcome of a rollback. The caller reads the file again. */
export function withRollback(state: ConfigState, entry: HistoryEntry, report: EditReport): ConfigState {
  const idle: ConfigState = { ...state, busy: null };
  const { text, tone } = editOutcome(report);
  const note: Note = { tone, text: `rollback to version ${entry.n}: ${text}` };
  return onText({ ...idle, note });
}

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
  const { page, file } = state;
  if (file === null) return isNamed(key, "enter") ? next(state, { kind: "read" }) : unused(state);
  if (page.kind === "history" || page.kind === "version") return inHistory(state, file, page, key);
  if (isNamed(key, "enter")) return page.kind === "review" ? confirmSave(state, file) : editStep(state);
  if (isNamed(key, "save")) return page.kind === "review" ? confirmSave(state, file) : saveStep(state);
  if (isNamed(key, "escape") && page.kind !== "text") return next(onText(state));
  if (isNamed(key, "escape")) {
    if (state.written !== null) return next(state, { kind: "drop" });
    return state.note === null ? unused(state) : next({ ...state, note: null });
  }
  if (page.kind === "text" && key.kind === "character" && key.text === "h")
    return request(state, { kind: "history" }, { kind: "history", entries: null, at: 0 });
  return scrolled(state, page, key);
}

/** Keeps the scroll position if the text is shown already. */
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

function request(
  state: ConfigState,
  action: ConfigAction & { kind: ConfigRequest },
  page = state.page,
): ConfigStep {
  return next({ ...state, busy: action.kind, note: null, page }, action);
}

function editStep(state: ConfigState): ConfigStep {
  return request(state, { kind: "edit", text: state.written ?? state.file?.text ?? "" });
}

function saveStep(state: ConfigState): ConfigStep {
  const { written, fresh } = state;
  if (written === null) return next({ ...state, note: { tone: "good", text: "nothing to save" } });
  if (fresh !== null) return next(withConflict(state, fresh));
  return request(state, { kind: "check", text: written });
}

function confirmSave(state: ConfigState, { sha256 }: ConfigFile): ConfigStep {
  const { written } = state;
  return written === null ? next(state) : request(state, { kind: "save", text: written, sha256 });
}

function scrolled(state: ConfigState, page: Extract<ConfigPage, { text: Scroller }>, key: Key): ConfigStep {
  const text = pressScrollKey(page.text, key);
  return text === null ? unused(state) : next({ ...state, page: { ...page, text } });
}

function inHistory(
  state: ConfigState,
  { sha256 }: ConfigFile,
  page: Extract<ConfigPage, { kind: "history" | "version" }>,
  key: Key,
): ConfigStep {
  const { entries, at } = page;
  const entry = entries?.[at];
  if (isNamed(key, "escape") || isNamed(key, "left"))
    return next(
      page.kind === "history" ? onText(state) : { ...state, page: { kind: "history", entries, at } },
    );
  if (key.kind === "character" && key.text === "r" && entry !== undefined) {
    if (state.written === null) return next({ ...state, note: null }, { kind: "rollback", entry, sha256 });
    return next({ ...state, note: { tone: "warning", text: "save or drop what you wrote first" } });
  }
  if (page.kind === "version") return scrolled(state, page, key);
  if (isNamed(key, "enter") && entry !== undefined) return request(state, { kind: "version", entry });
  const by = rowsMoved(key, pageSize(state.size).height);
  if (by === 0 || entries === null) return unused(state);
  const moved = Math.max(0, Math.min(entries.length - 1, at + by));
  return next({ ...state, page: { ...page, at: moved } });
}
