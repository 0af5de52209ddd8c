// One attempt to mount with rclone: prepares, starts the program, waits for the mount and proves it.

import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { isOwnError, isSystemError, recoverFrom } from "../../../runtime/errors.ts";
import { ensureFolder } from "../../../runtime/files/durable-file.ts";
import { type DetachedProcess, runCommand, startDetached } from "../../../runtime/process/child-process.ts";
import type { MountEntry } from "../../mounts/mount-entry.ts";
import type { RouteName, ShareSpec } from "../../share-spec.ts";
import type { FoundMount, MountOutcome, RelayAddress, SmbDriverOptions } from "../mount-driver.ts";
import { type Failed, failed, failedBy, failedToMount, whyNotListed } from "../mount-failure.ts";
import type { MountFolders } from "../mount-folder.ts";
import { beginLog } from "../program-logs.ts";
import { untilServed } from "../served-mounting.ts";
import type { ServedUnmount } from "../served-unmount.ts";
import type { ServingProcesses } from "../serving-processes.ts";
import { writeIfChanged } from "../share-files.ts";
import { indexMounts, type SmbMount } from "../smb-mounts.ts";
import { UNDO_MS } from "../unmount.ts";
import type { RcloneCheck } from "./available.ts";
import type { CacheCare } from "./cache-care.ts";
import {
  controlEnvironment,
  controlOf,
  newControlPassword,
  recordControl,
  refreshFolders,
} from "./control.ts";
import {
  configText,
  connectsTo,
  encodingFor,
  foldingOf,
  MOUNT_ENVIRONMENT,
  mountArguments,
  optionsOf,
  RCLONE_PROGRAM,
  type RcloneFiles,
  type RcloneMountPaths,
  RELAYED_CONNECTS,
} from "./files.ts";
import { readLogFailure } from "./log.ts";
import { setAsideEnvironment } from "./set-aside.ts";
import type { UnsentWrites } from "./unsent.ts";

/**
 * Reads ahead that the kernel has under way at once. By default these are 12 for each mount, and while a dozen of them
 * wait for a connection to the server, no program can read. Without fusectl at /sys/fs/fuse, it stays so. The kernel lets an
 * ordinary user have this many from 1.6 GB of memory on (max_user_bgreq).
 */
const READS_AT_ONCE = 512;

/** Interval of the checks for files that delay a mount which is not up yet, ms. */
const STUCK_POLL_MS = 250;

/**
 * Once rclone has been idle for this part of the deadline without mounting, the files that it has open count
 * as the cause.
 */
const LATE_SHARE = 0.6;

/**
 * A process that has moved fewer bytes since it last counted as working is idle. Threads of Go's runtime wake each
 * other even without work.
 */
const WORK_BYTES = 1_024;

export interface AttemptTools extends Pick<SmbDriverOptions, "clock" | "prober" | "mountTable"> {
  readonly check: RcloneCheck;
  readonly obscure: (password: string) => Promise<string>;
  readonly folders: MountFolders;
  readonly serving: ServingProcesses<RcloneFiles>;
  readonly unmounts: ServedUnmount<RcloneFiles>;
  readonly care: CacheCare;
  readonly unsent: UnsentWrites;
  readonly found: (share: ShareSpec, mount: SmbMount) => Promise<FoundMount>;
}

export interface Attempt {
  readonly share: ShareSpec;
  readonly paths: RcloneMountPaths;
  readonly route: RouteName;
  readonly through: RelayAddress | null;
  /**
   * How long rclone may be idle, ms. The whole attempt may take this long, and as long again for each unsent
   * file.
   */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Tries once to mount a share. A failed attempt leaves neither process nor mount behind. */
export async function attemptMount(tools: AttemptTools, attempt: Attempt): Promise<MountOutcome> {
  const { clock, mountTable, folders, unmounts, care } = tools;
  const { share, paths, deadlineMs } = attempt;
  let failure: Failed;
  try {
    await prepare(tools, attempt);
    const reloaded = await tools.unsent.of(paths.files.cache, share.shareName);
    // The folder is made as late as possible, because programs can write into it until rclone has mounted.
    const folder = await folders.ensure(paths);
    if (!folder.ok) return folder;
    await using bare = folder.bare;
    const entry = await startUntilMounted(tools, attempt);
    if (!("ok" in entry)) await folders.uncover(paths, bare);
    const untilMs = clock.monotonicMs() + deadlineMs;
    const broken = "ok" in entry ? entry : await whyNotListed(tools, entry, { ...attempt, untilMs });
    const mount = broken === null ? indexMounts(await mountTable.read(0)).at(paths.mountPath) : null;
    if (mount !== null) {
      care.mounted(paths);
      if (mount.entry.deviceMinor > 0) {
        const setting = `/sys/fs/fuse/connections/${mount.entry.deviceMinor}/max_background`;
        await writeFile(setting, `${READS_AT_ONCE}`, { flag: "r+" }).catch(recoverFrom(isSystemError));
      }
      if (reloaded.length > 0) await openReloaded(tools, paths, mount.entry, reloaded);
      return { ok: true, mount: await tools.found(share, mount), adopted: false };
    }
    failure = await whyFailed(attempt, broken ?? failed("other", "the mount vanished at once"));
  } catch (error) {
    failure = failedBy(error, share.password);
  }
  if (await unmounts.undo(paths, UNDO_MS)) care.neverMounted(paths);
  await folders.clear(paths, true);
  return failure;
}

/** Prepares everything that rclone needs except the folder to mount on. */
async function prepare(
  { check, obscure, care }: AttemptTools,
  { share, route, through, paths }: Attempt,
): Promise<void> {
  await ensureFolder(paths.files.cache, 0o700);
  const password = share.password === null ? null : await obscure(share.password);
  const encoding = encodingFor(check.version);
  const config = configText(share, connectsTo(share.routes[route], through), password, encoding);
  await writeIfChanged(paths.files.config, through === null ? config : `${config}${RELAYED_CONNECTS}`);
  await beginLog(paths.files.log);
  await care.review(paths);
}

/** Starts rclone; if files keep it from mounting, sets them aside and starts it again. */
async function startUntilMounted(tools: AttemptTools, attempt: Attempt): Promise<MountEntry | Failed> {
  const { check, serving, unmounts, care } = tools;
  const { share, route, paths, through } = attempt;
  const { files } = paths;
  const folding = await foldingOf(files);
  const options = optionsOf(share, folding, check.version);
  const spec = share.routes[route];
  const args = mountArguments(share, spec, paths.mountPath, files, through, check.version, folding);
  for (;;) {
    const password = newControlPassword();
    const env = {
      ...MOUNT_ENVIRONMENT,
      ...setAsideEnvironment(files),
      ...(through === null ? {} : controlEnvironment(password)),
    };
    const child = await startDetached(check.program, args, { env, logPath: files.log });
    const server = await serving.started(paths, child, through, options, check.version?.engine ?? null);
    const outcome = await untilMounted(tools, attempt, child);
    if (!("stuck" in outcome)) {
      if (through !== null && server !== null) await recordControl(files, server, password);
      return outcome;
    }
    if (!(await unmounts.undo(paths, UNDO_MS))) {
      return failed("other", "rclone is stuck with a file and does not end");
    }
    await care.setStuckAside(paths, outcome.stuck);
    await beginLog(files.log);
  }
}

/**
 * Resolves with the mount's entry in the table, with the failure, or with the cached files that keep rclone from
 * mounting (as paths in the cache).
 */
async function untilMounted(
  { clock, mountTable, care, unsent }: AttemptTools,
  { share, paths, deadlineMs, signal }: Attempt,
  child: DetachedProcess,
): Promise<MountEntry | { readonly stuck: readonly string[] } | Failed> {
  const startedAtMs = clock.monotonicMs();
  // Before rclone mounts, it asks the server for each unsent file, and may fetch missing parts.
  const count = (await unsent.all(paths.files.cache)).length;
  const untilMs = startedAtMs + deadlineMs * (1 + count);
  let worked = { bytes: 0, atMs: startedAtMs };
  let requestedAtMs = startedAtMs;
  const tools = { clock, mountTable, program: RCLONE_PROGRAM };
  return untilServed(tools, { path: paths.mountPath, child, signal }, async (atMs) => {
    const idleMs = atMs - worked.atMs;
    if (atMs >= untilMs || idleMs >= deadlineMs) return failed("timed_out", "rclone did not mount in time");
    if (atMs - requestedAtMs < STUCK_POLL_MS) return null;
    requestedAtMs = atMs;
    const bytes = await bytesMoved(child.pid);
    if (bytes - worked.bytes >= WORK_BYTES) worked = { bytes, atMs };
    const isLate = idleMs >= deadlineMs * LATE_SHARE;
    const stuck = await care.stuck(paths.files, share.shareName, child.pid, isLate);
    return stuck.length > 0 ? { stuck } : null;
  });
}

/** The bytes that a process has read and written so far, in files and connections; 0 if the system does not say. */
async function bytesMoved(pid: number): Promise<number> {
  const io = await readFile(`/proc/${pid}/io`, "utf8").catch(recoverFrom(isSystemError, ""));
  const [, read, written] = /^rchar: (\d+)\nwchar: (\d+)/.exec(io) ?? [];
  return Number(read ?? 0) + Number(written ?? 0);
}

async function whyFailed({ share, route, paths }: Attempt, otherwise: Failed): Promise<Failed> {
  const log = await readFile(paths.files.log, "utf8").catch(recoverFrom(isSystemError, ""));
  return failedToMount(share, route, readLogFailure(log) ?? otherwise);
}

const FILES_AT_ONCE = 200;
/** Limit for opening all files, ms: the share should be back at its path within 3 s. */
const ALL_MS = 2_000;

/**
 * Reads one byte of each unsent file in `paths` (relative to the share); only such a read tells rclone which file of
 * the mount a cache file belongs to. Begins with the files that rclone sends last, and stops after 2 s; rclone also
 * sends the other files.
 */
async function openReloaded(
  { clock, serving }: AttemptTools,
  paths: RcloneMountPaths,
  entry: MountEntry,
  cachePaths: readonly string[],
): Promise<void> {
  const { identity } = await serving.of(paths, entry);
  const control = await controlOf(paths.files, identity);
  const untilMs = clock.monotonicMs() + ALL_MS;
  const remainingMs = (): number => Math.max(0, untilMs - clock.monotonicMs());
  const folders = [...new Set(cachePaths.map((path) => (path.includes("/") ? dirname(path) : "")))];
  const refresh = async (): Promise<void> => {
    if (control !== null && remainingMs() > 0) await refreshFolders(control, folders, remainingMs());
  };
  await refresh();
  const last = cachePaths.map((path) => join(paths.mountPath, path)).toReversed();
  for (let at = 0; at < last.length && remainingMs() > 0; at += FILES_AT_ONCE) {
    const some = last.slice(at, at + FILES_AT_ONCE);
    // A separate program, because the mount may hang. The program must read, because rclone opens a cache file only
    // when a program reads it.
    const limits = { clock, deadlineMs: remainingMs(), killGraceMs: 0, maxOutputBytes: 1 };
    const ran = await runCommand("head", ["-q", "-c", "1", "--", ...some], limits).catch(
      recoverFrom(isOwnError, null),
    );
    if (ran === null) return;
  }
  await refresh();
}
