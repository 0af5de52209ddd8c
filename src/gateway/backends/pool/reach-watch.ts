// Asks an address that refused connections whether it takes them again: cheaply, and often enough that its server is
// started as soon as it is back.
import { createConnection } from "node:net";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { addressOf } from "../links/http/target.ts";

const OFTEN_MS = 2_000;
/** After so long without a connection it is asked as seldom as `SELDOM_MS` says. */
const OFTEN_FOR_MS = 10 * 60_000;
const SELDOM_MS = 30_000;
const CONNECT_MS = 2_000;

interface ReachWatchOptions {
  readonly clock: Clock;
  /** It takes connections again. */
  readonly onReached: () => void;
}

/** One look, for all who want to know. */
interface Asking {
  readonly answer: Promise<boolean>;
  readonly end: () => void;
}

export class ReachWatch implements Disposable {
  readonly #options: ReachWatchOptions;
  /** `http://host:port`; null: nothing is watched. */
  #origin: string | null = null;
  #sinceMs = 0;
  #timer: Timer | null = null;
  #asking: Asking | null = null;

  constructor(options: ReachWatchOptions) {
    this.#options = options;
  }

  /** Null ends it. */
  watch(origin: string | null): void {
    if (origin === this.#origin) return;
    this[Symbol.dispose]();
    this.#origin = origin;
    if (origin === null) return;
    this.#sinceMs = this.#options.clock.monotonicMs();
    this.#askLater();
  }

  /** Asks now, once for all who want to know. False: it takes no connection, or is not watched. */
  ask(): Promise<boolean> {
    const origin = this.#origin;
    if (origin === null) return Promise.resolve(false);
    if (this.#asking === null) {
      this.#timer?.[Symbol.dispose]();
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const socket = createConnection(addressOf(new URL(origin)));
      const late = this.#options.clock.setTimer(CONNECT_MS, () => resolve(false));
      socket.once("connect", () => resolve(true)).on("error", () => resolve(false));
      const answer = promise.then((isReached) => {
        late[Symbol.dispose]();
        socket.destroy();
        // Of an address that is watched no more it tells nothing of the one that is.
        return this.#asking === asking && this.#answered(isReached);
      });
      const asking: Asking = { answer, end: () => resolve(false) };
      this.#asking = asking;
    }
    return this.#asking.answer;
  }

  [Symbol.dispose](): void {
    this.#origin = null;
    this.#timer?.[Symbol.dispose]();
    this.#asking?.end();
    this.#asking = null;
  }

  #answered(isReached: boolean): boolean {
    this.#asking = null;
    if (!isReached) this.#askLater();
    else {
      this.#origin = null;
      this.#options.onReached();
    }
    return isReached;
  }

  #askLater(): void {
    const { clock } = this.#options;
    const nowMs = clock.monotonicMs();
    const everyMs = nowMs - this.#sinceMs < OFTEN_FOR_MS ? OFTEN_MS : SELDOM_MS;
    // All at one beat: where many servers are down, the process wakes once for them.
    this.#timer = clock.setTimer(everyMs - (nowMs % everyMs), () => void this.ask());
  }
}
