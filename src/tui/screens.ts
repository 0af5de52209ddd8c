// The registry of screens, in the order of the tabs.

import type { DaemonConnection } from "../api/client/daemon-connection.ts";
import { eitherOf } from "../runtime/store.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { createApproveScreen } from "./approve/approve-screen.ts";
import { startApproveSession } from "./approve/approve-session.ts";
import { createActions } from "./dashboard/actions.ts";
import { createDashboardScreen } from "./dashboard/dashboard-screen.ts";
import { createEventRing } from "./events/event-ring.ts";
import { createEventsScreen } from "./events/events-screen.ts";
import { createSyncScreen } from "./sync/sync-screen.ts";
import type { SyncSession } from "./sync/sync-session.ts";
import type { Prompt } from "./terminal/prompt.ts";
import type { Screen } from "./terminal/screen.ts";

export interface ScreenContext {
  readonly link: DaemonConnection;
  /** Asks before actions that cannot be undone, and runs actions in the background. */
  readonly prompt: Prompt;
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
  const approving = startApproveSession(link.call, eitherOf(sync.status, link.status), signal);
  const ring = createEventRing(link.listen, clock, signal);
  const actions = createActions(link, prompt, signal);
  const showApprovals = () => show("a");
  const dashboard = { link, approving, ring, actions, clock, showApprovals };
  return [
    createDashboardScreen("Home", dashboard),
    createDashboardScreen("Shares", dashboard),
    createDashboardScreen("Servers", dashboard),
    createEventsScreen(link, ring),
    createSyncScreen(sync),
    createApproveScreen(approving),
  ];
}
