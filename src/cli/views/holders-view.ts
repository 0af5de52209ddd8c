// Processes that hold files as text: the first few by name, the others as a count.
import type { OpenFileHolder } from "../../api/contract.ts";
import { harmless } from "../../runtime/text/plain-text.ts";

const HOLDERS_SHOWN = 8;

/** One line for each of the first holders, and one that counts the rest. */
export function holderLines(holders: readonly OpenFileHolder[]): string[] {
  const lines = holders
    .slice(0, HOLDERS_SHOWN)
    .map(({ pid, command, path }) => `${harmless(command)} (pid ${pid})  ${harmless(path)}`);
  return withRest(lines, holders.length);
}

/** One line for each of the first files, and one that counts the rest. */
export function unsentLines(files: readonly string[]): string[] {
  const lines = files.slice(0, HOLDERS_SHOWN).map((file) => `not sent yet  ${harmless(file)}`);
  return withRest(lines, files.length);
}

function withRest(lines: readonly string[], count: number): string[] {
  return count > lines.length ? [...lines, `+${count - lines.length} more`] : [...lines];
}
