// Normalizes the file's values for the engine: camelCase, milliseconds, absolute paths.
import { join } from "node:path";
import { STORED_FORM } from "../../secrets/reference.ts";
import type { HomeContext } from "../home-context.ts";
import { type Normalized, normalized } from "../schema/normalized.ts";
import { type ConfigFile, configFile } from "../schema/schema.ts";
import { fuseKeys, shareKeys } from "../schema/share-schema.ts";
import { table } from "../schema/tables.ts";
import type { ConfigWarning, MountaineerConfig, RouteConfig, ShareConfig } from "../snapshot.ts";
import { SMB_PORT } from "../values/host-text.ts";
import { RESERVED_SHARE_NAME } from "../values/names.ts";
import { defaultSharesRoot, expandPath } from "../values/paths.ts";
import { gatewayConfig, gatewayWarnings } from "./normalize-gateway.ts";

type NormalizedFile = Normalized<typeof configFile.keys>;
type NormalizedShare = NormalizedFile["shares"][number];

function driverOf(
  { driver, thunderboltPath }: NormalizedShare,
  homeContext: Pick<HomeContext, "smbDriver">,
): ShareConfig["driver"] {
  const isLocal = driver === "local" || thunderboltPath !== null;
  return isLocal ? "local" : (homeContext.smbDriver ?? "fs");
}

function route(
  address: NormalizedShare["fallbackHost"],
  interfaceName: string | null,
  folder: string | null,
): RouteConfig {
  return { host: address?.host ?? null, port: address?.port ?? SMB_PORT, interfaceName, folder };
}

function engineShare(
  share: NormalizedShare,
  global: Pick<NormalizedFile["global"], "onRouteChange">,
  homeContext: Pick<HomeContext, "userName" | "smbDriver">,
): ShareConfig {
  const { nas: _, thunderboltHost, thunderboltInterface, thunderboltPath, ...others } = share;
  const { fallbackHost, fallbackInterface, fallbackPath, ...own } = others;
  return {
    ...own,
    shareName: own.shareName ?? own.name,
    username: own.username ?? homeContext.userName,
    driver: driverOf(share, homeContext),
    onRouteChange: own.onRouteChange ?? global.onRouteChange,
    routes: {
      tb: route(thunderboltHost, thunderboltInterface, thunderboltPath),
      fallback: route(fallbackHost, fallbackInterface, fallbackPath),
    },
  };
}

const EMPTY_SHARE = normalized(shareKeys, table("", shareKeys).read({}, [], []), "");

/** A share of which only the name is known, because it is no longer configured. */
export function formerShare(name: string): ShareConfig {
  const share = { ...EMPTY_SHARE, name, driver: "local", wake: "off" } as const;
  return engineShare(share, { onRouteChange: "move" }, { userName: "" });
}

export function engineConfig(file: ConfigFile, homeContext: HomeContext): MountaineerConfig {
  const whole = normalized(configFile.keys, file, homeContext.userHome);
  const { nas, ...given } = whole;
  const { global, shares, aliases, fleet } = given;
  const onNas = Object.keys(nas).map((name) => {
    return [name, shares.filter((share) => share.nas === name).map((share) => share.name)] as const;
  });
  const sharesRoot = global.sharesRoot ?? expandPath(defaultSharesRoot(homeContext), homeContext.userHome);
  return {
    ...given,
    ...gatewayConfig(whole, homeContext),
    global: { ...global, sharesRoot, mountRoot: global.mountRoot ?? homeContext.defaultMountRoot },
    // The configuration has each share with the hosts and the login of its NAS.
    shares: shares.map((share) => engineShare({ ...share, ...nas[share.nas ?? ""] }, global, homeContext)),
    ...(onNas.length === 0 ? {} : { nas: Object.fromEntries(onNas) }),
    fleet: fleet && { ...fleet, name: fleet.name ?? homeContext.machineName ?? "" },
    aliases: aliases.map((alias) => ({
      ...alias,
      path: alias.path ?? join(sharesRoot, RESERVED_SHARE_NAME, alias.name),
    })),
  };
}

/** The configuration of an empty file. */
export function emptyConfig(homeContext: HomeContext): MountaineerConfig {
  return engineConfig(configFile.read({}, [], []), homeContext);
}

const SMB_ONLY = ["username", "password", "share_name"] as const;
const FUSE_ONLY = Object.keys(fuseKeys) as (keyof typeof fuseKeys)[];
const HOST_ONLY = ["thunderbolt_interface", "fallback_interface"] as const;

/** Warnings about valid values that are probably not meant. */
export function configWarnings(file: ConfigFile, { shares }: MountaineerConfig): ConfigWarning[] {
  return [...shareWarnings(file, shares), ...gatewayWarnings(file)];
}

function shareWarnings({ shares, nas }: ConfigFile, engineShares: readonly ShareConfig[]): ConfigWarning[] {
  const warnings: ConfigWarning[] = [];
  for (const [index, share] of shares.entries()) {
    const at = `shares[${index}]`;
    const driver = engineShares[index]?.driver;
    const unused = [
      ...(driver === "local" ? SMB_ONLY : []),
      ...(driver === "local" && share.thunderbolt_host === undefined ? HOST_ONLY : []),
      ...(driver === "fs" ? [] : FUSE_ONLY),
    ];
    for (const key of unused) {
      if (share[key] === shareKeys[key].fallback) continue;
      warnings.push({
        path: `${at}.${key}`,
        text: `driver \`${driver}\` does not use \`${key}\``,
        hint: "remove it",
      });
    }
    if (driver === "local") continue;
    // The driver netfs needs no password in the file: macOS looks it up in the Keychain.
    if (driver === "netfs") continue;
    const ofNas = share.nas === undefined ? undefined : nas[share.nas];
    const { username, password } = ofNas ?? share;
    const path = `${ofNas === undefined ? at : `nas.${share.nas}`}.username`;
    const isReported = warnings.some((one) => one.path === path);
    if (username !== undefined && password === undefined && !isReported) {
      const text = `${JSON.stringify(share.name)} has a username and no password: it is mounted as guest`;
      warnings.push({
        path,
        text,
        hint: `add password = "${STORED_FORM}", or remove username`,
      });
    }
  }
  return warnings;
}
