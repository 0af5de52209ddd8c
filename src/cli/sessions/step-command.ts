// The common part of commands that change shares: asks, prints a line for each share, and exits with the worst result.
import type { Ask, OutputOf } from "../../api/operations.ts";
import type { CommandContext, CommandDefinition } from "../input/command.ts";
import { chosenShares, showResult } from "../input/options.ts";
import type { Asked } from "../views/results-view.ts";

/** What every changing command's exit codes mean. */
export const STEP_EXITS: CommandDefinition["exits"] = {
  0: "every share ended as asked, or was skipped",
  1: "a share failed",
  7: "no share failed, but files are open or unsent, so that one was not changed",
};

type StepCall = (
  ask: Ask<"mount" | "wake" | "unmount" | "switchRoute" | "reconcile">,
  shares: readonly string[] | null,
  signal: AbortSignal,
) => Promise<OutputOf<"mount">>;

export async function runSteps(
  context: CommandContext,
  { share }: { readonly share: readonly string[] },
  asked: Asked,
  call: StepCall,
): Promise<number> {
  const { withAsk } = await import("./control-session.ts");
  const { openEngine } = await import("../in-process/open.ts");
  const { exitCodeOf, renderResults } = await import("../views/results-view.ts");
  leaveFolder();
  const purpose = { intent: "change", command: asked } as const;
  const { results } = await withAsk(context, purpose, openEngine, (ask) =>
    call(ask, chosenShares(share), context.signal),
  );
  showResult(context, results, () => renderResults(results, context.stdoutStyle));
  if (results.length === 0) context.note("no share is configured; mountaineer shares add adds one");
  return exitCodeOf(results, asked);
}

/** Called from a folder of the share, this process itself would keep the share from being unmounted. */
export function leaveFolder(): void {
  process.chdir("/");
}
