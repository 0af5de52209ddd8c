// The common part of commands that change shares: asks, prints a line for each share, and exits with the worst result.
import type { RemoteControl } from "../../api/client/client.ts";
import type { StepResult } from "../../api/contract.ts";
import type { ShareSelection } from "../../api/control.ts";
import type { CommandContext, CommandDefinition, GivenOptions } from "../input/command.ts";
import { readSelection, showResult } from "../input/options.ts";
import type { Asked } from "../views/results-view.ts";

/** What every changing command's exit codes mean. */
export const STEP_EXITS: CommandDefinition["exits"] = {
  0: "every share ended as asked, or was skipped",
  1: "a share failed",
  7: "no share failed, but files are open or unsent, so that one was not changed",
};

type StepCall = (
  control: RemoteControl,
  selection: ShareSelection,
  signal: AbortSignal,
) => Promise<readonly StepResult[]>;

export async function runSteps(
  context: CommandContext,
  options: GivenOptions,
  asked: Asked,
  call: StepCall,
): Promise<number> {
  const { withControl } = await import("./control-session.ts");
  const { exitCodeOf, renderResults } = await import("../views/results-view.ts");
  leaveFolder();
  const results = await withControl(context, { intent: "change", command: asked }, (control) =>
    call(control, readSelection(options), context.signal),
  );
  showResult(context, options, results, () => renderResults(results, context.stdoutStyle));
  if (results.length === 0) context.note("no shares are configured; mountaineer status says how to add one");
  return exitCodeOf(results, asked);
}

/** Called from a folder of the share, this process itself would keep the share from being unmounted. */
export function leaveFolder(): void {
  process.chdir("/");
}
