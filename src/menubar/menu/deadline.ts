// Work with a deadline.
import type { Clock } from "../../runtime/time/clock.ts";

/**
 * Runs `work` with a signal that aborts with `signal`, or `limitMs` after the start. Rejects with `late` if `work` fails
 * after that time, otherwise settles as `work` does.
 */
export async function withDeadline<T>(
  { clock, limitMs, late }: { readonly clock: Clock; readonly limitMs: number; readonly late: Error },
  signal: AbortSignal,
  work: (until: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  using _timer = clock.setTimer(limitMs, () => limit.abort(late));
  try {
    return await work(AbortSignal.any([signal, limit.signal]));
  } catch (error) {
    throw limit.signal.aborted && !signal.aborted ? late : error;
  }
}
