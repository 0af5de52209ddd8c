// The limits of each principal, over all its sessions: calls per second and calls in flight.
import type { PrincipalLimits } from "../../config/limits.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import { pluralize } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import {
  type AnswerBudget,
  AnswerBytes,
  type AnswerReading,
  AnswersInFlight,
  UNCOUNTED_BYTES,
} from "../answers-in-flight.ts";
import type { CallSignal } from "../call-signal.ts";
import { named, type Principal, principalKey } from "../client-handle.ts";
import { errorReply, LIMIT_REACHED, type RpcError } from "../json-rpc.ts";

/** Beyond this number, accounts without calls in flight are forgotten. */
const MOST_ACCOUNTS = 10_000;
/**
 * The time to retry after the limit of calls in flight is reached: a guess, because the end of those calls is unknown.
 */
const IN_FLIGHT_RETRY_MS = 1_000;

/**
 * The limit of requests that the gateway answers itself is this many times the limit of calls, because they cost
 * less.
 */
const OWN_ANSWERS_TIMES = 10;

/** Bytes of the arguments and answers of all calls in flight with the results that are kept, and of one principal's calls. */
const MOST_BYTES = 256 * 1024 * 1024;
const MOST_BYTES_OF_ONE = MOST_BYTES / 4;

interface Bucket {
  /** Requests that may be made now. */
  tokens: number;
  /** When `tokens` was computed, monotonic ms. */
  atMs: number;
}

/** What one principal has used of its limits, over all its sessions. */
interface Account {
  readonly calls: Bucket;
  /** Counts the requests that the gateway itself answers, so that listing does not use up the limit of calls. */
  readonly own: Bucket;
  inFlight: number;
  /** Bytes of the arguments of calls in flight, and of answers. */
  bytes: number;
  /** The part of `bytes` that are answers. */
  readonly answers: AnswerBytes;
  /** Calls of scripts that wait for a slot, the oldest first. */
  readonly waiting: (() => void)[];
}

export class PrincipalLimiter implements AnswerBudget {
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();
  #limits: PrincipalLimits;
  readonly #answers: AnswersInFlight<Account>;
  /** Of all accounts. */
  bytes = 0;
  /** Avoids computing `principalKey` for most calls. */
  #known = new WeakMap<Principal, Account>();

  constructor(limits: PrincipalLimits, clock: Clock) {
    this.#clock = clock;
    this.#limits = limits;
    this.#answers = new AnswersInFlight(MOST_BYTES, (account, bytes) => this.add(account, bytes));
  }

  get limits(): PrincipalLimits {
    return this.#limits;
  }

  /** Changes the limits for later calls; the counts so far stay. */
  configure(limits: PrincipalLimits): void {
    this.#limits = limits;
  }

  /**
   * Counts a request and adds it to `inFlight`, which the caller decrements at the reply; beyond a limit, returns the
   * refusal instead. `pluralize`: "call" for a request to a backend, "own" for one that the gateway itself answers,
   * "already" if `count` has counted it.
   */
  admit(principal: Principal, quota: "call" | "own" | "already" = "call") {
    const { callsInFlight } = this.#limits;
    const account = this.#accountOf(principal);
    if (account.inFlight >= callsInFlight) {
      return limitRefusal({
        limit: "[limits].calls_in_flight",
        allowed: callsInFlight,
        message: `${named(principal)} has ${account.inFlight} calls in flight`,
        retryAfterMs: IN_FLIGHT_RETRY_MS,
      });
    }
    const refusal = quota === "already" ? null : this.count(principal, quota === "own");
    if (refusal !== null) return refusal;
    account.inFlight += 1;
    return { account };
  }

  /**
   * Adds the bytes of a call's arguments to the account; the caller takes them out by `add`. Beyond the budget, returns the
   * refusal instead, but never to a principal that has nothing else in flight.
   */
  charge(account: Account, bytes: number) {
    const isBeyondOwn = account.bytes + bytes > MOST_BYTES_OF_ONE;
    const isBeyondAll = this.bytes + bytes > MOST_BYTES;
    // Small calls only bring more unread answers.
    if (account.bytes > 0 && (bytes > 0 ? isBeyondOwn || isBeyondAll : isBeyondOwn && isBeyondAll)) {
      return limitRefusal({
        limit: "bytes in flight",
        allowed: MOST_BYTES_OF_ONE,
        message: `not run: calls in flight and unread answers have ${mebibytes(account.bytes)} MiB`,
        retryAfterMs: IN_FLIGHT_RETRY_MS,
      });
    }
    this.add(account, bytes);
    return null;
  }

  add(account: Account, bytes: number): void {
    account.bytes += bytes;
    this.bytes += bytes;
  }

  /**
   * Adds a large message that is being received to the account, and returns what takes it out; null: the budget has no room for it.
   */
  receiving(principal: Principal, bytes: number): (() => void) | null {
    const account = this.#accountOf(principal);
    if (this.charge(account, bytes) !== null) return null;
    let charged = bytes;
    return () => {
      this.add(account, -charged);
      charged = 0;
    };
  }

  /** Returns what counts the bytes of one stream that the principal has not read; large ones only. */
  unread(principal: Principal): (bytes: number) => void {
    const account = this.#accountOf(principal);
    let before = 0;
    return (bytes) => {
      const next = bytes > UNCOUNTED_BYTES ? bytes : 0;
      if (next !== before) this.#answers.grow(account, next - before);
      before = next;
    };
  }

  reading(principal: Principal): AnswerReading {
    return this.#answers.read(this.#accountOf(principal));
  }

  untilRead(principal: Principal): Promise<void> | null {
    return this.#answers.untilRead(this.#accountOf(principal));
  }

  /** Ends a call that `admit` or `turn` has counted; a call that waits for its slot continues to wait. */
  release(account: Account): void {
    account.inFlight -= 1;
    account.waiting.shift()?.();
  }

  /**
   * Like `admit`, but waits for as long as a limit is reached, and returns what ends the call. Resolves with null if
   * `signal` was aborted first. Nothing has been done for the call before it resolves.
   */
  async turn(principal: Principal, signal: CallSignal): Promise<Disposable | null> {
    while (!signal.aborted) {
      const admitted = this.admit(principal);
      if (!("error" in admitted)) {
        const { account } = admitted;
        return { [Symbol.dispose]: () => this.release(account) };
      }
      const account = this.#accountOf(principal);
      const { promise, resolve } = Promise.withResolvers<void>();
      // A slot that becomes free, or the time after which a refused client may try again.
      account.waiting.push(resolve);
      const timer = this.#clock.setTimer(retryMsOf(admitted.error), resolve);
      signal.addEventListener("abort", resolve, { once: true });
      await promise;
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", resolve);
      const at = account.waiting.indexOf(resolve);
      if (at >= 0) account.waiting.splice(at, 1);
    }
    return null;
  }

  /** Takes a call that was admitted out of the count, until `count` is called: a script that waits for its own calls. */
  uncounted(principal: Principal): { readonly count: () => void } {
    const account = this.#accountOf(principal);
    this.release(account);
    return {
      count: () => {
        account.inFlight += 1;
      },
    };
  }

  /** Counts a request against the rate limit; returns the refusal beyond it. */
  count(principal: Principal, isOwn = false): { readonly error: RpcError } | null {
    const { callsPerSecond, burst } = this.#limits;
    const account = this.#accountOf(principal);
    if (callsPerSecond === null) return null;
    const times = isOwn ? OWN_ANSWERS_TIMES : 1;
    const perSecond = callsPerSecond * times;
    const bucket = isOwn ? account.own : account.calls;
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - bucket.atMs) * perSecond) / 1_000;
    bucket.tokens = Math.min(burst * times, bucket.tokens + gained);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) {
      return limitRefusal({
        limit: "[limits].calls_per_second",
        allowed: callsPerSecond,
        message: isOwn
          ? `${named(principal)} asks for lists and the like more than ${pluralize(perSecond, "time")} a second`
          : `${named(principal)} makes more than ${pluralize(perSecond, "call")} a second`,
        retryAfterMs: ((1 - bucket.tokens) / perSecond) * 1_000,
      });
    }
    bucket.tokens -= 1;
    return null;
  }

  #accountOf(principal: Principal): Account {
    const known = this.#known.get(principal);
    if (known !== undefined) return known;
    const key = principalKey(principal);
    let account = this.#accounts.get(key);
    if (account === undefined) {
      if (this.#accounts.size >= MOST_ACCOUNTS) this.#forgetUnused();
      const [atMs, { burst }] = [this.#clock.monotonicMs(), this.#limits];
      account = {
        calls: { tokens: burst, atMs },
        own: { tokens: burst * OWN_ANSWERS_TIMES, atMs },
        inFlight: 0,
        bytes: 0,
        answers: new AnswerBytes(MOST_BYTES_OF_ONE),
        waiting: [],
      };
      this.#accounts.set(key, account);
    }
    this.#known.set(principal, account);
    return account;
  }

  /** Also clears `#known`, so that no client uses a forgotten account. */
  #forgetUnused(): void {
    for (const [key, { inFlight, bytes, waiting }] of this.#accounts) {
      if (inFlight === 0 && bytes === 0 && waiting.length === 0) this.#accounts.delete(key);
    }
    this.#known = new WeakMap();
  }
}

interface LimitRefusal {
  /** The limit's key in the configuration, such as `[limits].calls_per_second`. */
  readonly limit: string;
  readonly allowed: number;
  /** The reason, without the configuration key in `limit`. */
  readonly message: string;
  /** null: a retry does not help. */
  readonly retryAfterMs: number | null;
}

export function limitRefusal(refusal: LimitRefusal): { readonly error: RpcError } {
  const { limit, allowed, message, retryAfterMs } = refusal;
  const again = retryAfterMs === null ? "" : `; try again in ${inSeconds(retryAfterMs)} s`;
  return errorReply(LIMIT_REACHED, `${message} (${limit})${again}`, {
    limit,
    allowed,
    ...(retryAfterMs !== null && { retryAfterMs: Math.ceil(retryAfterMs) }),
  });
}

function retryMsOf({ data }: RpcError): number {
  const { retryAfterMs } = objectOf(data);
  return typeof retryAfterMs === "number" ? retryAfterMs : IN_FLIGHT_RETRY_MS;
}

function inSeconds(ms: number): string {
  return ms < 1_000 ? String(Math.max(0.1, Math.ceil(ms / 100) / 10)) : String(Math.ceil(ms / 1_000));
}

/** The size in MiB, rounded: `16`, `0.5`, `20.1`. */
export function mebibytes(bytes: number): string {
  return String(Math.round((bytes / 1024 / 1024) * 10) / 10 || Math.round((bytes / 1024 / 1024) * 1e4) / 1e4);
}
