// Finds the SMB shares in the mount table: the share that each entry mounts, and the route in use.
import { isIPv6 } from "node:net";
import { basename, dirname, join } from "node:path";
import { memoized } from "../../runtime/memo.ts";
import { type MountEntry, optionValue } from "../mounts/mount-entry.ts";
import type { Prober } from "../prober/prober.ts";
import { ROUTE_NAMES, type RouteName, type ShareSpec } from "../share-spec.ts";
import { foldedShareName, isSameHost, isShareNamed, parseSmbSource, type SmbSource } from "../smb-source.ts";
import type { AddressesOf, FoundMount } from "./mount-driver.ts";

export interface SmbMount {
  readonly entry: MountEntry;
  /** The SMB source; null: the mount is not an SMB share, or not the root of one. */
  readonly source: SmbSource | null;
}

const SMB_TYPES = new Set(["cifs", "smb3", "smbfs", "fuse.mountaineer-fs"]);

/** Indexes a reading of the mount table once, for all shares that look mounts up in it. */
export const indexMounts = memoized((entries: readonly MountEntry[]) => {
  const byPath = new Map<string, SmbMount>();
  const byName = new Map<string, SmbMount[]>();
  for (const entry of entries) {
    const parsed = SMB_TYPES.has(entry.type) ? parseSmbSource(entry.source) : null;
    const source = parsed?.subpath === "" ? parsed : null;
    const mount = { entry, source };
    byPath.set(entry.path, mount);
    for (const name of source?.shareNames ?? []) {
      const key = foldedShareName(name);
      byName.set(key, [...(byName.get(key) ?? []), mount]);
    }
  }
  return {
    at: (path: string): SmbMount | null => byPath.get(path) ?? null,
    /** All mounts of the root of a share called `shareName`, on any server. */
    named: (shareName: string): readonly SmbMount[] => byName.get(foldedShareName(shareName)) ?? [],
  };
});

/**
 * The configured route whose port and host are those of the source; null: none. Hosts are compared by name, then by
 * address.
 */
export function routeOfSource(
  share: ShareSpec,
  { entry, source }: SmbMount,
  addressesOf: AddressesOf,
): RouteName | null {
  if (source === null || !isShareNamed(source, share.shareName)) return null;
  const routes = ROUTE_NAMES.filter((name) => share.routes[name].port === portOf(entry, source));
  const byName = routes.find((name) => isSameHost(share.routes[name].host ?? "", source.host));
  if (byName !== undefined) return byName;
  const addresses = new Set(addressesOfMount(entry, source, addressesOf).map(plainAddress));
  const byAddress = routes.find((name) => {
    const { host } = share.routes[name];
    return (
      host !== null && [host, ...addressesOf(host)].some((address) => addresses.has(plainAddress(address)))
    );
  });
  return byAddress ?? null;
}

/**
 * True if a mount is at the share's mount path. Also true if the mount has the same share name and either was made by
 * a daemon with this home folder or leads to one of the share's hosts.
 */
export function concerns(
  { mountPath }: ShareSpec,
  { path, sameShare, madeByDriver, route }: FoundMount,
): boolean {
  return path === mountPath || (sameShare && (madeByDriver || route !== null));
}

/**
 * Whether this user can read the mount: a FUSE mount without `allow_other` answers only the user who made it;
 * for root it depends on the system.
 */
export function isReadable(entry: MountEntry, userId: number | null): boolean {
  const owner = optionValue(entry.options, "user_id");
  if (!entry.type.startsWith("fuse") || owner === null || userId === null || userId === 0) return true;
  return Number(owner) === userId || entry.options.includes("allow_other");
}

/** The kernel's SMB client shows the address that it uses, and the port if the port is not the usual one. */
function addressesOfMount(entry: MountEntry, source: SmbSource, addressesOf: AddressesOf): readonly string[] {
  const used = optionValue(entry.options, "addr") ?? optionValue(entry.options, "ip");
  return [source.host, ...addressesOf(source.host), ...(used === null ? [] : [used])];
}

/**
 * Normalizes an IPv6 address to its short form without a zone: the kernel shows it at full length, and a zone
 * by number.
 */
function plainAddress(address: string): string {
  const bare = address.split("%", 1).join("");
  return isIPv6(bare) ? new URL(`http://[${bare}]`).hostname : address;
}

function portOf(entry: MountEntry, source: SmbSource): number {
  const port = optionValue(entry.options, "port");
  return port === null ? source.port : Number(port);
}

const REAL_PATH_MS = 1_000;

/**
 * Finds the real paths of mount paths. The prober is asked until it knows a path's folder; that result is
 * kept for good.
 */
export function createRealMountPaths(prober: Pick<Prober, "realPath">) {
  const realParents = new Map<string, string>();
  return {
    /**
     * Resolves with `mountPath` below the real path of the parent folder; with `mountPath` itself while that real
     * path is not known.
     */
    async find(mountPath: string): Promise<string> {
      const parent = dirname(mountPath);
      let real = realParents.get(parent);
      if (real === undefined) {
        const found = await prober.realPath(parent, REAL_PATH_MS);
        if (found === null) return mountPath;
        real = found;
        realParents.set(parent, real);
      }
      return join(real, basename(mountPath));
    },
    /** The real path if `find` has found it before, otherwise the path itself; asks no prober. */
    known: (mountPath: string): string =>
      join(realParents.get(dirname(mountPath)) ?? dirname(mountPath), basename(mountPath)),
  };
}
