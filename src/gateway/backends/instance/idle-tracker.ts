// Since when an instance has had nothing to do, so that its server may be stopped.
import type { Clock } from "../../../runtime/time/clock.ts";
import { isError, isJsonObject, type Reply } from "../../json-rpc.ts";

export class IdleTracker {
  readonly #clock: Clock;
  /** When the last call ended, monotonic ms; null: there was none. */
  #lastMs: number | null = null;
  /** Until when the server keeps a task, monotonic ms. */
  #tasksUntilMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get hasEnded(): boolean {
    return this.#lastMs !== null;
  }

  /** The last call in flight has ended. */
  ended(): void {
    this.#lastMs = this.#clock.monotonicMs();
  }

  /** `reply`: the answer to a call of a tool, which may be a task. */
  answered(reply: Reply): void {
    const lastsMs = taskLastsMs(reply);
    if (lastsMs === null) return;
    this.#tasksUntilMs = Math.max(this.#tasksUntilMs, this.#clock.monotonicMs() + lastsMs);
  }

  /** Null: the server keeps a task. */
  idleSince(readyAtMs: number): number | null {
    if (this.#tasksUntilMs > this.#clock.monotonicMs()) return null;
    return Math.max(readyAtMs, this.#lastMs ?? 0, this.#tasksUntilMs);
  }
}

/** How long the server keeps the task, ms; infinite: it does not say. Null: the answer is not a task. */
function taskLastsMs(reply: Reply): number | null {
  if (isError(reply)) return null;
  const { task, resultType } = reply.result;
  const lasts = isJsonObject(task)
    ? task["ttl"]
    : resultType === "task"
      ? (reply.result["ttlMs"] ?? reply.result["ttl"])
      : 0;
  if (lasts === 0) return null;
  return typeof lasts === "number" ? lasts : Number.POSITIVE_INFINITY;
}
