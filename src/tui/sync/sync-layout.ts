// Divides the Sync screen's height: the status and the panel come first, the table gets the rest.
import { ROWS_KEPT } from "../../api/words/sync-words.ts";

interface SyncParts {
  /** Lines of the status line. */
  readonly status: number;
  /** Lines that the problem would like. */
  readonly problem: number;
  /** Rows that the table would like, its head not counted. */
  readonly rows: number;
  /** Lines of the panel's fields, with its title. */
  readonly panel: number;
  /** Lines that the panel's note would like. */
  readonly note: number;
  /** Lines of help, which give way to all else. */
  readonly help: number;
}

export interface SyncHeights {
  readonly status: number;
  readonly problem: number;
  /** With its head; 0: no table. */
  readonly table: number;
  readonly panel: number;
  readonly note: number;
  readonly help: number;
  /** Empty lines between the parts: 0 or 1. */
  readonly gap: 0 | 1;
}

/** From this height on there is air between the parts. */
const AIRY_HEIGHT = 20;
/** With less of the table than this nobody sees what goes on. */
const ROWS_MIN = 2;

function within(value: number, most: number): number {
  return Math.max(0, Math.min(value, most));
}

/** The sum of all parts and gaps is at most `height`, however small that is. */
export function shareHeight(height: number, parts: SyncParts): SyncHeights {
  const gap = height >= AIRY_HEIGHT ? 1 : 0;
  const status = within(parts.status, height);
  const panel = within(parts.panel, height - status);
  let left = height - status - panel - 2 * gap;
  const wishedRows = Math.min(Math.max(parts.rows, 1), ROWS_KEPT);
  const leastTable = Math.min(left, 1 + Math.min(wishedRows, ROWS_MIN));
  left -= leastTable;
  const firstNote = within(Math.min(1, parts.note), left);
  left -= firstNote;
  const firstProblem = within(Math.min(1, parts.problem), left);
  left -= firstProblem;
  const moreNote = within(parts.note - firstNote, left);
  left -= moreNote;
  const moreProblem = within(parts.problem - firstProblem, left);
  left -= moreProblem;
  const help = within(parts.help, left);
  left -= help;
  const moreTable = within(1 + wishedRows - leastTable, left);
  return {
    status,
    problem: firstProblem + moreProblem,
    table: leastTable + moreTable,
    panel,
    note: firstNote + moreNote,
    help,
    gap,
  };
}
