// Unmounts rclone's mounts. The serving process ends before anything else is mounted at its path, because an old rclone
// unmounts whatever is there when it ends.

import { writeFile } from "node:fs/promises";
import { errorText, isSystemError, recoverFrom, systemErrorCode } from "../../../runtime/errors.ts";
import {
  endProcess,
  isAtRest,
  isRunning,
  type ProcessIdentity,
} from "../../../runtime/process/process-identity.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountEntry } from "../../mounts/mount-entry.ts";
import type {
  FoundMount,
  SmbDriverOptions,
  StepLimits,
  UnmountMode,
  UnmountOutcome,
} from "../mount-driver.ts";
import { orHanging, unmountFailed } from "../mount-failure.ts";
import { createUnmount, type Unmount, unmountCommand } from "../unmount.ts";
import type { RcloneFiles, RcloneMountPaths, RcloneShare } from "./files.ts";
import type { MetadataFlusher } from "./metadata-flusher.ts";
import type { ServingProcesses } from "./serving.ts";
import type { UnsentWrites } from "./unsent.ts";

interface RcloneUnmountOptions extends Omit<SmbDriverOptions, "addressesOf"> {
  readonly serving: ServingProcesses;
  readonly unsent: UnsentWrites;
  readonly flusher: MetadataFlusher;
}

/** How long rclone may take to exit after the unmount. */
const OWN_END_MS = 2_000;
const OWN_END_POLL_MS = 2;
const KILL_MS = 2_000;
/**
 * How long rclone may take to write its notes before it is stopped, ms: a mount that hangs must not delay the
 * failover.
 */
const METADATA_MS = 150;
/** How long to wait until all notes are complete, ms: rclone writes a note in well under a millisecond. */
const QUIET_MS = 200;
const QUIET_POLL_MS = 2;

export type RcloneUnmount = ReturnType<typeof createRcloneUnmount>;

interface Tools extends RcloneUnmountOptions {
  readonly unmount: Unmount;
}

export function createRcloneUnmount(options: RcloneUnmountOptions) {
  const { clock, logger, prober, mountTable, serving } = options;
  const commands = (entry: MountEntry, mode: UnmountMode) => [unmountCommand(entry, mode)];
  const tools: Tools = { ...options, unmount: createUnmount({ clock, mountTable, commands }) };
  const entryWhere = async (fits: (entry: MountEntry) => boolean): Promise<MountEntry | undefined> =>
    (await mountTable.read(clock.monotonicMs())).find(fits);

  return {
    async unmount(
      share: RcloneShare,
      mount: FoundMount,
      mode: UnmountMode,
      { deadlineMs, signal }: StepLimits,
    ): Promise<UnmountOutcome> {
      if (signal.aborted) return unmountFailed("cancelled");
      try {
        const entry = await entryWhere(({ id }) => id === mount.id);
        if (entry !== undefined) {
          const { identity } = await serving.of(share, entry);
          serving.ending(share.shareName, true);
          const outcome =
            mode === "plain"
              ? await plain(tools, entry, identity, deadlineMs)
              : await force(tools, share, entry, identity, deadlineMs);
          if (!outcome.ok) {
            serving.ending(share.shareName, false);
            return outcome;
          }
          await serving.ended(share);
        }
        prober.forget(mount.id);
        return { ok: true };
      } catch (error) {
        return unmountFailed(errorText(error));
      }
    },
    /** Undoes a mount that failed: ends the process and the mount. True: nothing had been mounted. Never rejects. */
    async undo(paths: RcloneMountPaths, deadlineMs: number): Promise<boolean> {
      const { shareName, mountPath } = paths;
      try {
        serving.ending(shareName, true);
        const entryAtPath = () => entryWhere(({ path }) => path === mountPath);
        const mounted = (await entryAtPath()) !== undefined;
        for (const identity of await serving.running(paths)) {
          // If rclone had mounted, programs may have written, and their files need complete notes.
          if (mounted) await writeMetadata(options, paths, identity);
          if (await kill(clock, identity, deadlineMs)) continue;
          logger.warn("rclone does not end", { share: shareName, pid: identity.pid });
          return false;
        }
        // The mount of a killed rclone stays in the table. Another program may have mounted at the path since.
        const entry = await entryAtPath();
        const isOurs = entry?.type === "fuse.rclone" && (await serving.of(paths, entry)).own;
        if (isOurs) {
          await tools.unmount(entry, "force", { deadlineMs });
          prober.forget(entry.id);
        }
        await serving.ended(paths);
        return !isOurs;
      } catch (error) {
        logger.warn("failed mount not undone", { share: shareName, error: errorText(error) });
        return false;
      }
    },
    /** Ends processes of this share that serve nothing; false if one does not end. */
    async endLeftovers(paths: RcloneMountPaths, deadlineMs: number): Promise<boolean> {
      const { shareName } = paths;
      const leftovers = await serving.running(paths);
      for (const identity of leftovers) {
        logger.info("ending a leftover rclone", { share: shareName, pid: identity.pid });
        serving.ending(shareName, true);
        await writeMetadata(options, paths, identity);
        if (!(await kill(clock, identity, deadlineMs))) return false;
      }
      if (leftovers.length > 0) await serving.ended(paths);
      return true;
    },
  };
}

/** Unmounts and waits for rclone's end; fails while a program has files open. */
async function plain(
  { clock, prober, unmount }: Tools,
  entry: MountEntry,
  identity: ProcessIdentity | null,
  deadlineMs: number,
): Promise<UnmountOutcome> {
  const outcome = await unmount(entry, "plain", { deadlineMs });
  if (!outcome.ok) return orHanging(prober, entry, outcome);
  if (identity !== null && !(await awaitOwnEnd(clock, identity, deadlineMs)))
    return unmountFailed(`process ${identity.pid} does not end`);
  return outcome;
}

/** Ends rclone and unmounts by force, which cuts off programs with open files. */
async function force(
  tools: Tools,
  share: RcloneShare,
  entry: MountEntry,
  identity: ProcessIdentity | null,
  deadlineMs: number,
): Promise<UnmountOutcome> {
  const { clock, mountTable, unmount } = tools;
  if (identity !== null) {
    await writeMetadata(tools, { ...share, mountPath: entry.path }, identity);
    await stopBetweenWrites(tools, identity, share.files);
    if (!(await kill(clock, identity, deadlineMs)))
      return unmountFailed(`process ${identity.pid} does not end`);
  } else if (entry.type.startsWith("fuse")) {
    // The process that serves the mount is not known and cannot be killed, so aborting the FUSE connection frees
    // blocked callers. Once the mount has left the table, `deviceMinor` may belong to another connection.
    const isMounted = (await mountTable.read(clock.monotonicMs())).some(({ id }) => id === entry.id);
    if (isMounted) await abortFuseConnection(entry.deviceMinor);
  }
  return unmount(entry, "force", { deadlineMs });
}

/** Frees callers that are blocked in a FUSE mount; only root may do so. `deviceMinor`: identifies the mount in fusectl. */
async function abortFuseConnection(deviceMinor: number): Promise<void> {
  if (deviceMinor <= 0 || process.getuid?.() !== 0) return;
  const abort = `/sys/fs/fuse/connections/${deviceMinor}/abort`;
  await writeFile(abort, "1", { flag: "r+" }).catch(recoverFrom(isSystemError));
}

function kill(clock: Clock, identity: ProcessIdentity, deadlineMs: number): Promise<boolean> {
  return endProcess(identity, { clock, graceMs: 0, deadlineMs: Math.min(deadlineMs, KILL_MS) });
}

/** After the unmount rclone tidies up and exits; it is killed if that takes too long. */
async function awaitOwnEnd(clock: Clock, identity: ProcessIdentity, deadlineMs: number): Promise<boolean> {
  const untilMs = clock.monotonicMs() + Math.min(deadlineMs, OWN_END_MS);
  while (clock.monotonicMs() < untilMs) {
    if (!(await isRunning(identity))) return true;
    await clock.sleep(OWN_END_POLL_MS);
  }
  return kill(clock, identity, KILL_MS);
}

async function writeMetadata(
  { flusher, logger }: RcloneUnmountOptions,
  paths: RcloneMountPaths,
  { pid }: ProcessIdentity,
): Promise<void> {
  const { due, written } = await flusher.writeMetadata({ ...paths, pid }, "all", METADATA_MS);
  if (written < due) logger.info("notes of rclone not all written", { share: paths.shareName, due, written });
}

/**
 * Stops rclone at a moment when all its notes of unsent writes are complete: rclone overwrites notes in place, and a
 * file with an unreadable note is lost. The wait is short, because an rclone that hangs never completes its notes.
 */
async function stopBetweenWrites(
  { clock, unsent }: RcloneUnmountOptions,
  identity: ProcessIdentity,
  { cache }: RcloneFiles,
): Promise<void> {
  const untilMs = clock.monotonicMs() + QUIET_MS;
  while (sendTo(identity, "SIGSTOP")) {
    do await clock.sleep(QUIET_POLL_MS);
    while (!(await isAtRest(identity.pid)) && clock.monotonicMs() < untilMs);
    if (!(await unsent.unsettled(cache)) || clock.monotonicMs() >= untilMs) return;
    sendTo(identity, "SIGCONT");
    await clock.sleep(QUIET_POLL_MS);
  }
}

/** Sends a signal; false: the process has exited. */
function sendTo({ pid }: ProcessIdentity, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (systemErrorCode(error) === "ESRCH") return false;
    throw error;
  }
}
