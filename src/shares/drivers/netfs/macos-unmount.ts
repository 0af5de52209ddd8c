// Unmounts on macOS: by umount, by force, and at last by diskutil.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountTable } from "../../mounts/mount-entry.ts";
import { createUnmountLadder } from "../unmount-ladder.ts";

export interface MacosUnmountOptions {
  readonly clock: Clock;
  readonly mountTable: MountTable;
  /** Default: the system's own. */
  readonly commands?: { readonly umount: string; readonly diskutil: string } | undefined;
}

const SYSTEM = { umount: "/sbin/umount", diskutil: "/usr/sbin/diskutil" } as const;
/** It first writes back what is unsent, perhaps to a slow server. */
const PLAIN_MS = 30_000;
/** It asks nothing of the file system, but tries to write back for up to 10 s. */
const FORCED_MS = 12_000;
const DISKUTIL_MS = 15_000;
const WEDGED = "macOS does not let go of it: it is wedged until the machine is restarted";

export function createMacosUnmount({ commands = SYSTEM, ...tools }: MacosUnmountOptions) {
  const { umount, diskutil } = commands;
  return createUnmountLadder({
    ...tools,
    rungs: async (path, mode) =>
      mode === "plain"
        ? [{ command: umount, args: ["--", path], atMostMs: PLAIN_MS }]
        : [
            { command: umount, args: ["-f", "--", path], atMostMs: FORCED_MS },
            { command: diskutil, args: ["unmount", "force", path], atMostMs: DISKUTIL_MS },
          ],
    explain: (said, mode) => (mode === "plain" ? said : `${WEDGED} (${said})`),
  });
}
