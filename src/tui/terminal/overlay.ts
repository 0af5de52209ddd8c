// What lies over the shown screen: the help for keys, or the palette.

import { columns, padded } from "../../runtime/text/plain-text.ts";
import { isNamed, type Key } from "./key.ts";
import { type Line, span } from "./line.ts";
import { createPalette } from "./palette.ts";
import type { Command, KeyHelp, Screen, ScreenSize } from "./screen.ts";

type OverlayState =
  | { readonly kind: "none" }
  | { readonly kind: "help"; readonly top: number }
  | { readonly kind: "palette" };

export function createOverlay(commands: () => readonly Command[]) {
  let state: OverlayState = { kind: "none" };
  const palette = createPalette(commands);
  return {
    isOpen: (): boolean => state.kind !== "none",
    openHelp(): void {
      state = { kind: "help", top: 0 };
    },
    openPalette(): void {
      palette.open();
      state = { kind: "palette" };
    },
    /** False: nothing lies over the screen. */
    onKey(key: Key): boolean {
      if (state.kind === "none") return false;
      if (state.kind === "help") {
        state = helpAfter(state.top, key);
        return true;
      }
      const step = palette.onKey(key);
      if (step.isOver) state = { kind: "none" };
      step.command?.run();
      return true;
    },
    /** null: the screen's own lines are to be seen. */
    draw(shown: Screen, screens: readonly Screen[], size: ScreenSize): readonly Line[] | null {
      if (state.kind === "help") return helpLines(shown, screens, state.top, size);
      return state.kind === "palette" ? palette.draw(size) : null;
    },
    /** The keys that mean something; null: those of the screen. */
    hints(): readonly string[] | null {
      if (state.kind === "help") return ["arrows scroll", "any other key closes"];
      return state.kind === "palette" ? ["type to filter", "Enter runs", "Esc leaves"] : null;
    },
  };
}

function helpAfter(top: number, key: Key): OverlayState {
  if (isNamed(key, "down")) return { kind: "help", top: top + 1 };
  if (isNamed(key, "up")) return { kind: "help", top: Math.max(0, top - 1) };
  return { kind: "none" };
}

const EVERYWHERE: readonly KeyHelp[] = [
  { keys: "?", does: "this help" },
  { keys: ":", does: "the palette: everything by its name" },
  { keys: "q", does: "leave; asks once when something is not saved" },
  { keys: "Ctrl-C", does: "leave at once" },
];

/** From line `top` on, as many as fit. */
function helpLines(
  shown: Screen,
  screens: readonly Screen[],
  top: number,
  { height, symbols }: ScreenSize,
): readonly Line[] {
  const all: Line[] = [
    [span(`Keys of ${shown.title}`, "strong"), span(`  ${shown.about}`, "faint")],
    ...keyLines(shown.keys),
    [],
    [span("Keys everywhere", "strong")],
    ...keyLines([
      ...screens.map(({ key, title, about }) => ({ keys: key, does: `${title}: ${about}` })),
      ...EVERYWHERE,
    ]),
  ];
  const start = Math.max(0, Math.min(top, all.length - height));
  const part = all.slice(start, start + height);
  const isMore = start + height < all.length;
  return isMore ? [...part.slice(0, -1), [span(`${symbols.ellipsis} more below`, "faint")]] : part;
}

function keyLines(keys: readonly KeyHelp[]): readonly Line[] {
  const width = Math.max(0, ...keys.map(({ keys: name }) => columns(name))) + 2;
  return keys.map(({ keys: name, does }) => [span(`  ${padded(name, width)}`, "accent"), span(does)]);
}
