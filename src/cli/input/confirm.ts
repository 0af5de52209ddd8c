// Yes and no at the terminal: what counts as which, and the question that follows a shown change.
import type { CommandContext } from "./command.ts";

type Prompt = (question: string) => Promise<string>;

/** What an answer means; null: neither yes nor no. "": Enter, or only spaces. */
export function meaningOf(answer: string): "yes" | "no" | "" | null {
  const text = answer.trim();
  if (text === "") return "";
  return /^y(es)?$/i.test(text) ? "yes" : /^no?$/i.test(text) ? "no" : null;
}

/** Asks until the answer is yes or no. `silence`: the meaning of Enter; null: Enter asks again. */
export async function isYes(
  prompt: Prompt,
  question: string,
  silence: "yes" | "no" | null,
): Promise<boolean> {
  const choices = silence === null ? "[y/n]" : silence === "yes" ? "[Y/n]" : "[y/N]";
  for (let again = ""; ; again = "  Type y or n. ") {
    const meaning = meaningOf(await prompt(`${again}${question} ${choices} `));
    const answer = meaning === "" ? silence : meaning;
    if (answer !== null) return answer === "yes";
  }
}

/**
 * Asks the question at the terminal; without a terminal, the answer is no. After a no, notes that nothing was
 * changed. `silence`: whether an empty answer is a yes or a no.
 */
export async function confirms(
  { prompt, notify }: Pick<CommandContext, "prompt" | "notify">,
  question: string,
  silence: "yes" | "no" = "yes",
): Promise<boolean> {
  if (prompt !== null && (await isYes(prompt, question, silence))) return true;
  notify(`nothing was changed${prompt === null ? ": --yes does it without asking" : ""}`);
  return false;
}
