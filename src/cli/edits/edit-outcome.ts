// What a command says, and ends with, after it changed the configuration or had it reloaded.
import type { EditReport, ReloadReport } from "../../api/contract.ts";
import { mistakesError, refusalError } from "../../config/values/mistakes.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import type { CommandContext } from "../input/command.ts";
import { showJson } from "../input/options.ts";
import { editExit, reloadExit, renderReload, type Staying } from "../views/reload-view.ts";
import { paintFor } from "../views/terminal-style.ts";

interface EditTelling {
  /** What was done, in one line, without a mark; for people alone. */
  readonly done: string;
  /** The same where the file said so already. */
  readonly same: string;
}

/** Prints the outcome and returns the exit code. Throws `config_invalid`, every mistake in it. */
export function tellEdit(context: CommandContext, report: EditReport, telling: EditTelling): number {
  const { errors, changed, reload, path } = report;
  if (context.json) {
    showJson(context, report);
    return editExit(report);
  }
  if (errors.length > 0) throw refusalError(errors);
  const paint = paintFor(context.stdoutStyle);
  if (changed) context.print(`${paint.green(paint.symbols.good)} ${telling.done}\n`);
  else context.print(`${paint.dim(paint.symbols.skip)} ${telling.same}\n`);
  if (reload === null) {
    if (changed)
      context.print(paint.dim(`  saved in ${harmless(path)}; no daemon runs, so nothing else changed\n`));
    return 0;
  }
  if (reload.errors.length > 0) throw mistakesError(reload.errors);
  if (reload.failure !== null) context.note(`it is saved, but does not run: ${harmless(reload.failure)}`);
  else if (changed || reload.reloaded) context.print(renderReload(reload, context.stdoutStyle));
  return editExit(report);
}

/** `staying` is what a dry run would not touch. Prints the outcome and returns the exit code. Throws `config_invalid`, every mistake in it. */
export function tellReload(context: CommandContext, report: ReloadReport, staying: Staying): number {
  if (context.json) showJson(context, report);
  else if (report.errors.length > 0) throw mistakesError(report.errors);
  else if (report.failure !== null) context.note(`not reloaded: ${harmless(report.failure)}`);
  else context.print(renderReload(report, context.stdoutStyle, staying));
  return reloadExit(report);
}
