// The interface of a service manager, and the reading and writing of service files.

import { chmod, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { errorText, MountaineerError, systemErrorCode } from "../../runtime/errors.ts";
import { ensureFolder, readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import type { CommandResult } from "../../runtime/process/child-process.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { ServiceDefinition } from "./service-definition.ts";

export interface ServiceManagerOptions {
  readonly definition: ServiceDefinition;
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface ServiceOutcome {
  /** True if the file was written or removed, or the service stopped. */
  readonly changed: boolean;
  /** True if the service manager runs the service now; false also if no manager answers. */
  readonly running: boolean;
  /** What a person should know or do. */
  readonly notes: readonly string[];
  /** Why the manager could not start or stop the service; null on success, and if no manager answers. */
  readonly failure: string | null;
}

export interface ServiceManager {
  readonly kind: "systemd" | "launchd";
  /** Absolute. */
  readonly filePath: string;
  /** The content of the file. */
  readonly text: string;
  /** Why no manager answers; null if one does. */
  missing(signal: AbortSignal): Promise<string | null>;
  /** Writes the file and starts the service; changes nothing if both are done. Needs a manager that answers. Rejects with `permission_denied`, `aborted`. */
  start(signal: AbortSignal): Promise<ServiceOutcome>;
  /** Stops the service and keeps its file; does nothing if the service does not run or no manager answers. */
  stop(signal: AbortSignal): Promise<ServiceOutcome>;
  /** Stops the service and removes the file, if there is one. Rejects as `start` does. */
  uninstall(signal: AbortSignal): Promise<ServiceOutcome>;
}

/** Writes the file if its content differs. Resolves with true if the file was written. */
export async function writeServiceFile(path: string, text: string): Promise<boolean> {
  try {
    if ((await readIfPresent(path)) === text) return false;
    await ensureFolder(dirname(path), 0o755);
    await writeDurably(path, text, { mode: 0o644 });
    // launchd refuses files that other users can write.
    await chmod(path, 0o644);
    return true;
  } catch (error) {
    throw cannot("written", path, error);
  }
}

/** True if the file existed. */
export async function removeServiceFile(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT" || systemErrorCode(error) === "ENOTDIR") return false;
    throw cannot("removed", path, error);
  }
}

function cannot(what: string, path: string, error: unknown): unknown {
  if (systemErrorCode(error) === null) return error;
  return new MountaineerError("permission_denied", `${path} cannot be ${what}: ${errorText(error)}`, {
    cause: error,
    hint: "it belongs into a folder of yours: see who owns it",
  });
}

/** The last line on stderr; without one, how the program ended. */
export function lastLineOf(
  program: string,
  { stderr, exitCode, timedOut }: Pick<CommandResult, "stderr" | "exitCode" | "timedOut">,
): string {
  if (timedOut) return `${program} gave no answer`;
  return stderr.trim().split("\n").at(-1) || `${program} ended with ${exitCode}`;
}

/** Resolves with why the service manager does not answer; null if it does. `why` returns the text for a failed call. */
export async function whyAbsent(
  probe: Promise<CommandResult>,
  why: (result: CommandResult) => string,
): Promise<string | null> {
  try {
    const result = await probe;
    return result.exitCode === 0 ? null : why(result);
  } catch (error) {
    if (error instanceof MountaineerError && error.code === "program_unavailable") return error.message;
    throw error;
  }
}

/** `changed`: the service's file was removed. `why`: why no manager answers; null if one does. */
export function goneUnasked(changed: boolean, why: string | null): readonly string[] {
  return changed && why !== null ? [`whether it runs is not known: ${why}`] : [];
}
