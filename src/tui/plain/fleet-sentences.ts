// The fleet in plain mode: a summary, and each machine in one sentence or in full. Pure.
import type { FleetMachine, FleetReport } from "../../api/contract/fleet.ts";
import {
  cutText,
  FLEET_ABOUT_TEXT,
  FLEET_NEXT,
  FLEET_OFF_TEXT,
  FLEET_STEPS,
  fleetSummary,
  lineWords,
  linkWords,
  machineCounts,
  machineLines,
  machineSearchText,
  machineTrouble,
  presenceWords,
  troubledFirst,
} from "../../api/words/fleet-words.ts";
import { matcherOf } from "../../runtime/text/typed-words.ts";

/** Maximum number of machines listed; a search finds the others. */
const MACHINES_SAID = 30;
/** Up to this number, the machines that a search finds are described in full. */
const WHOLE_SAID = 3;

/** Describes few machines in full, and many in one sentence each. `words`: the search; "" finds all. */
export function fleetSentences(report: FleetReport, words: string): readonly string[] {
  const matches = matcherOf(words);
  const found = troubledFirst(report.machines).filter((machine) => matches(machineSearchText(machine)));
  if (found.length === 0) return [`no machine of the fleet is like ${words}`];
  const named = found.filter(({ name }) => name === words);
  if (words !== "" && (named.length > 0 || found.length <= WHOLE_SAID))
    return (named.length > 0 ? named : found).flatMap(wholeSentences);
  const left = found.length - MACHINES_SAID;
  return [
    ...(words === "" ? headSentences(report) : []),
    ...found.slice(0, MACHINES_SAID).map(machineSentence),
    ...(left > 0 ? [`${left} more; find them by words, as in: fleet silent`] : []),
    ...(report.machines.length === 1
      ? [`no other machine is known yet; in a shell ${FLEET_NEXT.command} ${FLEET_NEXT.does}`]
      : ["fleet NAME says all of one machine"]),
  ];
}

export function noFleetSentences(): readonly string[] {
  return [
    FLEET_OFF_TEXT,
    FLEET_ABOUT_TEXT,
    ...FLEET_STEPS.map(({ command, does }) => `in a shell ${command} ${does}`),
  ];
}

function headSentences(report: FleetReport): readonly string[] {
  const { name, link, conditions } = report;
  const { text, tone } = linkWords(link);
  const state = tone === "warning" ? `${text}: what follows is what was known` : text;
  return [
    `fleet, as ${name}: ${state}`,
    ...conditions.map(
      ({ severity, title, hint }) => `${severity}: ${title}${hint === null ? "" : `; ${hint}`}`,
    ),
    fleetSummary(report).text,
  ];
}

function machineSentence(machine: FleetMachine): string {
  const trouble = machineTrouble(machine);
  const said =
    trouble === null
      ? machineCounts(machine)
      : trouble.text === presenceWords(machine).text
        ? null
        : trouble.text;
  return said === null || said === "" ? headOf(machine) : `${headOf(machine)}; ${said}`;
}

function wholeSentences(machine: FleetMachine): readonly string[] {
  const version = machine.state === null ? "" : `; Mountaineer ${machine.state.version}`;
  const more = cutText(machine);
  return [
    `${headOf(machine)}${version}`,
    ...machineLines(machine).map((line) =>
      line.about === "wrong"
        ? `${line.tone === "bad" ? "error" : "warning"}: ${line.text}`
        : `${line.about} ${line.name ?? ""}: ${lineWords(line)}`,
    ),
    ...(more === null ? [] : [more]),
  ];
}

function headOf(machine: FleetMachine): string {
  return `machine ${machine.name}${machine.own ? ", this one" : ""}: ${presenceWords(machine).text}`;
}
