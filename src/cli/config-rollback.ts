// Owns `config rollback`: what it would change is shown and asked about, then done.
import { diffText } from "../config/text-diff.ts";
import type { CommandContext } from "./command.ts";
import { changeConfig, viewConfig } from "./config-session.ts";
import { decodedText } from "./config-text.ts";
import { renderDiff } from "./diff-view.ts";
import { tellEdit } from "./edit-outcome.ts";
import { FAILED_EXIT } from "./results-view.ts";

export interface RollbackManner {
  readonly json: boolean;
  /** Where there is a terminal to ask. */
  readonly asks: boolean;
}

/** Resolves with the exit code; rejects with `history_unknown`. */
export async function rollBack(
  context: CommandContext,
  n: number,
  { json, asks }: RollbackManner,
): Promise<number> {
  if (asks && context.ask !== null && !(await isWanted(context, n, context.ask))) {
    context.note("nothing was changed");
    return FAILED_EXIT;
  }
  return changeConfig(context, "config rollback", async (editor) =>
    tellEdit(context, await editor.rollback(n), {
      json,
      done: `entry ${n} of the history is back`,
      same: `the file is what entry ${n} was`,
    }),
  );
}

async function isWanted(
  context: CommandContext,
  n: number,
  ask: NonNullable<CommandContext["ask"]>,
): Promise<boolean> {
  const diff = await viewConfig(context, async (view) => {
    const after = { text: await view.historyText(n), name: `history ${n}` };
    return diffText(decodedText(await view.read()), after.text, { before: view.path, after: after.name });
  });
  if (diff === "") return true;
  context.print(renderDiff(diff, context.stdoutLook));
  return /^y(es)?$/i.test(await ask("Put it back so? [y/N] "));
}
