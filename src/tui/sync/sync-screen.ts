// The Sync screen: status above, settings panel below, and the hints for its keys.
import { Box } from "ink";
import { createElement as h, type ReactElement, useSyncExternalStore } from "react";
import { PANEL_HEIGHT, panelHelpLines, panelLines, panelNoteLines } from "../panel/panel-lines.ts";
import { isDirty, type PanelState, takesText } from "../panel/panel-state.ts";
import { isNumberField } from "../panel/sync-fields.ts";
import type { EventRow } from "../status/event-rows.ts";
import { gatewayLines } from "../status/gateway-lines.ts";
import { problemLines, statusLines, tableLines } from "../status/status-lines.ts";
import type { GatewayGlance, SyncStatus } from "../status/sync-source.ts";
import type { Connection } from "../terminal/connection.ts";
import type { Line } from "../terminal/line.ts";
import { Lines } from "../terminal/lines-view.ts";
import type { Screen, ScreenProps } from "../terminal/screen.ts";
import type { Readable } from "../terminal/store.ts";
import { symbolsFor, type TuiStyle } from "../terminal/terminal-style.ts";
import type { View } from "../terminal/view.ts";
import { type SyncHeights, shareHeight } from "./sync-layout.ts";
import type { SyncSession } from "./sync-session.ts";

/** More than these nobody reads here. */
const PROBLEM_LINES = 4;
const NOTE_LINES = 12;

interface WidgetProps {
  readonly status: SyncStatus | null;
  readonly gateway: GatewayGlance | null;
  readonly connection: Connection;
  readonly rows: readonly EventRow[];
  readonly heights: SyncHeights;
  readonly view: View;
}

/** The status line over the table of events, and the gateway between them. */
function SyncStatusWidget({ status, gateway, connection, rows, heights, view }: WidgetProps): ReactElement {
  const air: readonly Line[] = heights.gap === 1 ? [[]] : [];
  const problem = problemLines(status, connection, view, heights.problem);
  const lines = [
    ...statusLines(status, connection, view).slice(0, heights.status),
    ...problem,
    ...gatewayLines(gateway, view, heights.gateway),
    ...air,
    ...tableLines(rows, view, heights.table),
  ];
  return h(Lines, { lines, style: view.style });
}

interface PanelProps {
  readonly panel: PanelState;
  readonly hasProblem: boolean;
  readonly heights: SyncHeights;
  readonly view: View;
}

/** The settings, and below them what became of a save. */
function SyncConfigPanel({ panel, hasProblem, heights, view }: PanelProps): ReactElement {
  const air: readonly Line[] = heights.gap === 1 ? [[]] : [];
  const lines = [
    ...air,
    ...panelLines(panel, hasProblem, view).slice(0, heights.panel),
    ...panelNoteLines(panel, view, heights.note),
    ...panelHelpLines(panel, view).slice(0, heights.help),
  ];
  return h(Lines, { lines, style: view.style });
}

function useReadable<T>({ subscribe, get }: Readable<T>): T {
  return useSyncExternalStore(subscribe, get);
}

export function createSyncScreen(session: SyncSession, style: TuiStyle): Screen {
  const Body = ({ width, height }: ScreenProps): ReactElement => {
    const status = useReadable(session.status);
    const gateway = useReadable(session.gateway);
    const connection = useReadable(session.connection);
    const rows = useReadable(session.widget.rows);
    const panel = useReadable(session.panel);
    const view: View = { width, style, symbols: symbolsFor(style) };
    const statusHeight = statusLines(status, connection, view).length;
    const heights = shareHeight(height, {
      status: statusHeight,
      problem: problemLines(status, connection, view, PROBLEM_LINES).length,
      gateway: gatewayLines(gateway, view, Number.POSITIVE_INFINITY).length,
      rows: rows.length,
      panel: PANEL_HEIGHT,
      note: panelNoteLines(panel, view, NOTE_LINES).length,
      help: panelHelpLines(panel, view).length,
    });
    return h(
      Box,
      { flexDirection: "column", flexShrink: 0 },
      h(SyncStatusWidget, { status, gateway, connection, rows, heights, view }),
      h(SyncConfigPanel, { panel, hasProblem: status !== null && status.last_error !== null, heights, view }),
    );
  };
  return {
    key: "s",
    name: "Sync",
    Body,
    hints: hintsFor(session.panel, style),
    connection: session.connection,
    onKey: (key) => session.onKey(key),
    warnUnsaved() {
      if (!isDirty(session.panel.get())) return false;
      session.warnUnsaved();
      return true;
    },
  };
}

/** The hints follow the panel; equal hints are one value. */
function hintsFor(panel: Readable<PanelState>, style: TuiStyle): Readable<readonly string[]> {
  const { arrows } = symbolsFor(style);
  const known = new Map<string, readonly string[]>();
  return {
    subscribe: panel.subscribe,
    get() {
      const fresh = hintsOf(panel.get(), arrows);
      const mark = fresh.join("\n");
      const kept = known.get(mark);
      if (kept !== undefined) return kept;
      known.set(mark, fresh);
      return fresh;
    },
  };
}

function hintsOf(panel: PanelState, arrows: string): readonly string[] {
  const { focus } = panel;
  const leave = takesText(panel) ? "Ctrl-C quit" : "q quit";
  if (focus === null) {
    return isDirty(panel) ? ["Tab settings", "Ctrl-S save", "Esc revert", leave] : ["Tab settings", leave];
  }
  const change = focus === "enabled" ? "Space toggle" : isNumberField(focus) ? null : `${arrows} choose`;
  return ["Tab next", ...(change === null ? [] : [change]), "Ctrl-S save", "Esc revert", leave];
}
