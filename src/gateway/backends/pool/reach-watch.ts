// Probes an address that refused connections, with plain TCP connects, so that its server is started as soon as the
// address accepts connections again.
import { createConnection } from "node:net";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { addressOf } from "../links/http/target.ts";

/** Time between two probes in the first `OFTEN_FOR_MS`, and afterwards, ms. */
const OFTEN_MS = 2_000;
const OFTEN_FOR_MS = 10 * 60_000;
const SELDOM_MS = 30_000;
const CONNECT_MS = 2_000;

/** A probe under way. */
interface Probe {
  readonly answer: Promise<boolean>;
  readonly end: () => void;
}

export class ReachWatch implements Disposable {
  readonly #clock: Clock;
  readonly #onReached: () => void;
  /** `http://host:port`; null: nothing is watched. */
  #origin: string | null = null;
  #sinceMs = 0;
  #timer: Timer | null = null;
  #probe: Probe | null = null;

  /** `onReached`: the address accepts connections again. */
  constructor(clock: Clock, onReached: () => void) {
    this.#clock = clock;
    this.#onReached = onReached;
  }

  /** Watches this origin; null ends the watch. */
  watch(origin: string | null): void {
    if (origin === this.#origin) return;
    this[Symbol.dispose]();
    this.#origin = origin;
    if (origin === null) return;
    this.#sinceMs = this.#clock.monotonicMs();
    this.#askLater();
  }

  /** Probes now; concurrent callers share one probe. False: refused, or not watched. */
  ask(): Promise<boolean> {
    const origin = this.#origin;
    if (origin === null) return Promise.resolve(false);
    if (this.#probe === null) {
      this.#timer?.[Symbol.dispose]();
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const socket = createConnection(addressOf(new URL(origin)));
      const late = this.#clock.setTimer(CONNECT_MS, () => resolve(false));
      socket.once("connect", () => resolve(true)).on("error", () => resolve(false));
      const answer = promise.then((isReached) => {
        late[Symbol.dispose]();
        socket.destroy();
        // A probe of an earlier address says nothing about the watched one.
        return this.#probe === probe && this.#answered(isReached);
      });
      const probe: Probe = { answer, end: () => resolve(false) };
      this.#probe = probe;
    }
    return this.#probe.answer;
  }

  [Symbol.dispose](): void {
    this.#origin = null;
    this.#timer?.[Symbol.dispose]();
    this.#probe?.end();
    this.#probe = null;
  }

  #answered(isReached: boolean): boolean {
    this.#probe = null;
    if (!isReached) this.#askLater();
    else {
      this.#origin = null;
      this.#onReached();
    }
    return isReached;
  }

  #askLater(): void {
    const nowMs = this.#clock.monotonicMs();
    const everyMs = nowMs - this.#sinceMs < OFTEN_FOR_MS ? OFTEN_MS : SELDOM_MS;
    // All watches probe at the same multiples of the interval, so that the process wakes once for many servers.
    this.#timer = this.#clock.setTimer(everyMs - (nowMs % everyMs), () => void this.ask());
  }
}
