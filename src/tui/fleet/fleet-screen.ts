// The Fleet screen: every machine of the fleet, and what the chosen one tells of itself. Asks while somebody looks.
import type { FleetMachine, FleetReport } from "../../api/fleet-contract.ts";
import { fleetSummary, machineSearchText, troubledFirst } from "../../api/words/fleet-words.ts";
import type { Words } from "../../api/words/words.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import { absenceLine } from "../terminal/connection.ts";
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

/** How old what is seen may be. An event for each change of a thousand machines would cost all who do not look. */
const AGAIN_MS = 1_000;
/** A large fleet is asked for less often: the asking is at most a quarter of the time. */
const REST_FACTOR = 3;

/** A machine, and what it is looked for by. */
interface Row {
  readonly id: number;
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
  /** Why the newest question was not answered; null: it was. */
  readonly failure: string | null;
  readonly list: ListState;
}

interface FleetScreenOptions {
  readonly link: Pick<DaemonLink, "connection" | "daemon">;
  readonly clock?: Clock;
}

export function createFleetScreen({ link, clock = systemClock }: FleetScreenOptions): Screen {
  const state = createStore<FleetState>({ known: { kind: "nothing" }, failure: null, list: EMPTY_LIST });
  const numbered = createNumbers();
  const put = (part: Partial<FleetState>): void => state.set({ ...state.get(), ...part });
  const look = async (signal: AbortSignal): Promise<void> => {
    try {
      const report = await (await link.daemon()).ask("fleet", null, signal);
      put({ known: knownOf(report, numbered), failure: null });
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof MountaineerError)) throw error;
      // While the daemon is away, what was known stays; the line above says that it is.
      if (error.code === "fleet_off") put({ known: { kind: "off" }, failure: null });
      else if (error.code !== "daemon_unreachable")
        put({ failure: errorText(error).split("\n", 1)[0] ?? "" });
    }
  };
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
    draw: (size) => drawnLines(state.get(), absenceLine(link.connection.get(), size), size),
    hints: () => hintsOf(state.get()),
    onKey(key) {
      if (state.get().known.kind !== "fleet") return false;
      const ids = matching().map(({ id }) => id);
      const list = pressListKey(state.get().list, key, ids);
      if (list === null) return false;
      put({ list });
      return true;
    },
  };
}

/** A number for each name that stays while the machine is there: rows change places, and the chosen one stays chosen. */
function createNumbers(): (machines: readonly FleetMachine[]) => ReadonlyMap<string, number> {
  let known: ReadonlyMap<string, number> = new Map();
  let last = 0;
  return (machines) => {
    known = new Map(
      machines.map(({ name }) => {
        const number = known.get(name);
        if (number === undefined) last += 1;
        return [name, number ?? last];
      }),
    );
    return known;
  };
}

function knownOf(report: FleetReport, numbersOf: ReturnType<typeof createNumbers>): Known {
  const numbers = numbersOf(report.machines);
  const rows = troubledFirst(report.machines).map(
    (machine): Row => ({
      id: numbers.get(machine.name) ?? 0,
      machine,
      text: machineSearchText(machine),
    }),
  );
  return { kind: "fleet", report, summary: fleetSummary(report), rows };
}

function matchingRows({ known, list }: FleetState): readonly Row[] {
  if (known.kind !== "fleet") return [];
  const matches = filterOf(list);
  return known.rows.filter(({ text }) => matches(text));
}

function drawnLines(state: FleetState, above: readonly Line[], size: ScreenSize): readonly Line[] {
  const { known, failure, list } = state;
  const trouble: readonly Line[] =
    failure === null ? [] : [[span(`${size.symbols.error} ${failure}`, "bad")]];
  const top = [...above, ...trouble];
  const room = { ...size, height: size.height - top.length };
  if (known.kind === "off") return [...top, ...noFleetLines(room)];
  if (known.kind === "nothing")
    return top.length > 0 ? top : [[span(`${size.symbols.off} nothing is known yet`, "faint")]];
  const rows = matchingRows(state);
  const ids = rows.map(({ id }) => id);
  const shown: ShownFleet = {
    report: known.report,
    summary: known.summary,
    machines: rows.map(({ machine }) => machine),
    chosen: ids.indexOf(chosenId(list, ids) ?? Number.NaN),
    list,
  };
  return [...top, ...fleetLines(shown, room)];
}

function hintsOf({ known, list }: FleetState): readonly string[] {
  if (list.isTyping) return ["type words", "Enter keep", "Esc drop"];
  if (known.kind !== "fleet") return ["? help", "q quit"];
  if (list.detailsTop !== null) return ["Space more", "Esc back"];
  return [
    "arrows choose",
    "Enter more",
    "/ filter",
    ...(list.filter.text === "" ? [] : ["Esc all"]),
    "? help",
    "q quit",
  ];
}
