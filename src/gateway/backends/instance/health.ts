// Health checks of one instance: pings, and any message as a sign of life.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { InstanceCalls } from "./calls.ts";

const PING_MS = 5_000;

export class Health {
  missedChecks = 0;
  /** The last request could not be sent to the server. */
  isUnreachable = false;
  /** Monotonic ms. */
  checkedAtMs: number | null = null;
  readonly #clock: Clock;
  readonly #calls: InstanceCalls;
  readonly #onChanged: () => void;
  #checking = false;
  #messages = 0;
  #missedUpToId = 0;

  constructor(clock: Clock, calls: InstanceCalls, onChanged: () => void) {
    this.#clock = clock;
    this.#calls = calls;
    this.#onChanged = onChanged;
  }

  onMessage(): void {
    this.#messages++;
    this.isUnreachable = false;
    if (this.missedChecks > 0) this.#set(0);
  }

  /** Requests that were in flight together count as one missed check. */
  missed(id: number): void {
    if (id <= this.#missedUpToId) return;
    this.#missedUpToId = this.#calls.pending.newestId;
    this.#set(this.missedChecks + 1);
  }

  async check(): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    const messagesBefore = this.#messages;
    const answer = await this.#calls.send("ping", undefined, PING_MS);
    this.#checking = false;
    this.checkedAtMs = this.#clock.monotonicMs();
    // An error reply, a lost session or any other message also proves that the server is alive.
    const alive =
      answer.kind === "answered" ||
      answer.failure.kind === "session_lost" ||
      this.#messages !== messagesBefore;
    this.#set(alive ? 0 : this.missedChecks + 1);
  }

  #set(missedChecks: number): void {
    this.missedChecks = missedChecks;
    this.#onChanged();
  }
}
