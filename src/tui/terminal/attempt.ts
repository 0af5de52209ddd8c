// Asks the daemon for a screen: a MountaineerError is shown on the screen, any other error is thrown.
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Clock } from "../../runtime/time/clock.ts";

/**
 * Runs `work`; calls `onFailure` if it rejects with a MountaineerError. Ignores a failure after `signal` has
 * aborted.
 */
export async function attempt(
  work: () => Promise<void>,
  onFailure: (error: MountaineerError) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof MountaineerError)) throw error;
    onFailure(error);
  }
}

/** Runs `work` at once, and again `betweenMs` after each run, until `signal` aborts. */
export async function repeat(
  work: () => Promise<void> | void,
  betweenMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await work();
    await clock.sleep(betweenMs, signal).catch(() => {});
  }
}

/** The error's first line, with its hint. */
export function errorLine(error: MountaineerError): string {
  const [first = ""] = errorText(error).split("\n", 1);
  return error.hint === null || first.includes(error.hint) ? first : `${first}; ${error.hint}`;
}
