// The dashboard: shares, backends, clients, conditions and the newest events, with keys that act on the chosen row.

import type { DaemonConnection } from "../../api/client/daemon-connection.ts";
import type { ClientStatus } from "../../api/contract/contract.ts";
import { createStore, eitherOf } from "../../runtime/store.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ApproveSession } from "../approve/approve-session.ts";
import type { EventRing } from "../events/event-ring.ts";
import { attempt, repeat } from "../terminal/attempt.ts";
import { absenceLines } from "../terminal/connection.ts";
import { isNamed, type Key } from "../terminal/key.ts";
import { type Line, span } from "../terminal/line.ts";
import {
  detailsPart,
  EMPTY_LIST,
  filterLine,
  filterOf,
  type ListState,
  listHints,
  pressListKey,
} from "../terminal/list-state.ts";
import type { KeyHelp, Screen, ScreenSize, ShellLine } from "../terminal/screen.ts";
import type { Actions } from "./actions.ts";
import { dashboardLines, detailLines } from "./dashboard-lines.ts";
import {
  type ChoiceRow,
  chosenRow,
  type DashboardRow,
  type DashboardView,
  dashboardRows,
  isChoice,
} from "./dashboard-rows.ts";

/**
 * Time between two reads of clients and calls in flight while the screen is shown, ms; no event announces
 * them.
 */
const FIGURES_MS = 5_000;

const KEYS: readonly KeyHelp[] = [
  { keys: "up, down", does: "choose a share, a server, a client, or what is wrong" },
  { keys: "/", does: "filter by words; Enter keeps it, Esc drops it" },
  { keys: "m, u", does: "mount, unmount the share" },
  {
    keys: "t, f",
    does: "switch the share to its preferred route, to fallback; a server to its first, second route",
  },
  { keys: "o", does: "back to automatic" },
  { keys: "!", does: "after files were found open: do it anyway; asks" },
  { keys: "r", does: "restart the server" },
  { keys: "Enter", does: "show details; Esc goes back; on a pending change: approve it" },
  { keys: "R", does: "reload the configuration" },
  { keys: "X", does: "restart the daemon; mounts stay" },
];

const DOWN: Key = { kind: "named", name: "down" };
const UP: Key = { kind: "named", name: "up" };

interface DashboardOptions {
  readonly link: DaemonConnection;
  readonly approving: Pick<ApproveSession, "state">;
  readonly ring: EventRing;
  readonly actions: Actions;
  readonly clock: Clock;
  readonly showApprovals: () => void;
}

const EMPTY: Readonly<Record<DashboardView, string>> = {
  Home: "nothing yet: mountaineer init asks about your setup",
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
  const list = createStore<ListState<string>>(EMPTY_LIST);
  const clients = createStore<readonly ClientStatus[]>([]);
  const rows = (): readonly DashboardRow[] => {
    const status = link.status.get();
    if (status === null) return [];
    const approvals = approving.state.get().report;
    const facts = { status, approvals, clients: clients.get(), nowMs: clock.wallMs() };
    return dashboardRows(facts, view, filterOf(list.get()));
  };
  const choice = (): ChoiceRow | null => chosenRow(rows(), list.get().chosen);
  return {
    ...SCREENS[view],
    view,
    title: view,
    keys: KEYS,
    changes: eitherOf(link.status, approving.state, ring.count, list, clients),
    open(signal) {
      const readClients = (): Promise<void> =>
        attempt(
          async () => clients.set((await link.call("clients", null, signal)).clients),
          ({ code }) => {
            if (code === "gateway_off") clients.set([]);
          },
          signal,
        );
      const refresh = async (): Promise<void> => {
        if ((link.status.get()?.backends ?? []).length > 0) link.refresh();
        await readClients();
      };
      void repeat(refresh, FIGURES_MS, clock, signal);
    },
    draw(size) {
      const now = rows();
      const row = chosenRow(now, list.get().chosen);
      const position = list.get().details;
      const status = link.status.get();
      if (position !== null && row !== null && status !== null)
        return detailsPart(
          detailLines(row, status.global, size, clock.wallMs()),
          position,
          size.height,
          size,
        );
      const typed = filterLine(list.get(), size);
      const height = size.height - typed.length;
      return [...typed, ...drawnLines(view, options, now, row, { ...size, height }, typed.length > 0)];
    },
    hints: () => listHints(list.get()) ?? hintsOf(choice()),
    onKey(key) {
      const now = list.get();
      const ids = rows()
        .filter(isChoice)
        .map(({ id }) => id);
      const row = choice();
      const isReview = isNamed(key, "enter") && row?.kind === "waiting" && !now.isTyping;
      const moved = isNamed(key, "tab") ? DOWN : isNamed(key, "backtab") ? UP : key;
      const next = isReview
        ? null
        : pressListKey(now, moved, { ids, chosen: row?.id ?? null, top: ids[0] ?? null });
      if (next === null) return now.details === null && act(options, row, key);
      list.set(next);
      return true;
    },
    shells: () => shellsOf(actions, choice()),
  };
}

function drawnLines(
  view: DashboardView,
  { link, ring, clock }: DashboardOptions,
  rows: readonly DashboardRow[],
  choice: ChoiceRow | null,
  size: ScreenSize,
  isFiltered: boolean,
): readonly Line[] {
  const absence = absenceLines(link.connection.get(), size);
  if (rows.length === 0) {
    const empty = isFiltered ? "nothing has these words" : EMPTY[view];
    const text = link.status.get() === null ? "nothing is known yet" : empty;
    const none: Line = [span(`${size.symbols.off} ${text}`, "faint")];
    return [...absence, ...(absence.length === 0 ? [none] : [])];
  }
  return [
    ...absence,
    ...dashboardLines(
      rows,
      choice,
      ring.newest(),
      { ...size, height: size.height - absence.length },
      clock.wallMs(),
    ),
  ];
}

/** False if the key has no meaning for the row. */
function act({ actions, showApprovals }: DashboardOptions, chosen: ChoiceRow | null, key: Key): boolean {
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
  if (pressed === "r") return actions.startWith("restart", name);
  const [first, second] = routes?.list ?? [];
  const to = { t: first?.name, f: second?.name, o: "auto" }[pressed];
  return to !== undefined && actions.startWith("route", name, to);
}

/** The row that keys act on: for a condition, its share or backend. */
function actedOn(row: ChoiceRow | null): ChoiceRow | null {
  return row?.kind === "condition" ? row.owner : row;
}

function hintsOf(chosen: ChoiceRow | null): readonly string[] {
  const row = actedOn(chosen);
  // A narrow terminal leaves out the last hints, so the most important ones come first.
  const general = ["? help", "q quit", "Enter more", "/ filter", "$ command"];
  if (row?.kind === "share")
    return ["m mount", "u unmount", "t preferred", "f fallback", "o auto", ...general];
  if (row?.kind === "backend") {
    const routes = row.backend.routes === undefined ? [] : ["t f o route"];
    return ["r restart", ...routes, ...general];
  }
  return row?.kind === "waiting" ? ["Enter approve", "? help", "q quit"] : general;
}

/** The commands for the chosen row, then those for everything. */
function shellsOf(actions: Actions, chosen: ChoiceRow | null): readonly ShellLine[] {
  const row = actedOn(chosen);
  const name = row?.kind === "share" ? row.share.name : row?.kind === "backend" ? row.backend.name : null;
  const own = actions.all().filter(({ id }) => name !== null && id[1] === name);
  const all = actions.all().filter(({ id }) => id.length === 1);
  const more = [
    { does: `logs of ${name}`, command: shellCommand`mountaineer backends logs ${name ?? ""}` },
    { does: "the tools of all servers", command: "mountaineer tools list" },
  ];
  return [
    ...(row?.kind === "waiting" ? [APPROVE] : []),
    ...own.map(({ name: does, command }) => ({ does, command })),
    ...(row?.kind === "backend" ? more : []),
    {
      does: "see this once, or each change in a line",
      command: "mountaineer status; mountaineer status --follow",
    },
    ...all.map(({ name: does, command }) => ({ does, command })),
  ];
}

const APPROVE: ShellLine = { does: "see what waits, and answer", command: "mountaineer approve" };
