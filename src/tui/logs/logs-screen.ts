// The Logs screen: what the daemon wrote to its log, or a backend beside the protocol, newest below.
import type { LogLine } from "../../api/records-contract.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { onceMore } from "../../runtime/once-more.ts";
import { type Clock, localClock } from "../../runtime/time/clock.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import { absenceLine } from "../terminal/connection.ts";
import type { Key } from "../terminal/key.ts";
import { cutLine, type Line, span } from "../terminal/line.ts";
import { EMPTY_LIST, filterLine, filterOf, type ListState, pressListKey } from "../terminal/list-state.ts";
import type { Command, KeyHelp, Screen, ScreenSize } from "../terminal/screen.ts";
import { createStore } from "../terminal/store.ts";

const KEYS: readonly KeyHelp[] = [
  { keys: "Tab, Shift-Tab", does: "next, previous source: the daemon, then the backends" },
  { keys: "up, down, Space", does: "scroll; at the end it follows what comes" },
  { keys: "left, right", does: "move along long lines" },
  { keys: "/", does: "only lines with these words; Enter keeps it, Esc drops it" },
];

/** Nothing tells of new lines: read so often while somebody looks. */
const AGAIN_MS = 1_000;
const SIDE_STEP = 20;
const PAGE = 10;

/** The daemon's own log: no backend's name has a space at its start. */
const DAEMON = " daemon";
const LINES = 500;

interface LogsState {
  /** `DAEMON`, or a backend's name. */
  readonly source: string;
  /** Oldest first; null: not read yet. */
  readonly lines: readonly string[] | null;
  readonly failure: string | null;
  readonly list: ListState;
  /** Lines between the end and the last one shown. */
  readonly up: number;
  /** Characters cut off at the left. */
  readonly left: number;
}

export interface LogsScreen extends Screen {
  /** Comes up with this backend's lines. */
  show(backend: string): void;
}

/** `bringUp` shows this screen. */
export function createLogsScreen(
  link: DaemonLink,
  clock: Clock,
  bringUp: () => void,
  ended: AbortSignal,
): LogsScreen {
  const state = createStore<LogsState>({
    source: DAEMON,
    lines: null,
    failure: null,
    list: EMPTY_LIST,
    up: 0,
    left: 0,
  });
  const put = (part: Partial<LogsState>): true => {
    state.set({ ...state.get(), ...part });
    return true;
  };
  const sources = (): readonly string[] => [
    DAEMON,
    ...(link.status.get()?.backends ?? []).map(({ name }) => name),
  ];
  const read = onceMore(async () => {
    const { source } = state.get();
    try {
      const daemon = await link.daemon();
      const lines =
        source === DAEMON
          ? (await daemon.ask("daemonLog", { limit: LINES }, ended)).lines.map(logText).reverse()
          : (await daemon.ask("logs", { backend: source }, ended)).lines;
      if (state.get().source === source) put({ lines, failure: null });
    } catch (error) {
      if (ended.aborted) return;
      if (!(error instanceof MountaineerError)) throw error;
      if (state.get().source === source) put({ failure: errorText(error).split("\n", 1)[0] ?? "" });
    }
  }, ended);
  const show = (source: string): void => {
    choose(source);
    bringUp();
  };
  const choose = (source: string): void => {
    if (source !== state.get().source) put({ source, lines: null, failure: null, up: 0, left: 0 });
    read();
  };
  return {
    key: "l",
    view: "Activity",
    title: "Logs",
    about: "what the daemon and its backends write to their logs",
    keys: KEYS,
    changes: state,
    show,
    async open(signal) {
      while (!signal.aborted) {
        read();
        await clock.sleep(AGAIN_MS, signal).catch(() => {});
      }
    },
    draw: (size) => logsLines(state.get(), sources(), absenceLine(link.connection.get(), size), size),
    hints: () => hintsOf(state.get()),
    onKey(key) {
      const now = state.get();
      if (!now.list.isTyping) {
        const moved = movedBy(now, key, shownLines(now).length);
        if (moved !== null) return put(moved);
        const by = key.kind !== "named" ? 0 : key.name === "tab" ? 1 : key.name === "backtab" ? -1 : 0;
        const all = sources();
        if (by !== 0 && all.length > 0) {
          choose(all[(Math.max(0, all.indexOf(now.source)) + by + all.length) % all.length] ?? DAEMON);
          return true;
        }
      }
      // Rows cannot be chosen: of the list's keys only those of its filter mean something.
      const list = pressListKey(now.list, key, []);
      return list === null ? false : put({ list, up: 0 });
    },
    commands: () =>
      sources().map((name): Command => ({ name: `logs of ${labelOf(name)}`, run: () => show(name) })),
  };
}

/** A backend may be called `daemon`, too. */
function labelOf(source: string): string {
  return source === DAEMON ? "the daemon" : source;
}

/** `14:32:05 warn  backend.ended backend=files`. */
function logText({ at, level, message, fields = {} }: LogLine): string {
  const said = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return [localClock(new Date(at)), level.padEnd(5), message, ...said].join(" ");
}

function movedBy({ up, left }: LogsState, key: Key, count: number): Partial<LogsState> | null {
  const name = key.kind === "named" ? key.name : key.text === " " ? "pagedown" : key.text;
  const at = (value: number): number => Math.max(0, Math.min(count - 1, value));
  switch (name) {
    case "up":
    case "k":
      return { up: at(up + 1) };
    case "down":
    case "j":
      return { up: at(up - 1) };
    case "pageup":
      return { up: at(up + PAGE) };
    case "pagedown":
      return { up: at(up - PAGE) };
    case "home":
      return { up: at(count) };
    case "end":
      return { up: 0 };
    case "left":
      return { left: Math.max(0, left - SIDE_STEP) };
    case "right":
      return { left: left + SIDE_STEP };
    default:
      return null;
  }
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
  const trouble: readonly Line[] = failure === null ? [] : [[span(`${symbols.error} ${failure}`, "bad")]];
  const top = [...above, head, ...trouble, ...filterLine(list, size)];
  const room = Math.max(1, height - top.length);
  if (lines === null) return [...top, [span(`  ${symbols.ellipsis}`, "faint")]];
  if (shown.length === 0) return [...top, [span("  no lines", "faint")]];
  const last = Math.max(Math.min(shown.length, room), shown.length - up);
  const part = shown.slice(Math.max(0, last - room), last);
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
