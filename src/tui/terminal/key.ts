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

/** What the terminal library tells of a key, as far as it is used here. */
export interface TerminalKey {
  readonly upArrow: boolean;
  readonly downArrow: boolean;
  readonly leftArrow: boolean;
  readonly rightArrow: boolean;
  readonly home: boolean;
  readonly end: boolean;
  readonly pageUp: boolean;
  readonly pageDown: boolean;
  readonly return: boolean;
  readonly escape: boolean;
  readonly ctrl: boolean;
  readonly shift: boolean;
  readonly tab: boolean;
  readonly backspace: boolean;
  readonly delete: boolean;
  readonly meta: boolean;
}

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
  "\x13": "save",
  "\x15": "clear",
  "\x03": "quit",
  "\x01": "home",
  "\x05": "end",
  "\x06": "find",
};

function named(name: KeyName): readonly Key[] {
  return [{ kind: "named", name }];
}

/** The keys of one input: keys typed quickly, or pasted, come as one text. What has no meaning here is none. */
export function keysOf(input: string, key: TerminalKey): readonly Key[] {
  if (key.escape) return named("escape");
  if (key.tab) return named(key.shift ? "backtab" : "tab");
  if (key.upArrow) return named("up");
  if (key.downArrow) return named("down");
  if (key.leftArrow) return named("left");
  if (key.rightArrow) return named("right");
  if (key.home) return named("home");
  if (key.end) return named("end");
  if (key.pageUp) return named("pageup");
  if (key.pageDown) return named("pagedown");
  if (key.return) return named("enter");
  if (key.backspace) return named("backspace");
  if (key.delete) return named("delete");
  if (key.ctrl) {
    const name = CONTROL_LETTERS[input];
    return name === undefined ? [] : named(name);
  }
  if (key.meta) return [];
  return keysOfText(input);
}

/** A text's characters as keys; what has no meaning here is none. */
export function keysOfText(text: string): readonly Key[] {
  return [...text].flatMap((character): readonly Key[] => {
    const name = CONTROL_CHARACTERS[character];
    if (name !== undefined) return named(name);
    return /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(character)
      ? []
      : [{ kind: "character", text: character }];
  });
}
