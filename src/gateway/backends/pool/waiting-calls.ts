// Calls that wait for an instance, in order, each with its own deadline.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { CallSignal } from "../../call-signal.ts";
import { BACKEND_UNAVAILABLE, errorReply, REQUEST_TIMEOUT, type Reply } from "../../json-rpc.ts";

/** Further calls fail at once. */
const MAX_WAITING_CALLS = 1_000;

export interface WaitLimits {
  /** Deadline for the wait and the call together. */
  readonly deadlineMs: number;
  readonly signal: CallSignal;
}

export type WaitingCalls = ReturnType<typeof createWaitingCalls>;

export function createWaitingCalls(clock: Clock, name: string) {
  const backend = `server ${name}`;
  const waiting = new Set<{ begin(): void; end(reply: Reply): void }>();
  return {
    get size(): number {
      return waiting.size;
    },
    /** Calls `run` with the time left, ms, when `begin` is called; `run` must not reject. Never rejects. */
    async add(
      run: (remainingMs: number) => Promise<Reply>,
      { deadlineMs, signal }: WaitLimits,
    ): Promise<Reply> {
      if (signal.aborted) return cancelled();
      if (waiting.size >= MAX_WAITING_CALLS) {
        const message = `${backend} is not ready, and ${MAX_WAITING_CALLS} calls wait for it already`;
        return errorReply(BACKEND_UNAVAILABLE, message);
      }
      const { promise, resolve } = Promise.withResolvers<Reply>();
      const dueMs = clock.monotonicMs() + deadlineMs;
      const call = {
        begin: (): void => call.complete(run(Math.max(1, dueMs - clock.monotonicMs()))),
        end: (reply: Reply): void => call.complete(reply),
        complete(reply: Reply | Promise<Reply>): void {
          waiting.delete(call);
          timer[Symbol.dispose]();
          signal.removeEventListener("abort", onAbort);
          resolve(reply);
        },
      };
      const onAbort = (): void => call.end(cancelled());
      const timer = clock.setTimer(deadlineMs, () => {
        const message = `${backend} was not ready within the call's ${deadlineMs / 1000} s`;
        call.end(errorReply(REQUEST_TIMEOUT, message));
      });
      signal.addEventListener("abort", onAbort, { once: true });
      waiting.add(call);
      return promise;
    },
    begin(): void {
      for (const call of [...waiting]) call.begin();
    },
    fail(message: string): void {
      for (const call of [...waiting]) call.end(errorReply(BACKEND_UNAVAILABLE, message));
    },
  };
}

export function cancelled(): Reply {
  return errorReply(BACKEND_UNAVAILABLE, "the call was cancelled before it was begun");
}
