// Reads a file of the share in a child process, so that a hung mount does not block the demo.

import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { systemClock } from "../../runtime/time/clock.ts";

export type Reading =
  | { readonly ok: true; readonly text: string; readonly tookMs: number }
  /** `why`: the system's error text, such as "Input/output error". */
  | { readonly ok: false; readonly why: string; readonly tookMs: number };

interface ReadOptions {
  readonly environment: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Reads the file with `cat`. Rejects with `aborted`, and with `program_unavailable` when there is no `cat`. */
export async function readShareFile(path: string, options: ReadOptions): Promise<Reading> {
  const startedAtMs = systemClock.monotonicMs();
  const failed = (why: string): Reading => ({
    ok: false,
    why,
    tookMs: systemClock.monotonicMs() - startedAtMs,
  });
  try {
    const result = await runCommand("cat", ["--", path], {
      deadlineMs: options.deadlineMs,
      // A reader loses nothing by SIGKILL, and SIGTERM would not end one that is stuck in a dead mount.
      killGraceMs: 0,
      env: options.environment,
      signal: options.signal,
    });
    if (result.timedOut) return failed(`no answer for ${(options.deadlineMs / 1000).toFixed(1)} s`);
    if (result.exitCode === 0) return { ok: true, text: result.stdout, tookMs: result.tookMs };
    return failed(result.stderr.trim().split(": ").at(-1) || "it cannot be read");
  } catch (error) {
    // The process could not be started for a temporary reason, such as too many open files.
    if (error instanceof MountaineerError && error.retry !== "never") return failed(error.message);
    throw error;
  }
}
