// Finds which mounts are a share's, and over which route they go.

import type { ShareSpec } from "../../share-spec.ts";
import { isShareNamed } from "../../smb-source.ts";
import type { FoundMount, SmbDriverOptions } from "../mount-driver.ts";
import { concerns, indexMounts, isReadable, routeOfSource, type SmbMount } from "../smb-mounts.ts";
import { FS_TYPE } from "./mount-arguments.ts";
import type { FsLocation, FsProcesses, ServedBy } from "./processes.ts";

interface FindingOptions extends Pick<SmbDriverOptions, "mountTable" | "addressesOf"> {
  readonly processes: FsProcesses;
  readonly locationOf: (share: ShareSpec) => Promise<FsLocation>;
  /** What else is known of a mount that this home has made. */
  readonly about: (share: ShareSpec, served: ServedBy, location: FsLocation) => Promise<Partial<FoundMount>>;
}

export function createFsFinding(options: FindingOptions) {
  const { mountTable, addressesOf, processes, locationOf, about } = options;
  const userId = process.getuid?.() ?? null;

  const found = async (share: ShareSpec, mount: SmbMount): Promise<FoundMount> => {
    const { entry, source } = mount;
    const readable = isReadable(entry, userId);
    const location = await locationOf(share);
    const served = entry.type === FS_TYPE ? await processes.of(location, entry) : null;
    const isOwn = readable && served?.own === true;
    const isElsewhere = entry.path !== location.mountPath;
    const isNamed = source !== null && isShareNamed(source, share.shareName);
    return {
      id: entry.id,
      // The path is spelled as in the configuration, which may reach mount_root through a link.
      path: isElsewhere ? entry.path : share.mountPath,
      source: entry.source,
      // What another home's daemon has mounted elsewhere stays that daemon's.
      sameShare: (isOwn && isElsewhere) || (readable && isNamed && !(isElsewhere && served?.foreign)),
      route: routeOfSource(share, mount, addressesOf),
      processGone: served?.gone ?? false,
      madeByDriver: isOwn,
      ...(isOwn ? await about(share, served, location) : {}),
    };
  };

  return {
    found,
    async find(share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]> {
      const [location, entries] = await Promise.all([locationOf(share), mountTable.read(notBeforeMs)]);
      const index = indexMounts(entries);
      const atPath = index.at(location.mountPath);
      // The configuration may have been edited since the mount was made, so the share may have another path now.
      const recorded = index.at((await processes.newest(location))?.mountPath ?? location.mountPath);
      const named = index
        .named(share.shareName)
        .filter((mount) => routeOfSource(share, mount, addressesOf) !== null);
      const candidates = new Set([atPath, recorded, ...named].filter((mount) => mount !== null));
      const all = await Promise.all([...candidates].map((mount) => found(share, mount)));
      return all.filter((mount) => concerns(share, mount));
    },
  };
}
