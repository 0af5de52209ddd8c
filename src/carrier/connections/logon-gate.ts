// Lets the connections of one login log in: first one alone, the others once it is accepted, none once it was refused.
import type { Clock, Timer } from "../../runtime/time/clock.ts";

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

const STATUS_MORE_PROCESSING_REQUIRED = 0xc0000016;

const REFUSALS: ReadonlyMap<number, string> = new Map([
  [0xc0000022, "access denied"],
  [0xc0000064, "no such user"],
  [0xc000006a, "wrong password"],
  [0xc000006d, "wrong user name or password"],
  [0xc000006e, "the account is restricted"],
  [0xc000006f, "not at this time of day"],
  [0xc0000070, "not from this machine"],
  [0xc0000071, "the password has expired"],
  [0xc0000072, "the account is disabled"],
  [0xc0000133, "this machine's clock differs too much"],
  [0xc0000155, "the logon is not granted"],
  [0xc000015b, "the user may not log in over the network"],
  [0xc0000193, "the account has expired"],
  [0xc0000224, "the password must be changed"],
  [0xc0000234, "the account is locked"],
]);

/** The refusal in words; null: the login was not refused, whatever else may have failed. */
function logonRefusal(status: number): string | null {
  return REFUSALS.get(status) ?? null;
}
