// Owns mounting SMB shares by rclone through FUSE: no root, writes that survive a failover, one process a mount.
import { readFile, truncate, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type DetachedProcess, startDetached } from "../../runtime/child-process.ts";
import type { Clock } from "../../runtime/clock.ts";
import { ensureFolder } from "../../runtime/durable-file.ts";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log.ts";
import type { MountEntry, MountTable } from "../mount-entry.ts";
import type { Prober } from "../prober.ts";
import type { RouteName, ShareSpec } from "../share-spec.ts";
import { isShareNamed, sourceOf } from "../smb-source.ts";
import type {
  FoundMount,
  MountDriver,
  MountFailure,
  MountOutcome,
  StepLimits,
  Through,
} from "./mount-driver.ts";
import { createMountFolders } from "./mount-folder.ts";
import { lookAtNewMount } from "./new-mount-look.ts";
import { createRcloneCheck } from "./rclone-available.ts";
import { createCacheCare } from "./rclone-cache-care.ts";
import { controlEnvironment, controlOf, newControlPassword, noteControl } from "./rclone-control.ts";
import {
  configText,
  connectsTo,
  MOUNT_ENVIRONMENT,
  makeFolders,
  mountArguments,
  type RcloneFiles,
  rcloneFiles,
  remoteOf,
  writeIfChanged,
} from "./rclone-files.ts";
import { readLoggedFailure } from "./rclone-log.ts";
import { dropLostConnections } from "./rclone-lost.ts";
import { createNoteWriter, type NoteWriter } from "./rclone-note-writer.ts";
import { createObscuredPasswords } from "./rclone-password.ts";
import { createRefusedUploads } from "./rclone-refused.ts";
import { createServingProcesses, type ServingProcesses } from "./rclone-serving.ts";
import { createRcloneUnmount } from "./rclone-unmount.ts";
import { createUnsentWrites } from "./rclone-unsent.ts";
import { createRealMountPaths } from "./real-mount-paths.ts";
import { type AddressesOf, indexMounts, isReadable, routeOfSource, type SmbMount } from "./smb-mounts.ts";
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
const MOUNT_POLL_MS = 5;
/** Between two looks at what a mount that does not come up is stuck with. */
const STUCK_POLL_MS = 250;
/** Of a mount's time: when it is over, a file that is still being fetched from the server is in the way. */
const LATE_SHARE = 0.6;
/** For undoing a mount that failed, beyond the step's own deadline. */
const UNDO_MS = 3_000;

type Failed = Extract<MountOutcome, { ok: false }>;

/** Files of the cache, by their paths in it, for which rclone does not mount. */
interface Stuck {
  readonly stuck: readonly string[];
}

interface Starting {
  readonly path: string;
  readonly files: RcloneFiles;
  readonly servedName: string;
  readonly child: DetachedProcess;
  readonly untilMs: number;
  readonly signal: AbortSignal;
}

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
  /** By share: its name on the server where that is mounted, which an edit may have changed since. */
  const servedNames = new Map<string, string>();
  const servedName = ({ name, shareName }: ShareSpec): string => servedNames.get(name) ?? shareName;

  /** As the mount table spells it. */
  const pathOf = ({ mountPath }: ShareSpec): Promise<string> => realPaths.find(mountPath);

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

  /** All that rclone needs but the folder it mounts on. */
  const prepare = async (
    share: ShareSpec,
    route: RouteName,
    files: RcloneFiles,
    through: Through | null,
  ): Promise<void> => {
    await makeFolders(files);
    const password = share.password === null ? null : await obscure(share.password);
    await writeIfChanged(files.config, configText(share, connectsTo(share.routes[route], through), password));
    await emptyLog(files.log);
    await care.review(share.name, files);
  };

  const whyFailed = async (share: ShareSpec, route: RouteName, otherwise: Failed): Promise<Failed> => {
    const logged = readLoggedFailure(await readLog(filesOf(share).log));
    const source = sourceOf(share.routes[route], share.shareName);
    if (logged === null) return { ...otherwise, text: `${source}: ${otherwise.text}` };
    return {
      ok: false,
      reason: logged.reason,
      text: `${source}: ${withoutSecret(logged.text, share.password)}`,
    };
  };

  const mountEntry = async (path: string): Promise<MountEntry | null> =>
    indexMounts(await mountTable.read(clock.monotonicMs())).at(path)?.entry ?? null;

  /** Resolves with the entry when it stands in the table, with files that rclone is stuck with, or with why it fails. */
  const untilMounted = async ({
    path,
    files,
    servedName: name,
    child,
    untilMs,
    signal,
  }: Starting): Promise<MountEntry | Stuck | Failed> => {
    const startedAtMs = clock.monotonicMs();
    const lateAtMs = startedAtMs + (untilMs - startedAtMs) * LATE_SHARE;
    let askedAtMs = startedAtMs;
    let ended = false;
    const release = child.onExit(() => {
      ended = true;
    });
    try {
      for (;;) {
        const entry = await mountEntry(path);
        if (entry !== null) return entry;
        if (ended) return failed("other", "rclone ended before it had mounted");
        if (signal.aborted) return failed("other", "cancelled");
        const atMs = clock.monotonicMs();
        if (atMs >= untilMs) return failed("timed_out", "rclone did not mount in time");
        if (atMs - askedAtMs >= STUCK_POLL_MS) {
          askedAtMs = atMs;
          const stuck = await care.stuck(files, name, child.pid, atMs >= lateAtMs);
          if (stuck.length > 0) return { stuck };
        }
        await clock.sleep(MOUNT_POLL_MS, signal).catch(() => {});
      }
    } finally {
      release();
    }
  };

  /** rclone mounts whatever it is told; only a listing proves that there is a share behind. */
  const prove = async (entry: MountEntry, untilMs: number, signal: AbortSignal): Promise<Failed | null> => {
    const look = await lookAtNewMount(prober, entry, untilMs - clock.monotonicMs(), signal);
    if (look === null) return failed("other", "cancelled");
    if (look.state !== "answered") return failed("timed_out", "the share did not list in time");
    return look.errno === null ? null : failed("other", `the share does not list (${look.errno})`);
  };

  /** Starts rclone until it mounts: what it is stuck with is set aside, and it is started again. */
  const startUntilMounted = async (
    share: ShareSpec,
    route: RouteName,
    path: string,
    untilMs: number,
    signal: AbortSignal,
    through: Through | null,
  ): Promise<MountEntry | Failed> => {
    const files = filesOf(share);
    const args = mountArguments(share, share.routes[route], path, files, through, check.version);
    for (;;) {
      const password = newControlPassword();
      const env = { ...MOUNT_ENVIRONMENT, ...(through === null ? {} : controlEnvironment(password)) };
      const child = await startDetached("rclone", args, { env, logPath: files.log });
      const server = await serving.started(share.name, files, path, child, through?.port ?? null);
      const starting = { path, files, servedName: share.shareName, child, untilMs, signal };
      const outcome = await untilMounted(starting);
      if (!("stuck" in outcome)) {
        if (through !== null && server !== null) await noteControl(files, server, password);
        return outcome;
      }
      if (!(await unmounts.undo(share.name, files, path, UNDO_MS))) {
        return failed("other", "rclone is stuck with a file and does not end");
      }
      await care.setStuckAside(share.name, files, outcome.stuck);
      await emptyLog(files.log);
    }
  };

  const attempt = async (
    share: ShareSpec,
    route: RouteName,
    path: string,
    { deadlineMs, signal }: StepLimits,
    through: Through | null,
  ): Promise<MountOutcome> => {
    const untilMs = clock.monotonicMs() + deadlineMs;
    const files = filesOf(share);
    let failure: Failed;
    try {
      await prepare(share, route, files, through);
      // As late as can be: until rclone has mounted, programs write into it.
      const folder = await folders.ensure(share.name, files, path);
      if (!folder.ok) return folder;
      await using bare = folder.bare;
      const entry = await startUntilMounted(share, route, path, untilMs, signal, through);
      if (!("ok" in entry)) await folders.uncover(share.name, files, path, bare);
      const outcome = "ok" in entry ? entry : await prove(entry, untilMs, signal);
      const mount = outcome === null ? indexMounts(await mountTable.read(0)).at(path) : null;
      if (mount !== null) {
        care.mounted(share.name, files);
        return { ok: true, mount: await found(share, mount), adopted: false };
      }
      failure = await whyFailed(share, route, outcome ?? failed("other", "the mount vanished at once"));
    } catch (error) {
      failure = failedBy(error, share.password);
    }
    if (await unmounts.undo(share.name, files, path, UNDO_MS)) care.neverMounted(share.name);
    await folders.clear(share.name, files, path, true);
    return failure;
  };

  return {
    name: "rclone",
    cacheMs: CACHE_MS,
    unavailable: check.lacking,
    find,
    carries: { can: true },
    async mount(share, route, limits, through = null) {
      const problem = await check.lacking();
      if (problem !== null) return failed("driver_unavailable", problem.text);
      try {
        const path = await pathOf(share);
        const present = (await find(share, clock.monotonicMs())).find(
          (mount) => mount.path === share.mountPath,
        );
        if (present?.sameShare) return { ok: true, mount: present, adopted: true };
        if (present !== undefined) return failed("path_taken", `${path} is a mount of ${present.source}`);
        if (!(await unmounts.endLeftovers(share.name, filesOf(share), path, limits.deadlineMs))) {
          return failed("other", "an earlier rclone of this share does not end");
        }
        await ensureFolder(dirname(share.mountPath), 0o755);
        return await attempt(share, route, await pathOf(share), limits, through);
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
      const left = await leftBehind(share.name, [share.shareName, servedName(share)]);
      const files = filesOf(share);
      const own = await folders.setAside(share.name, files);
      return [...(await Promise.all(own.map((folder) => care.named(folder, files)))), ...left];
    },
    async refusedUploads(share) {
      const files = filesOf(share);
      const name = servedName(share);
      try {
        return await refused.of(share.name, files, () => unsent.of(files.cache, name));
      } catch (error) {
        logger.debug("refused uploads not looked up", { share: share.name, error: errorText(error) });
        return [];
      }
    },
    unsent: (share) => unsent.of(filesOf(share).cache, servedName(share)),
    async dropLost(share, kept) {
      try {
        const path = await pathOf(share);
        const entry = indexMounts(await mountTable.read(0)).at(path)?.entry;
        if (entry === undefined) return;
        const { identity } = await serving.of(share.name, filesOf(share), entry);
        const control = identity === null ? null : await controlOf(filesOf(share), identity);
        if (control !== null) await dropLostConnections(clock, control, remoteOf(servedName(share)), kept);
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

function failed(reason: MountFailure, text: string): Failed {
  return { ok: false, reason, text };
}

function failedBy(error: unknown, secret: string | null): Failed {
  const code = systemErrorCode(error);
  const denied = code === "EACCES" || code === "EPERM" || code === "EROFS";
  return failed(denied ? "permission_denied" : "other", withoutSecret(errorText(error), secret));
}

function withoutSecret(text: string, secret: string | null): string {
  return secret === null || secret === "" ? text : text.replaceAll(secret, "…");
}

/** What stands in it is about this mount alone. */
async function emptyLog(path: string): Promise<void> {
  try {
    await truncate(path);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
    await writeFile(path, "", { mode: 0o600 });
  }
}

async function readLog(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return "";
  }
}
