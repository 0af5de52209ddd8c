// Runs the commands that unmount, and reads their failures.
import { access, writeFile } from "node:fs/promises";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { type CommandResult, runCommand } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { MountEntry } from "../mounts/mount-entry.ts";

type UnmountAttempt =
  | { readonly result: "done" }
  | { readonly result: "busy" | "not_mounted" | "failed"; readonly text: string };

interface UnmountCommandOptions {
  readonly clock: Clock;
  readonly deadlineMs: number;
  /** Detaches the mount at once, in use or not. */
  readonly lazy: boolean;
}

/** The mount table shows whether it worked; this returns only the command's output. Never rejects. */
export async function runUnmount(
  { path, type }: Pick<MountEntry, "path" | "type">,
  { clock, deadlineMs, lazy }: UnmountCommandOptions,
): Promise<UnmountAttempt> {
  const [command, args]: [string, string[]] = type.startsWith("fuse")
    ? ["fusermount3", [lazy ? "-uz" : "-u", "--", path]]
    : ["umount", [...(lazy ? ["-l"] : []), "--", path]];
  const text = await runUnmountProgram({ command, args }, { clock, deadlineMs });
  if (text === "") return { result: "done" };
  if (/busy/i.test(text)) return { result: "busy", text };
  if (/not mounted|not found in|no mount point|Invalid argument/i.test(text))
    return { result: "not_mounted", text };
  return { result: "failed", text };
}

export interface UnmountProgram {
  readonly command: string;
  readonly args: readonly string[];
  /** The program's name in messages. Default: `command`. */
  readonly name?: string;
}

/** Runs a program. Resolves with its output in one line; "" when it succeeded. Never rejects. */
export async function runUnmountProgram(
  { command, args, name = command }: UnmountProgram,
  { clock, deadlineMs }: Pick<UnmountCommandOptions, "clock" | "deadlineMs">,
): Promise<string> {
  let result: CommandResult;
  try {
    result = await runCommand(command, args, { clock, deadlineMs, killGraceMs: 0, env: { LC_ALL: "C" } });
  } catch (error) {
    return errorText(error);
  }
  if (result.timedOut) return `${name} did not end within ${Math.round(deadlineMs)} ms`;
  if (result.exitCode === 0) return "";
  const text = (result.stderr || result.stdout).trim().replaceAll(/\s*\n\s*/g, " ");
  return text || `${name} ended with ${result.exitSignal ?? result.exitCode}`;
}

/**
 * Frees callers that are blocked in one FUSE mount whose process cannot be ended. fusectl shows every mount of the
 * machine, also of other containers, so `deviceMinor` must be read from our own mount's line before that is gone. False
 * if it is not possible (no root, no fusectl, gone already).
 */
export async function abortFuseConnection(deviceMinor: number): Promise<boolean> {
  if (deviceMinor <= 0 || process.getuid?.() !== 0) return false;
  const abort = `/sys/fs/fuse/connections/${deviceMinor}/abort`;
  try {
    await access(abort);
    await writeFile(abort, "1");
    return true;
  } catch (error) {
    if (systemErrorCode(error) === null) throw error;
    return false;
  }
}
