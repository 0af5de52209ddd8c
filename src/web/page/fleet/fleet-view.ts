// The machines of the fleet: a summary, and a table with a search.
import { type ComponentChild, h } from "preact";
import { useMemo } from "preact/hooks";
import type { FleetMachine, FleetReport } from "../../../api/contract/fleet.ts";
import {
  connectionLabel,
  cutText,
  FLEET_ABOUT_TEXT,
  FLEET_NEXT,
  FLEET_OFF_TEXT,
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
  searchPart,
  withCode,
} from "../parts/elements.ts";
import { createFormStores, useFormStore } from "../parts/form-store.ts";
import { Table } from "../parts/table.ts";
import { forText, shown } from "../parts/text.ts";
import { useFleet } from "./use-fleet.ts";

/** The search field is shown from this number of machines on. Fewer machines fit on the screen. */
const SEARCHED_FROM = 8;

interface Search {
  readonly query: string;
  /** The machine that is open, by its name. */
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
  return nothing(FLEET_OFF_TEXT, h("p", {}, FLEET_ABOUT_TEXT));
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
  const machines = useMemo(() => troubledFirst(report.machines), [report]);
  const [{ query, chosen }, search] = useFormStore(SEARCHES, app.requests, () => ({
    query: "",
    chosen: machines[0]?.name ?? null,
  }));
  const summary = useMemo(() => fleetSummary(report), [report]);
  const found = useMemo(() => {
    const matches = matcherOf(query);
    return machines.filter((machine) => matches(machineSearchText(machine)));
  }, [machines, query]);
  const isSearched = machines.length >= SEARCHED_FROM || query !== "";
  const isGone = chosen !== null && machines.every(({ name }) => name !== chosen);
  return [
    h("p", { role: "status", class: `summary ${summary.tone}` }, summary.text),
    isSearched
      ? searchPart(
          { id: "fleet-words", text: query, onText: (typed) => search.set({ query: typed }) },
          query === "" ? null : `${pluralize(found.length, "machine")} of ${machines.length}`,
        )
      : null,
    line("hint", isGone ? `${chosen} is no longer in the fleet.` : null),
    found.length === 0
      ? nothing("No machine has these words.")
      : h(Table, {
          ...{ label: "Machines", titles: ["Machine", "State", "What it has", "What is wrong"] },
          opened: [chosen, (next) => search.set({ chosen: next })],
          rows: found.map((machine) => ({
            key: machine.name,
            cells: [
              shown(machine.name),
              mark(presenceLabel(machine).tone, presenceText(machine)),
              shown(machineCounts(machine) ?? ""),
              withCode(machineTrouble(machine)?.text ?? ""),
            ],
            card: () => machineCard(machine),
          })),
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
  ];
}

// One machine of the fleet: its presence, its faults, and its report.

const GROUPS = [
  ["share", "Shares"],
  ["server", "Servers"],
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
