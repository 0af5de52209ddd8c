// The machines of the fleet: a summary, a list with a search, and the chosen machine.
import { type ComponentChild, h } from "preact";
import { useMemo } from "preact/hooks";
import type { FleetMachine, FleetReport } from "../../../api/contract/fleet.ts";
import {
  connectionLabel,
  cutText,
  FLEET_ABOUT_TEXT,
  FLEET_NEXT,
  FLEET_OFF_TEXT,
  FLEET_STEPS,
  fleetSummary,
  type MachineLine,
  machineCounts,
  machineLines,
  machineSearchText,
  machineTrouble,
  presenceLabel,
  presenceText,
  troubledFirst,
} from "../../../api/labels/fleet-labels.ts";
import { pluralize } from "../../../runtime/text/plain-text.ts";
import { matcherOf } from "../../../runtime/text/typed-words.ts";
import type { ViewProps } from "../parts/app.ts";
import { Chooser } from "../parts/chooser.ts";
import {
  alertLine,
  card,
  code,
  conditionList,
  faultList,
  line,
  loading,
  mark,
  nothing,
  plainList,
  searchPart,
} from "../parts/elements.ts";
import { createFormStores, useFormStore } from "../parts/form-store.ts";
import { forText, shown } from "../parts/text.ts";
import { useFleet } from "./use-fleet.ts";

/** The search field is shown from this number of machines on. Fewer machines fit on the screen. */
const SEARCHED_FROM = 8;

interface Search {
  readonly query: string;
  /** A machine's name; null: the first machine. */
  readonly chosen: string | null;
}

const SEARCHES = createFormStores<Search>();

export function FleetView({ app }: ViewProps): ComponentChild {
  const { report, problem } = useFleet(app);
  if (report === null) return loading(problem);
  if (report === "off") return noFleet();
  return h("div", { class: "fleet" }, alertLine(problem), linkLine(report), h(Machines, { app, report }));
}

function noFleet(): ComponentChild {
  return nothing(
    FLEET_OFF_TEXT,
    h("p", {}, FLEET_ABOUT_TEXT),
    h("p", {}, "In a terminal:"),
    plainList(
      "Steps",
      FLEET_STEPS.map(({ command, does }) => h("li", { key: command }, code(command), ` ${does}.`)),
    ),
  );
}

function linkLine({ name, link, conditions }: FleetReport): ComponentChild {
  const now = Date.now();
  const since = forText(link.since, now);
  const { text, tone } = connectionLabel(link);
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

interface MachinesProps extends ViewProps {
  readonly report: FleetReport;
}

function Machines({ app, report }: MachinesProps): ComponentChild {
  const [{ query, chosen }, search] = useFormStore(SEARCHES, app.requests, () => ({
    query: "",
    chosen: null,
  }));
  const machines = useMemo(() => troubledFirst(report.machines), [report]);
  const summary = useMemo(() => fleetSummary(report), [report]);
  const found = useMemo(() => {
    const matches = matcherOf(query);
    return machines.filter((machine) => matches(machineSearchText(machine)));
  }, [machines, query]);
  const name = chosen ?? machines[0]?.name ?? null;
  const machine = machines.find((each) => each.name === name) ?? null;
  const isSearched = machines.length >= SEARCHED_FROM || query !== "";
  return [
    h("p", { role: "status", class: `summary ${summary.tone}` }, summary.text),
    h(
      "div",
      { class: "two" },
      h(
        "div",
        {},
        isSearched
          ? searchPart(
              { id: "fleet-words", text: query, onText: (typed) => search.set({ query: typed }) },
              query === "" ? null : `${pluralize(found.length, "machine")} of ${machines.length}`,
            )
          : null,
        found.length === 0
          ? nothing("No machine has these words.")
          : h(Chooser<FleetMachine>, {
              label: "Machines",
              items: found,
              keyOf: (each) => each.name,
              chosen: name,
              choose: (next) => search.set({ chosen: next }),
              draw: machineItem,
            }),
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
      machine === null ? nothing(`${shown(name ?? "")} is no longer in the fleet.`) : machineCard(machine),
    ),
  ];
}

function machineItem(machine: FleetMachine): ComponentChild {
  const trouble = machineTrouble(machine);
  return [
    h(
      "span",
      { class: "row" },
      h("strong", {}, shown(machine.name)),
      mark(presenceLabel(machine).tone, presenceText(machine)),
    ),
    h(
      "span",
      { class: `tool-line ${trouble?.tone ?? ""}` },
      shown(trouble === null ? (machineCounts(machine) ?? "") : trouble.text),
    ),
  ];
}

// One machine of the fleet: its presence, its faults, and its report.

const GROUPS = [
  ["share", "Shares"],
  ["backend", "Servers"],
] as const;

function machineCard(machine: FleetMachine): ComponentChild {
  const { own, state } = machine;
  const name = shown(machine.name);
  const presence = presenceLabel(machine);
  const lines = machineLines(machine);
  const of = (about: MachineLine["about"]) => lines.filter((each) => each.about === about);
  return card(
    machineTrouble(machine)?.tone ?? presence.tone,
    `Machine ${name}`,
    h(
      "header",
      {},
      h("h2", {}, name),
      own ? h("span", { class: "dim" }, "this machine") : null,
      mark(presence.tone, presence.text),
      state === null ? null : h("span", { class: "dim" }, shown(`Mountaineer ${state.version}`)),
    ),
    faultList(of("wrong"), "What is wrong"),
    GROUPS.map(([about, title]) => lineList(title, of(about))),
    line("dim", state !== null && lines.length === 0 ? "No shares and no servers." : null),
    line("dim", cutText(machine)),
  );
}

function lineList(title: string, lines: readonly MachineLine[]): ComponentChild | null {
  if (lines.length === 0) return null;
  return [
    h("h3", { key: `${title} title` }, `${title} (${lines.length})`),
    h(
      "ul",
      { key: title, class: "plain-list lines", "aria-label": title },
      lines.map(({ name, text, reason, tone }, index) =>
        h(
          "li",
          { key: index },
          h("strong", {}, shown(name ?? "")),
          mark(tone, text),
          reason === null ? null : h("span", { class: "facts" }, shown(reason)),
        ),
      ),
    ),
  ];
}
