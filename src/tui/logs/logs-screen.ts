// The Logs screen: the log of the daemon, or the error output of a backend, newest lines at the bottom.

import type { DaemonConnection } from "../../api/client/daemon-connection.ts";
import type { LogLine } from "../../api/contract/records.ts";
import { coalesce } from "../../runtime/coalesce.ts";
import { createStore } from "../../runtime/store.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import { type Clock, localClock } from "../../runtime/time/clock.ts";
import { attempt, errorLine, repeat } from "../terminal/attempt.ts";
import { absenceLines, failureLines } from "../terminal/connection.ts";
import { type Key, rowsMoved } from "../terminal/key.ts";
import { cutLine, type Line, span } from "../terminal/line.ts";
import { EMPTY_LIST, filterLine, filterOf, type ListState, pressListKey } from "../terminal/list-state.ts";
import type { Command, KeyHelp, Screen, ScreenSize, ShellLine } from "../terminal/screen.ts";

const KEYS: readonly KeyHelp[] = [
  { keys: "Tab, Shift-Tab", does: "next, previous source: the daemon, then the backends" },
  { keys: "up, down, Space", does: "scroll; at the end it follows what comes" },
  { keys: "left, right", does: "move along long lines" },
  { keys: "/", does: "only lines with these words; Enter keeps it, Esc drops it" },
];

/** Time between two reads while the screen is shown, ms; no event announces new lines. */
const AGAIN_MS = 1_000;
/** Columns by which a key scrolls sideways. */
const SIDE_STEP = 20;

/** The daemon's own log. No backend's name begins with a space. */
const DAEMON = " daemon";
const LINES = 500;

interface LogsState {
  /** `DAEMON`, or a backend's name. */
  readonly source: string;
  /** Oldest first; null until they are read. */
  readonly lines: readonly string[] | null;
  readonly failure: string | null;
  readonly list: ListState;
  /** Number of lines below the visible ones. */
  readonly up: number;
  /** Number of characters cut off at the left. */
  readonly left: number;
}

export function createLogsScreen(
  link: DaemonConnection,
  clock: Clock,
  showThis: () => void,
  ended: AbortSignal,
) {
  const state = createStore<LogsState>({
    source: DAEMON,
    lines: null,
    failure: null,
    list: EMPTY_LIST,
    up: 0,
    left: 0,
  });
  const { put } = state;
  const sources = (): readonly string[] => [
    DAEMON,
    ...(link.status.get()?.backends ?? []).map(({ name }) => name),
  ];
  const read = coalesce(() => {
    const { source } = state.get();
    const show = (part: Partial<LogsState>): void => {
      if (state.get().source === source) put(part);
    };
    const work = async (): Promise<void> => {
      const lines =
        source === DAEMON
          ? (await link.call("daemonLog", { limit: LINES }, ended)).lines.map(logText).reverse()
          : (await link.call("logs", { backend: source }, ended)).lines;
      show({ lines, failure: null });
    };
    return attempt(work, (error) => show({ failure: errorLine(error) }), ended);
  }, ended);
  const show = (source: string): void => {
    choose(source);
    showThis();
  };
  const choose = (source: string): void => {
    if (source !== state.get().source) put({ source, lines: null, failure: null, up: 0, left: 0 });
    read();
  };
  const screen = {
    key: "l",
    view: "Activity",
    title: "Logs",
    about: "what the daemon and its backends write to their logs",
    keys: KEYS,
    changes: state,
    show,
    open: (signal) => void repeat(read, AGAIN_MS, clock, signal),
    draw: (size) => logsLines(state.get(), sources(), absenceLines(link.connection.get(), size), size),
    hints: () => hintsOf(state.get()),
    shells: () => [shellOf(state.get().source)],
    onKey(key) {
      const now = state.get();
      if (!now.list.isTyping) {
        const moved = movedBy(now, key, shownLines(now).length);
        if (moved !== null) return put(moved);
        const by = { tab: 1, backtab: -1 }[key.kind === "named" ? (key.name as string) : ""] ?? 0;
        const all = sources();
        if (by !== 0) {
          choose(all[(Math.max(0, all.indexOf(now.source)) + by + all.length) % all.length] ?? DAEMON);
          return true;
        }
      }
      // Passes no ids, because rows cannot be chosen here: only the list's filter keys have a meaning.
      const list = pressListKey(now.list, key, []);
      return list === null ? false : put({ list, up: 0 });
    },
    commands: () =>
      sources().map((name): Command => ({ name: `logs of ${labelOf(name)}`, run: () => show(name) })),
  } satisfies Screen & { show: typeof show };
  return screen;
}

/** A backend may have the name `daemon`, so the daemon's log is "the daemon". */
function labelOf(source: string): string {
  return source === DAEMON ? "the daemon" : source;
}

function shellOf(source: string): ShellLine {
  const does = `logs of ${labelOf(source)}`;
  if (source === DAEMON) return { does, command: "mountaineer logs -f" };
  return { does, command: shellCommand`mountaineer backends logs ${source}` };
}

/** `14:32:05 warn  backend.ended backend=files`. */
function logText({ at, level, message, fields = {} }: LogLine): string {
  const parts = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return [localClock(new Date(at)), level.padEnd(5), message, ...parts].join(" ");
}

/** The position after a key; null if the key does not scroll. */
function movedBy({ up, left }: LogsState, key: Key, count: number): Partial<LogsState> | null {
  if (key.kind === "named" && key.name === "left") return { left: Math.max(0, left - SIDE_STEP) };
  if (key.kind === "named" && key.name === "right") return { left: left + SIDE_STEP };
  const by = rowsMoved(key);
  return by === 0 ? null : { up: Math.max(0, Math.min(count - 1, up - by)) };
}

function shownLines({ lines, list }: LogsState): readonly string[] {
  return (lines ?? []).filter(filterOf(list));
}

function logsLines(
  state: LogsState,
  sources: readonly string[],
  above: readonly Line[],
  size: ScreenSize,
): readonly Line[] {
  const { source, lines, failure, list, up, left } = state;
  const { width, height, symbols } = size;
  const shown = shownLines(state);
  const head: Line = cutLine(
    [
      span("Logs", "strong"),
      ...sources.map((name) => span(`  ${labelOf(name)}`, name === source ? "accent" : "faint")),
    ],
    width,
    symbols.ellipsis,
  );
  const top = [...above, head, ...failureLines(failure, size), ...filterLine(list, size)];
  const rows = Math.max(1, height - top.length);
  if (lines === null) return [...top, [span(`  ${symbols.ellipsis}`, "faint")]];
  if (shown.length === 0) return [...top, [span("  no lines", "faint")]];
  const last = Math.max(Math.min(shown.length, rows), shown.length - up);
  const part = shown.slice(Math.max(0, last - rows), last);
  return [
    ...top,
    ...part.map(
      (line): Line => cutLine([span([...span(line).text].slice(left).join(""))], width, symbols.ellipsis),
    ),
  ];
}

function hintsOf({ list, up }: LogsState): readonly string[] {
  if (list.isTyping) return ["type words", "Enter keep", "Esc drop"];
  return [
    "Tab next source",
    "arrows scroll",
    "/ filter",
    ...(up > 0 ? ["End newest"] : []),
    "? help",
    "q quit",
  ];
}
