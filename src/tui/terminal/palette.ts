// The palette: everything that can be done, by its name, found by typing parts of it.

import type { Key } from "./key.ts";
import { type Line, span } from "./line.ts";
import type { Command, ScreenSize } from "./screen.ts";
import { pressTextKey, type TypedText, textSpans } from "./typed-text.ts";

const EMPTY: TypedText = { text: "", caret: 0 };

interface PaletteStep {
  readonly isOver: boolean;
  readonly command: Command | null;
}

/** Those that have every word of the text, in any order; those that begin with it come first. */
export function matchingCommands(commands: readonly Command[], typed: string): readonly Command[] {
  const words = typed
    .toLowerCase()
    .split(" ")
    .filter((word) => word !== "");
  const found = commands.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
  const start = words.join(" ");
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
    onKey(key: Key): PaletteStep {
      const found = matches();
      if (key.kind === "named") {
        if (key.name === "escape") return { isOver: true, command: null };
        if (key.name === "enter")
          return { isOver: found.length > 0, command: found[chosen] ?? found[0] ?? null };
        const by =
          key.name === "down" || key.name === "tab"
            ? 1
            : key.name === "up" || key.name === "backtab"
              ? -1
              : 0;
        if (by !== 0) {
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
      const { symbols, height } = size;
      const found = matches();
      const room = Math.max(1, height - 2);
      const top = Math.max(0, Math.min(chosen - room + 1, found.length - room));
      return [
        [span(": ", "accent"), ...textSpans(typed, true, size)],
        ...found.slice(top, top + room).map((command, index): Line => {
          const isChosen = top + index === chosen;
          return [
            span(isChosen ? `${symbols.focus} ` : "  ", "accent"),
            span(command.name, isChosen ? "strong" : "plain"),
          ];
        }),
        ...(found.length === 0 ? [[span("  nothing is called so", "faint")]] : []),
      ];
    },
  };
}
