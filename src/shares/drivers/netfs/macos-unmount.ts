// Unmounts on macOS, by stronger commands in turn. It is done when the mount table no longer shows it.

import { errorText } from "../../../runtime/errors.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { MountTable } from "../../mounts/mount-entry.ts";
import type { StepLimits, UnmountMode, UnmountOutcome } from "../mount-driver.ts";
import { unmountFailed } from "../mount-failure.ts";
import { runUnmountProgram, type UnmountProgram } from "../unmount-command.ts";

export interface MacosUnmountOptions {
  readonly clock: Clock;
  readonly mountTable: MountTable;
  /** Default: the system's own. */
  readonly commands?: { readonly umount: string; readonly diskutil: string };
}

/** A rung of the ladder: what is run, and how long it may take, ms. */
interface Rung extends UnmountProgram {
  readonly atMostMs: number;
}

const SYSTEM = { umount: "/sbin/umount", diskutil: "/usr/sbin/diskutil" } as const;
/** It writes back what is unsent first, to a server that may be slow. */
const PLAIN_MS = 30_000;
/** It asks nothing of the file system, but tries to write back for up to 10 s. */
const FORCED_MS = 12_000;
const DISKUTIL_MS = 15_000;
const WEDGED = "macOS does not let go of it: it is wedged until the machine is restarted";

/** Unmounts the mount with this id. Never rejects; a mount that is gone is done. */
export function createMacosUnmount(options: MacosUnmountOptions) {
  const { clock, mountTable, commands = SYSTEM } = options;

  const stands = async (id: string): Promise<boolean> =>
    (await mountTable.read(clock.monotonicMs())).some((entry) => entry.id === id);

  const climb = async (
    id: string,
    rungs: readonly Rung[],
    { deadlineMs, signal }: StepLimits,
  ): Promise<{ readonly gone: boolean; readonly said: string }> => {
    const untilMs = clock.monotonicMs() + deadlineMs;
    let said = "";
    for (const rung of rungs) {
      if (signal.aborted) return { gone: false, said: "cancelled" };
      const leftMs = untilMs - clock.monotonicMs();
      // What is left is for the rungs above; each gets a chance.
      const mayTakeMs = Math.max(MAY_TAKE_AT_LEAST_MS, Math.min(rung.atMostMs, leftMs / 2));
      const alone = rungs.length === 1 ? Math.min(rung.atMostMs, leftMs) : mayTakeMs;
      said = await runUnmountProgram(rung, { clock, deadlineMs: alone });
      if (!(await stands(id))) return { gone: true, said };
    }
    return { gone: false, said: said === "" ? "it stands in the mount table still" : said };
  };

  return async (
    mount: { readonly id: string; readonly path: string },
    mode: UnmountMode,
    limits: StepLimits,
  ): Promise<UnmountOutcome> => {
    const { id, path } = mount;
    if (limits.signal.aborted) return unmountFailed("cancelled");
    try {
      if (!(await stands(id))) return { ok: true };
      if (mode === "plain") {
        const rung: Rung = { command: commands.umount, args: ["--", path], atMostMs: PLAIN_MS };
        const { gone, said } = await climb(id, [rung], limits);
        if (gone) return { ok: true };
        return isBusy(said) ? { ok: false, reason: "busy", text: said } : unmountFailed(said);
      }
      const { gone, said } = await climb(
        id,
        [
          { command: commands.umount, args: ["-f", "--", path], atMostMs: FORCED_MS },
          { command: commands.diskutil, args: ["unmount", "force", path], atMostMs: DISKUTIL_MS },
        ],
        limits,
      );
      return gone ? { ok: true } : unmountFailed(said === "cancelled" ? said : `${WEDGED} (${said})`);
    } catch (error) {
      return unmountFailed(errorText(error));
    }
  };
}

const MAY_TAKE_AT_LEAST_MS = 500;

/** `umount(/Volumes/core): Resource busy -- try 'diskutil unmount'`. */
export function isBusy(said: string): boolean {
  return /\b(Resource busy|target is busy|EBUSY)\b/i.test(said);
}
