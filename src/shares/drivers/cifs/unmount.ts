// Unmounts a share of the kernel's SMB client. It is done when the mount table no longer shows it.

import { errorText } from "../../../runtime/errors.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountTable } from "../../mounts/mount-entry.ts";
import type { StepLimits, UnmountMode, UnmountOutcome } from "../mount-driver.ts";
import { unmountFailed } from "../mount-failure.ts";
import { runUnmountProgram } from "../unmount-command.ts";

interface CifsUnmountOptions {
  readonly clock: Clock;
  readonly mountTable: MountTable;
  /** `umount`, by its path or name. */
  readonly program: () => Promise<string>;
}

/** Frees those who wait for the server, and takes it out of sight, whoever uses it; else only the latter. */
const FORCED: readonly (readonly string[])[] = [["-f", "-l"], ["-l"]];
const PLAIN: readonly (readonly string[])[] = [[]];
/** It asks nobody; what takes longer hangs. */
const FORCED_MS = 2_000;

/** Unmounts the mount with this id. Never rejects; a mount that is gone is done. */
export function createCifsUnmount({ clock, mountTable, program }: CifsUnmountOptions) {
  const stands = async (id: string): Promise<boolean> =>
    (await mountTable.read(clock.monotonicMs())).some((entry) => entry.id === id);

  return async (
    { id, path }: { readonly id: string; readonly path: string },
    mode: UnmountMode,
    { deadlineMs, signal }: StepLimits,
  ): Promise<UnmountOutcome> => {
    if (signal.aborted) return unmountFailed("cancelled");
    const untilMs = clock.monotonicMs() + deadlineMs;
    try {
      if (!(await stands(id))) return { ok: true };
      const umount = await program();
      let said = "";
      for (const flags of mode === "plain" ? PLAIN : FORCED) {
        const leftMs = Math.max(1, untilMs - clock.monotonicMs());
        // A plain one sends what is unsent first, which takes its time.
        const mayTakeMs = mode === "plain" ? leftMs : Math.min(FORCED_MS, leftMs);
        said = await runUnmountProgram(
          { command: umount, args: [...flags, "--", path], name: "umount" },
          { clock, deadlineMs: mayTakeMs },
        );
        if (!(await stands(id))) return { ok: true };
      }
      if (mode === "plain" && isBusy(said)) return { ok: false, reason: "busy", text: said };
      return unmountFailed(said === "" ? "it stands in the mount table still" : `${said}${hintFor(said)}`);
    } catch (error) {
      return unmountFailed(errorText(error));
    }
  };
}

/** `umount: /mnt: target is busy.` */
function isBusy(said: string): boolean {
  return /\b(target is busy|device is busy|resource busy|EBUSY)\b/i.test(said);
}

function hintFor(said: string): string {
  return /must be superuser|not permitted|only root|only .* can unmount/i.test(said)
    ? "; only root may unmount it: give its line in /etc/fstab the option `users`, or run the service as root"
    : "";
}
