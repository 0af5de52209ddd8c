// What people have agreed to, where the call that they agreed to goes on in another request: each consent serves one
// call, once. Only what was given here is known, so a consent of another daemon is none: the person is asked again.
import { randomBytes } from "node:crypto";
import type { Clock } from "../../../runtime/time/clock.ts";

/** Given and not used, of one principal and in all; the oldest is forgotten. */
export const MOST_CONSENTS_OF_ONE = 64;
const MOST_CONSENTS = 4_096;

interface Given {
  readonly principal: string;
  /** Monotonic ms. */
  readonly untilMs: number;
}

export class Consents {
  readonly #clock: Clock;
  readonly #keptMs: number;
  /** By id, the oldest first. */
  readonly #given = new Map<string, Given>();

  constructor(clock: Clock, keptMs: number) {
    this.#clock = clock;
    this.#keptMs = keptMs;
  }

  get size(): number {
    return this.#given.size;
  }

  /** What the client brings with its next request. */
  give(principal: string): string {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { untilMs }] of this.#given) {
      if (untilMs > nowMs) break;
      this.#given.delete(id);
    }
    const own = [...this.#given].filter(([, given]) => given.principal === principal);
    const [oldest] = own.length >= MOST_CONSENTS_OF_ONE ? own : this.#given;
    if (oldest !== undefined && (own.length >= MOST_CONSENTS_OF_ONE || this.size >= MOST_CONSENTS)) {
      this.#given.delete(oldest[0]);
    }
    const id = randomBytes(18).toString("base64url");
    this.#given.set(id, { principal, untilMs: nowMs + this.#keptMs });
    return id;
  }

  /** Whether it still holds; from now on it does not. */
  use(id: string | null): boolean {
    const given = id === null ? undefined : this.#given.get(id);
    if (id === null || given === undefined) return false;
    this.#given.delete(id);
    return given.untilMs > this.#clock.monotonicMs();
  }
}
