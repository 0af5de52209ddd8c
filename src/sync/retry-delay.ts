// Owns how long after a failed reload it is tried again.
import type { SyncSettings } from "./sync-settings.ts";

const LONGEST_MS = 60_000;

/** For the `failures`-th failure in a row (≥ 1), ms: one poll interval, doubled each time under `backoff`, 60 s at most. */
export function retryDelayMs(
  { pollIntervalMs, onFailure }: Pick<SyncSettings, "pollIntervalMs" | "onFailure">,
  failures: number,
): number {
  if (onFailure !== "backoff") return pollIntervalMs;
  // The exponent is bounded so that it cannot overflow; the wait is at its limit long before.
  return Math.min(LONGEST_MS, pollIntervalMs * 2 ** Math.min(failures - 1, 30));
}
