// Orders the logins of one account: one connection logs in first, the others once it is accepted, and none after a
// refusal.
import type { Clock, Timer } from "../../runtime/time/clock.ts";

/** For this long after an accepted login, ms, connections with the same login may log in without waiting. */
const FRESH_MS = 1_000;
/** The longest time that a login waits for the answer to the previous login, ms. */
const TURN_MS = 2_000;

export interface LoginWaiter {
  /** Called once the connection may log in, after `request` has returned false. */
  logIn(): void;
}

export interface RefusedLogin {
  /** The reason, for people. */
  readonly text: string;
  /** Monotonic ms. */
  readonly atMs: number;
}

export class LoginGate {
  readonly #clock: Clock;
  readonly #wantsUser: boolean;
  readonly #onRefused = new Set<() => void>();
  readonly #waiting = new Set<LoginWaiter>();
  #current: LoginWaiter | null = null;
  #turn: Timer | null = null;
  #acceptedAtMs: number | null = null;
  /** Why the server has refused the login, kept until `reopen`. null: the login is accepted, or was not tried yet. */
  refused: RefusedLogin | null;

  /**
   * `refused`: why the server refused the login under a previous relay process; null: it did not. `wantsUser`: a
   * session as a guest counts as a refusal.
   */
  constructor(clock: Clock, refused: string | null = null, wantsUser = false) {
    this.#clock = clock;
    this.#wantsUser = wantsUser;
    this.refused = refused === null ? null : { text: refused, atMs: clock.monotonicMs() };
  }

  /** Returns a function that unregisters `listener`. */
  onRefused(listener: () => void): () => void {
    this.#onRefused.add(listener);
    return () => void this.#onRefused.delete(listener);
  }

  /**
   * True if the connection may log in now. If not, `logIn` is called later, unless the server refuses the
   * login first.
   */
  request(one: LoginWaiter): boolean {
    if (this.refused !== null) return false;
    if (this.#current === one || this.#isFresh()) return true;
    if (this.#current !== null) {
      this.#waiting.add(one);
      return false;
    }
    this.#current = one;
    this.#turn = this.#clock.setTimer(TURN_MS, () => this.#next());
    return true;
  }

  /** Call when the server has answered a login request of the connection with this `status`. */
  answered(one: LoginWaiter, status: number, isGuest = false): void {
    if (status === STATUS_MORE_PROCESSING_REQUIRED) return;
    const text = status === 0 && isGuest && this.#wantsUser ? AS_GUEST : REFUSALS.get(status);
    if (status === 0) this.#acceptedAtMs = this.#clock.monotonicMs();
    // `REFUSALS` has no text for a success, or for a failure that says nothing about the login.
    if (text === undefined) {
      this.gone(one);
      return;
    }
    this.#endTurn();
    this.#waiting.clear();
    this.#acceptedAtMs = null;
    this.refused = { text, atMs: this.#clock.monotonicMs() };
    for (const listener of [...this.#onRefused]) listener();
  }

  /** Call when the connection no longer waits for a login, for instance because it is closed. */
  gone(one: LoginWaiter): void {
    this.#waiting.delete(one);
    if (this.#current === one) this.#next();
  }

  reopen(): void {
    this.refused = null;
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
    // Right after an accepted login, `request` lets all waiting connections log in. Otherwise `request` lets only the first
    // one log in, and queues the others again.
    for (const one of [...this.#waiting]) {
      this.#waiting.delete(one);
      if (this.request(one)) one.logIn();
    }
  }
}

const STATUS_MORE_PROCESSING_REQUIRED = 0xc0000016;

/** Samba's `map to guest` lets unknown users in as guests, who may be allowed less, or write under another name. */
const AS_GUEST =
  "it does not know this user, and would let it in as a guest only (without username and password, or with the username guest, the share is mounted as a guest)";

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
  [0xc0000155, "the login is not granted"],
  [0xc000015b, "the user may not log in over the network"],
  [0xc0000193, "the account has expired"],
  [0xc0000224, "the password must be changed"],
  [0xc0000234, "the account is locked"],
]);
