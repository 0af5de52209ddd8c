// The dashboard: shares, backends, what waits, conditions and the last events, with keys that act on the chosen row.

import { clientWords } from "../../api/words/client-words.ts";
import { MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ApproveSession } from "../approve/approve-session.ts";
import type { EventRing } from "../events/event-ring.ts";
import type { DaemonLink } from "../link/daemon-link.ts";
import { absenceLine } from "../terminal/connection.ts";
import type { Key } from "../terminal/key.ts";
import { type Line, span } from "../terminal/line.ts";
import type { Command, KeyHelp, Screen, ScreenSize } from "../terminal/screen.ts";
import { createStore, eitherOf } from "../terminal/store.ts";
import type { Actions } from "./actions.ts";
import { dashboardLines } from "./dashboard-lines.ts";
import {
  type ChoiceRow,
  chosenRow,
  type DashboardRow,
  dashboardRows,
  movedChoice,
} from "./dashboard-rows.ts";

/** Calls in flight and the like are told by no event: read so often while somebody looks. */
const FIGURES_MS = 5_000;
const PAGE = 10;

const KEYS: readonly KeyHelp[] = [
  { keys: "up, down", does: "choose a share, a backend, or what waits" },
  { keys: "m, u", does: "mount, unmount the share" },
  {
    keys: "t, f",
    does: "switch the share to Thunderbolt, to fallback; a backend to its first, second route",
  },
  { keys: "o", does: "back to automatic" },
  { keys: "!", does: "after files were found open: do it anyway; asks" },
  { keys: "r", does: "restart the backend" },
  { keys: "Enter", does: "logs of the backend; what waits: look at it" },
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

export function createDashboardScreen(options: DashboardOptions): Screen {
  const { link, approving, ring, actions, clock } = options;
  const chosen = createStore<string | null>(null);
  const clients = createStore<readonly (readonly string[])[]>([]);
  const rows = (): readonly DashboardRow[] => {
    const status = link.status.get();
    if (status === null) return [];
    return dashboardRows(status, approving.state.get().report, clients.get(), clock.wallMs());
  };
  const choice = (): ChoiceRow | null => chosenRow(rows(), chosen.get());
  return {
    key: "d",
    title: "Dashboard",
    about: "shares, backends, what waits and what is wrong",
    keys: KEYS,
    changes: eitherOf(link.status, approving.state, ring.count, chosen, clients),
    open(signal) {
      void refreshFigures(link, clock, signal);
      void followClients(link, clock, clients.set, signal);
    },
    draw(size) {
      const now = rows();
      return drawnLines(options, now, chosenRow(now, chosen.get()), size);
    },
    hints: () => hintsOf(choice()),
    onKey(key) {
      const by = stepOf(key);
      if (by !== 0) {
        chosen.set(movedChoice(rows(), choice()?.id ?? null, by));
        return true;
      }
      return act(options, choice(), key);
    },
    commands: () => actionCommands(actions),
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
  show: (clients: readonly (readonly string[])[]) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const report = await (await link.daemon()).ask("clients", null, signal);
      show(report.clients.map((client) => clientWords(client, clock.wallMs())));
    } catch (error) {
      if (!(error instanceof MountaineerError)) throw error;
      if (error.code === "gateway_off") show([]);
    }
    await clock.sleep(FIGURES_MS, signal).catch(() => {});
  }
}

function drawnLines(
  { link, ring }: DashboardOptions,
  rows: readonly DashboardRow[],
  choice: ChoiceRow | null,
  size: ScreenSize,
): readonly Line[] {
  const absence = absenceLine(link.connection.get(), size);
  if (rows.length === 0) {
    const none: Line = [span(`${size.symbols.off} nothing is known yet`, "faint")];
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
  row: ChoiceRow | null,
  key: Key,
): boolean {
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
  if (pressed === "enter") {
    showLogs(name);
    return true;
  }
  if (pressed === "r") return actions.startWith("restart", name);
  const [first, second] = routes?.list ?? [];
  const to = { t: first?.name, f: second?.name, o: "auto" }[pressed];
  return to !== undefined && actions.startWith("route", name, to);
}

function hintsOf(row: ChoiceRow | null): readonly string[] {
  const general = ["? help", ": palette", "q quit"];
  if (row?.kind === "share")
    return ["m mount", "u unmount", "t Thunderbolt", "f fallback", "o auto", ...general];
  if (row?.kind === "backend") {
    const routes = row.backend.routes === undefined ? [] : ["t f o route"];
    return ["r restart", "Enter logs", ...routes, ...general];
  }
  return row === null ? general : ["Enter look at it", ...general];
}

/** All that can be done now, by its name. */
export function actionCommands(actions: Actions): readonly Command[] {
  return actions.all().map((action) => ({ name: action.name, run: () => actions.start(action) }));
}
