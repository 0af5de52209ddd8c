// The registry of screens, in the order of the tabs.
import type { Clock } from "../runtime/time/clock.ts";
import { createApproveScreen } from "./approve/approve-screen.ts";
import { startApproveSession } from "./approve/approve-session.ts";
import { createCatalogScreen } from "./catalog/catalog-screen.ts";
import { createConfigScreen } from "./config/config-screen.ts";
import { createActions } from "./dashboard/actions.ts";
import { createDashboardScreen } from "./dashboard/dashboard-screen.ts";
import { createAuditScreen } from "./events/audit-screen.ts";
import { createEventRing } from "./events/event-ring.ts";
import { createEventsScreen } from "./events/events-screen.ts";
import { createFleetScreen } from "./fleet/fleet-screen.ts";
import type { DaemonLink } from "./link/daemon-link.ts";
import { createLogsScreen } from "./logs/logs-screen.ts";
import { createSyncScreen } from "./sync/sync-screen.ts";
import type { SyncSession } from "./sync/sync-session.ts";
import type { EditText } from "./terminal/lent-terminal.ts";
import type { Prompt } from "./terminal/prompt.ts";
import type { Screen } from "./terminal/screen.ts";
import type { TuiStyle } from "./terminal/terminal-style.ts";

export interface ScreenContext {
  readonly link: DaemonLink;
  /** Asks before actions that cannot be undone, and runs actions in the background. */
  readonly prompt: Prompt;
  /** Opens a text in the user's editor. */
  readonly edit: EditText;
  readonly style: TuiStyle;
  /** Aborts when the program ends. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly sync: SyncSession;
}

export function createScreens(
  context: ScreenContext,
  show: (key: string) => void,
): readonly [Screen, ...Screen[]] {
  const { link, prompt, signal, sync, clock } = context;
  const approving = startApproveSession(link.ask, sync.status, signal);
  const ring = createEventRing(link.listen, clock, signal);
  const actions = createActions(link, prompt, signal);
  const logs = createLogsScreen(link, clock, () => show("l"), signal);
  const showApprovals = () => show("a");
  const dashboard = { link, approving, ring, actions, clock, showLogs: logs.show, showApprovals };
  return [
    createDashboardScreen("Home", dashboard),
    createDashboardScreen("Shares", dashboard),
    createDashboardScreen("Servers", dashboard),
    createEventsScreen(link, ring, () => show("E")),
    createAuditScreen(link, clock, () => show("e"), signal),
    logs,
    createCatalogScreen(context),
    createConfigScreen(context),
    createSyncScreen(sync),
    createApproveScreen(approving),
    createFleetScreen(context),
  ];
}
