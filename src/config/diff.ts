// Owns the difference between two accepted configurations: what a reload has to touch, and nothing else.
import { isDeepStrictEqual } from "node:util";
import type {
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

export interface ConfigDiff {
  readonly global: readonly (keyof GlobalConfig)[];
  readonly sync: readonly (keyof SyncSettings)[];
  /** Every key when the section came or went. */
  readonly server: readonly (keyof ServerConfig)[];
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
const SERVER_KEYS = ["host", "port"] as const satisfies readonly (keyof ServerConfig)[];
const SHARE_KEYS = ["shareName", "username", "password", "driver"] as const;
const ROUTE_KEYS: readonly (keyof RouteConfig)[] = ["host", "port", "interfaceName", "folder"];
const ROUTES = ["tb", "fallback"] as const;

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
    shares: { added, removed, changed },
  };
}

/** True when nothing changed: other bytes with the same meaning. */
export function isEmptyDiff({ global, sync, server, shares }: ConfigDiff): boolean {
  return [global, sync, server, shares.added, shares.removed, shares.changed].every(
    (list) => list.length === 0,
  );
}
