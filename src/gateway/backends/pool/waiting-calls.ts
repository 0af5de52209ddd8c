// Owns calls that wait for an instance: in order, bounded in number, each within its own deadline.
import type { Clock } from "../../../runtime/time/clock.ts";
import { BACKEND_UNAVAILABLE, errorReply, REQUEST_TIMEOUT, type Reply } from "../../json-rpc.ts";

/** More would only wait to fail. */
const MAX_WAITING_CALLS = 1_000;

interface WaitingCall {
  /** Begins it, with what is left of its deadline, ms. Never rejects. */
  readonly run: (leftMs: number) => Promise<Reply>;
  /** How long it may wait and run in all, ms. */
  readonly deadlineMs: number;
  /** Whoever asked does not want it any more. */
  readonly signal: AbortSignal;
}

export interface WaitingCalls {
  readonly size: number;
  /** Never rejects. */
  add(call: WaitingCall): Promise<Reply>;
  /** Begins all that wait, in order. */
  begin(): void;
  /** All that wait get this error. */
  fail(message: string): void;
}

/** `backend` is for messages. */
export function createWaitingCalls(clock: Clock, backend: string): WaitingCalls {
  const waiting = new Set<{ begin(): void; end(reply: Reply): void }>();
  return {
    get size() {
      return waiting.size;
    },
    add({ run, deadlineMs, signal }) {
      if (signal.aborted) return Promise.resolve(cancelled());
      if (waiting.size >= MAX_WAITING_CALLS) {
        const message = `backend ${backend} is not ready, and ${MAX_WAITING_CALLS} calls wait for it already`;
        return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, message));
      }
      return new Promise((resolve) => {
        const dueMs = clock.monotonicMs() + deadlineMs;
        const leave = (): void => {
          waiting.delete(call);
          timer[Symbol.dispose]();
          signal.removeEventListener("abort", onAbort);
        };
        const call = {
          begin(): void {
            leave();
            resolve(run(Math.max(1, dueMs - clock.monotonicMs())));
          },
          end(reply: Reply): void {
            leave();
            resolve(reply);
          },
        };
        const onAbort = (): void => call.end(cancelled());
        const timer = clock.setTimer(deadlineMs, () => {
          const message = `backend ${backend} was not ready within the call's ${deadlineMs / 1000} s`;
          call.end(errorReply(REQUEST_TIMEOUT, message));
        });
        signal.addEventListener("abort", onAbort, { once: true });
        waiting.add(call);
      });
    },
    begin() {
      for (const call of [...waiting]) call.begin();
    },
    fail(message) {
      for (const call of [...waiting]) call.end(errorReply(BACKEND_UNAVAILABLE, message));
    },
  };
}

function cancelled(): Reply {
  return errorReply(BACKEND_UNAVAILABLE, "the call was cancelled before it was begun");
}
