// The yes that a command waits for once it has shown what it would change.
import type { CommandContext } from "./command.ts";

/** `silence`: what Enter alone means. Prints that nothing was changed if the answer is no, or if there is nobody to ask. */
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
