// Waits until a process that was started for it has mounted.
import type { DetachedProcess } from "../../runtime/process/child-process.ts";
import type { MountEntry } from "../mounts/mount-entry.ts";
import type { SmbDriverOptions } from "./mount-driver.ts";
import { type Failed, failed } from "./mount-failure.ts";
import type { ServingProgram } from "./serving-processes.ts";
import { indexMounts } from "./smb-mounts.ts";

const MOUNT_POLL_MS = 5;

interface WaitTools extends Pick<SmbDriverOptions, "clock" | "mountTable"> {
  readonly program: Pick<ServingProgram, "name" | "type">;
}

interface Awaited {
  /** The mount path, as the mount table spells it. */
  readonly path: string;
  readonly child: DetachedProcess;
  readonly signal: AbortSignal;
}

/**
 * Resolves with the mount's entry in the table, with the failure, or with what `giveUp` returns: it is asked again and again,
 * with the time (monotonic ms), and returns null to wait on.
 */
export async function untilServed<Other>(
  { clock, mountTable, program: { name, type } }: WaitTools,
  { path, child, signal }: Awaited,
  giveUp: (atMs: number) => Promise<Other | null>,
): Promise<MountEntry | Failed | Other> {
  let ended = false;
  const release = child.onExit(() => {
    ended = true;
  });
  try {
    for (;;) {
      const mount = indexMounts(await mountTable.read(clock.monotonicMs())).at(path);
      // Another program may have mounted at the path since.
      if (mount !== null && mount.entry.type !== type)
        return failed("path_taken", `${path} is a mount of ${mount.entry.source}`);
      if (mount !== null) return mount.entry;
      if (ended) return failed("other", `${name} ended before it had mounted`);
      if (signal.aborted) return failed("other", "cancelled");
      const given = await giveUp(clock.monotonicMs());
      if (given !== null) return given;
      await clock.sleep(MOUNT_POLL_MS, signal).catch(() => {});
    }
  } finally {
    release();
  }
}
