// Normalizes the file's values for the engine: camelCase, milliseconds, absolute paths.
import { join } from "node:path";
import { STORED_FORM } from "../../secrets/reference.ts";
import type { ConfigPlace } from "../locate.ts";
import { fleetKeys } from "../schema/fleet-schema.ts";
import { type AliasFile, type ConfigFile, notifyKeys, type ShareFile, syncKeys } from "../schema/schema.ts";
import { settled } from "../schema/settled.ts";
import { aliasKeys, globalKeys } from "../schema/share-schema.ts";
import type { AliasConfig, ConfigWarning, MountaineerConfig, RouteConfig, ShareConfig } from "../snapshot.ts";
import { SMB_PORT } from "../values/host-text.ts";
import { RESERVED_SHARE_NAME } from "../values/names.ts";
import { defaultSharesRoot, expandPath } from "../values/paths.ts";
import { gatewayConfig, gatewayWarnings } from "./normalize-gateway.ts";

function isLocal(share: ShareFile): boolean {
  return share.driver === "local" || (share.driver === "auto" && share.thunderbolt_path !== undefined);
}

function driverOf(share: ShareFile, place: ConfigPlace): ShareConfig["driver"] {
  if (isLocal(share)) return "local";
  // Only `auto` is left, which means SMB: `local` was handled above.
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
    wake: share.wake,
    onlyOn: share.only_on,
    routes: {
      tb: route(share.thunderbolt_host, share.thunderbolt_interface, share.thunderbolt_path, place),
      fallback: route(share.fallback_host, share.fallback_interface, share.fallback_path, place),
    },
  };
}

function engineAlias(alias: AliasFile, sharesRoot: string, place: ConfigPlace): AliasConfig {
  const given = settled(aliasKeys, alias, place.userHome);
  return { ...given, path: given.path ?? join(sharesRoot, RESERVED_SHARE_NAME, alias.name) };
}

/** The engine's configuration for this machine. */
export function engineConfig(file: ConfigFile, place: ConfigPlace): MountaineerConfig {
  const { global, sync, notify, shares, aliases } = file;
  const { userHome } = place;
  const given = settled(globalKeys, global, userHome);
  const sharesRoot = given.sharesRoot ?? expandPath(defaultSharesRoot(place), userHome);
  return {
    global: { ...given, sharesRoot, mountRoot: given.mountRoot ?? place.defaultMountRoot },
    sync: settled(syncKeys, sync, userHome),
    notify: settled(notifyKeys, notify, userHome),
    ...gatewayConfig(file, place),
    fleet: file.fleet === undefined ? null : settled(fleetKeys, file.fleet, userHome),
    shares: shares.map((share) => engineShare(share, global, place)),
    aliases: aliases.map((alias) => engineAlias(alias, sharesRoot, place)),
  };
}

const SMB_ONLY = ["username", "password", "share_name"] as const;
const HOST_ONLY = ["thunderbolt_interface", "fallback_interface"] as const;

/** Warnings about what is allowed, but probably not meant. */
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
