// The keys of a section as a status shows them: with the names and units of the file.

import { normalizedName, unitSize } from "./schema/normalized.ts";
import type { Key, OutOf } from "./schema/schema-keys.ts";

/** Every key of a section, with its value in use: seconds where the file has seconds, and absolute paths. */
export type SectionSettings<Keys> = {
  readonly [Name in keyof Keys]: NonNullable<OutOf<Keys[Name]>>;
};

/** `values`: the section in the engine's form. */
export function sectionSettings<Keys extends Readonly<Record<string, Key<unknown>>>>(
  keys: Keys,
  values: object,
): SectionSettings<Keys> {
  const normalized = new Map<string, unknown>(Object.entries(values));
  const entries = Object.entries(keys).map(([name, key]) => {
    const value = normalized.get(normalizedName(name, key));
    return [name, typeof value === "number" ? value / unitSize(key) : value];
  });
  // The assertion holds: the engine's form is derived from the same declarations, and has no null.
  return Object.fromEntries(entries) as SectionSettings<Keys>;
}
