// The Sync screen: status above, settings panel below, and the hints for its keys.
import { ROWS_RETAINED } from "../../api/labels/sync-labels.ts";
import { eitherOf } from "../../runtime/store.ts";
import { panelHelpLines, panelLines, panelNoticeLines } from "../panel/panel-lines.ts";
import { focusedField, isDirty, type PanelState, takesText } from "../panel/panel-state.ts";
import { problemLines, statusLines, tableLines } from "../status/status-lines.ts";
import type { Line } from "../terminal/line.ts";
import type { KeyHelp, Screen, ScreenSize, ShellLine } from "../terminal/screen.ts";
import type { SyncSession } from "./sync-session.ts";

/** Maximum number of lines for problems; `NOTICE_LINES`: for a note. */
const PROBLEM_LINES = 4;
const NOTICE_LINES = 12;

const KEYS: readonly KeyHelp[] = [
  { keys: "Tab, Shift-Tab", does: "next, previous setting" },
  { keys: "Space", does: "toggles the checkbox" },
  { keys: "arrows", does: "choose; in a number, move in it" },
  { keys: "Ctrl-S", does: "saves what you changed; applies a corrected file" },
  { keys: "Esc", does: "drops what you changed; again leaves the setting" },
];

const SHELLS: readonly ShellLine[] = [
  { does: "change a setting", command: "mountaineer config set sync.poll_interval 2" },
  { does: "see where the file is", command: "mountaineer config path" },
  {
    does: "see what changed last, and undo it",
    command: "mountaineer config diff; mountaineer config rollback",
  },
  { does: "read the file again now", command: "mountaineer reload" },
];

export function createSyncScreen(session: SyncSession): Screen {
  return {
    key: "s",
    view: "Settings",
    title: "Sync",
    about: "the result of each edit of the configuration, and how edits are noticed",
    keys: KEYS,
    changes: eitherOf(session.connection, session.status, session.rows, session.panel),
    draw: (size) => syncLines(session, size),
    hints: ({ symbols }) => hintsOf(session.panel.get(), symbols.arrows),
    onKey: (key) => session.onKey(key),
    shells: () => SHELLS,
    queuesKeys: () => session.panel.get().saving,
    saved: () => session.saved(),
    warnUnsaved() {
      if (!isDirty(session.panel.get())) return false;
      session.warnUnsaved();
      return true;
    },
  };
}

function syncLines(session: SyncSession, size: ScreenSize): readonly Line[] {
  const connection = session.connection.get();
  const status = session.status.get();
  const rows = session.rows.get();
  const panel = session.panel.get();
  const hasProblem = status !== null && status.last_error !== null;
  const heights = shareHeight(size.height, {
    status: statusLines(status, connection, size).length,
    problem: problemLines(status, connection, size, PROBLEM_LINES).length,
    rows: rows.length,
    panel: panelLines(panel, hasProblem, size).length,
    notice: panelNoticeLines(panel, size, NOTICE_LINES).length,
    help: panelHelpLines(panel, size).length,
  });
  const air: readonly Line[] = heights.gap === 1 ? [[]] : [];
  return [
    ...statusLines(status, connection, size).slice(0, heights.status),
    ...problemLines(status, connection, size, heights.problem),
    ...air,
    ...tableLines(rows, size, heights.table),
    ...air,
    ...panelLines(panel, hasProblem, size).slice(0, heights.panel),
    ...panelNoticeLines(panel, size, heights.notice),
    ...panelHelpLines(panel, size).slice(0, heights.help),
  ];
}

function hintsOf(panel: PanelState, arrows: string): readonly string[] {
  const field = focusedField(panel);
  const leave = takesText(panel) ? "Ctrl-C quit" : "q quit";
  if (field === null) {
    return isDirty(panel) ? ["Tab settings", "Ctrl-S save", "Esc revert", leave] : ["Tab settings", leave];
  }
  const { kind } = field.field.of;
  const change = kind === "flag" ? "Space toggle" : kind === "choice" ? `${arrows} choose` : null;
  return ["Tab next", ...(change === null ? [] : [change]), "Ctrl-S save", "Esc revert", leave];
}

// Divides the Sync screen's height: the status and the panel first, the table gets the rest.

/**
 * How many lines each part needs to be complete; `rows` counts the table without its head. The help is the first part
 * to be left out.
 */
type SyncParts = Readonly<Record<"status" | "problem" | "rows" | "panel" | "notice" | "help", number>>;

/** From this height on, empty lines separate the parts. */
const AIRY_HEIGHT = 20;
/** Up to this many rows of the table get their lines before notes and problems do. */
const ROWS_MIN = 2;

/** Divides `height` among the parts. The sum of all parts and gaps never exceeds `height`. */
export function shareHeight(height: number, parts: SyncParts) {
  const gap = height >= AIRY_HEIGHT ? 1 : 0;
  let left = height - 2 * gap;
  const take = (wanted: number): number => {
    const taken = Math.max(0, Math.min(wanted, left));
    left -= taken;
    return taken;
  };
  const wantedRows = Math.min(Math.max(parts.rows, 1), ROWS_RETAINED);
  const status = take(parts.status);
  const panel = take(parts.panel);
  const leastTable = take(1 + Math.min(wantedRows, ROWS_MIN));
  const firstNotice = take(Math.min(1, parts.notice));
  const firstProblem = take(Math.min(1, parts.problem));
  const notice = firstNotice + take(parts.notice - firstNotice);
  const problem = firstProblem + take(parts.problem - firstProblem);
  const help = take(parts.help);
  /** Lines of the table with its head; 0: no table. */
  const table = leastTable + take(1 + wantedRows - leastTable);
  /** `gap`: empty lines between the parts, 0 or 1. */
  return { status, problem, table, panel, notice, help, gap };
}
