// Owns the difference between two accepted configurations: what a reload has to touch, and nothing else.
import { isDeepStrictEqual } from "node:util";
import type {
  BackendConfig,
  GlobalConfig,
  MountaineerConfig,
  RouteConfig,
  ServerConfig,
  ShareConfig,
  SyncSettings,
} from "./snapshot.ts";

export type ShareField =
  | Exclude<keyof ShareConfig, "name" | "routes">
  | `routes.${keyof ShareConfig["routes"]}.${keyof RouteConfig}`;

export type BackendField = Exclude<keyof BackendConfig, "name">;

/** Sections that say how the gateway serves, by their names in the file. */
export type MiddlewareSection = "conflict_resolution" | "incoming_auth" | "authorization" | "audit";

export interface ConfigDiff {
  readonly global: readonly (keyof GlobalConfig)[];
  readonly sync: readonly (keyof SyncSettings)[];
  /** Every key when the section came or went. */
  readonly server: readonly (keyof ServerConfig)[];
  readonly backends: {
    /** Names, in the new file's order. */
    readonly added: readonly string[];
    /** Names, in the old file's order. */
    readonly removed: readonly string[];
    readonly changed: readonly { readonly name: string; readonly fields: readonly BackendField[] }[];
    /** Those that are in both stand in another order: who comes first wins. */
    readonly reordered: boolean;
  };
  readonly middleware: readonly MiddlewareSection[];
  readonly shares: {
    /** Names, in the new file's order. */
    readonly added: readonly string[];
    /** Names, in the old file's order. */
    readonly removed: readonly string[];
    readonly changed: readonly { readonly name: string; readonly fields: readonly ShareField[] }[];
  };
}

function changedKeys<T extends object>(before: T, after: T, keys: readonly (keyof T)[]): (keyof T)[] {
  return keys.filter((key) => !isDeepStrictEqual(before[key], after[key]));
}

const GLOBAL_KEYS: readonly (keyof GlobalConfig)[] = [
  "sharesRoot",
  "mountRoot",
  "checkIntervalMs",
  "networkDebounceMs",
  "connectTimeoutMs",
  "mountHangMs",
  "autoFailback",
  "autoFailbackStableMs",
  "lsofRecheck",
] satisfies (keyof GlobalConfig)[];
const SYNC_KEYS = [
  "enabled",
  "pollIntervalMs",
  "debounceMs",
  "detection",
  "onFailure",
] as const satisfies readonly (keyof SyncSettings)[];
const SERVER_KEYS = [
  "host",
  "port",
  "bodyLimitBytes",
  "drainTimeoutMs",
] as const satisfies readonly (keyof ServerConfig)[];
const SHARE_KEYS = ["shareName", "username", "password", "driver"] as const;
const ROUTE_KEYS: readonly (keyof RouteConfig)[] = ["host", "port", "interfaceName", "folder"];
const ROUTES = ["tb", "fallback"] as const;
const BACKEND_KEYS = [
  "enabled",
  "group",
  "connection",
  "timeouts",
  "filters",
  "toolOverrides",
  "instances",
  "replace",
] as const satisfies readonly BackendField[];
const MIDDLEWARE = [
  ["conflict_resolution", "conflictResolution"],
  ["incoming_auth", "incomingAuth"],
  ["authorization", "authorization"],
  ["audit", "audit"],
] as const satisfies readonly (readonly [MiddlewareSection, keyof MountaineerConfig])[];

function diffBackends(
  before: readonly BackendConfig[],
  after: readonly BackendConfig[],
): ConfigDiff["backends"] {
  const old = new Map(before.map((backend) => [backend.name, backend]));
  const names = new Set(after.map(({ name }) => name));
  const added: string[] = [];
  const changed: { name: string; fields: BackendField[] }[] = [];
  for (const backend of after) {
    const was = old.get(backend.name);
    const fields = was === undefined ? [] : changedKeys(was, backend, BACKEND_KEYS);
    if (was === undefined) added.push(backend.name);
    else if (fields.length > 0)
      changed.push({ name: backend.name, fields: fields.filter((key) => key !== "name") });
  }
  const removed = before.map(({ name }) => name).filter((name) => !names.has(name));
  const keptBefore = before.map(({ name }) => name).filter((name) => names.has(name));
  const keptAfter = after.map(({ name }) => name).filter((name) => old.has(name));
  return { added, removed, changed, reordered: !isDeepStrictEqual(keptBefore, keptAfter) };
}

function changedFields(before: ShareConfig, after: ShareConfig): ShareField[] {
  const fields: ShareField[] = SHARE_KEYS.filter((key) => !isDeepStrictEqual(before[key], after[key]));
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

/** What changed from `before` to `after`. A share is known by its name; the order of shares does not count. */
export function diffConfigs(before: MountaineerConfig, after: MountaineerConfig): ConfigDiff {
  const old = new Map(before.shares.map((share) => [share.name, share]));
  const names = new Set(after.shares.map(({ name }) => name));
  const added: string[] = [];
  const changed: { name: string; fields: ShareField[] }[] = [];
  for (const share of after.shares) {
    const was = old.get(share.name);
    const fields = was === undefined ? [] : changedFields(was, share);
    if (was === undefined) added.push(share.name);
    else if (fields.length > 0) changed.push({ name: share.name, fields });
  }
  const removed = before.shares.map(({ name }) => name).filter((name) => !names.has(name));
  return {
    global: changedKeys(before.global, after.global, GLOBAL_KEYS),
    sync: changedKeys(before.sync, after.sync, SYNC_KEYS),
    server: changedServer(before.server, after.server),
    backends: diffBackends(before.backends, after.backends),
    middleware: MIDDLEWARE.filter(([, key]) => !isDeepStrictEqual(before[key], after[key])).map(
      ([name]) => name,
    ),
    shares: { added, removed, changed },
  };
}

/** True when nothing changed: other bytes with the same meaning. */
export function isEmptyDiff({ global, sync, server, backends, middleware, shares }: ConfigDiff): boolean {
  if (backends.reordered) return false;
  const { added, removed, changed } = backends;
  return [
    global,
    sync,
    server,
    added,
    removed,
    changed,
    middleware,
    shares.added,
    shares.removed,
    shares.changed,
  ].every((list) => list.length === 0);
}
