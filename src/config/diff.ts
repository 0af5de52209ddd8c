// The difference between two accepted configurations, which is all that a reload has to touch.
import { isDeepStrictEqual } from "node:util";
import type {
  AliasConfig,
  BackendConfig,
  FleetConfig,
  GlobalConfig,
  MountaineerConfig,
  NotifyConfig,
  RouteConfig,
  ServerConfig,
  ShareConfig,
  SyncSettings,
} from "./snapshot.ts";

type ShareField =
  | Exclude<keyof ShareConfig, "name" | "routes">
  | `routes.${keyof ShareConfig["routes"]}.${keyof RouteConfig}`;

type AliasField = Exclude<keyof AliasConfig, "name">;

type BackendField = Exclude<keyof BackendConfig, "name">;

/** Sections that say how the gateway serves, by their names in the file. */
type MiddlewareSection =
  | "conflict_resolution"
  | "incoming_auth"
  | "authorization"
  | "limits"
  | "audit"
  | "trust"
  | "telemetry"
  | "optimizer"
  | "groups"
  | "profiles";

/** What became of things that are known by their names. */
export interface NamedDiff<Field> {
  /** Names, in the new file's order. */
  readonly added: readonly string[];
  /** Names, in the old file's order. */
  readonly removed: readonly string[];
  readonly changed: readonly { readonly name: string; readonly fields: readonly Field[] }[];
}

export interface ConfigDiff {
  readonly global: readonly (keyof GlobalConfig)[];
  readonly sync: readonly (keyof SyncSettings)[];
  readonly notify: readonly (keyof NotifyConfig)[];
  /** Every key when the section came or went. */
  readonly server: readonly (keyof ServerConfig)[];
  readonly backends: NamedDiff<BackendField> & {
    /** Those that are in both stand in another order: who comes first wins. */
    readonly reordered: boolean;
  };
  readonly middleware: readonly MiddlewareSection[];
  /** Every key when the section came or went. */
  readonly fleet: readonly (keyof FleetConfig)[];
  readonly shares: NamedDiff<ShareField>;
  readonly aliases: NamedDiff<AliasField>;
}

const MIDDLEWARE = [
  ["conflict_resolution", "conflictResolution"],
  ["incoming_auth", "incomingAuth"],
  ["authorization", "authorization"],
  ["limits", "limits"],
  ["audit", "audit"],
  ["telemetry", "telemetry"],
  ["trust", "trust"],
  ["optimizer", "optimizer"],
  ["groups", "groups"],
  ["profiles", "profiles"],
] as const satisfies readonly (readonly [MiddlewareSection, keyof MountaineerConfig])[];

/** In their order; what is named is known by its name. */
function changedKeys<T extends object>(before: T, after: T): Exclude<keyof T, "name">[] {
  return keysOf({ ...before, ...after }).filter((key) => !isDeepStrictEqual(before[key], after[key]));
}

function keysOf<T extends object>(one: T): Exclude<keyof T, "name">[] {
  // Values read from a file have no keys beyond their type, so the assertion holds.
  return (Object.keys(one) as Exclude<keyof T, "name">[]).filter((key) => key !== "name");
}

function diffNamed<T extends { readonly name: string }, Field>(
  before: readonly T[],
  after: readonly T[],
  fieldsOf: (was: T, is: T) => Field[],
): NamedDiff<Field> {
  const old = new Map(before.map((one) => [one.name, one]));
  const names = new Set(after.map(({ name }) => name));
  const added: string[] = [];
  const changed: { name: string; fields: Field[] }[] = [];
  for (const one of after) {
    const was = old.get(one.name);
    const fields = was === undefined ? [] : fieldsOf(was, one);
    if (was === undefined) added.push(one.name);
    else if (fields.length > 0) changed.push({ name: one.name, fields });
  }
  const removed = before.map(({ name }) => name).filter((name) => !names.has(name));
  return { added, removed, changed };
}

function isReordered(before: readonly BackendConfig[], after: readonly BackendConfig[]): boolean {
  const old = new Set(before.map(({ name }) => name));
  const fresh = new Set(after.map(({ name }) => name));
  const keptBefore = [...old].filter((name) => fresh.has(name));
  const keptAfter = [...fresh].filter((name) => old.has(name));
  return keptBefore.some((name, index) => keptAfter[index] !== name);
}

function changedFields(before: ShareConfig, after: ShareConfig): ShareField[] {
  const inRoute = (route: "tb" | "fallback"): ShareField[] =>
    changedKeys(before.routes[route], after.routes[route]).map((key): ShareField => `routes.${route}.${key}`);
  const own = changedKeys(before, after).filter((key) => key !== "routes");
  return [...own, ...inRoute("tb"), ...inRoute("fallback")];
}

function changedServer(before: ServerConfig | null, after: ServerConfig | null): (keyof ServerConfig)[] {
  if (before !== null && after !== null) return changedKeys(before, after);
  const one = before ?? after;
  return one === null ? [] : keysOf(one);
}

/** Its name is no name by which it is known here: there is one fleet. */
function changedFleet(before: FleetConfig | null, after: FleetConfig | null): (keyof FleetConfig)[] {
  const keys: readonly (keyof FleetConfig)[] = [
    "name",
    "servers",
    "credentials",
    "tlsCa",
    "operator",
    "export",
    "import",
    "together",
    "sessions",
  ];
  if (before === null && after === null) return [];
  return keys.filter((key) => !isDeepStrictEqual(before?.[key], after?.[key]));
}

/**
 * What changed from `before` to `after`. Shares, aliases and backends are known by their names; the order of shares
 * and aliases does not count, that of backends does.
 */
export function diffConfigs(before: MountaineerConfig, after: MountaineerConfig): ConfigDiff {
  return {
    global: changedKeys(before.global, after.global),
    sync: changedKeys(before.sync, after.sync),
    notify: changedKeys(before.notify, after.notify),
    server: changedServer(before.server, after.server),
    backends: {
      ...diffNamed(before.backends, after.backends, changedKeys),
      reordered: isReordered(before.backends, after.backends),
    },
    middleware: MIDDLEWARE.filter(([, key]) => !isDeepStrictEqual(before[key], after[key])).map(
      ([name]) => name,
    ),
    fleet: changedFleet(before.fleet, after.fleet),
    shares: diffNamed(before.shares, after.shares, changedFields),
    aliases: diffNamed(before.aliases, after.aliases, changedKeys),
  };
}

function isUntouched({ added, removed, changed }: NamedDiff<unknown>): boolean {
  return added.length + removed.length + changed.length === 0;
}

/** True when nothing changed: other bytes with the same meaning. */
export function isEmptyDiff(diff: ConfigDiff): boolean {
  const { global, sync, notify, server, fleet, backends, middleware, shares, aliases } = diff;
  if (backends.reordered || ![backends, shares, aliases].every(isUntouched)) return false;
  return [global, sync, notify, server, fleet, middleware].every((list) => list.length === 0);
}
