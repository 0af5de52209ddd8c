// The mounts that an earlier version made for a home in ways that are gone, for `restart`.
import { isSystemError, recoverFrom } from "../../runtime/errors.ts";
import { systemClock } from "../../runtime/time/clock.ts";
import {
  countWaitingFiles,
  findPreviousMounts,
  type PreviousMount,
} from "../../shares/drivers/fs/previous-mounts.ts";
import { shareMountsFolder } from "../../shares/drivers/share-files.ts";
import { createMountTableLinux } from "../../shares/mounts/mount-table-linux.ts";

/** `waiting`: how many files in the home wait to be sent to a server. */
export async function previousMounts(
  home: string,
): Promise<{ readonly mounts: readonly PreviousMount[]; readonly waiting: number }> {
  const table = createMountTableLinux({ clock: systemClock });
  // Only Linux has had these mounts.
  const entries = await table.read(systemClock.monotonicMs()).catch(recoverFrom(isSystemError, []));
  const mounts = await findPreviousMounts(home, entries);
  return { mounts, waiting: mounts.length === 0 ? 0 : await countWaitingFiles(shareMountsFolder(home)) };
}
