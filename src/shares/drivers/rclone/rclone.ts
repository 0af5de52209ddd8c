// Owns mounting SMB shares by rclone through FUSE: no root, writes that survive a failover, one process a mount.
import { dirname } from "node:path";
import { errorText } from "../../../runtime/errors.ts";
import { ensureFolder } from "../../../runtime/files/durable-file.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountTable } from "../../mounts/mount-entry.ts";
import type { Prober } from "../../prober/prober.ts";
import type { ShareSpec } from "../../share-spec.ts";
import { isShareNamed } from "../../smb-source.ts";
import type { FoundMount, MountDriver } from "../mount-driver.ts";
import { createMountFolders } from "../mount-folder.ts";
import { createRealMountPaths } from "../real-mount-paths.ts";
import { type AddressesOf, indexMounts, isReadable, routeOfSource, type SmbMount } from "../smb-mounts.ts";
import { createRcloneAttempts, failed, failedBy } from "./attempt.ts";
import { createRcloneCheck } from "./available.ts";
import { createCacheCare } from "./cache-care.ts";
import { controlOf } from "./control.ts";
import { type RcloneFiles, rcloneFiles, remoteOf } from "./files.ts";
import { dropLostConnections } from "./lost.ts";
import { createNoteWriter, type NoteWriter } from "./note-writer.ts";
import { createObscuredPasswords } from "./password.ts";
import { createRefusedUploads } from "./refused.ts";
import { createServingProcesses, type ServingProcesses } from "./serving.ts";
import { createRcloneUnmount } from "./unmount.ts";
import { createUnsentWrites } from "./unsent.ts";
import { createUnsentLeftBehind } from "./unsent-left-behind.ts";

interface RcloneDriverOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly prober: Prober;
  readonly mountTable: MountTable;
  /** Holds a folder per share, `mounts/<NAME>`: config, write cache, log. */
  readonly stateFolder: string;
  /** Addresses of a host that are known now; asks nobody. */
  readonly addressesOf: AddressesOf;
  /** The one that keeps notes whole meanwhile: it knows where files are held open. Default: one of its own. */
  readonly notes?: NoteWriter;
}

/** rclone's --dir-cache-time and --attr-timeout. */
const CACHE_MS = 1_000;

export function createRcloneDriver(options: RcloneDriverOptions): MountDriver {
  const { clock, logger, prober, mountTable, stateFolder, addressesOf } = options;
  const check = createRcloneCheck(clock);
  const obscure = createObscuredPasswords(clock);
  const unsent = createUnsentWrites();
  const leftBehind = createUnsentLeftBehind({ clock, logger, stateFolder });
  const folders = createMountFolders({ clock, logger });
  const serving: ServingProcesses = createServingProcesses();
  const { notes = createNoteWriter({ clock, logger }) } = options;
  const unmounts = createRcloneUnmount({ clock, logger, prober, mountTable, serving, unsent, notes });
  const refused = createRefusedUploads();
  const care = createCacheCare({
    clock,
    logger,
    unsent,
    onChange: (shareName) => folders.changed(shareName),
  });
  const userId = process.getuid?.() ?? null;
  const realPaths = createRealMountPaths(prober);
  const filesOf = ({ name }: ShareSpec): RcloneFiles => rcloneFiles(stateFolder, name);

  /** As the mount table spells it. */
  const pathOf = ({ mountPath }: ShareSpec): Promise<string> => realPaths.find(mountPath);
  const finding = createRcloneFinding({ mountTable, addressesOf, serving, userId, filesOf, pathOf });
  const attempts = createRcloneAttempts({
    clock,
    prober,
    mountTable,
    check,
    obscure,
    folders,
    serving,
    unmounts,
    care,
    filesOf,
    found: finding.found,
  });

  return {
    name: "rclone",
    cacheMs: CACHE_MS,
    unavailable: check.lacking,
    find: finding.find,
    carries: { can: true },
    async mount(share, route, limits, through = null) {
      const problem = await check.lacking();
      if (problem !== null) return failed("driver_unavailable", problem.text);
      try {
        const path = await pathOf(share);
        const present = (await finding.find(share, clock.monotonicMs())).find(
          (mount) => mount.path === share.mountPath,
        );
        if (present?.sameShare) return { ok: true, mount: present, adopted: true };
        if (present !== undefined) return failed("path_taken", `${path} is a mount of ${present.source}`);
        if (!(await unmounts.endLeftovers(share.name, filesOf(share), path, limits.deadlineMs))) {
          return failed("other", "an earlier rclone of this share does not end");
        }
        await ensureFolder(dirname(share.mountPath), 0o755);
        return await attempts.attempt(share, route, await pathOf(share), limits, through);
      } catch (error) {
        return failedBy(error, share.password);
      }
    },
    async unmount(share, mount, mode, limits) {
      const files = filesOf(share);
      const [outcome] = await Promise.all([
        unmounts.unmount(share.name, files, mount, mode, limits),
        care.unmounting(share.name),
      ]);
      const isShares = mount.path === share.mountPath;
      const path = isShares ? await pathOf(share) : mount.path;
      if (outcome.ok) await folders.clear(share.name, files, path, isShares);
      return outcome;
    },
    async setAside(share) {
      const left = await leftBehind(share.name, [share.shareName, finding.servedName(share)]);
      const files = filesOf(share);
      const own = await folders.setAside(share.name, files);
      return [...(await Promise.all(own.map((folder) => care.named(folder, files)))), ...left];
    },
    async refusedUploads(share) {
      const files = filesOf(share);
      const name = finding.servedName(share);
      try {
        return await refused.of(share.name, files, () => unsent.of(files.cache, name));
      } catch (error) {
        logger.debug("refused uploads not looked up", { share: share.name, error: errorText(error) });
        return [];
      }
    },
    unsent: (share) => unsent.of(filesOf(share).cache, finding.servedName(share)),
    async dropLost(share, kept) {
      try {
        const path = await pathOf(share);
        const entry = indexMounts(await mountTable.read(0)).at(path)?.entry;
        if (entry === undefined) return;
        const { identity } = await serving.of(share.name, filesOf(share), entry);
        const control = identity === null ? null : await controlOf(filesOf(share), identity);
        if (control !== null)
          await dropLostConnections(clock, control, remoteOf(finding.servedName(share)), kept);
      } catch (error) {
        logger.debug("lost connections not used up", { share: share.name, error: errorText(error) });
      }
    },
    async ownProcesses(share, mount) {
      const entries = await mountTable.read(0);
      const entry = entries.find(({ id }) => id === mount.id);
      if (entry === undefined) return [];
      const { identity } = await serving.of(share.name, filesOf(share), entry);
      return identity === null ? [] : [identity.pid];
    },
    openFilesPath: ({ path }) => realPaths.known(path),
    onMountProcessExit: serving.onUnexpectedExit,
  };
}

interface RcloneFindingParts {
  readonly mountTable: MountTable;
  readonly addressesOf: AddressesOf;
  readonly serving: ServingProcesses;
  readonly userId: number | null;
  readonly filesOf: (arg0: ShareSpec) => RcloneFiles;
  readonly pathOf: (arg0: ShareSpec) => Promise<string>;
}

/** Tells which mounts are ours, and of which route. */
function createRcloneFinding({
  mountTable,
  addressesOf,
  serving,
  userId,
  filesOf,
  pathOf,
}: RcloneFindingParts) {
  /** By share: its name on the server where that is mounted, which an edit may have changed since. */
  const servedNames = new Map<string, string>();
  const servedName = ({ name, shareName }: ShareSpec): string => servedNames.get(name) ?? shareName;

  const found = async (share: ShareSpec, mount: SmbMount): Promise<FoundMount> => {
    const { entry, source } = mount;
    const readable = isReadable(entry, userId);
    const sameShare = readable && source !== null && isShareNamed(source, share.shareName);
    const isRclone = entry.type === "fuse.rclone";
    const server = isRclone ? await serving.of(share.name, filesOf(share), entry) : null;
    const [served] = source?.shareNames ?? [];
    if (server?.own === true && served !== undefined) servedNames.set(share.name, served);
    return {
      id: entry.id,
      // As the configuration spells it; mount_root may be reached through a link.
      path: entry.path === (await pathOf(share)) ? share.mountPath : entry.path,
      source: entry.source,
      sameShare,
      route: routeOfSource(share, mount, addressesOf),
      processGone: server?.gone ?? false,
      madeByDriver: readable && (server?.own ?? false),
      carriedPort: server?.carriedPort ?? null,
    };
  };

  const find = async (share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]> => {
    const [path, entries] = await Promise.all([pathOf(share), mountTable.read(notBeforeMs)]);
    const index = indexMounts(entries);
    const atPath = index.at(path);
    // A share of that name on a server that is not ours is another share, unless it stands in our place.
    const named = index
      .named(share.shareName)
      .filter((mount) => mount !== atPath && routeOfSource(share, mount, addressesOf) !== null)
      // Another user's, which we can never look into.
      .filter(({ entry }) => isReadable(entry, userId));
    if (atPath === null) servedNames.delete(share.name);
    const candidates = atPath === null ? named : [atPath, ...named];
    return Promise.all(candidates.map((mount) => found(share, mount)));
  };

  return { found, find, servedName };
}
