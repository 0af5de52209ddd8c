// The driver for our own file system mountaineer-fs, on Linux: what a program has written is on the server, one process
// for each mount. It keeps no cache, so that nothing is ever unsent.
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { canBuildEngine, fileSystemProgram } from "../../../rclone-release/installed.ts";
import { isSystemError, recoverFrom } from "../../../runtime/errors.ts";
import { ensureFolder, entryExists } from "../../../runtime/files/durable-file.ts";
import { startDetached } from "../../../runtime/process/child-process.ts";
import type { RouteName, ShareSpec } from "../../share-spec.ts";
import { createFuseCheck, whyNotForOthers } from "../fuse.ts";
import type {
  FoundMount,
  MissingRequirement,
  MountDriver,
  MountOutcome,
  RelayAddress,
  SmbDriverOptions,
  StepLimits,
} from "../mount-driver.ts";
import { type Failed, failed, failedBy, failedToMount, whyNotListed } from "../mount-failure.ts";
import { createMountFolders, type MountFolders } from "../mount-folder.ts";
import { beginLog } from "../program-logs.ts";
import { createUnsentOfRcloneMount } from "../rclone/unsent-left-behind.ts";
import { createServedFinding } from "../served-finding.ts";
import { untilServed } from "../served-mounting.ts";
import { createServedUnmount, type ServedUnmount } from "../served-unmount.ts";
import {
  createServingProcesses,
  type ServedMountPaths,
  type ServingProcesses,
} from "../serving-processes.ts";
import { shareFiles } from "../share-files.ts";
import { createRealMountPaths, indexMounts, type SmbMount } from "../smb-mounts.ts";
import { UNDO_MS } from "../unmount.ts";
import { FS_PROGRAM, fsArguments, fsEnvironment, fsFailure, fsFilesIn, fsOptions } from "./program.ts";

interface FsDriverOptions extends SmbDriverOptions {
  /** Holds a folder for each share, `mounts/<NAME>`, with the log and a note about the process. */
  readonly stateFolder: string;
  /** Finds the program; null: it is not installed. Default: beside this build. */
  readonly program?: () => Promise<string | null>;
  /** Default: what this machine lacks for FUSE. */
  readonly whyNoFuse?: () => Promise<MissingRequirement | null>;
  /** Only Linux has it. Default: /proc/filesystems. */
  readonly filesystems?: string;
}

/** How long the kernel and the program may answer from memory, ms. */
const CACHE_MS = 1_000;

export function createFsDriver(options: FsDriverOptions): MountDriver {
  const { clock, logger, prober, mountTable, stateFolder } = options;
  const { program: findProgram = fileSystemProgram, filesystems = "/proc/filesystems" } = options;
  const { whyNoFuse = createFuseCheck(clock).missingRequirement } = options;
  const folders = createMountFolders({ clock, logger });
  const serving = createServingProcesses(FS_PROGRAM);
  const unmounts = createServedUnmount({ ...options, program: FS_PROGRAM, serving });
  const unsentOfRclone = createUnsentOfRcloneMount({ mountTable, stateFolder });
  const realPaths = createRealMountPaths(prober);
  const servedShare = ({ name }: Pick<ShareSpec, "name">) => {
    return { shareName: name, files: fsFilesIn(shareFiles(stateFolder, name).folder) };
  };
  const pathsOf = async (share: ShareSpec): Promise<ServedMountPaths> => {
    return { ...servedShare(share), mountPath: await realPaths.find(share.mountPath) };
  };
  const { found, find } = createServedFinding({
    ...{ ...options, program: FS_PROGRAM, serving, pathsOf },
    about: async (share, _mount, { options: made, pinned }) => ({
      ...(made === fsOptions(share).join(" ") ? {} : { outdated: true }),
      guarded: pinned,
    }),
  });

  const missingRequirement = async (share?: ShareSpec): Promise<MissingRequirement | null> => {
    if (!(await entryExists(filesystems).catch(() => false)))
      return { text: "fs works on Linux only", hint: 'set driver = "auto"' };
    if ((await findProgram()) === null) return notInstalled();
    return (await whyNoFuse()) ?? whyNotForOthers(share ?? {});
  };

  return {
    name: "fs",
    cacheMs: CACHE_MS,
    missingRequirement,
    canBeRelayed: true,
    onlyThroughRelay: true,
    find,
    async mount(share, route, limits, through = null) {
      const program = await findProgram();
      const problem = await missingRequirement(share);
      if (problem !== null || program === null)
        return failed("driver_unavailable", problem?.text ?? "mountaineer-fs is gone");
      try {
        const paths = await pathsOf(share);
        const present = (await find(share, clock.monotonicMs())).find(({ path }) => path === share.mountPath);
        if (present?.sameShare) return { ok: true, mount: present, adopted: true };
        if (present !== undefined)
          return failed("path_taken", `${paths.mountPath} is a mount of ${present.source}`);
        if (!(await unmounts.endLeftovers(paths, limits.deadlineMs)))
          return failed("other", "an earlier mountaineer-fs of this share does not end");
        await ensureFolder(dirname(share.mountPath), 0o755);
        const tools = { ...options, program, folders, serving, unmounts, found };
        return await attemptMount(tools, { ...limits, share, paths, route, through });
      } catch (error) {
        return failedBy(error, share.password);
      }
    },
    async unmount(share, mount, mode, limits) {
      const paths = await pathsOf(share);
      const outcome = await unmounts.unmount(paths, mount, mode, limits);
      const isShares = mount.path === share.mountPath;
      if (outcome.ok) await folders.clear(isShares ? paths : { ...paths, mountPath: mount.path }, isShares);
      return outcome;
    },
    async setAside(share) {
      const asideFolders = await folders.setAside(servedShare(share));
      return asideFolders.map((folder) => ({ folder, files: [] }));
    },
    unsent: async (share) => unsentOfRclone(share, await realPaths.find(share.mountPath)),
    async ownProcesses(share, mount) {
      const entry = (await mountTable.read(0)).find(({ id }) => id === mount.id);
      if (entry === undefined) return [];
      const { identity } = await serving.of(servedShare(share), entry);
      return identity === null ? [] : [identity.pid];
    },
    openFilesPath: ({ path }) => realPaths.known(path),
    onMountProcessExit: serving.onUnexpectedExit,
  };
}

async function notInstalled(): Promise<MissingRequirement> {
  const hint = (await canBuildEngine())
    ? "build it: npm run engine -- --fs (in the clone)"
    : 'run the daemon from a clone in which `npm run engine -- --fs` has built it, or set driver = "rclone"';
  return { text: "mountaineer-fs is not installed", hint };
}

interface AttemptTools extends Omit<FsDriverOptions, "program"> {
  readonly program: string;
  readonly folders: MountFolders;
  readonly serving: ServingProcesses;
  readonly unmounts: ServedUnmount;
  readonly found: (share: ShareSpec, mount: SmbMount) => Promise<FoundMount>;
}

interface Attempt extends StepLimits {
  readonly share: ShareSpec;
  readonly paths: ServedMountPaths;
  readonly route: RouteName;
  readonly through: RelayAddress | null;
}

/** Tries once to mount a share. A failed attempt leaves neither process nor mount behind. */
async function attemptMount(tools: AttemptTools, attempt: Attempt): Promise<MountOutcome> {
  const { clock, mountTable, folders, unmounts } = tools;
  const { share, paths, route, deadlineMs } = attempt;
  const untilMs = clock.monotonicMs() + deadlineMs;
  let failure: Failed;
  try {
    await ensureFolder(paths.files.folder, 0o700);
    await beginLog(paths.files.log);
    // The folder is made as late as possible, because programs can write into it until it is mounted.
    const folder = await folders.ensure(paths);
    if (!folder.ok) return folder;
    await using bare = folder.bare;
    const entry = await startUntilMounted(tools, attempt, untilMs);
    if (!("ok" in entry)) await folders.uncover(paths, bare);
    const broken = "ok" in entry ? entry : await whyNotListed(tools, entry, { ...attempt, untilMs });
    const mount = broken === null ? indexMounts(await mountTable.read(0)).at(paths.mountPath) : null;
    if (mount !== null) return { ok: true, mount: await tools.found(share, mount), adopted: false };
    const log = await readFile(paths.files.log, "utf8").catch(recoverFrom(isSystemError, ""));
    const otherwise = broken ?? failed("other", "the mount vanished at once");
    failure = failedToMount(share, route, fsFailure(log) ?? otherwise);
  } catch (error) {
    failure = failedBy(error, share.password);
  }
  await unmounts.undo(paths, UNDO_MS);
  await folders.clear(paths, true);
  return failure;
}

async function startUntilMounted(
  { clock, mountTable, program, serving }: AttemptTools,
  { share, route, through, paths, signal }: Attempt,
  untilMs: number,
) {
  const child = await startDetached(
    program,
    fsArguments(share, share.routes[route], paths.mountPath, through),
    { env: fsEnvironment(paths.files), logPath: paths.files.log, stdin: `${share.password ?? ""}\n` },
  );
  await serving.started(paths, child, through, fsOptions(share).join(" "), null);
  const tools = { clock, mountTable, program: FS_PROGRAM };
  return untilServed(tools, { path: paths.mountPath, child, signal }, async (atMs) =>
    atMs < untilMs ? null : failed("timed_out", "mountaineer-fs did not mount in time"),
  );
}
