// The dashboard: shares, backends, what waits, conditions and the last events, with keys that act on the chosen row.

import type { ClientStatus } from "../../api/contract.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ApproveSession } from "../approve/approve-session.ts";
import type { EventRing } from "../events/event-ring.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import { absenceLine } from "../terminal/connection.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import { type Line, span } from "../terminal/line.ts";
import { detailsPart } from "../terminal/list-state.ts";
import type { Command, KeyHelp, Screen, ScreenSize } from "../terminal/screen.ts";
import { createStore, eitherOf } from "../terminal/store.ts";
import type { Actions } from "./actions.ts";
import { dashboardLines, detailLines } from "./dashboard-lines.ts";
import {
  type ChoiceRow,
  chosenRow,
  type DashboardRow,
  type DashboardView,
  dashboardRows,
  movedChoice,
} from "./dashboard-rows.ts";

/** Calls in flight and the like are told by no event: read so often while somebody looks. */
const FIGURES_MS = 5_000;
const PAGE = 10;

const KEYS: readonly KeyHelp[] = [
  { keys: "up, down", does: "choose a share, a server, a client, or what is wrong" },
  { keys: "m, u", does: "mount, unmount the share" },
  {
    keys: "t, f",
    does: "switch the share to Thunderbolt, to fallback; a server to its first, second route",
  },
  { keys: "o", does: "back to automatic" },
  { keys: "!", does: "after files were found open: do it anyway; asks" },
  { keys: "r", does: "restart the server" },
  { keys: "Enter", does: "all that is known of it; Esc goes back; what waits: approve it" },
  { keys: "l", does: "logs of the server" },
  { keys: "R", does: "reload the configuration" },
  { keys: "X", does: "restart the daemon; mounts stay" },
];

interface DashboardOptions {
  readonly link: DaemonLink;
  readonly approving: Pick<ApproveSession, "state">;
  readonly ring: EventRing;
  readonly actions: Actions;
  readonly clock: Clock;
  /** Brings up a backend's logs. */
  readonly showLogs: (backend: string) => void;
  /** Brings up what waits for approval. */
  readonly showApprovals: () => void;
}

/** Of a view that has nothing to list. */
const EMPTY: Readonly<Record<DashboardView, string>> = {
  Home: "nothing yet: mountaineer init asks what you have",
  Shares: "no share yet: mountaineer shares add",
  Servers: "no MCP server yet: mountaineer backends add NAME -- PROGRAM, or mountaineer import",
};

const SCREENS: Readonly<Record<DashboardView, Pick<Screen, "key" | "about">>> = {
  Home: { key: "d", about: "what is wrong, what waits, shares and servers" },
  Shares: { key: "S", about: "shares, and what is wrong with them" },
  Servers: { key: "v", about: "MCP servers and their clients" },
};

export function createDashboardScreen(view: DashboardView, options: DashboardOptions): Screen {
  const { link, approving, ring, actions, clock } = options;
  const chosen = createStore<string | null>(null);
  const clients = createStore<readonly ClientStatus[]>([]);
  /** The first line of the details that is shown; null: the list is shown. */
  const detailsTop = createStore<number | null>(null);
  const rows = (): readonly DashboardRow[] => {
    const status = link.status.get();
    if (status === null) return [];
    const approvals = approving.state.get().report;
    return dashboardRows({ status, approvals, clients: clients.get(), nowMs: clock.wallMs() }, view);
  };
  const choice = (): ChoiceRow | null => chosenRow(rows(), chosen.get());
  return {
    ...SCREENS[view],
    view,
    title: view,
    keys: KEYS,
    changes: eitherOf(link.status, approving.state, ring.count, chosen, clients, detailsTop),
    open(signal) {
      void refreshFigures(link, clock, signal);
      void followClients(link, clock, clients.set, signal);
    },
    draw(size) {
      const now = rows();
      const row = chosenRow(now, chosen.get());
      const top = detailsTop.get();
      if (top !== null && row !== null) return detailsPart(detailLines(row, size), top, size.height, size);
      return drawnLines(view, options, now, row, size);
    },
    hints: () => (detailsTop.get() === null ? hintsOf(choice()) : ["arrows scroll", "Esc back"]),
    onKey(key) {
      const by = stepOf(key);
      const top = detailsTop.get();
      if (top !== null) {
        if (by !== 0) detailsTop.set(Math.max(0, top + by));
        else if (isNamed(key, "escape") || isNamed(key, "enter")) detailsTop.set(null);
        else return false;
        return true;
      }
      const row = choice();
      if (isNamed(key, "enter") && row !== null && row.kind !== "waiting") {
        chosen.set(row.id);
        detailsTop.set(0);
        return true;
      }
      if (by !== 0) {
        chosen.set(movedChoice(rows(), choice()?.id ?? null, by));
        return true;
      }
      return act(options, row, key);
    },
    // Each once.
    commands: () => (view === "Home" ? actionCommands(actions) : []),
  };
}

async function refreshFigures(link: DaemonLink, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(FIGURES_MS, signal).catch(() => {});
    if (!signal.aborted && (link.status.get()?.backends ?? []).length > 0) link.refresh();
  }
}

/** Who comes and goes is told by no event either. */
async function followClients(
  link: DaemonLink,
  clock: Clock,
  show: (clients: readonly ClientStatus[]) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const report = await (await link.daemon()).ask("clients", null, signal);
      show(report.clients);
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      if (error.code === "gateway_off") show([]);
    }
    await clock.sleep(FIGURES_MS, signal).catch(() => {});
  }
}

function drawnLines(
  view: DashboardView,
  { link, ring }: DashboardOptions,
  rows: readonly DashboardRow[],
  choice: ChoiceRow | null,
  size: ScreenSize,
): readonly Line[] {
  const absence = absenceLine(link.connection.get(), size);
  if (rows.length === 0) {
    const text = link.status.get() === null ? "nothing is known yet" : EMPTY[view];
    const none: Line = [span(`${size.symbols.off} ${text}`, "faint")];
    return [...absence, ...(absence.length === 0 ? [none] : [])];
  }
  return [
    ...absence,
    ...dashboardLines(rows, choice, ring.newest(), { ...size, height: size.height - absence.length }),
  ];
}

function stepOf(key: Key): number {
  if (key.kind === "character") return key.text === "j" ? 1 : key.text === "k" ? -1 : 0;
  const steps = { down: 1, tab: 1, up: -1, backtab: -1, pagedown: PAGE, pageup: -PAGE } as const;
  if (key.name === "home") return Number.NEGATIVE_INFINITY;
  if (key.name === "end") return Number.POSITIVE_INFINITY;
  return key.name in steps ? steps[key.name as keyof typeof steps] : 0;
}

/** False: the key means nothing for that row. */
function act(
  { actions, showLogs, showApprovals }: DashboardOptions,
  chosen: ChoiceRow | null,
  key: Key,
): boolean {
  const row = actedOn(chosen);
  const pressed = key.kind === "character" ? key.text : key.name;
  if (pressed === "!") return actions.force();
  if (pressed === "R") return actions.startWith("reload");
  if (pressed === "X") return actions.startWith("hand-over");
  if (row?.kind === "share") {
    const { name } = row.share;
    const verb = { m: "mount", u: "unmount" }[pressed];
    if (verb !== undefined) return actions.startWith(verb, name);
    const to = { t: "tb", f: "fallback", o: "auto" }[pressed];
    return to !== undefined && actions.startWith("switch", name, to);
  }
  if (row?.kind === "waiting" && pressed === "enter") {
    showApprovals();
    return true;
  }
  if (row?.kind !== "backend") return false;
  const { name, routes } = row.backend;
  if (pressed === "l") {
    showLogs(name);
    return true;
  }
  if (pressed === "r") return actions.startWith("restart", name);
  const [first, second] = routes?.list ?? [];
  const to = { t: first?.name, f: second?.name, o: "auto" }[pressed];
  return to !== undefined && actions.startWith("route", name, to);
}

/** A condition's keys are those of what it is about. */
function actedOn(row: ChoiceRow | null): ChoiceRow | null {
  return row?.kind === "condition" ? row.owner : row;
}

function hintsOf(chosen: ChoiceRow | null): readonly string[] {
  const row = actedOn(chosen);
  // What gets out, and what helps, is not what a narrow terminal leaves out.
  const general = ["? help", "q quit", "Enter more", ": palette"];
  if (row?.kind === "share")
    return ["m mount", "u unmount", "t Thunderbolt", "f fallback", "o auto", ...general];
  if (row?.kind === "backend") {
    const routes = row.backend.routes === undefined ? [] : ["t f o route"];
    return ["r restart", "l logs", ...routes, ...general];
  }
  return row?.kind === "waiting" ? ["Enter approve", "? help", "q quit", ": palette"] : general;
}

/** All that can be done now, by its name. */
export function actionCommands(actions: Actions): readonly Command[] {
  return actions.all().map((action) => ({ name: action.name, run: () => actions.start(action) }));
}
