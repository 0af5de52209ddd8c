// The text of the Fleet screen: a summary of the fleet, the list of machines, and the chosen one below. Pure.
import type { FleetMachine, FleetReport } from "../../api/contract/fleet.ts";
import {
  cutText as cutOffText,
  FLEET_ABOUT_TEXT,
  FLEET_NEXT,
  FLEET_OFF_TEXT,
  FLEET_STEPS,
  lineWords,
  type MachineLine,
  machineCounts,
  machineLines,
  machineTrouble,
  presenceWord,
  presenceWords,
} from "../../api/words/fleet-words.ts";
import type { Words } from "../../api/words/words.ts";
import { columns, padded } from "../../runtime/text/plain-text.ts";
import { cutLine, hangingLines, type Line, markedLines, paragraph, span } from "../terminal/line.ts";
import {
  detailsPart,
  drawnRows,
  filterLine,
  type ListState,
  nameSpan,
  rowMark,
} from "../terminal/list-state.ts";
import type { ScreenSize } from "../terminal/screen.ts";
import { toneMark, type View } from "../terminal/terminal-style.ts";

const PRESENCE_WIDTH = 14;
const LABEL_WIDTH = 10;
const INDENT = "  ";
/** Minimum lines of the list. Its maximum is half of the screen, whichever machine is chosen. */
const LEAST_LIST = 4;

export interface ShownFleet {
  readonly report: FleetReport;
  readonly summary: Words;
  /** The machines that match the filter, those with trouble first. */
  readonly machines: readonly FleetMachine[];
  /** Index in `machines`. */
  readonly chosen: number;
  readonly list: ListState<string>;
}

export function fleetLines(shown: ShownFleet, size: ScreenSize): readonly Line[] {
  const { machines, chosen, list } = shown;
  const machine = machines[chosen];
  const details = machine === undefined ? [] : detailLines(machine, size);
  if (list.details !== null && machine !== undefined)
    return detailsPart(details, list.details, size.height, size);
  const top = [...headLines(shown, size), ...filterLine(list, size)];
  const room = Math.max(2, size.height - top.length);
  if (machine === undefined)
    return [...top, [span(`${INDENT}no machine is like it; Esc shows all`, "faint")]];
  const below = shown.report.machines.length === 1 ? aloneLines(size) : [];
  const listed = Math.min(machines.length, Math.max(LEAST_LIST, Math.floor((room - 1) / 2)));
  const rows = drawnRows(machines, listed, chosen, (each, isChosen) => machineRow(each, isChosen, size));
  const left = room - rows.length - 1;
  const place =
    listed < machines.length ? `${INDENT}${chosen + 1} of ${machines.length}, those with trouble first` : "";
  return [...top, ...rows, [span(place, "faint")], ...firstOf([...details, ...below], left, size)];
}

/** The fleet's summary, a line about the link while it is being connected, and the fleet's conditions. */
function headLines({ report, summary }: ShownFleet, size: ScreenSize): readonly Line[] {
  const { symbols, width } = size;
  const { link } = report;
  const away =
    link.state === "connected" || link.last_error !== null
      ? []
      : markedLines(symbols.off, "connecting to the fleet", "faint", size);
  return [
    ...paragraph(summary.text, width, 2, symbols.ellipsis).map((line): Line => [span(line, summary.tone)]),
    ...away,
    ...report.conditions.flatMap(({ severity, title, hint }) => {
      const tone = severity === "error" ? "bad" : "warning";
      return [
        ...markedLines(toneMark(tone, symbols), title, tone, size),
        ...(hint === null ? [] : hangingLines(span(INDENT), hint, "faint", size, 2)),
      ];
    }),
  ];
}

function machineRow(machine: FleetMachine, isChosen: boolean, view: View): Line {
  const { symbols, width } = view;
  const { tone } = presenceWords(machine);
  const trouble = machineTrouble(machine);
  const rest =
    trouble === null
      ? span(machineCounts(machine) ?? "")
      : span(`${toneMark(trouble.tone, symbols)} ${trouble.text}`, trouble.tone);
  return cutLine(
    [
      rowMark(isChosen, view),
      span(`${toneMark(tone, symbols)} `, tone),
      nameSpan(machine.name, isChosen, view),
      span(padded(presenceWord(machine), PRESENCE_WIDTH), tone),
      rest,
    ],
    width,
    symbols.ellipsis,
  );
}

/** A machine's details, as `fleet status` prints them. */
export function detailLines(machine: FleetMachine, view: View): readonly Line[] {
  const { symbols, width } = view;
  const { own, name, state } = machine;
  const { text, tone } = presenceWords(machine);
  const mark = toneMark(tone, symbols);
  const title: Line = [
    span(name, "strong"),
    span(own ? " (this machine)" : ""),
    span(`${INDENT}${mark} ${text}`, tone),
    span(state === null ? "" : `${INDENT}Mountaineer ${state.version}`, "faint"),
  ];
  const more = cutOffText(machine);
  const facts = machineLines(machine);
  return [
    cutLine(title, width, symbols.ellipsis),
    ...facts.flatMap((line) => factLines(line, view)),
    ...(facts.length === 0 && state !== null
      ? [[span(`${INDENT}no shares and no servers`, "faint")] satisfies Line]
      : []),
    ...(more === null ? [] : [[span(`${INDENT}${more}`, "faint")] satisfies Line]),
  ];
}

function factLines(line: MachineLine, view: View): readonly Line[] {
  const { about, name, tone } = line;
  const text = lineWords(line);
  if (about === "wrong")
    return hangingLines(span(`${INDENT}${toneMark(tone, view.symbols)} `, tone), text, tone, view);
  const label = span(`${INDENT}${padded(about, LABEL_WIDTH)}`, "faint");
  return hangingLines(label, name === null ? text : `${name} ${text}`, tone, view);
}

/** The first lines, as many as fit; a note says that Enter shows the rest. */
function firstOf(lines: readonly Line[], room: number, { symbols }: View): readonly Line[] {
  if (lines.length <= room) return lines;
  const shown = lines.slice(0, Math.max(0, room - 1));
  const more = lines.length - shown.length;
  return [...shown, [span(`${INDENT}${symbols.ellipsis} ${more} more lines: Enter shows all`, "faint")]];
}

function aloneLines(size: ScreenSize): readonly Line[] {
  const { command, does } = FLEET_NEXT;
  return [[], [span("No other machine is known yet.", "faint")], ...stepLines([{ command, does }], size)];
}

/** The text while no fleet is configured: what a fleet is for, and the commands that begin one. */
export function noFleetLines(size: ScreenSize): readonly Line[] {
  return [
    [span(FLEET_OFF_TEXT, "strong")],
    ...hangingLines(span(""), FLEET_ABOUT_TEXT, "plain", size),
    [],
    [span("In another terminal:", "faint")],
    ...stepLines(FLEET_STEPS, size),
    [],
    ...hangingLines(span(""), "Nothing of it runs until then. This screen follows by itself.", "faint", size),
  ];
}

function stepLines(
  steps: readonly { readonly command: string; readonly does: string }[],
  view: View,
): readonly Line[] {
  const room = Math.max(...steps.map(({ command }) => columns(command))) + 2;
  return steps.flatMap(({ command, does }): readonly Line[] => {
    const line: Line = [span(`${INDENT}${padded(command, room)}`, "accent"), span(does)];
    if (columns(does) + room + INDENT.length <= view.width) return [line];
    return [
      [span(`${INDENT}${command}`, "accent")],
      ...hangingLines(span(INDENT + INDENT), does, "plain", view, 2),
    ];
  });
}
