// Unmounts by commands, from the gentlest to the strongest, until the mount has left the mount table.
import { basename } from "node:path";
import { errorText } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountEntry, MountTable } from "../mounts/mount-entry.ts";
import type {
  FoundMount,
  SmbDriverOptions,
  StepLimits,
  UnmountMode,
  UnmountOutcome,
} from "./mount-driver.ts";
import { unmountFailed } from "./mount-failure.ts";

interface UnmountCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Limit for the command, ms; default: only the step's deadline. */
  readonly atMostMs?: number;
}

interface UnmountOptions {
  readonly clock: Clock;
  readonly mountTable: MountTable;
  readonly commands: (
    entry: MountEntry,
    mode: UnmountMode,
  ) => readonly UnmountCommand[] | Promise<readonly UnmountCommand[]>;
  /**
   * Makes the text for people if the mount is still there. `output`: what the last command printed. Absent: `output`
   * is the text.
   */
  readonly explain?: (output: string, mode: UnmountMode) => string;
}

const MAY_TAKE_AT_LEAST_MS = 500;

export type Unmount = ReturnType<typeof createUnmount>;

/** Returns a function that unmounts the mount with an id. Never rejects; a mount that is gone counts as done. */
export function createUnmount({ clock, mountTable, commands, explain = (output) => output }: UnmountOptions) {
  const find = async (id: string): Promise<MountEntry | undefined> =>
    (await mountTable.read(clock.monotonicMs())).find((entry) => entry.id === id);

  return async (
    { id }: Pick<MountEntry, "id">,
    mode: UnmountMode,
    { deadlineMs, signal }: Pick<StepLimits, "deadlineMs"> & Partial<StepLimits>,
  ): Promise<UnmountOutcome> => {
    const untilMs = clock.monotonicMs() + deadlineMs;
    try {
      const entry = await find(id);
      if (entry === undefined) return { ok: true };
      const all = await commands(entry, mode);
      let output = "";
      for (const command of all) {
        if (signal?.aborted) return unmountFailed("cancelled");
        const remainingMs = untilMs - clock.monotonicMs();
        // Half of the remaining time is left for the next commands, so that each gets a chance.
        const mayTakeMs =
          all.length === 1 ? Math.max(1, remainingMs) : Math.max(MAY_TAKE_AT_LEAST_MS, remainingMs / 2);
        output = await outputOf(command, clock, mayTakeMs);
        if ((await find(id)) === undefined) return { ok: true };
      }
      if (mode === "plain" && isBusy(output)) return { ok: false, reason: "busy", text: output };
      return unmountFailed(explain(output === "" ? "it is still in the mount table" : output, mode));
    } catch (error) {
      return unmountFailed(errorText(error));
    }
  };
}

/** Time to undo a mount that failed, beyond the step's own deadline. */
export const UNDO_MS = 3_000;

interface UndoTools extends Pick<SmbDriverOptions, "prober" | "logger"> {
  readonly unmount: Unmount;
}

/** Unmounts by force what a failed attempt has mounted. */
export async function undoMount({ unmount, prober, logger }: UndoTools, mount: FoundMount): Promise<void> {
  const undone = await unmount(mount, "force", { deadlineMs: UNDO_MS });
  prober.forget(mount.id);
  if (!undone.ok) logger.warn("failed mount not undone", { path: mount.path, reason: undone.text });
}

/**
 * Returns the command that unmounts a mount of any type. By force it detaches the mount at once, whether it
 * is in use or not.
 */
export function unmountCommand({ type, path }: MountEntry, mode: UnmountMode): UnmountCommand {
  const isLazy = mode === "force";
  return type.startsWith("fuse")
    ? { command: "fusermount3", args: [isLazy ? "-uz" : "-u", "--", path] }
    : { command: "umount", args: [...(isLazy ? ["-l"] : []), "--", path] };
}

/** The program's output in one line; "" when it succeeded. Never rejects. */
async function outputOf(
  { command, args, atMostMs = Number.POSITIVE_INFINITY }: UnmountCommand,
  clock: Clock,
  mayTakeMs: number,
): Promise<string> {
  const name = basename(command);
  const deadlineMs = Math.min(atMostMs, mayTakeMs);
  try {
    const result = await runCommand(command, args, {
      clock,
      deadlineMs,
      killGraceMs: 0,
      env: { LC_ALL: "C" },
    });
    if (result.timedOut) return `${name} did not end within ${Math.round(deadlineMs)} ms`;
    if (result.exitCode === 0) return "";
    const lines = (result.stderr || result.stdout).split("\n").map((line) => line.trim());
    return (
      lines.filter((line) => line !== "").join(" ") ||
      `${name} ended with ${result.exitSignal ?? result.exitCode}`
    );
  } catch (error) {
    return errorText(error);
  }
}

/**
 * Whether the output means open files: `umount: /mnt: target is busy.`, `umount(/Volumes/core): Resource busy
 * -- try 'diskutil unmount'`.
 */
function isBusy(output: string): boolean {
  return /\b((target|device) is busy|resource busy|EBUSY)\b/i.test(output);
}
