// Owns ending mounts so that nothing of them is left: the process that serves a mount ends before anything else
// is mounted at its path, because an old rclone, when it ends, unmounts whatever is there then.

import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { endProcess, isRunning, type ProcessIdentity } from "../../../runtime/process/process-identity.ts";
import { isAtRest } from "../../../runtime/process/stopped-process.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountEntry, MountTable } from "../../mounts/mount-entry.ts";
import type { Prober } from "../../prober/prober.ts";
import type { FoundMount, StepLimits, UnmountMode, UnmountOutcome } from "../mount-driver.ts";
import { abortFuseConnection, runUnmount, unmountFailed } from "../unmount-command.ts";
import type { RcloneFiles } from "./files.ts";
import type { NoteWriter } from "./note-writer.ts";
import type { ServingProcesses } from "./serving.ts";
import type { UnsentWrites } from "./unsent.ts";

interface RcloneUnmountOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly prober: Prober;
  readonly mountTable: MountTable;
  readonly serving: ServingProcesses;
  readonly unsent: UnsentWrites;
  readonly notes: NoteWriter;
}

export interface RcloneUnmount {
  unmount(
    shareName: string,
    files: RcloneFiles,
    mount: FoundMount,
    mode: UnmountMode,
    limits: StepLimits,
  ): Promise<UnmountOutcome>;
  /** After a mount that failed: no process, no mount. True: nothing had come to be mounted. Never rejects. */
  undo(shareName: string, files: RcloneFiles, path: string, deadlineMs: number): Promise<boolean>;
  /** Ends processes of this share that serve nothing; false when one does not end. */
  endLeftovers(
    shareName: string,
    files: RcloneFiles,
    mountPath: string,
    deadlineMs: number,
  ): Promise<boolean>;
}

/** How long rclone may take to end by itself once it is unmounted. */
const OWN_END_MS = 2_000;
const OWN_END_POLL_MS = 2;
const KILL_MS = 2_000;
/** A mount that hangs must not hold up the way to another route. */
const NOTES_MS = 150;
/** A note is written in well under a millisecond. */
const SETTLE_MS = 200;
const SETTLE_POLL_MS = 2;

export function createRcloneUnmount(options: RcloneUnmountOptions): RcloneUnmount {
  const { clock, logger, prober, mountTable, serving, unsent, notes } = options;

  const kill = (identity: ProcessIdentity, deadlineMs: number): Promise<boolean> =>
    endProcess(identity, { clock, graceMs: 0, deadlineMs: Math.min(deadlineMs, KILL_MS) });
  const entryOf = async (id: string): Promise<MountEntry | null> =>
    (await mountTable.read(clock.monotonicMs())).find((entry) => entry.id === id) ?? null;
  const plainly = createPlainUnmount({ clock, prober, kill, entryOf });

  /**
   * Stops rclone at a moment when its notes of unsent writes are whole: it writes them in place, and what an
   * unreadable note is about is lost. Gives up soon, because what hangs already never gets there.
   */
  const stopBetweenNotes = async (identity: ProcessIdentity, files: RcloneFiles): Promise<void> => {
    const untilMs = clock.monotonicMs() + SETTLE_MS;
    while (sendTo(identity, "SIGSTOP")) {
      do await clock.sleep(SETTLE_POLL_MS);
      while (!(await isAtRest(identity.pid)) && clock.monotonicMs() < untilMs);
      if (!(await unsent.unsettled(files.cache)) || clock.monotonicMs() >= untilMs) return;
      sendTo(identity, "SIGCONT");
      await clock.sleep(SETTLE_POLL_MS);
    }
  };

  const writeNotes = async (
    shareName: string,
    files: RcloneFiles,
    mountPath: string,
    { pid }: ProcessIdentity,
  ): Promise<void> => {
    const { due, written } = await notes.writeNotes({ shareName, files, mountPath, pid }, "all", NOTES_MS);
    if (written < due) logger.info("notes of rclone not all written", { share: shareName, due, written });
  };

  const force = async (
    shareName: string,
    entry: MountEntry,
    identity: ProcessIdentity | null,
    deadlineMs: number,
    files: RcloneFiles,
  ): Promise<UnmountOutcome> => {
    if (identity !== null) {
      await writeNotes(shareName, files, entry.path, identity);
      await stopBetweenNotes(identity, files);
    }
    if (identity !== null && !(await kill(identity, deadlineMs))) {
      return unmountFailed(`process ${identity.pid} does not end`);
    }
    // Its process is unknown, so it cannot be what frees the callers. Before the unmount: only while the mount
    // stands in our table is that number certainly its own.
    if (identity === null && entry.type.startsWith("fuse") && (await entryOf(entry.id)) !== null) {
      await abortFuseConnection(entry.deviceMinor);
    }
    const attempt = await runUnmount(entry, { clock, deadlineMs, lazy: true });
    if ((await entryOf(entry.id)) === null) return { ok: true };
    return unmountFailed(attempt.result === "done" ? "it stands in the mount table still" : attempt.text);
  };

  return {
    async unmount(shareName, files, mount, mode, { deadlineMs, signal }) {
      if (signal.aborted) return unmountFailed("cancelled");
      try {
        const entry = await entryOf(mount.id);
        if (entry === null) {
          prober.forget(mount.id);
          return { ok: true };
        }
        const { identity } = await serving.of(shareName, files, entry);
        serving.ending(shareName, true);
        const outcome =
          mode === "plain"
            ? await plainly.plain(entry, identity, deadlineMs)
            : await force(shareName, entry, identity, deadlineMs, files);
        if (!outcome.ok) {
          serving.ending(shareName, false);
          return outcome;
        }
        prober.forget(mount.id);
        await serving.ended(shareName, files);
        return outcome;
      } catch (error) {
        return unmountFailed(errorText(error));
      }
    },
    async undo(shareName, files, path, deadlineMs) {
      try {
        serving.ending(shareName, true);
        const entryAt = async (): Promise<MountEntry | undefined> =>
          (await mountTable.read(clock.monotonicMs())).find((one) => one.path === path);
        const mounted = (await entryAt()) !== undefined;
        for (const identity of await serving.running(shareName, files)) {
          // Once it is mounted, programs write.
          if (mounted) await writeNotes(shareName, files, path, identity);
          if (await kill(identity, deadlineMs)) continue;
          logger.warn("rclone does not end", { share: shareName, pid: identity.pid });
          return false;
        }
        // Killed, it leaves its mount standing.
        const entry = await entryAt();
        if (entry !== undefined) {
          await runUnmount(entry, { clock, deadlineMs, lazy: true });
          prober.forget(entry.id);
        }
        await serving.ended(shareName, files);
        return entry === undefined;
      } catch (error) {
        logger.warn("failed mount not undone", { share: shareName, error: errorText(error) });
        return false;
      }
    },
    async endLeftovers(shareName, files, mountPath, deadlineMs) {
      const leftovers = await serving.running(shareName, files);
      for (const identity of leftovers) {
        logger.info("ending a leftover rclone", { share: shareName, pid: identity.pid });
        serving.ending(shareName, true);
        await writeNotes(shareName, files, mountPath, identity);
        if (!(await kill(identity, deadlineMs))) return false;
      }
      if (leftovers.length > 0) await serving.ended(shareName, files);
      return true;
    },
  };
}

interface PlainUnmountParts {
  readonly clock: Clock;
  readonly prober: Prober;
  readonly kill: (identity: ProcessIdentity, deadlineMs: number) => Promise<boolean>;
  readonly entryOf: (id: string) => Promise<MountEntry | null>;
}

/** Unmounts without force: refused while anybody holds files. */
function createPlainUnmount({ clock, prober, kill, entryOf }: PlainUnmountParts) {
  /** Unmounted, it ends by itself and tidies up; but it does not have for ever. */
  const awaitOwnEnd = async (identity: ProcessIdentity, deadlineMs: number): Promise<boolean> => {
    const untilMs = clock.monotonicMs() + Math.min(deadlineMs, OWN_END_MS);
    while (clock.monotonicMs() < untilMs) {
      if (!(await isRunning(identity))) return true;
      await clock.sleep(OWN_END_POLL_MS);
    }
    return kill(identity, KILL_MS);
  };

  const plain = async (
    entry: MountEntry,
    identity: ProcessIdentity | null,
    deadlineMs: number,
  ): Promise<UnmountOutcome> => {
    const attempt = await runUnmount(entry, { clock, deadlineMs, lazy: false });
    if (await entryOf(entry.id)) {
      if (attempt.result === "done") return unmountFailed("it stands in the mount table still");
      if (attempt.result !== "busy") return unmountFailed(attempt.text);
      // The one who holds it may be our own look that waits in it.
      const hangs = prober.lastLook(entry.id).state === "pending";
      const text = hangs ? "the mount does not answer, --force unmounts it" : attempt.text;
      return { ok: false, reason: "busy", text };
    }
    if (identity !== null && !(await awaitOwnEnd(identity, deadlineMs))) {
      return unmountFailed(`process ${identity.pid} does not end`);
    }
    return { ok: true };
  };

  return { plain };
}

/** False when it has ended. */
function sendTo({ pid }: ProcessIdentity, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (systemErrorCode(error) === "ESRCH") return false;
    throw error;
  }
}
