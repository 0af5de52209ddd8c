// Asks for a yes after a command has shown its change.
import type { CommandContext } from "./command.ts";

/**
 * Asks the question at the terminal; without a terminal, the answer is no. After a no, notes that nothing was
 * changed. `silence`: whether an empty answer is a yes or a no.
 */
export async function confirms(
  { prompt, notify }: Pick<CommandContext, "prompt" | "notify">,
  question: string,
  silence: "yes" | "no" = "yes",
): Promise<boolean> {
  if (prompt === null) {
    notify("nothing was changed: --yes does it without asking");
    return false;
  }
  const answer = (await prompt(`${question} ${silence === "yes" ? "[Y/n]" : "[y/N]"} `)).trim();
  if (/^y(es)?$/i.test(answer || silence)) return true;
  notify("nothing was changed");
  return false;
}
