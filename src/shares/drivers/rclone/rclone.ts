// The driver that mounts SMB shares by rclone and FUSE: no root, writes that survive a failover, one process per mount.
import { dirname } from "node:path";
import { errorText, MountaineerError } from "../../../runtime/errors.ts";
import { ensureFolder } from "../../../runtime/files/durable-file.ts";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import type { ShareSpec } from "../../share-spec.ts";
import { whyNotForOthers } from "../fuse.ts";
import type { FoundMount, MissingRequirement, MountDriver, SmbDriverOptions } from "../mount-driver.ts";
import { failed, failedBy } from "../mount-failure.ts";
import { createMountFolders } from "../mount-folder.ts";
import { createServedFinding } from "../served-finding.ts";
import { createServingProcesses, type ServingProcesses } from "../serving-processes.ts";
import { FIRST_SERVER } from "../share-files.ts";
import { createRealMountPaths, indexMounts } from "../smb-mounts.ts";
import { attemptMount } from "./attempt.ts";
import { createRcloneCheck, type RcloneCheck } from "./available.ts";
import { createCacheCare } from "./cache-care.ts";
import { createCaches, listCaches } from "./caches.ts";
import { controlOf, dropLostConnections } from "./control.ts";
import {
  foldingOf,
  optionsOf,
  RCLONE_PROGRAM,
  type RcloneFiles,
  type RcloneMountPaths,
  rcloneFiles,
  remoteOf,
} from "./files.ts";
import { createMetadataFlusher, type MetadataFlusher } from "./metadata-flusher.ts";
import { createObscuredPasswords } from "./password.ts";
import { createRefusedUploads } from "./refused.ts";
import { createRcloneUnmount } from "./unmount.ts";
import { createUnsentWrites } from "./unsent.ts";
import { createUnsentLeftovers } from "./unsent-left-behind.ts";

interface RcloneDriverOptions extends SmbDriverOptions {
  /** Holds a folder per share, `mounts/<NAME>`: config, write cache, log. */
  readonly stateFolder: string;
  /**
   * The metadata writer, which remembers the files that are open; metadata-refresh.ts must use the same one. Default: a new
   * one.
   */
  readonly flusher?: MetadataFlusher;
}

/** rclone's --dir-cache-time, and at most --attr-timeout. */
const CACHE_MS = 1_000;

export function createRcloneDriver(options: RcloneDriverOptions): MountDriver {
  const { clock, logger, prober, mountTable, stateFolder } = options;
  const check = createRcloneCheck(clock, stateFolder);
  const unsent = createUnsentWrites();
  const unsentLeftovers = createUnsentLeftovers({ clock, logger, stateFolder });
  const folders = createMountFolders({ clock, logger });
  const serving = createServingProcesses(RCLONE_PROGRAM);
  const { flusher = createMetadataFlusher({ clock, logger }) } = options;
  const unmounts = createRcloneUnmount({ clock, logger, prober, mountTable, serving, unsent, flusher });
  const refused = createRefusedUploads();
  const onChange = (shareName: string): void => folders.changed(shareName);
  const care = createCacheCare({ clock, logger, unsent, onChange, home: stateFolder });
  const obscure = createObscuredPasswords(clock, stateFolder);
  const realPaths = createRealMountPaths(prober);
  const caches = createCaches({ clock, logger, stateFolder, unsent, onReplaced: care.replaced });

  const rcloneShare = ({ name }: ShareSpec) => ({ shareName: name, files: rcloneFiles(stateFolder, name) });
  /** The server that is mounted; null: none, as far as this home folder's notes tell. */
  const serverInUse = async (share: ShareSpec): Promise<string | null> =>
    (await serving.newest(rcloneShare(share)))?.server ?? null;
  /** The server that a running rclone has mounted. null: no rclone runs, so nothing sends unsent files. */
  const serverServed = async (share: ShareSpec): Promise<string | null> =>
    (await serving.newestRunning(rcloneShare(share)))?.server ?? null;
  const filesOf = async (share: ShareSpec): Promise<RcloneFiles> =>
    rcloneFiles(stateFolder, share.name, (await serverInUse(share)) ?? undefined);
  const pathsOf = async (share: ShareSpec, server?: string): Promise<RcloneMountPaths> => ({
    shareName: share.name,
    files: server === undefined ? await filesOf(share) : rcloneFiles(stateFolder, share.name, server),
    mountPath: await realPaths.find(share.mountPath),
  });
  const { found, find, servedName } = createRcloneFinding(options, check, serving, pathsOf);
  const attemptTools = { ...options, check, obscure, folders, serving, unmounts, care, found, unsent };

  /** Logs a failure of `read` and returns `otherwise`. */
  const orElse = async <Value>(
    { name }: ShareSpec,
    message: string,
    otherwise: Value,
    read: () => Promise<Value>,
  ): Promise<Value> => {
    try {
      return await read();
    } catch (error) {
      logger.debug(message, { share: name, error: errorText(error) });
      return otherwise;
    }
  };

  const missingRequirement = async (
    share?: ShareSpec,
    notBeforeMs?: number,
  ): Promise<MissingRequirement | null> =>
    (await check.missingRequirement(notBeforeMs)) ?? whyNotForOthers(share ?? {});

  return {
    name: "rclone",
    cacheMs: CACHE_MS,
    missingRequirement,
    advice: () => check.advice,
    find,
    canBeRelayed: true,
    onlyThroughRelay: true,
    async mount(share, route, { deadlineMs, signal }, through = null, server = FIRST_SERVER) {
      const problem = await missingRequirement(share);
      if (problem !== null) return failed("driver_unavailable", problem.text);
      try {
        const paths = await pathsOf(share);
        const present = (await find(share, clock.monotonicMs())).find(({ path }) => path === share.mountPath);
        if (present?.sameShare) return { ok: true, mount: present, adopted: true };
        if (present !== undefined)
          return failed("path_taken", `${paths.mountPath} is a mount of ${present.source}`);
        if (!(await unmounts.endLeftovers(paths, deadlineMs)))
          return failed("other", "an earlier rclone of this share does not end");
        await ensureFolder(dirname(share.mountPath), 0o755);
        const own = await pathsOf(share, server);
        await caches.prepare(share, own.files);
        const attempt = { share, paths: own, route, through, deadlineMs, signal };
        return await attemptMount(attemptTools, attempt);
      } catch (error) {
        return failedBy(error, share.password);
      }
    },
    async unmount(share, mount, mode, limits) {
      const paths = await pathsOf(share);
      const [outcome] = await Promise.all([
        unmounts.unmount(paths, mount, mode, limits),
        care.unmounting(share.name),
      ]);
      const isShares = mount.path === share.mountPath;
      if (outcome.ok) await folders.clear(isShares ? paths : { ...paths, mountPath: mount.path }, isShares);
      return outcome;
    },
    async setAside(share) {
      const left = await unsentLeftovers(share.name, [share.shareName, servedName(share)]);
      const files = await filesOf(share);
      const own = await folders.setAside({ shareName: share.name, files });
      return [...(await Promise.all(own.map((folder) => care.named(folder, files)))), ...left];
    },
    refusedUploads: (share) =>
      orElse(share, "refused uploads not looked up", [], async () => {
        const files = await filesOf(share);
        // rclone has a note for each file that it still has to send: without notes, nothing is unsent.
        if (!refused.isAny(share.name) && !(await flusher.hasMetadata(files))) return [];
        return refused.of(share.name, files, () => unsent.of(files.cache, servedName(share)));
      }),
    async unsent(share) {
      const server = await serverInUse(share);
      const { folder } = rcloneFiles(stateFolder, share.name);
      const all = server === null ? await listCaches(folder) : [await filesOf(share)];
      return (await Promise.all(all.map(({ cache }) => unsent.of(cache, servedName(share))))).flat();
    },
    unsentForOthers: (share, withInUse = false) =>
      orElse(share, "files that wait for other servers not looked up", [], async () => {
        const served = await serverServed(share);
        return withInUse ? caches.all(share, served) : caches.waiting(share, served);
      }),
    async decideWaiting(share, server, what) {
      const inUse = await serverServed(share);
      if (server === inUse) {
        throw new MountaineerError("usage", "that server is mounted: its unsent files are being sent", {
          hint: "`mountaineer status` shows it if the server refuses them.",
        });
      }
      if (what === "set_aside") await caches.setAside(share, server);
      else if (inUse !== null) await caches.sendHere(server, await filesOf(share));
      else {
        throw new MountaineerError("usage", `${share.name} is not mounted, so there is nowhere to send it`, {
          hint: `Mount it first: ${shellCommand`mountaineer mount --share ${share.name}`}`,
        });
      }
      folders.changed(share.name);
    },
    dropLost: (share, liveCount) =>
      orElse(share, "lost connections not used up", undefined, async () => {
        const paths = await pathsOf(share);
        const entry = indexMounts(await mountTable.read(0)).at(paths.mountPath)?.entry;
        if (entry === undefined) return;
        const { identity } = await serving.of(paths, entry);
        const control = await controlOf(paths.files, identity);
        if (control !== null)
          await dropLostConnections(clock, control, remoteOf(servedName(share)), liveCount);
      }),
    async ownProcesses(share, mount) {
      const entry = (await mountTable.read(0)).find(({ id }) => id === mount.id);
      if (entry === undefined) return [];
      const { identity } = await serving.of({ shareName: share.name, files: await filesOf(share) }, entry);
      return identity === null ? [] : [identity.pid];
    },
    openFilesPath: ({ path }) => realPaths.known(path),
    onMountProcessExit: serving.onUnexpectedExit,
  };
}

/** Finds out which mounts are ours, and over which route. */
function createRcloneFinding(
  options: RcloneDriverOptions,
  check: Pick<RcloneCheck, "version">,
  serving: ServingProcesses<RcloneFiles>,
  pathsOf: (share: ShareSpec) => Promise<RcloneMountPaths>,
) {
  /**
   * For each share, the server's name for the share at the time of the mount. The configuration may contain another
   * name by now.
   */
  const servedNames = new Map<string, string>();
  const { found, find } = createServedFinding({
    ...{ ...options, program: RCLONE_PROGRAM, serving, pathsOf },
    async about(share, { source }, { pinned, server, options: made, engine = 0 }, { files }) {
      const [served] = source?.shareNames ?? [];
      if (served !== undefined) servedNames.set(share.name, served);
      const { version } = check;
      const folding = await foldingOf({ ...files, server: server ?? files.server });
      // Which options a mount would get now is known only with rclone's version.
      const isOutdated =
        version !== null && (made !== optionsOf(share, folding, version) || engine < (version.engine ?? 0));
      return {
        ...(isOutdated ? { outdated: true } : {}),
        ...(engine > 0 ? { repeats: true } : {}),
        ...{ guarded: pinned, server },
      };
    },
  });
  return {
    found,
    async find(share: ShareSpec, notBeforeMs: number): Promise<readonly FoundMount[]> {
      const all = await find(share, notBeforeMs);
      if (!all.some(({ path }) => path === share.mountPath)) servedNames.delete(share.name);
      return all;
    },
    servedName: ({ name, shareName }: ShareSpec): string => servedNames.get(name) ?? shareName,
  };
}
