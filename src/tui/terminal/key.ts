// Turns the terminal's input into named keys, one at a time, however the input was split.

export type KeyName =
  | "tab"
  | "backtab"
  | "up"
  | "down"
  | "left"
  | "right"
  | "home"
  | "end"
  | "pageup"
  | "pagedown"
  | "backspace"
  | "delete"
  | "enter"
  | "escape"
  | "save"
  | "clear"
  | "find"
  | "quit";

export type Key =
  | { readonly kind: "named"; readonly name: KeyName }
  /** One printable character. */
  | { readonly kind: "character"; readonly text: string };

export function isNamed(key: Key, name: KeyName): boolean {
  return key.kind === "named" && key.name === name;
}

/** The terminal library's flags for keys that are not characters, in order of precedence, and their names here. */
const FLAGS = {
  escape: "escape",
  tab: "tab",
  upArrow: "up",
  downArrow: "down",
  leftArrow: "left",
  rightArrow: "right",
  home: "home",
  end: "end",
  pageUp: "pageup",
  pageDown: "pagedown",
  return: "enter",
  backspace: "backspace",
  delete: "delete",
} as const satisfies Record<string, KeyName>;

/** The part of the terminal library's key that is used here. */
export type TerminalKey = Readonly<Record<keyof typeof FLAGS | "ctrl" | "shift" | "meta", boolean>>;

const CONTROL_LETTERS: Readonly<Record<string, KeyName>> = {
  s: "save",
  u: "clear",
  c: "quit",
  a: "home",
  e: "end",
  f: "find",
};

const CONTROL_CHARACTERS: Readonly<Record<string, KeyName>> = {
  "\t": "tab",
  "\r": "enter",
  "\n": "enter",
  "\x7f": "backspace",
  "\b": "backspace",
  // Terminals send Ctrl with a letter as the letter's code without its upper bits.
  ...Object.fromEntries(
    Object.entries(CONTROL_LETTERS).map(([letter, name]) => [
      String.fromCharCode(letter.charCodeAt(0) & 0x1f),
      name,
    ]),
  ),
};

function named(name: KeyName | undefined): readonly Key[] {
  return name === undefined ? [] : [{ kind: "named", name }];
}

/** The keys of one input: keys typed quickly, or pasted, arrive as one text. Keys without a meaning here are left out. */
export function keysOf(input: string, key: TerminalKey): readonly Key[] {
  for (const [flag, name] of Object.entries(FLAGS))
    if (key[flag as keyof typeof FLAGS]) return named(name === "tab" && key.shift ? "backtab" : name);
  if (key.ctrl) return named(CONTROL_LETTERS[input]);
  return key.meta ? [] : keysOfText(input);
}

/** A text's characters as keys; control and formatting characters without a meaning here are left out. */
export function keysOfText(text: string): readonly Key[] {
  return [...text].flatMap((character): readonly Key[] => {
    const name = CONTROL_CHARACTERS[character];
    if (name !== undefined) return named(name);
    return /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(character)
      ? []
      : [{ kind: "character", text: character }];
  });
}

/** More rows than any list has; a finite number, so that sums of it stay numbers. */
const ALL_ROWS = 1e9;

/**
 * By how many rows a key moves in a list or a text; negative: upwards; 0: not at all. `page`: rows of a page.
 */
export function rowsMoved(key: Key, page = 10): number {
  const name = key.kind === "named" ? key.name : { j: "down", k: "up", " ": "pagedown" }[key.text];
  const rows: Readonly<Record<string, number>> = {
    down: 1,
    up: -1,
    pagedown: page,
    pageup: -page,
    home: -ALL_ROWS,
    end: ALL_ROWS,
  };
  return rows[name ?? ""] ?? 0;
}
