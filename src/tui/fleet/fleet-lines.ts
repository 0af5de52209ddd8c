// The text of the Fleet screen: the fleet in a sentence, its machines as a list, and the chosen one below. Pure.
import type { FleetMachine, FleetReport } from "../../api/fleet-contract.ts";
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
import { cutLine, cutText, type Line, paragraph, span, type Tone } from "../terminal/line.ts";
import { detailsPart, filterLine, type ListState, windowStart } from "../terminal/list-state.ts";
import type { ScreenSize } from "../terminal/screen.ts";
import type { View } from "../terminal/terminal-style.ts";
import { toneMark } from "../terminal/terminal-style.ts";

const PRESENCE_WIDTH = 14;
const LABEL_WIDTH = 10;
const INDENT = "  ";
/** What is below the list has the other half, whichever machine is chosen: the list keeps its place. */
const LEAST_LIST = 4;
/** Of one condition's or machine's text in the details. */
const MOST_LINES = 20;

/** What the screen shows of a report. */
export interface ShownFleet {
  readonly report: FleetReport;
  readonly summary: Words;
  /** Those that match the filter, those with trouble first. */
  readonly machines: readonly FleetMachine[];
  /** In `machines`. */
  readonly chosen: number;
  readonly list: ListState;
}

export function fleetLines(shown: ShownFleet, size: ScreenSize): readonly Line[] {
  const { machines, chosen, list } = shown;
  const machine = machines[chosen];
  const details = machine === undefined ? [] : detailLines(machine, size);
  if (list.detailsTop !== null && machine !== undefined)
    return detailsPart(details, list.detailsTop, size.height, size);
  const top = [...headLines(shown, size), ...filterLine(list, size)];
  const room = Math.max(2, size.height - top.length);
  if (machine === undefined)
    return [...top, [span(`${INDENT}no machine is like it; Esc shows all`, "faint")]];
  const below = shown.report.machines.length === 1 ? aloneLines(size) : [];
  const listed = Math.min(machines.length, Math.max(LEAST_LIST, Math.floor((room - 1) / 2)));
  const start = windowStart(machines.length, listed, chosen);
  const rows = machines
    .slice(start, start + listed)
    .map((each, index) => machineRow(each, start + index === chosen, size));
  const left = room - rows.length - 1;
  const place =
    listed < machines.length ? `${INDENT}${chosen + 1} of ${machines.length}, those with trouble first` : "";
  return [...top, ...rows, [span(place, "faint")], ...firstOf([...details, ...below], left, size)];
}

/** The fleet in a sentence, and what is wrong with the link. */
function headLines({ report, summary }: ShownFleet, size: ScreenSize): readonly Line[] {
  const { symbols, width } = size;
  const { link } = report;
  const away =
    link.state === "connected" || link.last_error !== null
      ? []
      : [markedLine(symbols.off, "connecting to the fleet", "faint", size)];
  return [
    ...paragraph(summary.text, width, 2, symbols.ellipsis).map((line): Line => [span(line, summary.tone)]),
    ...away.flat(),
    ...report.conditions.flatMap(({ severity, title, hint }) => [
      ...markedLine(
        severity === "error" ? symbols.error : symbols.warning,
        title,
        severity === "error" ? "bad" : "warning",
        size,
      ),
      ...(hint === null ? [] : indented(hint, INDENT, "faint", size, 2)),
    ]),
  ];
}

function markedLine(mark: string, text: string, tone: Tone, view: View, indent = ""): readonly Line[] {
  const lead = `${indent}${mark} `;
  const lines = paragraph(text, view.width - columns(lead), MOST_LINES, view.symbols.ellipsis);
  return lines.map(
    (line, index): Line => [span(index === 0 ? lead : " ".repeat(columns(lead)), tone), span(line, tone)],
  );
}

function indented(text: string, indent: string, tone: Tone, view: View, most = MOST_LINES): readonly Line[] {
  const lines = paragraph(text, view.width - columns(indent), most, view.symbols.ellipsis);
  return lines.map((line): Line => [span(indent), span(line, tone)]);
}

function machineRow(machine: FleetMachine, isChosen: boolean, view: View): Line {
  const { symbols, width } = view;
  const { tone } = presenceWords(machine);
  const mark = toneMark(tone, symbols);
  const room = nameWidth(width);
  const name = padded(cutText(span(machine.name).text, room, symbols.ellipsis), room + 1);
  const trouble = machineTrouble(machine);
  const rest =
    trouble === null
      ? span(machineCounts(machine) ?? "")
      : span(`${toneMark(trouble.tone, symbols)} ${trouble.text}`, trouble.tone);
  return cutLine(
    [
      span(isChosen ? `${symbols.focus} ` : "  ", "accent"),
      span(`${mark} `, tone),
      span(name, isChosen ? "strong" : "plain"),
      span(padded(presenceWord(machine), PRESENCE_WIDTH), tone),
      rest,
    ],
    width,
    symbols.ellipsis,
  );
}

function nameWidth(width: number): number {
  return width >= 100 ? 24 : 14;
}

/** All of a machine, as `fleet status` has it. */
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
  const tells = machineLines(machine);
  return [
    cutLine(title, width, symbols.ellipsis),
    ...tells.flatMap((line) => toldLines(line, view)),
    ...(tells.length === 0 && state !== null
      ? [[span(`${INDENT}no shares and no servers`, "faint")] satisfies Line]
      : []),
    ...(more === null ? [] : [[span(`${INDENT}${more}`, "faint")] satisfies Line]),
  ];
}

function toldLines(told: MachineLine, view: View): readonly Line[] {
  const { symbols } = view;
  const { about, name, tone } = told;
  const text = lineWords(told);
  if (about === "wrong") return markedLine(toneMark(tone, symbols), text, tone, view, INDENT);
  const label = `${INDENT}${padded(about, LABEL_WIDTH)}`;
  const said = name === null ? text : `${name} ${text}`;
  const lines = paragraph(said, view.width - columns(label), MOST_LINES, symbols.ellipsis);
  return lines.map(
    (line, index): Line => [
      span(index === 0 ? label : " ".repeat(columns(label)), "faint"),
      span(line, tone),
    ],
  );
}

/** As many as fit; Enter shows the rest. */
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

/** While no fleet is configured: what one is for, and what to type. */
export function noFleetLines(size: ScreenSize): readonly Line[] {
  return [
    [span(FLEET_OFF_TEXT, "strong")],
    ...indented(FLEET_ABOUT_TEXT, "", "plain", size),
    [],
    [span("In another terminal:", "faint")],
    ...stepLines(FLEET_STEPS, size),
    [],
    ...indented("Nothing of it runs until then. This screen follows by itself.", "", "faint", size),
  ];
}

function stepLines(
  steps: readonly { readonly command: string; readonly does: string }[],
  { width, symbols }: View,
): readonly Line[] {
  const room = Math.max(...steps.map(({ command }) => columns(command))) + 2;
  return steps.flatMap(({ command, does }): readonly Line[] => {
    const line: Line = [span(`${INDENT}${padded(command, room)}`, "accent"), span(does)];
    if (columns(does) + room + INDENT.length <= width) return [line];
    const below = paragraph(does, width - 4, 2, symbols.ellipsis);
    return [
      [span(`${INDENT}${command}`, "accent")],
      ...below.map((part): Line => [span(`${INDENT}${INDENT}${part}`)]),
    ];
  });
}
