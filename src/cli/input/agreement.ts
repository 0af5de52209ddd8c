// Asks for a yes after a command has shown its change.
import type { CommandContext } from "./command.ts";

/** `silence`: the answer of a bare Enter. Resolves with false, and notes that nothing was changed, on a no or without a terminal. */
export async function agrees(
  { ask, note }: Pick<CommandContext, "ask" | "note">,
  question: string,
  silence: "yes" | "no" = "yes",
): Promise<boolean> {
  if (ask === null) {
    note("nothing was changed: --yes goes on without asking");
    return false;
  }
  const answer = (await ask(`${question} ${silence === "yes" ? "[Y/n]" : "[y/N]"} `)).trim();
  if (/^y(es)?$/i.test(answer || silence)) return true;
  note("nothing was changed");
  return false;
}
