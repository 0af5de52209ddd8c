// Lets the connections of one login log in: first one alone, the others once it is accepted, none once it was refused.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { logonRefusal, STATUS_MORE_PROCESSING_REQUIRED } from "../smb/logon-status.ts";

/** This soon after a login was accepted, others need not wait for each other, ms. */
const FRESH_MS = 1_000;
/** If a server does not answer a login, the next one waits no longer than this, ms. */
const TURN_MS = 2_000;

export interface LoggingOn {
  /** It is its turn. */
  logOn(): void;
}

export interface RefusedLogon {
  /** Why, in words. */
  readonly text: string;
  /** Monotonic ms. */
  readonly atMs: number;
}

export class LogonGate {
  readonly #clock: Clock;
  readonly #onRefused = new Set<() => void>();
  readonly #waiting = new Set<LoggingOn>();
  #current: LoggingOn | null = null;
  #turn: Timer | null = null;
  #acceptedAtMs: number | null = null;
  #refused: RefusedLogon | null;

  /** `refused`: why the last login was refused before this carrier was started; null: it was not. */
  constructor(clock: Clock, refused: string | null = null) {
    this.#clock = clock;
    this.#refused = refused === null ? null : { text: refused, atMs: clock.monotonicMs() };
  }

  /** The refusal since which nobody logs in; null: the login is accepted, or was not tried yet. */
  get refused(): RefusedLogon | null {
    return this.#refused;
  }

  /** Returns its own unregister. */
  onRefused(listener: () => void): () => void {
    this.#onRefused.add(listener);
    return () => void this.#onRefused.delete(listener);
  }

  /** True: it may log in now. If false, `logOn` is called when its turn comes, unless the login is refused before. */
  ask(one: LoggingOn): boolean {
    if (this.#refused !== null) return false;
    if (this.#current === one || this.#isFresh()) return true;
    if (this.#current !== null) {
      this.#waiting.add(one);
      return false;
    }
    this.#current = one;
    this.#turn = this.#clock.setTimer(TURN_MS, () => this.#next());
    return true;
  }

  /** The server's answer to one of its requests to log in. */
  answered(one: LoggingOn, status: number): void {
    if (status === STATUS_MORE_PROCESSING_REQUIRED) return;
    const text = logonRefusal(status);
    if (status === 0) this.#acceptedAtMs = this.#clock.monotonicMs();
    if (text === null) {
      this.gone(one);
      return;
    }
    this.#endTurn();
    this.#waiting.clear();
    this.#acceptedAtMs = null;
    this.#refused = { text, atMs: this.#clock.monotonicMs() };
    for (const listener of [...this.#onRefused]) listener();
  }

  /** It does not log in any more, for instance because it is closed. */
  gone(one: LoggingOn): void {
    this.#waiting.delete(one);
    if (this.#current === one) this.#next();
  }

  /** The login is right again. */
  reopen(): void {
    this.#refused = null;
  }

  #isFresh(): boolean {
    return this.#acceptedAtMs !== null && this.#clock.monotonicMs() - this.#acceptedAtMs < FRESH_MS;
  }

  #endTurn(): void {
    this.#current = null;
    this.#turn?.[Symbol.dispose]();
    this.#turn = null;
  }

  #next(): void {
    this.#endTurn();
    for (const one of [...this.#waiting]) {
      // After an accepted login all may log in, otherwise the first that waits.
      if (this.#current !== null) return;
      this.#waiting.delete(one);
      if (this.ask(one)) one.logOn();
    }
  }
}
