// The Tools screen: the tools of the servers, each on or off for all clients.

import type { DaemonConnection } from "../../api/client/daemon-connection.ts";
import type { ToolsReport } from "../../api/contract/contract.ts";
import { nameColumns } from "../../api/views/view-lines.ts";
import { createStore, eitherOf } from "../../runtime/store.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { attempt, errorLine, repeat } from "../terminal/attempt.ts";
import { absenceLines, failureLines } from "../terminal/connection.ts";
import { isNamed } from "../terminal/key.ts";
import { cutLine, hangingLines, type Line, span } from "../terminal/line.ts";
import {
  chosenId,
  detailsPart,
  drawnRows,
  EMPTY_LIST,
  filterLine,
  filterOf,
  type ListState,
  nameSpan,
  pressListKey,
  rowMark,
} from "../terminal/list-state.ts";
import type { Prompt } from "../terminal/prompt.ts";
import type { KeyHelp, Screen, ScreenSize, ShellLine } from "../terminal/screen.ts";

const KEYS: readonly KeyHelp[] = [
  { keys: "up, down, Space", does: "choose a tool" },
  { keys: "o", does: "switch the tool off or on, for all clients" },
  { keys: "Enter", does: "what the server says of it; Esc goes back" },
  { keys: "/", does: "filter by words; Enter keeps it, Esc drops it" },
];

/** Time between two reads while the screen is shown, ms; no event announces a switch. */
const AGAIN_MS = 2_000;
const DESCRIPTION_LINES = 200;

interface ToolRow {
  readonly name: string;
  readonly backend: string;
  readonly about: string;
  readonly isOn: boolean;
}

interface ToolsState {
  /** Sorted by name; null until they are read. */
  readonly tools: readonly ToolRow[] | null;
  /** Only the tools of this backend; null: all. */
  readonly backend: string | null;
  readonly failure: string | null;
  readonly list: ListState<string>;
}

interface ToolsOptions {
  readonly link: DaemonConnection;
  readonly prompt: Prompt;
  readonly clock: Clock;
  readonly showThis: () => void;
  readonly signal: AbortSignal;
}

export function createToolsScreen({ link, prompt, clock, showThis, signal }: ToolsOptions) {
  const state = createStore<ToolsState>({ tools: null, backend: null, failure: null, list: EMPTY_LIST });
  const { put } = state;
  const read = (): Promise<void> =>
    attempt(
      async () => void put({ tools: rowsOf(await link.call("tools", null, signal)), failure: null }),
      (error) => put({ tools: [], failure: errorLine(error) }),
      signal,
    );
  const switchTool = ({ name, isOn }: ToolRow): void =>
    prompt.run(`switch ${name} ${isOn ? "off" : "on"}`, async () => {
      await link.call("switchTools", { tools: [name], on: !isOn }, signal);
      await read();
      return { tone: "good", text: `${name} is ${isOn ? "off" : "on"} for all clients` };
    });
  const screen = {
    key: "c",
    view: "Servers",
    title: "Tools",
    about: "the tools of the servers, each on or off",
    keys: KEYS,
    changes: eitherOf(state, link.connection),
    /** Shows the tools of one backend. */
    show(backend: string): void {
      put({ backend, list: EMPTY_LIST });
      showThis();
    },
    open: (until) => void repeat(read, AGAIN_MS, clock, until),
    draw: (size) => toolsLines(state.get(), absenceLines(link.connection.get(), size), size),
    hints: () => hintsOf(state.get()),
    onKey(key) {
      const now = state.get();
      const rows = matching(now);
      const chosen = chosenRow(now, rows);
      if (!now.list.isTyping && key.kind === "character" && key.text === "o" && chosen !== null) {
        switchTool(chosen);
        return true;
      }
      const list = pressListKey(now.list, key, rows.map(rowId));
      if (list !== null) return put({ list });
      return isNamed(key, "escape") && now.backend !== null && put({ backend: null });
    },
    shells: () => shellsOf(chosenRow(state.get(), matching(state.get()))),
  } satisfies Screen & { show(backend: string): void };
  return screen;
}

function rowsOf({ tools, off = [] }: ToolsReport): readonly ToolRow[] {
  const rows = [
    ...tools.map(({ name, backend, description }) => ({
      ...{ name, backend, isOn: true },
      about: description ?? "",
    })),
    ...off.map(({ name, backend }) => ({ name, backend, isOn: false, about: "" })),
  ];
  return rows.toSorted((one, other) => (rowId(one) < rowId(other) ? -1 : 1));
}

function rowId({ name, backend }: ToolRow): string {
  return `${name} ${backend}`;
}

function matching({ tools, backend, list }: ToolsState): readonly ToolRow[] {
  const matches = filterOf(list);
  return (tools ?? []).filter(
    (tool) =>
      (backend === null || tool.backend === backend) && matches(`${tool.name} ${tool.backend} ${tool.about}`),
  );
}

function chosenRow({ list }: ToolsState, rows: readonly ToolRow[]): ToolRow | null {
  const id = chosenId(list, rows.map(rowId));
  return rows.find((row) => rowId(row) === id) ?? null;
}

function toolsLines(state: ToolsState, above: readonly Line[], size: ScreenSize): readonly Line[] {
  const { tools, backend, failure, list } = state;
  const { width, height, symbols } = size;
  const rows = matching(state);
  const off = rows.filter(({ isOn }) => !isOn).length;
  const head: Line = [
    span("Tools", "strong"),
    span(`  ${rows.length - off} on, ${off} off`, "faint"),
    ...(backend === null ? [] : [span(`  only ${backend}`, "accent")]),
  ];
  const top = [
    ...above,
    cutLine(head, width, symbols.ellipsis),
    ...failureLines(failure, size),
    ...filterLine(list, size),
  ];
  const bodyHeight = Math.max(1, height - top.length);
  const chosen = chosenRow(state, rows);
  if (tools === null) return [...top, [span(`  ${symbols.ellipsis}`, "faint")]];
  if (chosen === null) return [...top, [span("  none", "faint")]];
  if (list.details !== null)
    return [...top, ...detailsPart(detailLines(chosen, size), list.details, bodyHeight, size)];
  const at = rows.indexOf(chosen);
  const nameWidth = nameColumns(rows, Math.floor(width / 3)) + 1;
  const draw = (row: ToolRow, isChosen: boolean): Line => toolLine(row, isChosen, nameWidth, size);
  return [...top, ...drawnRows(rows, bodyHeight, at, draw)];
}

function toolLine(
  { name, backend, about, isOn }: ToolRow,
  isChosen: boolean,
  nameWidth: number,
  size: ScreenSize,
): Line {
  const { symbols, width } = size;
  const [first = ""] = about.split("\n", 1);
  const line = [
    rowMark(isChosen, size),
    isOn ? span(`${symbols.on} `, "good") : span(`${symbols.off} `, "faint"),
    nameSpan(name, isChosen, nameWidth, size),
    span(` ${backend}  `, "faint"),
    span(isOn ? first : "off", isOn ? "plain" : "faint"),
  ];
  return cutLine(line, width, symbols.ellipsis);
}

function detailLines({ name, backend, about, isOn }: ToolRow, size: ScreenSize): readonly Line[] {
  return [
    [span(name, "strong"), span(`  of ${backend}, ${isOn ? "on" : "off"}`, "faint")],
    ...about
      .split("\n")
      .flatMap((line) =>
        line === "" ? [[]] : hangingLines(span("  "), line, "plain", size, DESCRIPTION_LINES),
      ),
  ];
}

function shellsOf(chosen: ToolRow | null): readonly ShellLine[] {
  const list = { does: "list the tools", command: "mountaineer tools list" };
  if (chosen === null) return [list];
  const { name, isOn } = chosen;
  const [on, off] = [
    { does: `switch ${name} on`, command: shellCommand`mountaineer tools enable ${name}` },
    { does: `switch ${name} off`, command: shellCommand`mountaineer tools disable ${name}` },
  ];
  const call = { does: `call ${name}`, command: shellCommand`mountaineer call ${name}` };
  return isOn ? [off, call, list] : [on, list];
}

function hintsOf({ list, backend }: ToolsState): readonly string[] {
  if (list.isTyping) return ["type words", "Enter keep", "Esc drop"];
  if (list.details !== null) return ["arrows scroll", "Esc back"];
  const all = backend === null ? [] : ["Esc all"];
  return ["o on or off", "Enter details", "/ filter", ...all, "$ command", "? help", "q quit"];
}
