// What each principal may use: calls in a second, and calls in flight, in all its sessions together.
import type { LimitsConfig, PrincipalLimits } from "../../config/limits.ts";
import { counted } from "../../runtime/text/plain-text.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { compileGlobs } from "../catalog/glob.ts";
import { named, type Principal, principalKey } from "../client-port.ts";
import { errorReply, LIMIT_REACHED, type RpcError } from "../json-rpc.ts";

/** Beyond it, accounts that nobody uses at the moment are forgotten. */
const MOST_ACCOUNTS = 10_000;
/** When calls in flight end is not known. */
const IN_FLIGHT_RETRY_MS = 1_000;

/** What the gateway answers by itself, as lists, costs it less than a call: so many times as much may be asked. */
const OWN_ANSWERS_TIMES = 10;

interface Bucket {
  /** Requests that it may make now. */
  tokens: number;
  /** Monotonic ms, of `tokens`. */
  atMs: number;
}

/** Of one principal, whatever sessions it has. */
interface Account {
  readonly calls: Bucket;
  /** Apart: a client that lists what there is has all its calls left. */
  readonly own: Bucket;
  inFlight: number;
}

/** What a call has to know of its principal. */
interface Known {
  readonly limits: PrincipalLimits;
  readonly account: Account;
}

interface CompiledOverride {
  fits(principal: Principal): boolean;
  readonly limits: PrincipalLimits;
}

export class PrincipalLimiter {
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();
  #config: LimitsConfig;
  #overrides: readonly CompiledOverride[] = [];
  /** By object: most calls find theirs here, without a text being made. */
  #known = new WeakMap<Principal, Known>();

  constructor(config: LimitsConfig, clock: Clock) {
    this.#clock = clock;
    this.#config = config;
    this.configure(config);
  }

  /** From the next call on; what was used stays used. */
  configure(config: LimitsConfig): void {
    this.#config = config;
    this.#overrides = config.overrides.map(({ users, roles, limits }) => {
      // Never by `name_claim`: people may choose what they are called.
      const isUser = users === null ? null : compileGlobs(users);
      const isRole = roles === null ? null : compileGlobs(roles);
      return {
        fits: (principal) =>
          (isUser === null || isUser(principal.subject ?? principal.name)) &&
          (isRole === null || principal.roles.some(isRole)),
        limits,
      };
    });
    this.#known = new WeakMap();
  }

  limitsOf(principal: Principal): PrincipalLimits {
    return this.#knownOf(principal).limits;
  }

  /**
   * What the request uses: `inFlight` goes down again, once, when it has its answer. Or the refusal. `counted`: "already" by
   * `count`; "own": the gateway answers it by itself.
   */
  admit(
    principal: Principal,
    counted: "call" | "own" | "already" = "call",
  ): Known | { readonly error: RpcError } {
    const known = this.#knownOf(principal);
    const { limits, account } = known;
    if (account.inFlight >= limits.callsInFlight) {
      return limitRefusal({
        limit: "[limits].calls_in_flight",
        allowed: limits.callsInFlight,
        message: `${named(principal)} has ${account.inFlight} calls in flight`,
        retryAfterMs: IN_FLIGHT_RETRY_MS,
      });
    }
    const refusal = counted === "already" ? null : this.count(principal, counted === "own");
    if (refusal !== null) return refusal;
    account.inFlight += 1;
    return known;
  }

  /** One more of those that a second has room for; or the refusal. */
  count(principal: Principal, isOwn = false): { readonly error: RpcError } | null {
    const { limits, account } = this.#knownOf(principal);
    if (limits.callsPerSecond === null) return null;
    const times = isOwn ? OWN_ANSWERS_TIMES : 1;
    const perSecond = limits.callsPerSecond * times;
    const bucket = isOwn ? account.own : account.calls;
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - bucket.atMs) * perSecond) / 1_000;
    bucket.tokens = Math.min(limits.burst * times, bucket.tokens + gained);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) {
      return limitRefusal({
        limit: "[limits].calls_per_second",
        allowed: limits.callsPerSecond,
        message: isOwn
          ? `${named(principal)} asks for lists and the like more than ${counted(perSecond, "time")} a second`
          : `${named(principal)} makes more than ${counted(perSecond, "call")} a second`,
        retryAfterMs: ((1 - bucket.tokens) / perSecond) * 1_000,
      });
    }
    bucket.tokens -= 1;
    return null;
  }

  #knownOf(principal: Principal): Known {
    const known = this.#known.get(principal);
    if (known !== undefined) return known;
    const limits = this.#overrides.find(({ fits }) => fits(principal))?.limits ?? this.#config;
    const made = { limits, account: this.#accountOf(principal, limits) };
    this.#known.set(principal, made);
    return made;
  }

  #accountOf(principal: Principal, { burst }: PrincipalLimits): Account {
    const key = principalKey(principal);
    let account = this.#accounts.get(key);
    if (account === undefined) {
      if (this.#accounts.size >= MOST_ACCOUNTS) this.#forgetUnused();
      const atMs = this.#clock.monotonicMs();
      account = {
        calls: { tokens: burst, atMs },
        own: { tokens: burst * OWN_ANSWERS_TIMES, atMs },
        inFlight: 0,
      };
      this.#accounts.set(key, account);
    }
    return account;
  }

  /** Clients look their accounts up again, so that none goes on with one that is forgotten. */
  #forgetUnused(): void {
    for (const [key, { inFlight }] of this.#accounts) if (inFlight === 0) this.#accounts.delete(key);
    this.#known = new WeakMap();
  }
}

// The error by which a limit refuses: which limit it is, how much it allows, and when to come back.

interface LimitRefusal {
  /** The key, `[limits].calls_per_second`. */
  readonly limit: string;
  readonly allowed: number;
  /** Why, without the key. */
  readonly message: string;
  /** null: coming back does not help. */
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

function inSeconds(ms: number): string {
  return ms < 1_000 ? String(Math.max(0.1, Math.ceil(ms / 100) / 10)) : String(Math.ceil(ms / 1_000));
}

/** `16`, `0.5`, `20.1`. */
export function mebibytes(bytes: number): string {
  return String(Math.round((bytes / 1024 / 1024) * 10) / 10 || Math.round((bytes / 1024 / 1024) * 1e4) / 1e4);
}
