// The machines of a fleet as text, for a width and a time. Pure.
import type { FleetMachine, FleetReport, MachineState } from "../../api/fleet-contract.ts";
import { counted, durationText, harmless } from "../../runtime/text/plain-text.ts";
import {
  conditionLines,
  INDENT,
  labelled,
  marked,
  type StatusViewOptions,
  sinceText,
  text,
  type View,
  viewOf,
} from "./view-lines.ts";

/** As lines of text, ending in a newline. */
export function renderFleet(report: FleetReport, options: StatusViewOptions): string {
  const view = viewOf(options);
  const blocks = [headLines(report, view), ...report.machines.map((machine) => machineLines(machine, view))];
  if (report.more > 0) {
    blocks.push(text(`and ${counted(report.more, "machine")} more, too many to keep`, "", view));
  }
  return `${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

function headLines({ name, link, conditions }: FleetReport, view: View): string[] {
  const { paint, now } = view;
  const since = sinceText(link.since, now);
  const isConnected = link.state === "connected";
  const sign = isConnected
    ? paint.green(`${paint.symbols.on} connected`)
    : paint.yellow(`${paint.symbols.off} ${link.last_error === null ? "connecting" : "not connected"}`);
  const detail = since === null ? "" : paint.dim(` (for ${since})`);
  return [
    `${paint.bold(`Fleet, as ${harmless(name)}`)}  ${sign}${detail}`,
    ...(link.server === null ? [] : labelled("server", harmless(link.server), view)),
    ...conditions.flatMap((condition) => conditionLines(condition, "  ", view)),
  ];
}

function machineLines(machine: FleetMachine, view: View): string[] {
  const { paint } = view;
  const { name, own, problem, state } = machine;
  const version = state === null ? "" : paint.dim(`  ${harmless(state.version)}`);
  const title = `${paint.bold(harmless(name))}${own ? " (this machine)" : ""}`;
  const lines = [`${title}  ${presenceText(machine, view)}${version}`];
  if (problem !== null) {
    lines.push(...marked(paint.symbols.warning, harmless(problem), "  ", paint.yellow, view));
  }
  return state === null ? lines : [...lines, ...stateLines(state, view)];
}

function presenceText({ presence, heard_secs_ago: secondsAgo, own }: FleetMachine, { paint }: View): string {
  const ago = secondsAgo === null ? null : durationText(secondsAgo * 1000);
  switch (presence) {
    case "here":
      return paint.green(
        `${paint.symbols.on} here${own || ago === null ? "" : `, last heard from ${ago} ago`}`,
      );
    case "silent":
      return paint.red(
        `${paint.symbols.bad} silent, ${ago === null ? "gives no answer" : `last heard from ${ago} ago`}`,
      );
    case "gone":
      return paint.dim(`${paint.symbols.off} stopped${ago === null ? "" : ` ${ago} ago`}`);
    case "unheard":
      return paint.yellow(`${paint.symbols.off} not heard from${ago === null ? " yet" : ` for ${ago}`}`);
    case "unreadable":
      return paint.yellow(`${paint.symbols.off} unreadable`);
  }
}

function stateLines({ shares, backends, conditions, cut }: MachineState, view: View): string[] {
  const { paint } = view;
  const withReason = (what: string, reason: string | null): string =>
    reason === null ? what : `${what}: ${harmless(reason)}`;
  return [
    ...shares.flatMap(({ name, phase, route, reason }) => {
      const over = route === "none" ? "" : ` over ${harmless(route)}`;
      return labelled("share", withReason(`${harmless(name)} ${harmless(phase)}${over}`, reason), view);
    }),
    ...backends.flatMap(({ name, phase, tools, reason }) => {
      const what = `${harmless(name)} ${harmless(phase)}, ${counted(tools, "tool")}`;
      return labelled("backend", withReason(what, reason), view);
    }),
    ...conditions.flatMap(({ severity, title }) => {
      const [symbol, style] =
        severity === "error"
          ? ([paint.symbols.bad, paint.red] as const)
          : ([paint.symbols.warning, paint.yellow] as const);
      return marked(symbol, harmless(title), "  ", style, view);
    }),
    ...(cut === 0 ? [] : text(`and ${cut} more, too many to tell`, INDENT, view)),
  ];
}
