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

/**
 * Frees programs that wait for the server, and detaches the mount at once, in use or not; the second only detaches it.
 */
const FORCED: readonly (readonly string[])[] = [["-f", "-l"], ["-l"]];
/** It asks no server, so if it takes longer, it hangs. A plain one first sends what is unsent, which takes time. */
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
