// The rules for aliases: the share exists, names and paths are unique, and no alias is in the place of a
// share's link or mount.
import { join } from "node:path";
import {
  describeValue,
  type Finding,
  type KeyPath,
  namesHint,
  pathText,
  quoted,
} from "../values/mistakes.ts";
import { nameKey, parseAliasName, parseShareName, RESERVED_SHARE_NAME } from "../values/names.ts";
import { isWithin } from "../values/paths.ts";
import { parseRequirement } from "../values/requirement.ts";
import {
  asTable,
  indexedTables,
  invalidValue,
  listIn,
  pathOf,
  type RuleContext,
  rootsOf,
  type Table,
  unmatched,
} from "./tables.ts";

type Roots = ReturnType<typeof rootsOf>;

function shareFinding(alias: Table, at: KeyPath, names: readonly string[]): Finding[] {
  const { share } = alias;
  const reading = typeof share === "string" ? parseShareName(share) : null;
  if (reading?.ok !== true || names.includes(reading.value)) return [];
  const hint = namesHint(reading.value, names, NO_SHARES);
  const found = `${describeValue(share)}, which is not a share of this file`;
  const expected = "the name of a share of this file";
  return [unmatched([...at, "share"], found, expected, hint)];
}

function linkPath(alias: Table, { sharesRoot }: Roots, context: RuleContext): string | null {
  const { path, name } = alias;
  if (typeof path === "string") return pathOf(path, context);
  if (path !== undefined || sharesRoot === null || typeof name !== "string") return null;
  const reading = parseAliasName(name);
  return reading.ok ? join(sharesRoot, RESERVED_SHARE_NAME, reading.value) : null;
}

/**
 * The names that folders in `mount_root` may have: the shares' names here, and their names on the servers,
 * which macOS uses for its mounts.
 */
function mountNames(shares: readonly unknown[]): string[] {
  const ofServer = shares.flatMap((share) => {
    const name = asTable(share)?.["share_name"];
    return typeof name === "string" && parseShareName(name).ok ? [name] : [];
  });
  return [...new Set([...shareNames(shares), ...ofServer])];
}

/** Returns why no alias may be at the path; null if an alias may be there. */
function standsIn(
  path: string,
  { sharesRoot, mountRoot }: Roots,
  names: readonly string[],
  mounts: readonly string[],
): string | null {
  for (const name of names) {
    if (sharesRoot !== null && isWithin(path, join(sharesRoot, name)))
      return `a path inside the link of share ${quoted(name)}`;
  }
  for (const name of mounts) {
    if (mountRoot !== null && isWithin(path, join(mountRoot, name)))
      return `a path inside the mount of share ${quoted(name)}`;
  }
  for (const [root, key] of [
    [sharesRoot, "shares_root"],
    [mountRoot, "mount_root"],
  ] as const) {
    if (root !== null && isWithin(root, path)) return `a path that holds \`${key}\``;
  }
  if (sharesRoot !== null && path === join(sharesRoot, RESERVED_SHARE_NAME))
    return "the folder of all aliases";
  return null;
}

function pathKeyOf(alias: Table): "path" | "name" {
  return alias["path"] === undefined ? "name" : "path";
}

/**
 * Returns a function that takes one alias after the other, and reports one that has the name of an earlier
 * alias, or a path that is equal to, above or below an earlier alias' path.
 */
function createTwinRule() {
  const names = new Map<string, number>();
  const paths: { readonly path: string; readonly index: number }[] = [];
  return (alias: Table, index: number, path: string | null): Finding[] => {
    const at: KeyPath = ["aliases", index];
    const { name } = alias;
    const key = typeof name === "string" ? nameKey(name) : null;
    const twin = key === null ? undefined : names.get(key);
    if (key !== null && twin === undefined) names.set(key, index);
    const expected = "a path that no other alias uses";
    const findings: Finding[] = [];
    if (twin !== undefined) {
      const found = `the name of ${pathText(["aliases", twin])} (letter case does not count)`;
      findings.push(invalidValue([...at, "name"], found, "a unique name"));
    }
    if (path === null) return findings;
    const isNear = (one: string, other: string): boolean => isWithin(nameKey(one), nameKey(other));
    const near = paths.find((other) => isNear(path, other.path) || isNear(other.path, path));
    if (near === undefined) paths.push({ path, index });
    // If the path only follows from a name that is already reported, the path is not reported as another error.
    else if (twin === undefined || alias["path"] !== undefined) {
      const isSame = nameKey(near.path) === nameKey(path);
      const found = `a path that ${isSame ? "is" : "meets"} that of ${pathText(["aliases", near.index])}`;
      findings.push(invalidValue([...at, pathKeyOf(alias)], found, expected));
    }
    return findings;
  };
}

/** All errors between aliases and the rest of the file; values of wrong types are skipped. */
export function aliasFindings(file: Table, context: RuleContext): Finding[] {
  const aliases = indexedTables(listIn(file, "aliases"));
  const shares = listIn(file, "shares");
  const names = shareNames(shares);
  const mounts = mountNames(shares);
  const roots = rootsOf(file, context);
  const findTwins = createTwinRule();
  return aliases.flatMap(([index, alias]) => {
    const at: KeyPath = ["aliases", index];
    const path = linkPath(alias, roots, context);
    const findings = [...shareFinding(alias, at, names), ...findTwins(alias, index, path)];
    const found = path === null ? null : standsIn(path, roots, names, mounts);
    if (found === null) return findings;
    const hint = "the link needs a path that Mountaineer does not use itself";
    const expected = "a path outside those of shares";
    return [...findings, invalidValue([...at, pathKeyOf(alias)], found, expected, hint)];
  });
}

/** The hint for an unknown share in a file without shares. */
const NO_SHARES = "the file has no shares";

/** Names of shares as the file has them, skipping values that are not names. */
function shareNames(shares: readonly unknown[]): string[] {
  return shares.flatMap((share) => {
    const name = asTable(share)?.["name"];
    const reading = typeof name === "string" ? parseShareName(name) : null;
    return reading?.ok === true ? [reading.value] : [];
  });
}

/**
 * The errors of backends that require a share which the file does not have; values of wrong types are
 * skipped.
 */
export function requiresFindings(file: Table): Finding[] {
  const names = shareNames(listIn(file, "shares"));
  return Object.entries(asTable(file["backends"]) ?? {}).flatMap(([backend, entry]) => {
    return listIn(asTable(entry), "requires").flatMap((text, index): Finding[] => {
      const named = asTable(text)?.["share"] ?? text;
      const reading = typeof named === "string" ? parseRequirement(named) : null;
      if (reading?.ok !== true) return [];
      const { share } = reading.value;
      if (names.includes(share)) return [];
      const found = `${describeValue(named)}, which names no share of this file`;
      const expected = "the name of a share of this file";
      const hint = namesHint(share, names, NO_SHARES);
      return [unmatched(["backends", backend, "requires", index], found, expected, hint)];
    });
  });
}
