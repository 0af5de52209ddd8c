// Owns a configuration as the engine reads it: checked, complete, in milliseconds and absolute paths, immutable.
import type { SecretReference } from "../secrets/reference.ts";

export type ConfigFormat = "toml" | "yaml";

export interface GlobalConfig {
  /** Absolute. */
  readonly sharesRoot: string;
  /** Absolute. */
  readonly mountRoot: string;
  readonly checkIntervalMs: number;
  readonly networkDebounceMs: number;
  readonly connectTimeoutMs: number;
  readonly mountHangMs: number;
  readonly autoFailback: boolean;
  readonly autoFailbackStableMs: number;
  readonly lsofRecheck: boolean;
}

export interface RouteConfig {
  /** A name or address without brackets; null for a route of driver `local` without hosts. */
  readonly host: string | null;
  readonly port: number;
  /** null: the interface whose subnet holds the host. */
  readonly interfaceName: string | null;
  /** Absolute; the folder of this route for driver `local`, else null. */
  readonly folder: string | null;
}

export interface ShareConfig {
  /** In Unicode form NFC. */
  readonly name: string;
  readonly shareName: string;
  readonly username: string;
  /** null: guest. */
  readonly password: SecretReference | null;
  /** `auto` is settled. */
  readonly driver: "rclone" | "local";
  readonly routes: { readonly tb: RouteConfig; readonly fallback: RouteConfig };
}

/** How the configuration file is watched. */
export interface SyncSettings {
  readonly enabled: boolean;
  readonly pollIntervalMs: number;
  readonly debounceMs: number;
  readonly detection: "mtime" | "hash" | "inotify";
  readonly onFailure: "backoff" | "fixed" | "stop";
}

export interface ServerConfig {
  /** A name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface MountaineerConfig {
  readonly global: GlobalConfig;
  readonly sync: SyncSettings;
  /** null: the file has no such section. */
  readonly server: ServerConfig | null;
  /** In the file's order. */
  readonly shares: readonly ShareConfig[];
}

/** Worth telling, but no reason to refuse the file. */
export interface ConfigWarning {
  readonly path: string;
  readonly text: string;
  readonly hint: string | null;
}

/** One accepted content of the file. Deeply frozen. */
export interface ConfigSnapshot {
  /** Absolute. */
  readonly path: string;
  /** Of the bytes, hexadecimal. */
  readonly sha256: string;
  readonly format: ConfigFormat;
  readonly config: MountaineerConfig;
  readonly warnings: readonly ConfigWarning[];
}

/** Freezes plain objects and arrays all the way down, and returns its argument. */
export function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === "object" && part !== null && !Object.isFrozen(part)) deepFreeze(part);
  }
  return Object.freeze(value);
}
