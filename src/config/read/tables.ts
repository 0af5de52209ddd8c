// Reads tables of a file that is not checked yet.
import type { HomeContext } from "../home-context.ts";
import { type Finding, type KeyPath, MISSING } from "../values/mistakes.ts";
import { defaultSharesRoot, expandPath, isWithin, parsePath } from "../values/paths.ts";
import { isTable } from "../values/table.ts";

export type Table = Readonly<Record<string, unknown>>;

export type RuleContext = Pick<
  HomeContext,
  "home" | "userHome" | "defaultMountRoot" | "hasSandbox" | "machineName"
>;

export function asTable(value: unknown): Table | null {
  return isTable(value) ? value : null;
}

/** Whether a table has a value under a key, valid or not. */
export function has(table: Table, key: string): boolean {
  return (table[key] ?? null) !== null;
}

/** Returns the list under a key; empty if the value is not a list. */
export function listIn(table: Table | null, key: string): readonly unknown[] {
  const value = table?.[key];
  return Array.isArray(value) ? value : [];
}

/** The tables among `entries`, each with its index. */
export function indexedTables(entries: readonly unknown[]): readonly (readonly [number, Table])[] {
  return [...entries.entries()].flatMap(([index, entry]) => {
    const table = asTable(entry);
    return table === null ? [] : [[index, table] as const];
  });
}

/**
 * The errors of entries whose key repeats that of an earlier entry. Entries whose key is not a text are
 * skipped.
 */
export function repeatFindings<T>(
  entries: readonly T[],
  keyOf: (entry: T) => unknown,
  finding: (entry: T, first: T) => Finding,
): Finding[] {
  const visited = new Map<string, T>();
  return entries.flatMap((entry) => {
    const key = keyOf(entry);
    if (typeof key !== "string") return [];
    const first = visited.get(key);
    if (first !== undefined) return [finding(entry, first)];
    visited.set(key, entry);
    return [];
  });
}

/** The error of a required key that is missing. */
export function missingKey(path: KeyPath, expected: string, hint: string | null = null): Finding {
  return { path, at: "key", found: MISSING, expected, hint };
}

/** The error of a value that contradicts other values. */
export function invalidValue(
  path: KeyPath,
  found: string,
  expected: string,
  hint: string | null = null,
): Finding {
  return { path, at: "value", found, expected, hint };
}

/** The error of a key that must be absent beside other keys. */
export function unexpectedKey(path: KeyPath, found: string, hint: string): Finding {
  return { path, at: "key", found, expected: `no \`${path.at(-1)}\``, hint };
}

/**
 * An error as from `invalidValue`. It is dropped if a part of the text could not be read, because that part could
 * resolve it.
 */
export function unmatched(...mistake: Parameters<typeof invalidValue>): Finding {
  return { ...invalidValue(...mistake), restsOnAbsence: true };
}

/** Returns the absolute path that the text means; null if the text is not a path. */
export function pathOf(text: unknown, { userHome }: Pick<RuleContext, "userHome">): string | null {
  return typeof text === "string" && parsePath(text).ok ? expandPath(text, userHome) : null;
}

/** The folders of links and of mounts, as absolute paths; null if the value in the file is not a path. */
export function rootsOf(file: Table, context: RuleContext) {
  const global = asTable(file["global"]) ?? {};
  return {
    sharesRoot: pathOf(global["shares_root"] ?? defaultSharesRoot(context), context),
    mountRoot: pathOf(global["mount_root"] ?? context.defaultMountRoot, context),
  };
}

/** Whether an absolute path is in one of the folders in which the configuration mounts or links shares. */
export function isOnShare(path: string, file: Table, context: RuleContext): boolean {
  return Object.values(rootsOf(file, context)).some((root) => root !== null && isWithin(path, root));
}
