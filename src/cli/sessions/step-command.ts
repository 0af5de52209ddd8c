// The common part of commands that change shares: calls the operation, prints a line for each share, and exits with the worst result.
import type { CallOperation, OutputOf, StepOperation } from "../../api/operations/operations.ts";
import type { CommandContext, CommandDefinition } from "../input/command.ts";
import { chosenShares, showResult } from "../input/options.ts";
import { exitCodeOf, renderResults } from "../views/results-view.ts";
import { withOperations } from "./control-session.ts";

/** Exit codes of every command that changes shares. */
export const STEP_EXITS: CommandDefinition["exits"] = {
  0: "every share succeeded or was skipped",
  1: "a share failed",
  7: "no share failed, but one was not changed, because files are open",
};

type StepCall = (
  call: CallOperation<StepOperation>,
  shares: readonly string[] | null,
  signal: AbortSignal,
) => Promise<OutputOf<"mount">>;

export async function runSteps(
  context: CommandContext,
  { share }: { readonly share: readonly string[] },
  step: StepCall,
): Promise<number> {
  leaveFolder();
  const { results } = await withOperations(context, "change", (call) =>
    step(call, chosenShares(share), context.signal),
  );
  showResult(context, results, () => renderResults(results, context.stdoutStyle));
  if (results.length === 0) context.notify("no share is configured; mountaineer shares add adds one");
  return exitCodeOf(results, context.command);
}

/** Changes to `/`: a working folder in the share would keep the share from being unmounted. */
export function leaveFolder(): void {
  process.chdir("/");
}
