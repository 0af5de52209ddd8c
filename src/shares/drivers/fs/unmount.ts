// Unmounts what a mountaineer-fs serves, or any other mount at the share's path. The process ends before anything else is
// mounted there, because an old one unmounts whatever is there when it ends.

import { writeFile } from "node:fs/promises";
import { errorText, isSystemError, recoverFrom } from "../../../runtime/errors.ts";
import { endProcess, isRunning, type ProcessIdentity } from "../../../runtime/process/process-identity.ts";
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
import { FS_TYPE } from "./mount-arguments.ts";
import type { FsLocation, FsProcesses } from "./processes.ts";

interface FsUnmountOptions extends Omit<SmbDriverOptions, "addressesOf"> {
  readonly processes: FsProcesses;
}

/** How long the process may take to exit after the unmount. */
const OWN_END_MS = 2_000;
const OWN_END_POLL_MS = 2;
const KILL_MS = 2_000;
export type FsUnmount = ReturnType<typeof createFsUnmount>;

interface Tools extends FsUnmountOptions {
  readonly unmount: Unmount;
}

export function createFsUnmount(options: FsUnmountOptions) {
  const { clock, logger, prober, mountTable, processes } = options;
  const commands = (entry: MountEntry, mode: UnmountMode) => [unmountCommand(entry, mode)];
  const tools: Tools = { ...options, unmount: createUnmount({ clock, mountTable, commands }) };
  const entryWhere = async (fits: (entry: MountEntry) => boolean): Promise<MountEntry | undefined> =>
    (await mountTable.read(clock.monotonicMs())).find(fits);

  return {
    async unmount(
      location: FsLocation,
      mount: FoundMount,
      mode: UnmountMode,
      { deadlineMs, signal }: StepLimits,
    ): Promise<UnmountOutcome> {
      if (signal.aborted) return unmountFailed("cancelled");
      try {
        const entry = await entryWhere(({ id }) => id === mount.id);
        if (entry !== undefined) {
          const { identity } = await processes.of(location, entry);
          processes.ending(location.shareName, true);
          const outcome =
            mode === "plain"
              ? await plain(tools, entry, identity, deadlineMs)
              : await force(tools, entry, identity, deadlineMs);
          if (!outcome.ok) {
            processes.ending(location.shareName, false);
            return outcome;
          }
          processes.ended(location);
        }
        prober.forget(mount.id);
        return { ok: true };
      } catch (error) {
        return unmountFailed(errorText(error));
      }
    },
    /** Undoes a mount that failed: ends the process and the mount. Never rejects. */
    async undo(location: FsLocation, deadlineMs: number): Promise<void> {
      const { shareName, mountPath } = location;
      try {
        processes.ending(shareName, true);
        for (const identity of await processes.running(location)) {
          if (await kill(clock, identity, deadlineMs)) continue;
          logger.warn("mountaineer-fs does not end", { share: shareName, pid: identity.pid });
          return;
        }
        // The mount of a killed process stays in the table. Another program may have mounted at the path since.
        const entry = await entryWhere(({ path }) => path === mountPath);
        if (entry?.type === FS_TYPE && (await processes.of(location, entry)).own) {
          await tools.unmount(entry, "force", { deadlineMs });
          prober.forget(entry.id);
        }
        processes.ended(location);
      } catch (error) {
        logger.warn("failed mount not undone", { share: shareName, error: errorText(error) });
      }
    },
    /** Ends processes of this share that serve nothing; false if one does not end. */
    async endLeftovers(location: FsLocation, deadlineMs: number): Promise<boolean> {
      const { shareName } = location;
      const leftovers = await processes.running(location);
      for (const identity of leftovers) {
        logger.info("ending a leftover mountaineer-fs", { share: shareName, pid: identity.pid });
        processes.ending(shareName, true);
        if (!(await kill(clock, identity, deadlineMs))) return false;
      }
      if (leftovers.length > 0) processes.ended(location);
      return true;
    },
  };
}

/** Unmounts and waits for the process's end; fails while a program has files open. */
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

/** Ends the process and unmounts by force, which cuts off programs with open files. */
async function force(
  { clock, mountTable, unmount }: Tools,
  entry: MountEntry,
  identity: ProcessIdentity | null,
  deadlineMs: number,
): Promise<UnmountOutcome> {
  if (identity !== null && !(await kill(clock, identity, deadlineMs)))
    return unmountFailed(`process ${identity.pid} does not end`);
  if (entry.type.startsWith("fuse")) {
    // The process may not be known, or a thread of a killed one may wait in the kernel for an answer that does not come:
    // aborting the FUSE connection frees both. Once the mount has left the table, `deviceMinor` may belong to another connection.
    const isMounted = (await mountTable.read(clock.monotonicMs())).some(({ id }) => id === entry.id);
    if (isMounted) await abortFuseConnection(entry.deviceMinor);
  }
  return unmount(entry, "force", { deadlineMs });
}

/** Frees callers that are blocked in a FUSE mount, as its user may. `deviceMinor`: identifies the mount in fusectl. */
async function abortFuseConnection(deviceMinor: number): Promise<void> {
  if (deviceMinor <= 0) return;
  const abort = `/sys/fs/fuse/connections/${deviceMinor}/abort`;
  await writeFile(abort, "1", { flag: "r+" }).catch(recoverFrom(isSystemError));
}

function kill(clock: Clock, identity: ProcessIdentity, deadlineMs: number): Promise<boolean> {
  return endProcess(identity, { clock, graceMs: 0, deadlineMs: Math.min(deadlineMs, KILL_MS) });
}

/** After the unmount the process tidies up and exits; it is killed if that takes too long. */
async function awaitOwnEnd(clock: Clock, identity: ProcessIdentity, deadlineMs: number): Promise<boolean> {
  const untilMs = clock.monotonicMs() + Math.min(deadlineMs, OWN_END_MS);
  while (clock.monotonicMs() < untilMs) {
    if (!(await isRunning(identity))) return true;
    await clock.sleep(OWN_END_POLL_MS);
  }
  return kill(clock, identity, KILL_MS);
}
