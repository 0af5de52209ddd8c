// Calls that wait for an instance: in order, bounded in number, each within its own deadline.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { CallSignal } from "../../call-signal.ts";
import { BACKEND_UNAVAILABLE, errorReply, REQUEST_TIMEOUT, type Reply } from "../../json-rpc.ts";

/** More would only wait to fail. */
const MAX_WAITING_CALLS = 1_000;

interface WaitingCall {
  /** Begins it, with what is left of its deadline, ms. Never rejects. */
  readonly run: (leftMs: number) => Promise<Reply>;
  /** How long it may wait and run in all, ms. */
  readonly deadlineMs: number;
  /** Whoever asked does not want it any more. */
  readonly signal: CallSignal;
}

export class WaitingCalls {
  readonly #clock: Clock;
  readonly #backend: string;
  readonly #waiting = new Set<{ begin(): void; end(reply: Reply): void }>();

  /** `backend` is for messages. */
  constructor(clock: Clock, backend: string) {
    this.#clock = clock;
    this.#backend = backend;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Never rejects. */
  async add({ run, deadlineMs, signal }: WaitingCall): Promise<Reply> {
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

  /** Begins all that wait, in order. */
  begin(): void {
    for (const call of [...this.#waiting]) call.begin();
  }

  /** All that wait get this error. */
  fail(message: string): void {
    for (const call of [...this.#waiting]) call.end(errorReply(BACKEND_UNAVAILABLE, message));
  }
}

export function cancelled(): Reply {
  return errorReply(BACKEND_UNAVAILABLE, "the call was cancelled before it was begun");
}
