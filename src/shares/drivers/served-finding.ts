// Finds out which mounts a program serves for the shares of this home, and over which route.
import type { ShareSpec } from "../share-spec.ts";
import { isShareNamed } from "../smb-source.ts";
import type { FoundMount, SmbDriverOptions } from "./mount-driver.ts";
import type {
  ServedFiles,
  ServedMountPaths,
  Server,
  ServingProcesses,
  ServingProgram,
} from "./serving-processes.ts";
import { concerns, indexMounts, isReadable, routeOfSource, type SmbMount } from "./smb-mounts.ts";

interface ServedFindingOptions<Files extends ServedFiles>
  extends Pick<SmbDriverOptions, "mountTable" | "addressesOf"> {
  readonly program: Pick<ServingProgram, "type">;
  readonly serving: ServingProcesses<Files>;
  readonly pathsOf: (share: ShareSpec) => Promise<ServedMountPaths<Files>>;
  /** What else is known of a mount that this home has made. */
  readonly about: (
    share: ShareSpec,
    mount: SmbMount,
    server: Server,
    paths: ServedMountPaths<Files>,
  ) => Promise<Partial<FoundMount>>;
}

export function createServedFinding<Files extends ServedFiles>(options: ServedFindingOptions<Files>) {
  const { mountTable, addressesOf, program, serving, pathsOf, about } = options;
  const userId = process.getuid?.() ?? null;

  const found = async (share: ShareSpec, mount: SmbMount): Promise<FoundMount> => {
    const { entry, source } = mount;
    const readable = isReadable(entry, userId);
    const paths = await pathsOf(share);
    const server = entry.type === program.type ? await serving.of(paths, entry) : null;
    const isOwn = readable && server?.own === true;
    const isElsewhere = entry.path !== paths.mountPath;
    return {
      id: entry.id,
      // The path is spelled as in the configuration, which may reach mount_root through a link.
      path: isElsewhere ? entry.path : share.mountPath,
      source: entry.source,
      sameShare:
        (isOwn && isElsewhere) || (readable && source !== null && isShareNamed(source, share.shareName)),
      route: routeOfSource(share, mount, addressesOf),
      processGone: server?.gone ?? false,
      madeByDriver: isOwn,
      relayPort: server?.carriedPort ?? null,
      ...(isOwn ? await about(share, mount, server, paths) : {}),
    };
  };

  return {
    found,
    async find(share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]> {
      const [paths, entries] = await Promise.all([pathsOf(share), mountTable.read(notBeforeMs)]);
      const index = indexMounts(entries);
      const atPath = index.at(paths.mountPath);
      // The configuration may have been edited since the mount was made, so the share may have another path now.
      const recorded = index.at((await serving.newest(paths))?.mountPath ?? paths.mountPath);
      const named = index
        .named(share.shareName)
        .filter((mount) => routeOfSource(share, mount, addressesOf) !== null);
      const candidates = new Set([atPath, recorded, ...named].filter((mount) => mount !== null));
      const all = await Promise.all([...candidates].map((mount) => found(share, mount)));
      return all.filter((mount) => concerns(share, mount));
    },
  };
}
