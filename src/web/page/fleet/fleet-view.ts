// The machines of the fleet: how all of them are, a list with a search, and the chosen one.
import { type ComponentChild, h } from "preact";
import { useMemo } from "preact/hooks";
import type { FleetMachine, FleetReport } from "../../../api/fleet-contract.ts";
import {
  FLEET_ABOUT_TEXT,
  FLEET_NEXT,
  FLEET_OFF_TEXT,
  FLEET_STEPS,
  fleetSummary,
  linkWords,
  machineCounts,
  machineSearchText,
  machineTrouble,
  presenceWord,
  presenceWords,
  troubledFirst,
} from "../../../api/words/fleet-words.ts";
import { counted } from "../../../runtime/text/plain-text.ts";
import type { App, ViewProps } from "../parts/app.ts";
import { Chooser } from "../parts/chooser.ts";
import { code, conditionList, mark, nothing, searchField } from "../parts/elements.ts";
import { createFormKeeper, useKeptForm } from "../parts/kept-form.ts";
import { forText, shown } from "../parts/text.ts";
import { MachineCard } from "./machine-card.ts";
import { useFleet } from "./use-fleet.ts";

/** Of a thousand, more are told apart by a search than by scrolling. */
const MOST_SHOWN = 200;
/** So few are seen at once: nobody searches them. */
const SEARCHED_FROM = 8;

/** What was looked for, and chosen. */
interface Search {
  readonly words: string;
  /** A machine's name; null: the first. */
  readonly chosen: string | null;
}

const SEARCHES = createFormKeeper<Search>();

export function FleetView({ app }: ViewProps): ComponentChild {
  const { known, problem } = useFleet(app);
  if (known.kind === "nothing") return nothing(problem === null ? "Asking the daemon …" : shown(problem));
  if (known.kind === "off") return noFleet();
  return h(
    "div",
    { class: "fleet" },
    problem === null ? null : h("p", { class: "problem", role: "alert" }, shown(problem)),
    h(LinkPart, { report: known.report }),
    h(Machines, { app, report: known.report }),
  );
}

function noFleet(): ComponentChild {
  return nothing(
    FLEET_OFF_TEXT,
    h("p", {}, FLEET_ABOUT_TEXT),
    h("p", {}, "In a terminal:"),
    h(
      "ul",
      { class: "plain-list" },
      FLEET_STEPS.map(({ command, does }) => h("li", { key: command }, code(command), ` ${does}.`)),
    ),
  );
}

function LinkPart({ report }: { readonly report: FleetReport }): ComponentChild {
  const { name, link, conditions } = report;
  const now = Date.now();
  const since = forText(link.since, now);
  const { text, tone } = linkWords(link);
  return [
    h(
      "p",
      { class: "row facts" },
      "This machine is ",
      h("strong", {}, shown(name)),
      mark(tone, text),
      link.server === null ? null : code(link.server),
      since === null ? null : h("span", { class: "dim" }, since),
    ),
    conditionList(conditions, now),
  ];
}

interface MachinesProps {
  readonly app: App;
  readonly report: FleetReport;
}

function Machines({ app, report }: MachinesProps): ComponentChild {
  const [{ words, chosen }, kept] = useKeptForm(SEARCHES, app.requests, () => ({ words: "", chosen: null }));
  const machines = useMemo(() => troubledFirst(report.machines), [report]);
  const summary = useMemo(() => fleetSummary(report), [report]);
  const found = useMemo(() => searchMachines(machines, words), [machines, words]);
  const name = chosen ?? machines[0]?.name ?? null;
  const machine = machines.find((each) => each.name === name) ?? null;
  const isSearched = machines.length >= SEARCHED_FROM || words !== "";
  return [
    h("p", { role: "status", class: `summary ${summary.tone}` }, summary.text),
    h(
      "div",
      { class: "two" },
      h(
        "div",
        {},
        isSearched
          ? machineSearch(words, found.length, machines.length, (text) => kept.set({ words: text }))
          : null,
        found.length === 0
          ? nothing("No machine has these words.")
          : h(Chooser<FleetMachine>, {
              label: "Machines",
              items: found.slice(0, MOST_SHOWN),
              keyOf: (each) => each.name,
              chosen: name,
              choose: (next) => kept.set({ chosen: next }),
              draw: machineItem,
            }),
        found.length > MOST_SHOWN
          ? h("p", { class: "hint" }, `${found.length - MOST_SHOWN} more: search for them.`)
          : null,
        machines.length === 1
          ? h(
              "p",
              { class: "hint" },
              "No other machine is known yet. ",
              code(FLEET_NEXT.command),
              ` ${FLEET_NEXT.does}.`,
            )
          : null,
      ),
      machine === null
        ? nothing(`${shown(name ?? "")} is no longer in the fleet.`)
        : h(MachineCard, { key: machine.name, machine }),
    ),
  ];
}

/** Every word is in what the machine tells. */
function searchMachines(machines: readonly FleetMachine[], words: string): readonly FleetMachine[] {
  const wanted = words.toLowerCase().split(" ");
  return machines.filter((machine) => {
    const text = machineSearchText(machine).toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
}

function machineSearch(
  words: string,
  found: number,
  all: number,
  onWords: (words: string) => void,
): ComponentChild {
  return h(
    "div",
    { class: "catalog-search", role: "search" },
    searchField("fleet-words", "Search", words, onWords),
    words === "" ? null : h("p", { class: "dim", role: "status" }, `${counted(found, "machine")} of ${all}`),
  );
}

function machineItem(machine: FleetMachine): ComponentChild {
  const trouble = machineTrouble(machine);
  return [
    h(
      "span",
      { class: "row" },
      h("strong", {}, shown(machine.name)),
      mark(presenceWords(machine).tone, presenceWord(machine)),
    ),
    h(
      "span",
      { class: `tool-line ${trouble?.tone ?? ""}` },
      shown(trouble === null ? (machineCounts(machine) ?? "") : trouble.text),
    ),
  ];
}
