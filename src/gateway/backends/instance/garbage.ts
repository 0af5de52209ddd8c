// Owns messages that are none: counted, and logged now and then.

import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock } from "../../../runtime/time/clock.ts";

const BETWEEN_LOGS_MS = 60_000;

/** Logs the first, and then at most one a minute with how many there were since. */
export function createGarbageLog(backend: string, clock: Clock, logger: Logger): (reason: string) => void {
  let count = 0;
  let loggedAtMs: number | null = null;
  return (reason) => {
    count++;
    const nowMs = clock.monotonicMs();
    if (loggedAtMs !== null && nowMs - loggedAtMs < BETWEEN_LOGS_MS) return;
    logger.warn("a backend sends what is no MCP message", { backend, reason, count });
    loggedAtMs = nowMs;
    count = 0;
  };
}
