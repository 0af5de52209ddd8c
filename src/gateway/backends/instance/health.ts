// Health checks of one instance: pings, and any message as a sign of life.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { Asked } from "./pending.ts";

interface HealthOptions {
  readonly clock: Clock;
  readonly ping: () => Promise<Asked>;
  readonly onChanged: () => void;
}

export class Health {
  missedChecks = 0;
  /** The last request did not reach the server at all. */
  outOfReach = false;
  /** Monotonic ms; null: never. */
  checkedAtMs: number | null = null;
  readonly #options: HealthOptions;
  #checking = false;
  #messages = 0;
  #missedUpToId = 0;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /** A message came. */
  onMessage(): void {
    this.#messages++;
    this.outOfReach = false;
    if (this.missedChecks > 0) this.#set(0);
  }

  /** A request did not reach the server. Of those that were under way together only the first counts. */
  missed(id: number, newestId: number): void {
    if (id <= this.#missedUpToId) return;
    this.#missedUpToId = newestId;
    this.#set(this.missedChecks + 1);
  }

  async check(): Promise<void> {
    if (this.#checking) return;
    this.#checking = true;
    const messagesBefore = this.#messages;
    const asked = await this.#options.ping();
    this.#checking = false;
    this.checkedAtMs = this.#options.clock.monotonicMs();
    // An error is an answer, too, and so is that the session is gone; a busy server says other things meanwhile.
    const alive =
      asked.kind === "answered" || asked.failure.kind === "session_lost" || this.#messages !== messagesBefore;
    this.#set(alive ? 0 : this.missedChecks + 1);
  }

  #set(missedChecks: number): void {
    this.missedChecks = missedChecks;
    this.#options.onChanged();
  }
}
