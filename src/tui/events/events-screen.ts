// The Events screen: the newest events of the daemon, with filters.
import type { DaemonConnection } from "../../api/client/daemon-connection.ts";
import { type Story, storiesOf } from "../../api/labels/event-stories.ts";
import { createStore, eitherOf } from "../../runtime/store.ts";
import { absenceLines } from "../terminal/connection.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import { cutLine, hangingLines, type Line, span, type View } from "../terminal/line.ts";
import {
  chosenId,
  detailsPart,
  drawnRows,
  EMPTY_LIST,
  filterLine,
  filterOf,
  type ListState,
  listHints,
  pressListKey,
} from "../terminal/list-state.ts";
import type { KeyHelp, Screen, ScreenSize, ShellLine } from "../terminal/screen.ts";
import { CAPACITY, type EventRing, eventLine, type StoredEvent } from "./event-ring.ts";

const KEYS: readonly KeyHelp[] = [
  { keys: "up, down, Space", does: "choose an event; at the top it follows what comes" },
  { keys: "Enter", does: "all of the event; Esc goes back" },
  { keys: "/", does: "filter by words; Enter keeps it, Esc drops it" },
  { keys: "n", does: "next kind: share, server, catalog, …; N the previous one" },
  { keys: "b", does: "next share or server; B the previous one" },
];

const SHELLS: readonly ShellLine[] = [
  { does: "follow what happens", command: "mountaineer logs -f" },
  { does: "who asked for what", command: "mountaineer logs --audit" },
];

interface EventsState {
  readonly list: ListState;
  /** The first part of an event's name; null: all. */
  readonly kind: string | null;
  readonly subject: string | null;
}

export function createEventsScreen(link: DaemonConnection, ring: EventRing): Screen {
  const state = createStore<EventsState>({ list: EMPTY_LIST, kind: null, subject: null });
  const { put } = state;
  return {
    key: "e",
    view: "Activity",
    title: "Events",
    about: "what happens, as it happens",
    keys: KEYS,
    changes: eitherOf(state, ring.count),
    draw: (size) => eventsLines(state.get(), ring, absenceLines(link.connection.get(), size), size),
    hints: () => listHints(state.get().list) ?? HINTS,
    shells: () => SHELLS,
    onKey(key) {
      const now = state.get();
      const turned = now.list.isTyping || now.list.details !== null ? null : turnedFilters(now, ring, key);
      if (turned !== null) return put(turned);
      const ids = matching(now, ring).map(idOf);
      // At the top row, null lets the list follow new rows.
      const list = pressListKey(now.list, key, { ids, chosen: chosenId(now.list, ids), top: null });
      if (list !== null) return put({ list });
      const hasFilter = now.kind !== null || now.subject !== null;
      return isNamed(key, "escape") && hasFilter && put({ kind: null, subject: null });
    },
  };
}

function kindOf({ name }: StoredEvent): string {
  return name.split(".", 1)[0] ?? name;
}

/** Returns the filters as the key changes them; null if the key changes no filter. */
function turnedFilters(state: EventsState, ring: EventRing, key: Key): Partial<EventsState> | null {
  if (key.kind !== "character") return null;
  const filter = key.text.toLowerCase();
  if (filter !== "n" && filter !== "b") return null;
  const by = key.text === filter ? 1 : -1;
  if (filter === "n") return { kind: turned([...ring.newest()].map(kindOf), state.kind, by) };
  const subjects = [...ring.newest()].flatMap(({ about }) => (about === null ? [] : [about]));
  return { subject: turned(subjects, state.subject, by) };
}

/** The next or previous value in alphabetical order; null (no filter) follows the last one. */
function turned(values: readonly string[], now: string | null, by: 1 | -1): string | null {
  const all = [null, ...[...new Set(values)].sort()];
  return all[(Math.max(0, all.indexOf(now)) + by + all.length) % all.length] ?? null;
}

/** It stays while the story grows. */
const idOf = ({ parts, head }: Story<StoredEvent>): number => (parts.at(-1) ?? head).order;

/** Newest first. */
function matching({ list, kind, subject }: EventsState, ring: EventRing): readonly Story<StoredEvent>[] {
  const matches = filterOf(list);
  const events = [...ring.newest()].filter(
    (event) =>
      (kind === null || kindOf(event) === kind) &&
      (subject === null || event.about === subject) &&
      matches(`${event.name} ${event.about ?? ""} ${event.text}`),
  );
  return storiesOf(events);
}

function eventsLines(
  state: EventsState,
  ring: EventRing,
  above: readonly Line[],
  size: ScreenSize,
): readonly Line[] {
  const { list, kind, subject } = state;
  const { width, height, symbols } = size;
  const events = matching(state, ring);
  const chosen = chosenId(list, events.map(idOf));
  const filters = [
    ...(kind === null ? [] : [`kind ${kind === "backend" ? "server" : kind}`]),
    ...(subject === null ? [] : [`of ${subject}`]),
  ];
  const head: Line = cutLine(
    [
      span("Events", "strong"),
      span(`  ${events.length} of the newest ${Math.min(ring.count.get(), CAPACITY)}`, "faint"),
      ...(filters.length === 0 ? [] : [span(`  only ${filters.join(", ")}`, "accent")]),
    ],
    width,
    symbols.ellipsis,
  );
  const top = [...above, head, ...filterLine(list, size)];
  const rows = Math.max(1, height - top.length);
  const shown = events.find((event) => idOf(event) === chosen);
  if (list.details !== null && shown !== undefined)
    return [...top, ...detailsPart(eventDetails(shown, size), list.details, rows, size)];
  if (events.length === 0) return [...top, [span("  none", "faint")]];
  const at = events.findIndex((event) => idOf(event) === chosen);
  return [...top, ...drawnRows(events, rows, at, (event, isChosen) => eventLine(event, isChosen, size))];
}

const PARTS_SHOWN = 100;

function eventDetails({ head, parts }: Story<StoredEvent>, size: ScreenSize): readonly Line[] {
  const others = parts.filter((part) => part !== head).slice(0, PARTS_SHOWN);
  return [
    ...fieldsPart(head, size),
    ...(others.length === 0 ? [] : [[span("")], [span(`With it, ${parts.length} in all`, "strong")]]),
    ...others.map((part) => eventLine(part, false, size)),
  ];
}

function fieldsPart(event: StoredEvent, size: ScreenSize): readonly Line[] {
  const { event: sent } = event;
  const fields =
    sent.kind === "transition" ? sent.transition : sent.kind === "sync" ? sent.event : { text: event.text };
  return [
    [span(event.name, "strong"), span(`  ${new Date(event.atMs).toISOString()}`, "faint")],
    ...fieldLines(fields, size),
  ];
}

const FIELD_LINES = 500;

function fieldLines(record: object, view: View): readonly Line[] {
  return Object.entries(record).flatMap(([name, value]) => {
    const text = `${name}: ${typeof value === "string" ? value : JSON.stringify(value, null, 1)}`;
    return hangingLines(span("  "), text, "plain", view, FIELD_LINES);
  });
}

const HINTS = ["Enter details", "/ filter", "n kind", "b whose", "Esc all", "? help", "q quit"];
