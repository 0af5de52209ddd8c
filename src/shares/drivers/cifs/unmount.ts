// Unmounts a share of the kernel's SMB client.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountTable } from "../../mounts/mount-entry.ts";
import { createUnmountLadder } from "../unmount-ladder.ts";

interface CifsUnmountOptions {
  readonly clock: Clock;
  readonly mountTable: MountTable;
  /** `umount`, by its path or name. */
  readonly program: () => Promise<string>;
}

/** Frees those who wait for the server, and takes it out of sight, no matter who uses it; else only the latter. */
const FORCED: readonly (readonly string[])[] = [["-f", "-l"], ["-l"]];
/** It asks nobody; what takes longer hangs. A plain one sends what is unsent first, which takes its time. */
const FORCED_MS = 2_000;

export function createCifsUnmount({ program, ...tools }: CifsUnmountOptions) {
  return createUnmountLadder({
    ...tools,
    async rungs(path, mode) {
      const command = await program();
      const atMostMs = mode === "plain" ? Number.POSITIVE_INFINITY : FORCED_MS;
      return (mode === "plain" ? [[]] : FORCED).map((flags) => {
        return { command, args: [...flags, "--", path], name: "umount", atMostMs };
      });
    },
    explain: (said) =>
      /must be superuser|not permitted|only root|only .* can unmount/i.test(said)
        ? `${said}; only root may unmount it: give its line in /etc/fstab the option \`users\`, or run the service as root`
        : said,
  });
}
