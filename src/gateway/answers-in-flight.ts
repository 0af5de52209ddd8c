// Bytes of large answers between their servers and their clients. No answer is refused: while they fill the budget, reading
// from servers pauses.
import type { Principal } from "./client-handle.ts";

/** Smaller arguments and answers are not counted. */
export const UNCOUNTED_BYTES = 64 * 1024;

/** Of all principals, or of one. */
export class AnswerBytes {
  readonly most: number;
  /** Sent, but not read by the client. */
  unread = 0;
  /** Read from the server so far. */
  reading = 0;

  constructor(most: number) {
    this.most = most;
  }
}

/** One answer while it is read from its server. Disposing ends it. */
export interface AnswerReading extends Disposable {
  readonly isPaused: boolean;
  /** Counts the bytes that have come so far; a returned promise settles when more may be read. */
  take(bytes: number): Promise<void> | null;
}

/** The answers of all principals. */
export interface AnswerBudget {
  /** Counts an answer to the principal while it is read from its server. */
  reading(principal: Principal): AnswerReading;
  /** Settles when the principal has left less unread; null: it has now. */
  untilRead(principal: Principal): Promise<void> | null;
}

interface Holder {
  readonly answers: AnswerBytes;
}

interface Reading<Of extends Holder> {
  readonly account: Of;
  bytes: number;
  pause: PromiseWithResolvers<void> | null;
}

export class AnswersInFlight<Of extends Holder> {
  readonly #all: AnswerBytes;
  readonly #onGrown: (account: Of, bytes: number) => void;
  /** Oldest first. */
  readonly #readings = new Set<Reading<Of>>();
  readonly #waiting = new Map<PromiseWithResolvers<void>, Of>();

  constructor(most: number, onGrown: (account: Of, bytes: number) => void) {
    this.#all = new AnswerBytes(most);
    this.#onGrown = onGrown;
  }

  /** Adds bytes that a client has not read yet. */
  grow(account: Of, bytes: number, of: "unread" | "reading" = "unread"): void {
    account.answers[of] += bytes;
    this.#all[of] += bytes;
    this.#onGrown(account, bytes);
    if (bytes < 0) this.#resume();
  }

  read(account: Of): AnswerReading {
    const reading: Reading<Of> = { account, bytes: 0, pause: null };
    this.#readings.add(reading);
    return {
      get isPaused() {
        return reading.pause !== null;
      },
      take: (bytes) => {
        if (!this.#readings.has(reading)) return null;
        this.grow(account, bytes - reading.bytes, "reading");
        reading.bytes = bytes;
        if (reading.pause === null && !this.#mayRead(reading)) reading.pause = Promise.withResolvers();
        return reading.pause?.promise ?? null;
      },
      [Symbol.dispose]: () => {
        if (!this.#readings.delete(reading)) return;
        reading.pause?.resolve();
        this.grow(account, -reading.bytes, "reading");
      },
    };
  }

  untilRead(account: Of): Promise<void> | null {
    if (!this.#leavesTooMuch(account)) return null;
    const pause = Promise.withResolvers<void>();
    this.#waiting.set(pause, account);
    return pause.promise;
  }

  #leavesTooMuch({ answers }: Of): boolean {
    return isFull(answers) || (isFull(this.#all) && answers.unread > 0);
  }

  #resume(): void {
    for (const reading of this.#readings) {
      if (reading.pause === null || !this.#mayRead(reading)) continue;
      reading.pause.resolve();
      reading.pause = null;
    }
    for (const [pause, account] of this.#waiting) {
      if (this.#leavesTooMuch(account)) continue;
      this.#waiting.delete(pause);
      pause.resolve();
    }
  }

  /**
   * A principal may always have one answer. If answers that are still read fill the budget, the oldest of them is read on, so
   * that they end.
   */
  #mayRead(reading: Reading<Of>): boolean {
    const { account, bytes } = reading;
    if (account.answers.unread === 0 && account.answers.reading === bytes) return true;
    const isFirst = (of: Iterable<Reading<Of>>): boolean => of[Symbol.iterator]().next().value === reading;
    const ofAccount = (): Iterable<Reading<Of>> =>
      this.#readings.values().filter((one) => one.account === account);
    return (
      (!isFull(this.#all, true) || (!isFull(this.#all) && isFirst(this.#readings))) &&
      (!isFull(account.answers, true) || (!isFull(account.answers) && isFirst(ofAccount())))
    );
  }
}

function isFull({ unread, reading, most }: AnswerBytes, withReading = false): boolean {
  return unread + (withReading ? reading : 0) >= most;
}
