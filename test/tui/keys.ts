// Keys for tests, as people name them: a word is typed letter by letter, `<enter>` is a key.
import type { Key, KeyName } from "../../src/tui/terminal/key.ts";

/** `ab<tab>c<save>`: what is in angle brackets is a key by its name. */
export function keys(text: string): readonly Key[] {
  return [...text.matchAll(/<([a-z]+)>|(.)/gsu)].map(([, name, character]): Key => {
    if (name !== undefined) return { kind: "named", name: name as KeyName };
    return { kind: "character", text: character ?? "" };
  });
}
