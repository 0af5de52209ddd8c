// Unmounts what a process serves. The process ends before anything else is mounted at its path, because an old one
// unmounts whatever is there when it ends.

import { writeFile } from "node:fs/promises";
import { errorText, isSystemError, recoverFrom } from "../../runtime/errors.ts";
import { endProcess, isRunning, type ProcessIdentity } from "../../runtime/process/process-identity.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountEntry } from "../mounts/mount-entry.ts";
import type {
  FoundMount,
  SmbDriverOptions,
  StepLimits,
  UnmountMode,
  UnmountOutcome,
} from "./mount-driver.ts";
import { orHanging, unmountFailed } from "./mount-failure.ts";
import type {
  ServedFiles,
  ServedMountPaths,
  ServedShare,
  ServingProcesses,
  ServingProgram,
} from "./serving-processes.ts";
import { createUnmount, type Unmount, unmountCommand } from "./unmount.ts";

export interface ServedUnmountOptions<Files extends ServedFiles>
  extends Omit<SmbDriverOptions, "addressesOf"> {
  readonly program: Pick<ServingProgram, "name" | "type">;
  readonly serving: ServingProcesses<Files>;
  /**
   * Prepares a process for its kill. `isMounted`: programs may use its mount, so the process must not be killed in the midst
   * of its work. Absent: it can be killed at any time.
   */
  readonly beforeKill?: (
    paths: ServedMountPaths<Files>,
    identity: ProcessIdentity,
    isMounted: boolean,
  ) => Promise<void>;
}

/** How long the process may take to exit after the unmount. */
const OWN_END_MS = 2_000;
const OWN_END_POLL_MS = 2;
const KILL_MS = 2_000;
export type ServedUnmount<Files extends ServedFiles = ServedFiles> = ReturnType<
  typeof createServedUnmount<Files>
>;

interface Tools<Files extends ServedFiles> extends ServedUnmountOptions<Files> {
  readonly unmount: Unmount;
}

export function createServedUnmount<Files extends ServedFiles>(options: ServedUnmountOptions<Files>) {
  const { clock, logger, prober, mountTable, serving, program, beforeKill } = options;
  const commands = (entry: MountEntry, mode: UnmountMode) => [unmountCommand(entry, mode)];
  const tools: Tools<Files> = { ...options, unmount: createUnmount({ clock, mountTable, commands }) };
  const entryWhere = async (fits: (entry: MountEntry) => boolean): Promise<MountEntry | undefined> =>
    (await mountTable.read(clock.monotonicMs())).find(fits);

  return {
    async unmount(
      share: ServedShare<Files>,
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
    async undo(paths: ServedMountPaths<Files>, deadlineMs: number): Promise<boolean> {
      const { shareName, mountPath } = paths;
      try {
        serving.ending(shareName, true);
        const entryAtPath = () => entryWhere(({ path }) => path === mountPath);
        const mounted = (await entryAtPath()) !== undefined;
        for (const identity of await serving.running(paths)) {
          // If it had mounted, programs may have written.
          if (mounted) await beforeKill?.(paths, identity, false);
          if (await kill(clock, identity, deadlineMs)) continue;
          logger.warn(`${program.name} does not end`, { share: shareName, pid: identity.pid });
          return false;
        }
        // The mount of a killed process stays in the table. Another program may have mounted at the path since.
        const entry = await entryAtPath();
        const isOurs = entry?.type === program.type && (await serving.of(paths, entry)).own;
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
    async endLeftovers(paths: ServedMountPaths<Files>, deadlineMs: number): Promise<boolean> {
      const { shareName } = paths;
      const leftovers = await serving.running(paths);
      for (const identity of leftovers) {
        logger.info(`ending a leftover ${program.name}`, { share: shareName, pid: identity.pid });
        serving.ending(shareName, true);
        await beforeKill?.(paths, identity, false);
        if (!(await kill(clock, identity, deadlineMs))) return false;
      }
      if (leftovers.length > 0) await serving.ended(paths);
      return true;
    },
  };
}

/** Unmounts and waits for the process's end; fails while a program has files open. */
async function plain<Files extends ServedFiles>(
  { clock, prober, unmount }: Tools<Files>,
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
async function force<Files extends ServedFiles>(
  { clock, mountTable, unmount, beforeKill }: Tools<Files>,
  share: ServedShare<Files>,
  entry: MountEntry,
  identity: ProcessIdentity | null,
  deadlineMs: number,
): Promise<UnmountOutcome> {
  if (identity !== null) {
    await beforeKill?.({ ...share, mountPath: entry.path }, identity, true);
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

/** After the unmount the process tidies up and exits; it is killed if that takes too long. */
async function awaitOwnEnd(clock: Clock, identity: ProcessIdentity, deadlineMs: number): Promise<boolean> {
  const untilMs = clock.monotonicMs() + Math.min(deadlineMs, OWN_END_MS);
  while (clock.monotonicMs() < untilMs) {
    if (!(await isRunning(identity))) return true;
    await clock.sleep(OWN_END_POLL_MS);
  }
  return kill(clock, identity, KILL_MS);
}
