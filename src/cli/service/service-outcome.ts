// The outcome of starting or stopping a service, and the writing of its file: durable, and only if it differs.

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
  /** The file was written, or removed. */
  readonly changed: boolean;
  /** The service manager runs it now; false also when nobody can tell. */
  readonly running: boolean;
  /** What a person should know or do. */
  readonly notes: readonly string[];
  /** Why the manager could not start or stop it; null: it did, or there is none to ask. */
  readonly failure: string | null;
}

export interface ServiceManager {
  readonly kind: "systemd" | "launchd";
  /** Absolute. */
  readonly filePath: string;
  /** What the file says. */
  readonly text: string;
  /** Why no manager answers here; null when one does. */
  missing(signal: AbortSignal): Promise<string | null>;
  /**
   * Writes the file and starts the service; again, it changes nothing. Of a manager that answers. Rejects with
   * `permission_denied`, `aborted`.
   */
  start(signal: AbortSignal): Promise<ServiceOutcome>;
  /** Stops the service, and leaves its file; where it does not run, or no manager answers, it changes nothing. */
  stop(signal: AbortSignal): Promise<ServiceOutcome>;
  /** Stops the service and removes the file; without one it changes nothing. Rejects as `start` does. */
  uninstall(signal: AbortSignal): Promise<ServiceOutcome>;
}

/** True when it was written. */
export async function writeServiceFile(path: string, text: string): Promise<boolean> {
  try {
    if ((await readIfPresent(path)) === text) return false;
    await ensureFolder(dirname(path), 0o755);
    await writeDurably(path, text, { mode: 0o644 });
    // launchd runs nothing that others may write.
    await chmod(path, 0o644);
    return true;
  } catch (error) {
    throw cannot("written", path, error);
  }
}

/** True when there was one. */
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

/** The last line that a program wrote to stderr, or how it ended. */
export function saidBy(
  program: string,
  {
    stderr,
    exitCode,
    timedOut,
  }: { readonly stderr: string; readonly exitCode: number | null; readonly timedOut: boolean },
): string {
  if (timedOut) return `${program} gave no answer`;
  return stderr.trim().split("\n").at(-1) || `${program} ended with ${exitCode}`;
}

/** Why the service manager does not answer, by `why` or because its program is not there; null when it does. */
export async function whyAbsent(
  asked: Promise<CommandResult>,
  why: (result: CommandResult) => string,
): Promise<string | null> {
  try {
    const result = await asked;
    return result.exitCode === 0 ? null : why(result);
  } catch (error) {
    if (error instanceof MountaineerError && error.code === "program_unavailable") return error.message;
    throw error;
  }
}

/** What is known once the file is gone while no manager answered. */
export function goneUnasked(changed: boolean, why: string | null): readonly string[] {
  return changed && why !== null ? [`whether it runs is not known: ${why}`] : [];
}
