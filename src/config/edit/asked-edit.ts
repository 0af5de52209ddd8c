// Edits as they come from outside: keys and values as people type them, and whole blocks of lists.
import type { ConfigEdit } from "./edit-meaning.ts";
import { configEdit } from "./key-path.ts";

type AddedList = "shares" | "aliases";

const REMOVALS = { shares: "remove-share", aliases: "remove-alias", backends: "remove-backend" } as const;

export type AskedEdit =
  /** `value` is TOML, else taken as a string; null unsets the key. */
  | { readonly key: string; readonly value: string | null }
  | { readonly add: AddedList; readonly entry: Readonly<Record<string, string>> }
  | { readonly remove: AddedList | "backends"; readonly name: string };

/** The edit that is meant. Rejects with `usage` and `config_key_unknown`, as `configEdit` does. */
export function askedEdit(asked: AskedEdit): ConfigEdit {
  if ("key" in asked) return configEdit(asked.key, asked.value);
  if ("add" in asked) {
    const { add, entry } = asked;
    return add === "shares" ? { kind: "add-share", share: entry } : { kind: "add-alias", alias: entry };
  }
  const { remove, name } = asked;
  return { kind: REMOVALS[remove], name };
}
