// Finds a share's mounts on a Mac by source, Bonjour service and path.

import { dirname, join } from "node:path";
import type { MountEntry, MountTable } from "../../mounts/mount-entry.ts";
import { ANOTHER_USERS } from "../../mounts/mount-table-darwin.ts";
import type { Prober } from "../../prober/prober.ts";
import type { RouteName, ShareSpec } from "../../share-spec.ts";
import { foldedShareName, isShareNamed } from "../../smb-source.ts";
import type { AddressesOf, FoundMount } from "../mount-driver.ts";
import { concerns, createRealMountPaths, indexMounts, routeOfSource, type SmbMount } from "../smb-mounts.ts";

interface NetfsMountsOptions {
  readonly prober: Prober;
  readonly mountTable: MountTable;
  readonly addressesOf: AddressesOf;
  /** The folder in which macOS itself makes folders for mounts, named after the shares: /Volumes. */
  readonly volumes: string;
}

export type NetfsMounts = ReturnType<typeof createNetfsMounts>;

/** A Bonjour service's name in place of a host's name. */
const BONJOUR = /^(.+)\._smb\._tcp\.local\.?$/i;

export function createNetfsMounts({ prober, mountTable, addressesOf, volumes }: NetfsMountsOptions) {
  const realPaths = createRealMountPaths(prober);
  /**
   * macOS may spell a name composed or decomposed, and a path on its data volume with or without the volume's folder. In
   * /Volumes, upper and lower case are the same.
   */
  const canonicalPath = (path: string): string => {
    const composed = path.normalize("NFC").replace(/^\/System\/Volumes\/Data(?=\/)/, "");
    return dirname(composed) === volumes ? foldedShareName(composed) : composed;
  };
  const isSamePath = (one: string, other: string): boolean =>
    one === other || canonicalPath(one) === canonicalPath(other);
  /**
   * The id of the last mount of each share. It shows which share a mount belongs to, even after an edit of both path
   * and source.
   */
  const known = new Map<string, string>();

  const isSystemNamed = ({ mountPath }: ShareSpec): boolean => dirname(mountPath) === volumes;
  /**
   * Returns the share's path as the mount table spells it. In /Volumes, which is not a link, macOS gives the folder
   * the share's name on the server.
   */
  const pathOf = async (share: ShareSpec): Promise<string> => {
    if (isSystemNamed(share)) return join(volumes, share.shareName);
    return realPaths.find(share.mountPath);
  };

  const foundBy = (share: ShareSpec, path: string, mount: SmbMount): FoundMount => {
    const { entry, source } = mount;
    const ours = isOurUsers(entry);
    const isNamed = ours && source !== null && isShareNamed(source, share.shareName);
    const route = routeOfSource(share, mount, addressesOf) ?? routeOfBonjour(share, mount, addressesOf);
    const atPath = isSamePath(entry.path, path);
    const isKnown = !atPath && entry.id === known.get(share.name);
    const sameShare = isNamed || isKnown;
    const isConfigured = atPath && (!isSystemNamed(share) || isSamePath(path, share.mountPath));
    return {
      id: entry.id,
      // The path is spelled as in the configuration, which may reach mount_root through a link.
      path: isConfigured ? share.mountPath : entry.path,
      source: entry.source,
      sameShare,
      route,
      processGone: false,
      // Only this driver mounts on folders that Mountaineer made. Under /Volumes macOS makes the folder, so
      // only the share's name shows whose mount it is.
      madeByDriver: isKnown || (ours && atPath && (sameShare || !isSystemNamed(share))),
    };
  };
  /** Whether the mount is at the share's path. `path`: a result of `pathOf`. */
  const standsAt = (share: ShareSpec, path: string, mount: FoundMount): boolean =>
    mount.path === share.mountPath || isSamePath(mount.path, path);
  const find = async (share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]> => {
    const [path, entries] = await Promise.all([pathOf(share), mountTable.read(notBeforeMs)]);
    const index = indexMounts(entries);
    const spelled = entries.find((entry) => isSamePath(entry.path, path));
    const atPath = spelled === undefined ? null : index.at(spelled.path);
    const left = entries.find(({ id }) => id === known.get(share.name));
    const atKnown = left === undefined ? null : index.at(left.path);
    const all = new Set([atPath, atKnown, ...index.named(share.shareName)].filter((one) => one !== null));
    const found = [...all]
      .map((mount) => foundBy(share, path, mount))
      .filter((mount) => standsAt(share, path, mount) || concerns(share, mount));
    const own = found.find(({ madeByDriver }) => madeByDriver);
    if (own !== undefined && own.route !== null) known.set(share.name, own.id);
    return found;
  };

  return {
    isSystemNamed,
    isSamePath,
    pathOf,
    standsAt,
    find,
    /** The mount at `path`, a result of `pathOf`. */
    findAt: async (share: ShareSpec, path: string, notBeforeMs: number): Promise<FoundMount | undefined> =>
      (await find(share, notBeforeMs)).find((mount) => standsAt(share, path, mount)),
    openFilesPath: ({ path }: FoundMount): string => realPaths.known(path),
  };
}

function isOurUsers({ options }: MountEntry): boolean {
  return !options.includes(ANOTHER_USERS);
}

/**
 * Finds the route of a mount that was made in Finder's sidebar. The mount's source names the service, `My
 * NAS._smb._tcp.local`; the service's host is `My-NAS.local`.
 */
function routeOfBonjour(share: ShareSpec, mount: SmbMount, addressesOf: AddressesOf): RouteName | null {
  const { source } = mount;
  const service = source === null ? null : BONJOUR.exec(source.host)?.[1];
  if (source === null || typeof service !== "string") return null;
  const host = `${service.replaceAll(" ", "-")}.local`;
  return routeOfSource(share, { ...mount, source: { ...source, host } }, addressesOf);
}
