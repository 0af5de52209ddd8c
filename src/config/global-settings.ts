// The keys of `[global]` as a status shows them: with the names and units of the file.
import type { OutOf } from "./schema/schema-keys.ts";
import { settledName, unitSize } from "./schema/settled.ts";
import { globalKeys } from "./schema/share-schema.ts";
import type { GlobalConfig } from "./snapshot.ts";

/** Every key of `[global]`, with its value in use: seconds where the file has seconds, and absolute paths. */
export type GlobalSettings = {
  readonly [Name in keyof typeof globalKeys]: NonNullable<OutOf<(typeof globalKeys)[Name]>>;
};

export function globalSettings(global: GlobalConfig): GlobalSettings {
  const values = new Map<string, unknown>(Object.entries(global));
  const entries = Object.entries(globalKeys).map(([name, key]) => {
    const value = values.get(settledName(name, key));
    return [name, typeof value === "number" ? value / unitSize(key) : value];
  });
  // The assertion holds: `GlobalConfig` is derived from the same declarations, and has no null.
  return Object.fromEntries(entries) as GlobalSettings;
}
