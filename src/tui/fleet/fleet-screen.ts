// The Fleet screen: every machine of the fleet, and the state of the chosen one. Asks the daemon while it is shown.
import type { FleetMachine, FleetReport } from "../../api/contract/fleet.ts";
import { fleetSummary, machineSearchText, troubledFirst } from "../../api/words/fleet-words.ts";
import type { Words } from "../../api/words/words.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import { attempt, errorLine } from "../terminal/attempt.ts";
import { absenceLines, failureLines } from "../terminal/connection.ts";
import { type Line, span } from "../terminal/line.ts";
import { chosenId, EMPTY_LIST, filterOf, type ListState, pressListKey } from "../terminal/list-state.ts";
import type { KeyHelp, Screen, ScreenSize } from "../terminal/screen.ts";
import { createStore, eitherOf } from "../terminal/store.ts";
import { fleetLines, noFleetLines, type ShownFleet } from "./fleet-lines.ts";

const KEYS: readonly KeyHelp[] = [
  { keys: "up, down, Space", does: "choose a machine; those with trouble come first" },
  { keys: "Enter", does: "all of the chosen machine; again, or Esc: back to the list" },
  { keys: "/", does: "only machines with these words in what they tell: nas, silent, Failed" },
  { keys: "Esc", does: "drops the words, and goes back to the first" },
];

/**
 * Minimum time between two requests, ms. The screen polls, because events for a thousand machines would cost too
 * much.
 */
const AGAIN_MS = 1_000;
/** The pause after a request, as a multiple of its duration: a large fleet is requested less often. */
const REST_FACTOR = 3;

/** A machine, and the text that the filter searches. */
interface Row {
  readonly machine: FleetMachine;
  readonly text: string;
}

type Known =
  | { readonly kind: "nothing" }
  /** No fleet is configured. */
  | { readonly kind: "off" }
  | {
      readonly kind: "fleet";
      readonly report: FleetReport;
      readonly summary: Words;
      readonly rows: readonly Row[];
    };

interface FleetState {
  readonly known: Known;
  /** Why the newest request has failed; null: no failure. */
  readonly failure: string | null;
  readonly list: ListState<string>;
}

interface FleetScreenOptions {
  readonly link: Pick<DaemonLink, "ask" | "connection">;
  readonly clock?: Clock;
}

export function createFleetScreen({ link, clock = systemClock }: FleetScreenOptions): Screen {
  const state = createStore<FleetState>({ known: { kind: "nothing" }, failure: null, list: EMPTY_LIST });
  const { put } = state;
  const look = (signal: AbortSignal): Promise<void> =>
    attempt(
      async () => {
        const report = await link.ask("fleet", null, signal);
        put({ known: knownOf(report), failure: null });
      },
      (error) => {
        if (error.code === "fleet_off") put({ known: { kind: "off" }, failure: null });
        // While the daemon is away, the known fleet stays; the line above it shows the lost connection.
        else if (error.code !== "daemon_unreachable") put({ failure: errorLine(error) });
      },
      signal,
    );
  const matching = (): readonly Row[] => matchingRows(state.get());
  return {
    key: "F",
    view: "Settings",
    title: "Fleet",
    about: "the machines of the fleet, and what is wrong on each",
    keys: KEYS,
    changes: eitherOf(state, link.connection),
    async open(signal) {
      while (!signal.aborted) {
        const startedMs = clock.monotonicMs();
        await look(signal);
        const restMs = Math.max(AGAIN_MS, (clock.monotonicMs() - startedMs) * REST_FACTOR);
        await clock.sleep(restMs, signal).catch(() => {});
      }
    },
    draw: (size) => drawnLines(state.get(), absenceLines(link.connection.get(), size), size),
    hints: () => hintsOf(state.get()),
    onKey(key) {
      if (state.get().known.kind !== "fleet") return false;
      const ids = matching().map(({ machine }) => machine.name);
      const list = pressListKey(state.get().list, key, ids);
      if (list === null) return false;
      put({ list });
      return true;
    },
  };
}

function knownOf(report: FleetReport): Known {
  const rows = troubledFirst(report.machines).map((machine) => ({
    machine,
    text: machineSearchText(machine),
  }));
  return { kind: "fleet", report, summary: fleetSummary(report), rows };
}

function matchingRows({ known, list }: FleetState): readonly Row[] {
  if (known.kind !== "fleet") return [];
  const matches = filterOf(list);
  return known.rows.filter(({ text }) => matches(text));
}

function drawnLines(state: FleetState, above: readonly Line[], size: ScreenSize): readonly Line[] {
  const { known, failure, list } = state;
  const top = [...above, ...failureLines(failure, size)];
  const room = { ...size, height: size.height - top.length };
  if (known.kind === "off") return [...top, ...noFleetLines(room)];
  if (known.kind === "nothing")
    return top.length > 0 ? top : [[span(`${size.symbols.off} nothing is known yet`, "faint")]];
  const rows = matchingRows(state);
  const ids = rows.map(({ machine }) => machine.name);
  const shown: ShownFleet = {
    report: known.report,
    summary: known.summary,
    machines: rows.map(({ machine }) => machine),
    chosen: ids.indexOf(chosenId(list, ids) ?? ""),
    list,
  };
  return [...top, ...fleetLines(shown, room)];
}

function hintsOf({ known, list }: FleetState): readonly string[] {
  if (list.isTyping) return ["type words", "Enter keep", "Esc drop"];
  if (known.kind !== "fleet") return ["? help", "q quit"];
  if (list.details !== null) return ["Space more", "Esc back"];
  return [
    "arrows choose",
    "Enter more",
    "/ filter",
    ...(list.filter.text === "" ? [] : ["Esc all"]),
    "? help",
    "q quit",
  ];
}
