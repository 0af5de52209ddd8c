// Unmounts by stronger and stronger commands. It is done when the mount is not in the mount table any more.
import { errorText } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountTable } from "../mounts/mount-entry.ts";
import type { StepLimits, UnmountMode, UnmountOutcome } from "./mount-driver.ts";
import { unmountFailed } from "./mount-failure.ts";
import { runUnmountProgram, type UnmountProgram } from "./unmount-command.ts";

/** What is run, and how long it may take. */
interface Rung extends UnmountProgram {
  readonly atMostMs: number;
}

interface LadderOptions {
  readonly clock: Clock;
  readonly mountTable: MountTable;
  readonly rungs: (path: string, mode: UnmountMode) => Promise<readonly Rung[]>;
  /** What people read when the mount stands still; `said`: by the last command. */
  readonly explain: (said: string, mode: UnmountMode) => string;
}

const MAY_TAKE_AT_LEAST_MS = 500;

/** Returns a function that unmounts the mount with an id. Never rejects; a mount that is gone counts as done. */
export function createUnmountLadder({ clock, mountTable, rungs, explain }: LadderOptions) {
  const stands = async (id: string): Promise<boolean> =>
    (await mountTable.read(clock.monotonicMs())).some((entry) => entry.id === id);

  return async (
    { id, path }: { readonly id: string; readonly path: string },
    mode: UnmountMode,
    { deadlineMs, signal }: StepLimits,
  ): Promise<UnmountOutcome> => {
    const untilMs = clock.monotonicMs() + deadlineMs;
    try {
      if (signal.aborted) return unmountFailed("cancelled");
      if (!(await stands(id))) return { ok: true };
      const all = await rungs(path, mode);
      let said = "";
      for (const rung of all) {
        if (signal.aborted) return unmountFailed("cancelled");
        const leftMs = untilMs - clock.monotonicMs();
        // Half of the remaining time is left for the next rungs, so that each gets a chance.
        const mayTakeMs = all.length === 1 ? Math.max(1, leftMs) : Math.max(MAY_TAKE_AT_LEAST_MS, leftMs / 2);
        said = await runUnmountProgram(rung, { clock, deadlineMs: Math.min(rung.atMostMs, mayTakeMs) });
        if (!(await stands(id))) return { ok: true };
      }
      if (mode === "plain" && isBusy(said)) return { ok: false, reason: "busy", text: said };
      return unmountFailed(explain(said === "" ? "it stands in the mount table still" : said, mode));
    } catch (error) {
      return unmountFailed(errorText(error));
    }
  };
}

/** `umount: /mnt: target is busy.`, `umount(/Volumes/core): Resource busy -- try 'diskutil unmount'`. */
export function isBusy(said: string): boolean {
  return /\b((target|device) is busy|resource busy|EBUSY)\b/i.test(said);
}
