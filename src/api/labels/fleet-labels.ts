// Texts about a fleet for all user interfaces: each machine's presence, its state line by line, and its
// problems. Other machines wrote parts of these texts: pass them through `harmless` before you show them.
// Pure.
import { durationText, pluralize } from "../../runtime/text/plain-text.ts";
import type { FleetMachine, FleetReport, MachineState } from "../contract/fleet.ts";
import { type Label, SEVERITY_TONES, worstFirst } from "./label.ts";

export interface MachineLine extends Label {
  readonly about: "wrong" | "share" | "server";
  /** The share or backend; null: the whole machine. */
  readonly name: string | null;
  readonly reason: string | null;
}

/** `mounted over Fallback: no host answers` */
export function lineLabel({ text, reason }: Pick<MachineLine, "text" | "reason">): string {
  return reason === null ? text : `${text}: ${reason}`;
}

/** This machine's connection to its fleet. */
export function connectionLabel({ state, last_error: error }: FleetReport["link"]): Label {
  if (state === "connected") return { text: "connected", tone: "good" };
  return error === null ? { text: "connecting", tone: "plain" } : { text: "not connected", tone: "warning" };
}

/** `silent, last heard from 1 min ago`, for a place beside the machine's name. */
export function presenceLabel(machine: FleetMachine): Label {
  const { presence, heard_secs_ago: secondsAgo, own } = machine;
  const ago = secondsAgo === null ? null : durationText(secondsAgo * 1000);
  switch (presence) {
    case "here":
      return { text: own || ago === null ? "here" : `here, last heard from ${ago} ago`, tone: "good" };
    case "silent":
      return {
        text: `silent, ${ago === null ? "gives no answer" : `last heard from ${ago} ago`}`,
        tone: "bad",
      };
    case "gone":
      return { text: ago === null ? "stopped" : `stopped ${ago} ago`, tone: "plain" };
    case "unheard":
      return { text: ago === null ? "not heard from yet" : `not heard from for ${ago}`, tone: "plain" };
    case "unreadable":
      return { text: "unreadable", tone: "warning" };
  }
}

/** The text contains no duration, so that it changes only when the presence changes. */
export function presenceText({ presence, own }: Pick<FleetMachine, "presence" | "own">): string {
  if (own) return "this machine";
  return presence === "gone" ? "stopped" : presence === "unheard" ? "not heard" : presence;
}

/**
 * The code of a condition that is left out of this machine's own lines, because user interfaces show it above
 * the list of machines.
 */
const SHOWN_ABOVE = "fleet_unreachable";

/** All lines about a machine; problems first. */
export function machineLines({ own, problem, state }: FleetMachine): readonly MachineLine[] {
  const ofProblem: readonly MachineLine[] =
    problem === null ? [] : [{ about: "wrong", name: null, text: problem, reason: null, tone: "warning" }];
  if (state === null) return ofProblem;
  const conditions = state.conditions.filter(({ code }) => !own || code !== SHOWN_ABOVE);
  return [...ofProblem, ...stateLines({ ...state, conditions })];
}

function stateLines({ conditions, shares, backends }: MachineState): readonly MachineLine[] {
  return [
    ...conditions.map(
      ({ severity, title }): MachineLine => ({
        about: "wrong",
        name: null,
        text: title,
        reason: null,
        tone: SEVERITY_TONES[severity],
      }),
    ),
    ...shares.map(shareLine),
    ...backends.map(backendLine),
  ];
}

/** Empty if the fleet has no configuration. */

function shareLine({ name, reason, words: label }: MachineState["shares"][number]): MachineLine {
  return { about: "share", name, reason, ...label };
}

function backendLine({ name, tools, reason, words: label }: MachineState["backends"][number]): MachineLine {
  const { text, tone } = label;
  return { about: "server", name, text: `${text}, ${pluralize(tools, "tool")}`, reason, tone };
}

/** `2 shares, 3 backends, 41 tools`; null if the machine's state cannot be read. */
export function machineCounts({ state }: FleetMachine): string | null {
  if (state === null) return null;
  const { shares, backends } = state;
  const tools = backends.reduce((sum, backend) => sum + backend.tools, 0);
  return [
    ...(shares.length === 0 ? [] : [pluralize(shares.length, "share")]),
    ...(backends.length === 0 ? [] : [pluralize(backends.length, "server"), pluralize(tools, "tool")]),
  ].join(", ");
}

/** How many lines were cut off; null: none. */
export function cutText({ state }: FleetMachine): string | null {
  return state === null || state.cut === 0 ? null : `and ${state.cut} more`;
}

/** The worst problem of a machine in one line; null: no problem, or it stopped in order. */
export function machineTrouble(machine: FleetMachine): Label | null {
  if (machine.presence === "gone") return null;
  const lines = machineLines(machine);
  const worst = lines.find(({ tone }) => tone === "bad") ?? lines.find(({ tone }) => tone === "warning");
  const label =
    worst === undefined
      ? null
      : { text: `${worst.name === null ? "" : `${worst.name} `}${lineLabel(worst)}`, tone: worst.tone };
  if (machine.presence !== "silent") return label;
  return { text: label === null ? presenceLabel(machine).text : label.text, tone: "bad" };
}

/**
 * Sorts the machines: this machine, then machines with problems, the worst first, then the others. Otherwise
 * keeps the given order.
 */
export function troubledFirst(machines: readonly FleetMachine[]): readonly FleetMachine[] {
  const others = machines.filter(({ own }) => !own);
  return [
    ...machines.filter(({ own }) => own),
    ...worstFirst(others, (machine) => machineTrouble(machine)?.tone ?? "plain"),
  ];
}

const PRESENCES = ["here", "silent", "unreadable", "gone", "unheard"] as const;

/** The fleet in a sentence: `4 machines: 2 here, 1 silent, 1 unreadable; trouble on 2`. */
export function fleetSummary({ machines, more }: Pick<FleetReport, "machines" | "more">): Label {
  const by = Map.groupBy(machines, ({ presence }) => presence);
  const troubles = machines.flatMap((machine) => machineTrouble(machine) ?? []);
  const counts = PRESENCES.flatMap((presence) => {
    const count = by.get(presence)?.length ?? 0;
    return count === 0 ? [] : [`${count} ${presenceText({ presence, own: false })}`];
  });
  const here =
    by.get("here")?.length === machines.length && machines.length > 1 ? "all here" : counts.join(", ");
  const uncounted = more === 0 ? "" : `; ${more} more are too many to keep`;
  // Says "no trouble" only if all machines were heard: one that was not heard may have problems.
  const isSure = !by.has("unheard");
  const wrong = troubles.length > 0 ? `; trouble on ${troubles.length}` : isSure ? "; no trouble" : "";
  const isBad = troubles.some(({ tone }) => tone === "bad");
  return {
    text: `${pluralize(machines.length, "machine")}: ${here}${wrong}${uncounted}`,
    tone: isBad ? "bad" : troubles.length > 0 ? "warning" : isSure ? "good" : "plain",
  };
}

/** The text that a search for machines matches: name, presence and all lines; at most 4,000 characters. */
export function machineSearchText(machine: FleetMachine): string {
  const lines = machineLines(machine).map((line) => `${line.name ?? ""} ${lineLabel(line)}`);
  return [machine.name, presenceText(machine), machine.state?.version ?? "", ...lines]
    .join(" ")
    .slice(0, 4_000);
}

export const FLEET_OFF_TEXT = "This machine is in no fleet.";
export const FLEET_ABOUT_TEXT =
  "Several machines that run Mountaineer can form a fleet: each then shows the shares, servers and problems of all. docs/reference/fleet.md shows the three steps.";
/** Shown to the only machine of a fleet. */
export const FLEET_NEXT = {
  command: "mountaineer fleet key",
  does: "prints there the line that lets another machine in",
} as const;
