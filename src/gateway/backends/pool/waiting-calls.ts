// Calls that wait for an instance: in order, limited in number, each with its own deadline.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { CallSignal } from "../../call-signal.ts";
import { BACKEND_UNAVAILABLE, errorReply, REQUEST_TIMEOUT, type Reply } from "../../json-rpc.ts";

/** Further calls fail at once. */
const MAX_WAITING_CALLS = 1_000;

export interface WaitLimits {
  /** Total time for the wait and the call, ms. */
  readonly deadlineMs: number;
  /** Cancels the call. */
  readonly signal: CallSignal;
}

export class WaitingCalls {
  readonly #clock: Clock;
  readonly #backend: string;
  readonly #waiting = new Set<{ begin(): void; end(reply: Reply): void }>();

  constructor(clock: Clock, backend: string) {
    this.#clock = clock;
    this.#backend = backend;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Calls `run` once an instance is ready, with the time left in ms; `run` must not reject. Never rejects. */
  async add(run: (leftMs: number) => Promise<Reply>, { deadlineMs, signal }: WaitLimits): Promise<Reply> {
    const backend = `backend ${this.#backend}`;
    if (signal.aborted) return cancelled();
    if (this.size >= MAX_WAITING_CALLS) {
      const message = `${backend} is not ready, and ${MAX_WAITING_CALLS} calls wait for it already`;
      return errorReply(BACKEND_UNAVAILABLE, message);
    }
    const { promise, resolve } = Promise.withResolvers<Reply>();
    const dueMs = this.#clock.monotonicMs() + deadlineMs;
    const leave = (): void => {
      this.#waiting.delete(call);
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
    };
    const call = {
      begin: (): void => {
        leave();
        resolve(run(Math.max(1, dueMs - this.#clock.monotonicMs())));
      },
      end(reply: Reply): void {
        leave();
        resolve(reply);
      },
    };
    const onAbort = (): void => call.end(cancelled());
    const timer = this.#clock.setTimer(deadlineMs, () => {
      const message = `${backend} was not ready within the call's ${deadlineMs / 1000} s`;
      call.end(errorReply(REQUEST_TIMEOUT, message));
    });
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.add(call);
    return promise;
  }

  /** Begins all waiting calls, in order. */
  begin(): void {
    for (const call of [...this.#waiting]) call.begin();
  }

  /** Ends all waiting calls with this error. */
  fail(message: string): void {
    for (const call of [...this.#waiting]) call.end(errorReply(BACKEND_UNAVAILABLE, message));
  }
}

export function cancelled(): Reply {
  return errorReply(BACKEND_UNAVAILABLE, "the call was cancelled before it was begun");
}
