// The driver for our own file system mountaineer-fs, on Linux: what a program has written is on the server. One process serves
// each mount, and moves it between the routes.
import { readFile, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { type MountProgram, missingProgram } from "../../../mount-program/mount-program.ts";
import { isSystemError, recoverFrom } from "../../../runtime/errors.ts";
import { ensureFolder, entryExists } from "../../../runtime/files/durable-file.ts";
import { type DetachedProcess, startDetached } from "../../../runtime/process/child-process.ts";
import type { MountEntry } from "../../mounts/mount-entry.ts";
import { passwordOf } from "../../program/sign-in.ts";
import type { RouteName, ShareSpec } from "../../share-spec.ts";
import { createFuseCheck, whyNotForOthers } from "../fuse.ts";
import type {
  FoundMount,
  MissingRequirement,
  MountDriver,
  MountOutcome,
  MountPlan,
  SmbDriverOptions,
  StepLimits,
} from "../mount-driver.ts";
import { type Failed, failed, failedBy, failedToMount, whyNotListed } from "../mount-failure.ts";
import { createMountFolders, type MountFolders } from "../mount-folder.ts";
import { beginLog } from "../program-logs.ts";
import { shareFiles } from "../share-files.ts";
import { createRealMountPaths, indexMounts, type SmbMount } from "../smb-mounts.ts";
import { UNDO_MS } from "../unmount.ts";
import { createFsFinding } from "./finding.ts";
import { FS_TYPE, fsArguments, fsFailure, fsFilesIn, fsOptions, movesBy } from "./mount-arguments.ts";
import { createMovingPrograms } from "./moving-programs.ts";
import { createFsProcesses, type FsLocation, type FsProcesses, fsEnvironment } from "./processes.ts";
import { createFsUnmount, type FsUnmount } from "./unmount.ts";

interface FsDriverOptions extends SmbDriverOptions {
  /** Holds a folder for each share, `mounts/<NAME>`, and `logons`. */
  readonly stateFolder: string;
  /** False: only reports are read; another daemon tells them what to do. Default: true. */
  readonly isInCharge?: boolean;
  /** When a daemon last observed the shares, wall ms; null or absent: never. */
  readonly observedAtMs?: number | null;
  readonly program: Pick<MountProgram, "find" | "copy">;
  /** Default: what this machine lacks for FUSE. */
  readonly whyNoFuse?: () => Promise<MissingRequirement | null>;
  /** Only Linux has it. Default: /proc/filesystems. */
  readonly filesystems?: string;
}

/** How long the kernel and the program may answer from memory, ms. */
const CACHE_MS = 1_000;
/** A login may take 30 s. */
const MOUNT_DEADLINE_MS = 40_000;

const MOUNT_POLL_MS = 5;

export function createFsDriver(options: FsDriverOptions): MountDriver & Disposable {
  const { clock, logger, prober, mountTable, stateFolder, program } = options;
  const { filesystems = "/proc/filesystems", isInCharge = true, observedAtMs = null } = options;
  const { whyNoFuse = createFuseCheck(clock).missingRequirement } = options;
  const folders = createMountFolders({ clock, logger });
  const processes = createFsProcesses();
  const programs = createMovingPrograms({ clock, logger, home: stateFolder, isInCharge, observedAtMs });
  const unmounts = createFsUnmount({ ...options, processes });
  const realPaths = createRealMountPaths(prober);
  const shareOf = ({ name }: Pick<ShareSpec, "name">) => {
    return { shareName: name, files: fsFilesIn(shareFiles(stateFolder, name).folder) };
  };
  const locationOf = async (share: ShareSpec): Promise<FsLocation> => {
    return { ...shareOf(share), mountPath: await realPaths.find(share.mountPath) };
  };
  const { found, find } = createFsFinding({
    ...{ mountTable, addressesOf: options.addressesOf, processes, locationOf },
    about: async (share, { options: made, gone }, location) => {
      const moves = movesBy(made);
      const running = gone ? null : await processes.program(location);
      if (running === null) programs.detach(share.name);
      else await programs.attach(share.name, running);
      const copy = await program.copy();
      return {
        ...(copy === null || made === fsOptions(share, moves, copy) ? {} : { outdated: true }),
        ...(moves ? { moves } : {}),
      };
    },
  });

  const missingRequirement = async (share?: ShareSpec): Promise<MissingRequirement | null> => {
    if (!(await entryExists(filesystems).catch(() => false)))
      return { text: "mountaineer-fs mounts on Linux only", hint: "leave the key driver out" };
    if ((await program.find()) === null) return missingProgram();
    return (await whyNoFuse()) ?? whyNotForOthers(share ?? {});
  };

  return {
    name: "fs",
    cacheMs: CACHE_MS,
    missingRequirement,
    moving: programs.moving,
    find,
    mountDeadlineMs: MOUNT_DEADLINE_MS,
    async mount(share, route, limits, plan) {
      const problem = await missingRequirement(share);
      const copy = await program.copy();
      if (problem !== null || copy === null)
        return failed("driver_unavailable", problem?.text ?? "mountaineer-fs is gone");
      try {
        const location = await locationOf(share);
        const present = (await find(share, clock.monotonicMs())).find(({ path }) => path === share.mountPath);
        if (present?.sameShare) return { ok: true, mount: present, adopted: true };
        if (present !== undefined)
          return failed("path_taken", `${location.mountPath} is a mount of ${present.source}`);
        if (!(await unmounts.endLeftovers(location, limits.deadlineMs)))
          return failed("other", "an earlier mountaineer-fs of this share does not end");
        await ensureFolder(dirname(share.mountPath), 0o755);
        const tools = { ...options, program: copy, folders, processes, unmounts, found };
        return await attemptMount(tools, { ...limits, share, location, route, plan });
      } catch (error) {
        return failedBy(error, share.password);
      }
    },
    async unmount(share, mount, mode, limits) {
      const location = await locationOf(share);
      const outcome = await unmounts.unmount(location, mount, mode, limits);
      const isShares = mount.path === share.mountPath;
      if (outcome.ok)
        await folders.clear(isShares ? location : { ...location, mountPath: mount.path }, isShares);
      return outcome;
    },
    setAside: (share) => folders.setAside(shareOf(share)),
    async ownProcesses(share, mount) {
      const entry = (await mountTable.read(0)).find(({ id }) => id === mount.id);
      if (entry === undefined) return [];
      const { identity } = await processes.of(shareOf(share), entry);
      return identity === null ? [] : [identity.pid];
    },
    openFilesPath: ({ path }) => realPaths.known(path),
    onMountProcessExit: processes.onUnexpectedExit,
    [Symbol.dispose]: () => programs[Symbol.dispose](),
  };
}

interface AttemptTools extends Omit<FsDriverOptions, "program"> {
  readonly program: string;
  readonly folders: MountFolders;
  readonly processes: FsProcesses;
  readonly unmounts: FsUnmount;
  readonly found: (share: ShareSpec, mount: SmbMount) => Promise<FoundMount>;
}

interface Attempt extends StepLimits {
  readonly share: ShareSpec;
  readonly location: FsLocation;
  readonly route: RouteName;
  readonly plan: MountPlan;
}

/** Tries once to mount a share. A failed attempt leaves neither process nor mount behind. */
async function attemptMount(tools: AttemptTools, attempt: Attempt): Promise<MountOutcome> {
  const { clock, mountTable, folders, unmounts } = tools;
  const { share, location, route, deadlineMs } = attempt;
  const { files, mountPath } = location;
  const untilMs = clock.monotonicMs() + deadlineMs;
  let failure: Failed;
  try {
    await ensureFolder(files.folder, 0o700);
    await beginLog(files.log);
    // The folder is made as late as possible, because programs can write into it until it is mounted.
    const folder = await folders.ensure(location);
    if (!folder.ok) return folder;
    await using bare = folder.bare;
    const entry = await startUntilMounted(tools, attempt, untilMs);
    if (!("ok" in entry)) await folders.uncover(location, bare);
    const broken = "ok" in entry ? entry : await whyNotListed(tools, entry, { ...attempt, untilMs });
    const mount = broken === null ? indexMounts(await mountTable.read(0)).at(mountPath) : null;
    if (mount !== null) return { ok: true, mount: await tools.found(share, mount), adopted: false };
    const log = await readFile(files.log, "utf8").catch(recoverFrom(isSystemError, ""));
    const otherwise = broken ?? failed("other", "the mount vanished at once");
    failure = failedToMount(share, route, fsFailure(log) ?? (await whyNoLog(files.log, log)) ?? otherwise);
  } catch (error) {
    failure = failedBy(error, share.password);
  }
  await unmounts.undo(location, UNDO_MS);
  await folders.clear(location, true);
  return failure;
}

/** The program's words are lost where the disk of its log is full; null: they are not. */
async function whyNoLog(path: string, log: string): Promise<Failed | null> {
  if (log !== "") return null;
  const disk = await statfs(path).catch(recoverFrom(isSystemError, null));
  return disk?.bavail === 0 ? failed("other", `${dirname(path)}: no space left on device`) : null;
}

async function startUntilMounted(
  tools: AttemptTools,
  { share, route, plan, location, signal }: Attempt,
  untilMs: number,
): Promise<MountEntry | Failed> {
  const { clock, mountTable, program, processes, stateFolder: home } = tools;
  const { files, mountPath } = location;
  const options = fsOptions(share, plan.moves, program);
  const args = fsArguments({ share, route, plan, files, home, mountPath });
  const env = fsEnvironment(files, options);
  const child = await startDetached(program, args, {
    env,
    logPath: files.log,
    stdin: `${passwordOf(plan.signIn) ?? ""}\n`,
  });
  await processes.started(location, child, options);
  let hasEnded = false;
  using _ = onExit(child, () => {
    hasEnded = true;
  });
  for (;;) {
    const mount = indexMounts(await mountTable.read(clock.monotonicMs())).at(mountPath);
    // Another program may have mounted at the path since.
    if (mount !== null && mount.entry.type !== FS_TYPE)
      return failed("path_taken", `${mountPath} is a mount of ${mount.entry.source}`);
    if (mount !== null) return mount.entry;
    if (hasEnded) return failed("other", "mountaineer-fs ended before it had mounted");
    if (signal.aborted) return failed("other", "cancelled");
    if (clock.monotonicMs() >= untilMs) return failed("timed_out", "mountaineer-fs did not mount in time");
    await clock.sleep(MOUNT_POLL_MS, signal).catch(() => {});
  }
}

function onExit(child: DetachedProcess, listener: () => void): Disposable {
  return { [Symbol.dispose]: child.onExit(listener) };
}
