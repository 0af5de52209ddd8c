// The difference between two accepted configurations. A reload changes only what differs.
import { isDeepStrictEqual } from "node:util";
import { isSameBackend } from "./backend-defaults.ts";
import { backendDefaultKeys } from "./schema/backend-defaults-schema.ts";
import { fleetKeys } from "./schema/fleet-schema.ts";
import { serverKeys } from "./schema/gateway-schema.ts";
import { normalizedName, unitSize } from "./schema/normalized.ts";
import { notifyKeys, syncKeys } from "./schema/schema.ts";
import { globalKeys } from "./schema/share-schema.ts";
import { MANAGEMENT_DEFAULT, type MountaineerConfig, snakeCase } from "./snapshot.ts";

export interface NamedDiff {
  /** Names, in the new file's order. */
  readonly added: readonly string[];
  /** Names, in the old file's order. */
  readonly removed: readonly string[];
  /** Names, in the new file's order. */
  readonly changed: readonly string[];
}

export interface ConfigDiff {
  /**
   * The changed keys as in the file, for example `global.check_interval_secs`. Of a section that was added or
   * removed, the keys that it sets; every key if it sets none.
   */
  readonly settings: readonly string[];
  readonly backends: NamedDiff & {
    /**
     * The backends that both files have are in a different order. The order decides whose tool wins a name
     * conflict.
     */
    readonly reordered: boolean;
  };
  /** The changed sections that configure the gateway's behavior, by their names in the file. */
  readonly middleware: readonly string[];
  readonly shares: NamedDiff;
  readonly aliases: NamedDiff;
}

/** The sections whose changed keys are listed one by one. */
const SETTINGS = {
  global: globalKeys,
  sync: syncKeys,
  notify: notifyKeys,
  server: serverKeys,
  fleet: fleetKeys,
  backendDefaults: backendDefaultKeys,
} as const;
// The assertion holds: the object has no other keys.
const SETTING_SECTIONS = Object.keys(SETTINGS) as readonly (keyof typeof SETTINGS)[];
/**
 * The keys that are not compared as a whole: lists, whose entries are compared by name; `nas`, because the shares have
 * what it gives them.
 */
const OTHERS: ReadonlySet<string> = new Set(["backends", "shares", "nas", "aliases"]);

type Values = Readonly<Record<string, unknown>>;

/** An absent key equals an undefined one. */
function isSame<T extends object>(before: T, after: T): boolean {
  // Values read from a file have no keys beyond their type, so this type assertion is safe.
  const keys = Object.keys({ ...before, ...after }) as (keyof T)[];
  return keys.every((key) => isDeepStrictEqual(before[key], after[key]));
}

function isDefault(member: Parameters<typeof normalizedName>[1], value: unknown): boolean {
  if (member.kind !== "key") return isDeepStrictEqual(value, MANAGEMENT_DEFAULT);
  const written = typeof value === "number" ? value / unitSize(member) : value;
  return isDeepStrictEqual(written, member.fallback ?? null);
}

function changedSettings(before: MountaineerConfig, after: MountaineerConfig): string[] {
  return SETTING_SECTIONS.flatMap((section) => {
    const [was, is]: readonly (Values | null)[] = [before[section], after[section]];
    const [only, other] = was === null ? [is, was] : [was, is];
    const members = Object.entries(SETTINGS[section]);
    const names = members.filter(([name, member]) => {
      const value = only?.[normalizedName(name, member)] ?? null;
      if (only !== null && other === null) return !isDefault(member, value);
      return !isDeepStrictEqual(value, other?.[normalizedName(name, member)] ?? null);
    });
    // A section that says nothing of its keys came or went.
    if (names.length === 0 && (was === null) !== (is === null)) names.push(...members);
    return names.map(([name]) => `${snakeCase(section)}.${name}`);
  });
}

function diffNamed<T extends { readonly name: string }>(
  before: readonly T[],
  after: readonly T[],
  isEqual: (one: T, other: T) => boolean = isSame,
): NamedDiff {
  const old = new Map(before.map((one) => [one.name, one]));
  const names = new Set(after.map(({ name }) => name));
  const changed = after.filter((one) => {
    const was = old.get(one.name);
    return was !== undefined && !isEqual(was, one);
  });
  return {
    added: [...names].filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !names.has(name)),
    changed: namesOf(changed),
  };
}

function namesOf(members: readonly { readonly name: string }[]): readonly string[] {
  return members.map(({ name }) => name);
}

/** Whether the names that both lists contain are in a different order. */
export function isReordered(before: readonly string[], after: readonly string[]): boolean {
  const common = after.filter((name) => before.includes(name));
  return before.filter((name) => after.includes(name)).some((name, index) => common[index] !== name);
}

/**
 * The names of the changed sections that no other comparison in this file covers. A section that a later version of
 * Mountaineer adds is included without a change here.
 */
function changedMiddleware(before: MountaineerConfig, after: MountaineerConfig): string[] {
  const [was, is]: readonly Values[] = [{ ...before }, { ...after }];
  const sections = Object.keys({ ...was, ...is }).filter((key) => !(key in SETTINGS || OTHERS.has(key)));
  return sections.filter((key) => !isDeepStrictEqual(was?.[key], is?.[key])).map(snakeCase);
}

/**
 * Returns the changes from `before` to `after`. Shares, aliases and backends are matched by name; a new order counts
 * as a change only for backends.
 */
export function diffConfigs(before: MountaineerConfig, after: MountaineerConfig): ConfigDiff {
  return {
    settings: changedSettings(before, after),
    backends: {
      ...diffNamed(before.backends, after.backends, isSameBackend),
      reordered: isReordered(namesOf(before.backends), namesOf(after.backends)),
    },
    middleware: changedMiddleware(before, after),
    shares: diffNamed(before.shares, after.shares),
    aliases: diffNamed(before.aliases, after.aliases),
  };
}

function isUntouched({ added, removed, changed }: NamedDiff): boolean {
  return added.length + removed.length + changed.length === 0;
}

/** True if nothing changed; the bytes may still differ, if their meaning is the same. */
export function isEmptyDiff({ settings, backends, middleware, shares, aliases }: ConfigDiff): boolean {
  if (backends.reordered || ![backends, shares, aliases].every(isUntouched)) return false;
  return settings.length + middleware.length === 0;
}

/** In words: "added server time; changed share CORE, server.port". Empty if nothing changed. */
export function changesText({ settings, backends, middleware, shares, aliases }: ConfigDiff): string {
  const named = (kind: keyof NamedDiff): string[] => [
    ...backends[kind].map((name) => `server ${name}`),
    ...shares[kind].map((name) => `share ${name}`),
    ...aliases[kind].map((name) => `alias ${name}`),
  ];
  const order = backends.reordered ? ["the order of servers"] : [];
  const changes = [
    ["added", named("added")],
    ["removed", named("removed")],
    ["changed", [...named("changed"), ...settings, ...middleware, ...order]],
  ] as const;
  const made = changes.filter(([, names]) => names.length > 0);
  return made.map(([verb, names]) => `${verb} ${names.join(", ")}`).join("; ");
}
