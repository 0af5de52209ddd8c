// Owns what a command says and ends with after a reload.
import type { ReloadReport } from "../../api/contract.ts";
import { mistakesError } from "../../config/mistakes.ts";
import { harmless } from "../../runtime/text/plain-text.ts";
import type { CommandContext } from "../input/command.ts";
import { reloadExit, renderReload, type Staying } from "../views/reload-view.ts";

export interface ReloadTelling {
  readonly json: boolean;
  /** What a dry run would not touch. */
  readonly staying: Staying;
}

/** Prints the outcome and returns the exit code. Throws `config_invalid`, every mistake in it. */
export function tellReload(context: CommandContext, report: ReloadReport, telling: ReloadTelling): number {
  if (telling.json) context.print(`${JSON.stringify(report, null, 2)}\n`);
  else if (report.errors.length > 0) throw mistakesError(report.errors);
  else if (report.failure !== null) context.note(`not reloaded: ${harmless(report.failure)}`);
  else context.print(renderReload(report, context.stdoutLook, telling.staying));
  return reloadExit(report);
}
