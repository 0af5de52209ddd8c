// Prints the outcome of an edit or a reload of the configuration, and makes its exit code.
import type { EditReport, ReloadReport } from "../../api/contract/config.ts";
import { mistakesError, refusalError } from "../../config/values/mistakes.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { Terminal } from "../input/command.ts";
import { doneLine, showJson, showResult } from "../input/options.ts";
import { notifyUnlessApplied } from "../sessions/config-members.ts";
import { editExit, reloadExit, renderReload, type Staying } from "../views/reload-view.ts";

interface EditLines {
  /** The line to print, after a mark for success, if the file changed. */
  readonly done: string;
  /** The line to print if the file had that content already. */
  readonly same: string;
}

/** Prints the outcome and returns the exit code. Throws `config_invalid` with all errors. */
export function showEdit(context: Terminal, report: EditReport, lines: EditLines): number {
  const { errors, changed, reload, path } = report;
  if (errors.length > 0 && !context.json) throw refusalError(errors);
  showResult(context, report, (paint) => [
    changed ? doneLine(paint, lines.done) : `${paint.dim(paint.symbols.skip)} ${lines.same}`,
    ...(changed && reload === null
      ? [paint.dim(`  saved in ${printable(path)}; no daemon runs, so nothing else changed`)]
      : []),
  ]);
  if (reload === null || context.json) return editExit(report);
  if (reload.errors.length > 0) throw mistakesError(reload.errors);
  if (notifyUnlessApplied(context, report) && (changed || reload.reloaded))
    context.print(renderReload(reload, context.stdoutStyle));
  return editExit(report);
}

/**
 * Prints the outcome and returns the exit code. `staying`: the names that a reload would not touch, shown for
 * a dry run. Throws `config_invalid` with all errors.
 */
export function showReload(context: Terminal, report: ReloadReport, staying: Staying): number {
  if (context.json) showJson(context, report);
  else if (report.errors.length > 0) throw mistakesError(report.errors);
  else if (report.failure !== null) context.notify(`not reloaded: ${printable(report.failure)}`);
  else context.print(renderReload(report, context.stdoutStyle, staying));
  return reloadExit(report);
}
