// The yes that a command waits for once it has shown what it would change.
import type { CommandContext } from "./command.ts";

/** Prints that nothing was changed if the answer is no, or if there is nobody to ask. */
export async function agrees(
  { ask, note }: Pick<CommandContext, "ask" | "note">,
  question: string,
): Promise<boolean> {
  if (ask === null) {
    note("nothing was changed: --yes goes on without asking");
    return false;
  }
  if (/^(y(es)?)?$/i.test((await ask(`${question} [Y/n] `)).trim())) return true;
  note("nothing was changed");
  return false;
}
