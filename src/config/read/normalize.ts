// Normalizes the file's values for the engine: camelCase, milliseconds, absolute paths.
import { join } from "node:path";
import { STORED_FORM } from "../../secrets/reference.ts";
import { SMB_PORT } from "../host.ts";
import type { ConfigPlace } from "../locate.ts";
import { RESERVED_SHARE_NAME } from "../names.ts";
import { defaultSharesRoot, expandPath } from "../paths.ts";
import type { AliasFile, ConfigFile, ShareFile } from "../schema/schema.ts";
import type { AliasConfig, ConfigWarning, MountaineerConfig, RouteConfig, ShareConfig } from "../snapshot.ts";
import { fleetConfig } from "./fleet-rules.ts";
import { gatewayConfig, gatewayWarnings } from "./normalize-gateway.ts";

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

function isLocal(share: ShareFile): boolean {
  return share.driver === "local" || (share.driver === "auto" && share.thunderbolt_path !== undefined);
}

function driverOf(share: ShareFile, place: ConfigPlace): ShareConfig["driver"] {
  if (isLocal(share)) return "local";
  // `local` is settled above: what is left here is `auto`, which means SMB.
  return share.driver === "auto" || share.driver === "local" ? (place.smbDriver ?? "rclone") : share.driver;
}

function route(
  host: ShareFile["thunderbolt_host"],
  interfaceName: string | undefined,
  folder: string | undefined,
  place: ConfigPlace,
): RouteConfig {
  return {
    host: host?.host ?? null,
    port: host?.port ?? SMB_PORT,
    interfaceName: interfaceName ?? null,
    folder: folder === undefined ? null : expandPath(folder, place.userHome),
  };
}

function engineShare(share: ShareFile, global: ConfigFile["global"], place: ConfigPlace): ShareConfig {
  return {
    name: share.name,
    shareName: share.share_name ?? share.name,
    username: share.username ?? place.userName,
    password: share.password ?? null,
    driver: driverOf(share, place),
    carry: share.carry ?? global.carry,
    routes: {
      tb: route(share.thunderbolt_host, share.thunderbolt_interface, share.thunderbolt_path, place),
      fallback: route(share.fallback_host, share.fallback_interface, share.fallback_path, place),
    },
  };
}

function engineAlias(alias: AliasFile, sharesRoot: string, place: ConfigPlace): AliasConfig {
  const { name, share, target_subpath: targetSubpath } = alias;
  const path =
    alias.path === undefined
      ? join(sharesRoot, RESERVED_SHARE_NAME, name)
      : expandPath(alias.path, place.userHome);
  return { name, path, share, targetSubpath };
}

/** What a checked file means on this machine. */
export function engineConfig(file: ConfigFile, place: ConfigPlace): MountaineerConfig {
  const { global, sync, notify, shares, aliases } = file;
  const sharesRoot = expandPath(global.shares_root ?? defaultSharesRoot(place), place.userHome);
  return {
    global: {
      sharesRoot,
      mountRoot:
        global.mount_root === undefined
          ? place.defaultMountRoot
          : expandPath(global.mount_root, place.userHome),
      checkIntervalMs: milliseconds(global.check_interval_secs),
      networkDebounceMs: global.network_debounce_ms,
      connectTimeoutMs: global.connect_timeout_ms,
      mountHangMs: milliseconds(global.mount_hang_secs),
      carry: global.carry,
      outagePatienceMs: milliseconds(global.outage_patience_secs),
      autoFailback: global.auto_failback,
      autoFailbackStableMs: milliseconds(global.auto_failback_stable_secs),
      lsofRecheck: global.lsof_recheck,
    },
    sync: {
      enabled: sync.enabled,
      pollIntervalMs: milliseconds(sync.poll_interval),
      debounceMs: milliseconds(sync.debounce),
      detection: sync.detection,
      onFailure: sync.on_failure,
    },
    notify: {
      enabled: notify.enabled,
      failover: notify.failover,
      tbReady: notify.tb_ready,
      configRejected: notify.config_rejected,
    },
    ...gatewayConfig(file, place),
    fleet: fleetConfig(file.fleet, place),
    shares: shares.map((share) => engineShare(share, global, place)),
    aliases: aliases.map((alias) => engineAlias(alias, sharesRoot, place)),
  };
}

const SMB_ONLY = ["username", "password", "share_name"] as const;
const HOST_ONLY = ["thunderbolt_interface", "fallback_interface"] as const;

/** What is allowed, but probably not meant. */
export function configWarnings(file: ConfigFile, place: ConfigPlace): ConfigWarning[] {
  return [...shareWarnings(file, place), ...gatewayWarnings(file)];
}

function shareWarnings({ shares }: ConfigFile, place: ConfigPlace): ConfigWarning[] {
  const warnings: ConfigWarning[] = [];
  for (const [index, share] of shares.entries()) {
    const at = `shares[${index}]`;
    if (isLocal(share)) {
      const unused = share.thunderbolt_host === undefined ? [...SMB_ONLY, ...HOST_ONLY] : SMB_ONLY;
      for (const key of unused) {
        if (share[key] === undefined) continue;
        warnings.push({
          path: `${at}.${key}`,
          text: `driver \`local\` does not use \`${key}\``,
          hint: "remove it",
        });
      }
      continue;
    }
    // Without a password macOS looks into the Keychain.
    if (driverOf(share, place) === "netfs") continue;
    if (share.username !== undefined && share.password === undefined) {
      const text = `${JSON.stringify(share.name)} has a username and no password: it is mounted as guest`;
      warnings.push({
        path: `${at}.username`,
        text,
        hint: `add password = "${STORED_FORM}", or remove username`,
      });
    }
  }
  return warnings;
}
