// The machines of a fleet as text, for a width and a time. Pure.
import type { FleetMachine, FleetReport } from "../../api/contract/fleet.ts";
import {
  connectionLabel,
  cutText,
  fleetSummary,
  lineLabel,
  type MachineLine,
  machineCounts,
  machineLines,
  machineTrouble,
  presenceLabel,
  presenceText,
  troubledFirst,
} from "../../api/labels/fleet-labels.ts";
import { type Label, sinceText } from "../../api/labels/label.ts";
import {
  conditionLines,
  INDENT,
  labelled,
  marked,
  nameColumns,
  type StatusViewOptions,
  text,
  type View,
  viewOf,
} from "../../api/views/view-lines.ts";
import { tonePaint } from "../../runtime/text/paint.ts";
import { padded, printable } from "../../runtime/text/plain-text.ts";

/** More machines than this are shown in one line each, unless they are chosen by name. */
const MOST_WHOLE = 12;
const PRESENCE_WIDTH = 12;

/** `isChosen`: the person named the machines. */
export function renderFleet(
  report: FleetReport,
  options: StatusViewOptions,
  { isChosen = false }: { readonly isChosen?: boolean } = {},
): string {
  const view = viewOf(options);
  const machines = troubledFirst(report.machines);
  const blocks =
    isChosen || machines.length <= MOST_WHOLE
      ? machines.map((machine) => wholeLines(machine, view))
      : [rowLines(machines, view), ["mountaineer fleet status NAME shows all of one"]];
  const head = headLines(report, view);
  return `${[isChosen ? head : [...head, ...summaryLines(report, view)], ...blocks]
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

function headLines({ name, link, conditions }: FleetReport, view: View): string[] {
  const { paint, now } = view;
  const since = sinceText(link.since, now);
  const { text: state, tone } = connectionLabel(link);
  const { mark, style } = tonePaint(tone, paint);
  const sign = style(`${mark} ${state}`);
  const detail = since === null ? "" : paint.dim(` (for ${since})`);
  return [
    `${paint.bold(`Fleet, as ${printable(name)}`)}  ${sign}${detail}`,
    ...(link.server === null ? [] : labelled("server", printable(link.server), view)),
    ...conditionLines(conditions, "  ", view),
  ];
}

function summaryLines(report: FleetReport, view: View): string[] {
  const { text: content, tone } = fleetSummary(report);
  return text(content, "  ", view).map((line) => painted({ text: line, tone }, view));
}

function painted({ text: content, tone }: Label, { paint }: View): string {
  return tonePaint(tone, paint).style(content);
}

function rowLines(machines: readonly FleetMachine[], view: View): string[] {
  const { paint } = view;
  const names = nameColumns(machines);
  return machines.map((machine) => {
    const { mark, style } = tonePaint(presenceLabel(machine).tone, paint);
    const trouble = machineTrouble(machine);
    const rest =
      trouble === null
        ? paint.dim(machineCounts(machine) ?? "")
        : painted(
            { ...trouble, text: `${tonePaint(trouble.tone, paint).mark} ${printable(trouble.text)}` },
            view,
          );
    const presence = style(`${mark} ${padded(presenceText(machine), PRESENCE_WIDTH)}`);
    return `${padded(printable(machine.name), names)}  ${presence}  ${rest}`.trimEnd();
  });
}

function wholeLines(machine: FleetMachine, view: View): string[] {
  const { paint } = view;
  const { name, own, state } = machine;
  const { mark, style } = tonePaint(presenceLabel(machine).tone, paint);
  const version = state === null ? "" : paint.dim(`  Mountaineer ${printable(state.version)}`);
  const title = `${paint.bold(printable(name))}${own ? " (this machine)" : ""}`;
  const more = cutText(machine);
  return [
    `${title}  ${style(`${mark} ${presenceLabel(machine).text}`)}${version}`,
    ...machineLines(machine).flatMap((line) => factLines(line, view)),
    ...(more === null ? [] : text(more, INDENT, view)),
  ];
}

function factLines(line: MachineLine, view: View): string[] {
  const { paint } = view;
  const { about, name, tone } = line;
  const content = printable(name === null ? lineLabel(line) : `${name} ${lineLabel(line)}`);
  const { mark, style } = tonePaint(tone, paint);
  if (about === "wrong") return marked(mark, content, "  ", style, view);
  // Plain facts have no colour.
  return labelled(about, content, view).map((shown) => (tone === "plain" ? shown : style(shown)));
}
