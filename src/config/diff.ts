// The difference between two accepted configurations, which is all that a reload has to touch.
import { isDeepStrictEqual } from "node:util";
import type {
  AliasConfig,
  BackendConfig,
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
  | "telemetry";

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
  readonly shares: NamedDiff<ShareField>;
  readonly aliases: NamedDiff<AliasField>;
}

const GLOBAL_KEYS = [
  "sharesRoot",
  "mountRoot",
  "checkIntervalMs",
  "networkDebounceMs",
  "connectTimeoutMs",
  "mountHangMs",
  "carry",
  "outagePatienceMs",
  "autoFailback",
  "autoFailbackStableMs",
  "lsofRecheck",
] as const satisfies readonly (keyof GlobalConfig)[];
const SYNC_KEYS = [
  "enabled",
  "pollIntervalMs",
  "debounceMs",
  "detection",
  "onFailure",
] as const satisfies readonly (keyof SyncSettings)[];
const NOTIFY_KEYS = [
  "enabled",
  "failover",
  "tbReady",
  "configRejected",
] as const satisfies readonly (keyof NotifyConfig)[];
const SERVER_KEYS = [
  "host",
  "port",
  "publicUrl",
  "bodyLimitBytes",
  "drainTimeoutMs",
] as const satisfies readonly (keyof ServerConfig)[];
const SHARE_KEYS = ["shareName", "username", "password", "driver", "carry"] as const;
const ROUTE_KEYS = [
  "host",
  "port",
  "interfaceName",
  "folder",
] as const satisfies readonly (keyof RouteConfig)[];
const ALIAS_KEYS = ["path", "share", "targetSubpath"] as const satisfies readonly AliasField[];
const ROUTES = ["tb", "fallback"] as const;
const BACKEND_KEYS = [
  "enabled",
  "group",
  "connection",
  "routes",
  "timeouts",
  "filters",
  "toolOverrides",
  "instances",
  "replace",
  "pin",
  "requires",
  "unavailableAfterMs",
  "whenUnavailable",
] as const satisfies readonly BackendField[];
const MIDDLEWARE = [
  ["conflict_resolution", "conflictResolution"],
  ["incoming_auth", "incomingAuth"],
  ["authorization", "authorization"],
  ["limits", "limits"],
  ["audit", "audit"],
  ["telemetry", "telemetry"],
  ["trust", "trust"],
] as const satisfies readonly (readonly [MiddlewareSection, keyof MountaineerConfig])[];

function changedKeys<T extends object, Key extends keyof T>(
  before: T,
  after: T,
  keys: readonly Key[],
): Key[] {
  return keys.filter((key) => !isDeepStrictEqual(before[key], after[key]));
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
  const fields: ShareField[] = changedKeys(before, after, SHARE_KEYS);
  for (const route of ROUTES) {
    const keys = changedKeys(before.routes[route], after.routes[route], ROUTE_KEYS);
    for (const key of keys) fields.push(`routes.${route}.${key}`);
  }
  return fields;
}

function changedServer(before: ServerConfig | null, after: ServerConfig | null): (keyof ServerConfig)[] {
  if (before !== null && after !== null) return changedKeys(before, after, SERVER_KEYS);
  return before === after ? [] : [...SERVER_KEYS];
}

/**
 * What changed from `before` to `after`. Shares, aliases and backends are known by their names; the order of shares
 * and aliases does not count, that of backends does.
 */
export function diffConfigs(before: MountaineerConfig, after: MountaineerConfig): ConfigDiff {
  return {
    global: changedKeys(before.global, after.global, GLOBAL_KEYS),
    sync: changedKeys(before.sync, after.sync, SYNC_KEYS),
    notify: changedKeys(before.notify, after.notify, NOTIFY_KEYS),
    server: changedServer(before.server, after.server),
    backends: {
      ...diffNamed(before.backends, after.backends, (was, is) => changedKeys(was, is, BACKEND_KEYS)),
      reordered: isReordered(before.backends, after.backends),
    },
    middleware: MIDDLEWARE.filter(([, key]) => !isDeepStrictEqual(before[key], after[key])).map(
      ([name]) => name,
    ),
    shares: diffNamed(before.shares, after.shares, changedFields),
    aliases: diffNamed(before.aliases, after.aliases, (was, is) => changedKeys(was, is, ALIAS_KEYS)),
  };
}

function isUntouched({ added, removed, changed }: NamedDiff<unknown>): boolean {
  return added.length + removed.length + changed.length === 0;
}

/** True when nothing changed: other bytes with the same meaning. */
export function isEmptyDiff(diff: ConfigDiff): boolean {
  const { global, sync, notify, server, backends, middleware, shares, aliases } = diff;
  if (backends.reordered || ![backends, shares, aliases].every(isUntouched)) return false;
  return [global, sync, notify, server, middleware].every((list) => list.length === 0);
}
