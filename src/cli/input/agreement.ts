// Asks for a yes after a command has shown its change.
import type { CommandContext } from "./command.ts";

/**
 * Asks the question at the terminal; without a terminal, the answer is no. After a no, notes that nothing was
 * changed. `silence`: whether an empty answer is a yes or a no.
 */
export async function agrees(
  { ask, note }: Pick<CommandContext, "ask" | "note">,
  question: string,
  silence: "yes" | "no" = "yes",
): Promise<boolean> {
  if (ask === null) {
    note("nothing was changed: --yes does it without asking");
    return false;
  }
  const answer = (await ask(`${question} ${silence === "yes" ? "[Y/n]" : "[y/N]"} `)).trim();
  if (/^y(es)?$/i.test(answer || silence)) return true;
  note("nothing was changed");
  return false;
}
