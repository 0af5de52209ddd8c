// Unmounts rclone's mounts. Before rclone is killed, its notes of unsent writes are completed.

import { systemErrorCode } from "../../../runtime/errors.ts";
import { isAtRest, type ProcessIdentity } from "../../../runtime/process/process-identity.ts";
import { createServedUnmount, type ServedUnmountOptions } from "../served-unmount.ts";
import { RCLONE_PROGRAM, type RcloneFiles, type RcloneMountPaths } from "./files.ts";
import type { MetadataFlusher } from "./metadata-flusher.ts";
import type { UnsentWrites } from "./unsent.ts";

interface RcloneUnmountOptions extends Omit<ServedUnmountOptions<RcloneFiles>, "program" | "beforeKill"> {
  readonly unsent: UnsentWrites;
  readonly flusher: MetadataFlusher;
}

/**
 * How long rclone may take to write its notes before it is stopped, ms: a mount that hangs must not delay the
 * failover.
 */
const METADATA_MS = 150;
/** How long to wait until all notes are complete, ms: rclone writes a note in well under a millisecond. */
const QUIET_MS = 200;
const QUIET_POLL_MS = 2;

export function createRcloneUnmount(options: RcloneUnmountOptions) {
  return createServedUnmount({
    ...options,
    program: RCLONE_PROGRAM,
    async beforeKill(paths, identity, isMounted) {
      await writeMetadata(options, paths, identity);
      if (isMounted) await stopBetweenWrites(options, identity, paths.files);
    },
  });
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
