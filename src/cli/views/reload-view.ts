// The result of a reload, or of an edit that caused one, as text and exit code. Pure.

import type { EditReport, NameChanges, ReloadReport } from "../../api/contract/config.ts";
import { hanging } from "../../api/views/view-lines.ts";
import { ERROR_CODES } from "../../runtime/errors.ts";
import type { Paint } from "../../runtime/text/paint.ts";
import { paintFor, type TerminalStyle } from "../../runtime/text/paint.ts";
import { columns, padded, printable } from "../../runtime/text/plain-text.ts";
import { FAILED_EXIT } from "./results-view.ts";

const INDENT = "    ";
const NARROWEST = 40;

/** The exit code: 3 for a rejected file, 1 for a file that could not be applied, else 0. */
export function reloadExit({ errors, failure }: Pick<ReloadReport, "errors" | "failure">): number {
  if (errors.length > 0) return ERROR_CODES.config_invalid.exit;
  return failure === null ? 0 : FAILED_EXIT;
}

export function editExit({ errors, reload }: EditReport): number {
  if (errors.length > 0) return ERROR_CODES.config_invalid.exit;
  return reload === null ? 0 : reloadExit(reload);
}

/** Names that a reload would not touch. */
export interface Staying {
  readonly shares: readonly string[];
  readonly backends: readonly string[];
}

export const NOTHING_STAYS: Staying = { shares: [], backends: [] };

/** `staying`: names that a reload would not touch. They are shown only for a dry run. */
export function renderReload(
  report: ReloadReport,
  style: TerminalStyle,
  staying: Staying = NOTHING_STAYS,
): string {
  const paint = paintFor(style);
  const mark =
    report.reloaded || report.dry_run ? paint.green(paint.symbols.good) : paint.dim(paint.symbols.skip);
  const lines = [`${mark} ${headline(report)}`, ...rows(report, staying, style, paint)];
  return lines.map((line) => `${line}\n`).join("");
}

function headline(report: ReloadReport): string {
  if (report.dry_run && report.generation === 0) {
    return isNothing(report)
      ? "a daemon would begin with defaults, and no shares"
      : "a daemon would begin with:";
  }
  if (report.dry_run) return isNothing(report) ? "this configuration runs already" : "a reload would:";
  const summary = printable(report.summary);
  return report.reloaded
    ? `${summary} (generation ${report.generation})`
    : `${summary}: this configuration runs already`;
}

function isNothing({ settings, shares, backends, middleware }: ReloadReport): boolean {
  const lists = [
    settings,
    middleware,
    ...[shares, backends].flatMap((names) => Object.values<string[]>({ ...names })),
  ];
  return lists.every((list) => list.length === 0);
}

function rows(report: ReloadReport, staying: Staying, style: TerminalStyle, paint: Paint): string[] {
  const labels = report.dry_run
    ? { added: "start", removed: "let go", changed: "change", settings: "set" }
    : { added: "started", removed: "let go", changed: "changed", settings: "set" };
  const table: [string, readonly string[]][] = [];
  const add = (names: NameChanges, kind: string): void => {
    for (const change of ["added", "removed", "changed"] as const) {
      table.push([`${labels[change]}${kind}`, names[change]]);
    }
  };
  add(report.shares, "");
  add(report.backends, " server");
  table.push([`${labels.settings} middleware`, report.middleware]);
  table.push([labels.settings, report.settings]);
  if (report.dry_run) table.push(["stay", staying.shares], ["stay server", staying.backends]);
  const shown = table.filter(([, names]) => names.length > 0);
  const width = Math.max(0, ...shown.map(([label]) => columns(label)));
  return shown.flatMap(([label, names]) => {
    const lead = `${INDENT}${padded(label, width)}  `;
    const all = names.map((name) => printable(name)).join(", ");
    return hanging(lead, all, Math.max(NARROWEST, style.width), paint.dim);
  });
}
