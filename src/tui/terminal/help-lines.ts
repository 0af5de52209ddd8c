// The help: what each screen is for, the keys of the shown one, and those that work everywhere.
import { columns, padded } from "../../runtime/text/plain-text.ts";
import { type Line, span } from "./line.ts";
import type { KeyHelp, Screen, ScreenSize } from "./screen.ts";

const EVERYWHERE: readonly KeyHelp[] = [
  { keys: "?", does: "this help" },
  { keys: ":", does: "the palette: everything by its name" },
  { keys: "q", does: "leave; asks once when something is not saved" },
  { keys: "Ctrl-C", does: "leave at once" },
];

/** From line `top` on, as many as fit. */
export function helpLines(
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
