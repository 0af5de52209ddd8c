// Reads a file of the share in a child process, so that a mount that hangs blocks nothing else.

import { MountaineerError } from "../../runtime/errors.ts";
import { runCommand } from "../../runtime/process/child-process.ts";
import { systemClock } from "../../runtime/time/clock.ts";

export type Reading =
  | { readonly ok: true; readonly text: string; readonly tookMs: number }
  /** `why` is the system's word for it: "Input/output error". */
  | { readonly ok: false; readonly why: string; readonly tookMs: number };

interface ReadOptions {
  readonly environment: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Reads it with `cat`. Rejects with `aborted`, and with `program_unavailable` when there is no `cat`. */
export async function readShareFile(path: string, options: ReadOptions): Promise<Reading> {
  const startedAtMs = systemClock.monotonicMs();
  const failed = (why: string): Reading => ({
    ok: false,
    why,
    tookMs: systemClock.monotonicMs() - startedAtMs,
  });
  try {
    const result = await runCommand("cat", ["--", path], {
      clock: systemClock,
      deadlineMs: options.deadlineMs,
      // It reads and nothing else; and what is stuck in a dead mount does not hear a gentler word.
      killGraceMs: 0,
      env: options.environment,
      signal: options.signal,
    });
    if (result.timedOut) return failed(`no answer for ${(options.deadlineMs / 1000).toFixed(1)} s`);
    if (result.exitCode === 0) return { ok: true, text: result.stdout, tookMs: result.tookMs };
    return failed(result.stderr.trim().split(": ").at(-1) || "it cannot be read");
  } catch (error) {
    // No process could be had just now: that passes.
    if (error instanceof MountaineerError && error.retry !== "never") return failed(error.message);
    throw error;
  }
}
