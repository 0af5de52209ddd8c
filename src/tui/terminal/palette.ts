// The palette: all commands by name, found by typing parts of the name.

import { matcherOf, typedWords } from "../../runtime/text/typed-words.ts";
import type { Key } from "./key.ts";
import { type Line, span } from "./line.ts";
import { rowMark } from "./list-state.ts";
import type { Command, ScreenSize } from "./screen.ts";
import { pressTextKey, type TypedText, textSpans } from "./typed-text.ts";

const EMPTY: TypedText = { text: "", caret: 0 };

/** The commands whose names contain every typed word, in any order; names that begin with the text come first. */
function matchingCommands(commands: readonly Command[], typed: string): readonly Command[] {
  const matches = matcherOf(typed);
  const found = commands.filter(({ name }) => matches(name));
  const start = typedWords(typed).join(" ");
  const rank = ({ name }: Command): number => (name.toLowerCase().startsWith(start) ? 0 : 1);
  return found.toSorted((one, other) => rank(one) - rank(other));
}

export function createPalette(commands: () => readonly Command[]) {
  let typed = EMPTY;
  let chosen = 0;
  const matches = (): readonly Command[] => matchingCommands(commands(), typed.text);
  return {
    open(): void {
      typed = EMPTY;
      chosen = 0;
    },
    onKey(key: Key): { readonly isOver: boolean; readonly command: Command | null } {
      const found = matches();
      if (key.kind === "named") {
        if (key.name === "escape") return { isOver: true, command: null };
        if (key.name === "enter")
          return { isOver: found.length > 0, command: found[chosen] ?? found[0] ?? null };
        const by = { down: 1, tab: 1, up: -1, backtab: -1 }[key.name as string];
        if (by !== undefined) {
          if (found.length > 0) chosen = (chosen + by + found.length) % found.length;
          return { isOver: false, command: null };
        }
      }
      const next = pressTextKey(typed, key);
      if (next !== null) {
        typed = next;
        chosen = 0;
      }
      return { isOver: false, command: null };
    },
    draw(size: ScreenSize): readonly Line[] {
      const found = matches();
      const rows = Math.max(1, size.height - 2);
      const top = Math.max(0, Math.min(chosen - rows + 1, found.length - rows));
      return [
        [span(": ", "accent"), ...textSpans(typed, true, size)],
        ...found.slice(top, top + rows).map((command, index): Line => {
          const isChosen = top + index === chosen;
          return [rowMark(isChosen, size), span(command.name, isChosen ? "strong" : "plain")];
        }),
        ...(found.length === 0 ? [[span("  nothing has that name", "faint")]] : []),
      ];
    },
  };
}
