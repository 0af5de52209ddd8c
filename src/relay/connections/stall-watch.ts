// Notices when requests wait and the server answers on no connection (`stalled`), and when it answers again (`answered`).
import type { Timer } from "../../runtime/time/clock.ts";
import type { ShareContext } from "./share-settings.ts";

const STALLED_AFTER_MS = 300;

export function createStallWatch(share: ShareContext) {
  const { clock, events } = share;
  let lastAnswerAtMs: number | null = null;
  let timer: Timer | null = null;
  let isStalled = false;

  const watch = (delayMs: number): void => {
    if (timer !== null) return;
    timer = clock.setTimer(delayMs, () => {
      timer = null;
      const sinceMs = unansweredSinceMs(share);
      if (sinceMs === null) return;
      // One answer on any connection proves that the server lives.
      const dueMs = Math.max(sinceMs, lastAnswerAtMs ?? sinceMs) + STALLED_AFTER_MS;
      const remainingMs = dueMs - clock.monotonicMs();
      if (remainingMs > 0) {
        watch(remainingMs);
        return;
      }
      if (isStalled) return;
      isStalled = true;
      events.notice("stalled");
    });
  };

  return {
    requested: () => watch(STALLED_AFTER_MS),
    answered(nowMs: number): void {
      lastAnswerAtMs = nowMs;
      if (!isStalled) return;
      isStalled = false;
      events.notice("answered");
      watch(STALLED_AFTER_MS);
    },
    end(): void {
      isStalled = false;
    },
    get lastAnswerAtMs() {
      return lastAnswerAtMs;
    },
    stop(): void {
      timer?.[Symbol.dispose]();
      timer = null;
    },
  };
}

/** When the oldest unanswered request of connections in use was sent, monotonic ms; null: all are answered. */
export function unansweredSinceMs({ connections }: ShareContext): number | null {
  let oldest: number | null = null;
  for (const { ledger, stage, isRetiring } of connections) {
    const sinceMs = stage === "joined" && !isRetiring ? ledger.oldestMs : null;
    if (sinceMs !== null && (oldest === null || sinceMs < oldest)) oldest = sinceMs;
  }
  return oldest;
}
