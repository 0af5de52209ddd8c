// Remembers login refusals: which servers refused which logins, and when. Every automatic login asks here first, and
// reports its result.
import { randomUUID } from "node:crypto";
import { whenAborted } from "../../runtime/abort.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { ROUTE_NAMES, type ShareSpec } from "../share-spec.ts";
import { decideLogin, isRecent, type Refusal } from "./decide-login.ts";

/** What the server answered to a login. `refused`: the reason that the server gave. `unknown`: there was no answer. */
export type LoginResult = "accepted" | "unknown" | { readonly refused: string };

/** A login and the hosts of its server. */
export type LoginOf = Pick<ShareSpec, "username" | "password" | "routes">;

export interface LoginStatus {
  /** Why the server refuses the login; null: no refusal is known. */
  readonly refusal: string | null;
  /** Whether the login may be tried. */
  readonly may: boolean;
  /** Whether the login was accepted, and not refused since. */
  readonly accepted: boolean;
  /** Times of refusals of the account within the last hour, wall ms. */
  readonly refusedAt: readonly number[];
}

interface StoredRefusal extends Refusal {
  readonly wallMs: number;
}

interface Login {
  /** The relay's name for the login; changes after each refusal. */
  name: string;
  readonly id: string;
  acceptedAtMs: number | null;
  requestedAtMs: number | null;
}

interface Account {
  readonly username: string;
  /** The hosts of one NAS: shares with a common host are on the same NAS. */
  readonly hosts: Set<string>;
  refusals: StoredRefusal[];
  /** The account's logins by password. */
  readonly logins: Map<string | null, Login>;
  unreachableAtMs: number | null;
  /**
   * The login attempt in progress; null if there is none. Other attempts wait for it, unless the server has recently
   * accepted the login.
   */
  turn: Promise<unknown> | null;
}

/** Reports of a refusal count as one refusal if their times differ by at most this, ms. */
const ONE_REFUSAL_MS = 500;
/**
 * For this time after the server has accepted a login, ms, several tries may run in parallel. Limited because the
 * account may change on the server.
 */
const KNOWN_FOR_MS = 60_000;
/** Longest wait until another login with the same account has ended, ms. */
const TURN_MS = 15_000;
const BEFORE = "the server refused it before this daemon was started";

export type Logins = ReturnType<typeof createLogins>;

export function createLogins(clock: Clock) {
  const accounts: Account[] = [];

  const accountOf = ({ username, routes }: LoginOf): Account => {
    const hosts = ROUTE_NAMES.flatMap((name) => {
      const { host, port } = routes[name];
      return host === null ? [] : [`${host.toLowerCase()}:${port}`];
    });
    const known = accounts.find(
      (one) => one.username === username && hosts.some((host) => one.hosts.has(host)),
    );
    const account = known ?? {
      ...{
        username,
        hosts: new Set<string>(),
        refusals: [],
        logins: new Map(),
        unreachableAtMs: null,
        turn: null,
      },
    };
    if (known === undefined) accounts.push(account);
    for (const host of hosts) account.hosts.add(host);
    return account;
  };
  const loginOf = (account: Account, { password }: LoginOf): Login => {
    const known = account.logins.get(password);
    if (known !== undefined) return known;
    const login = { name: randomUUID(), id: randomUUID(), acceptedAtMs: null, requestedAtMs: null };
    account.logins.set(password, login);
    return login;
  };
  const decide = (account: Account, { id, acceptedAtMs, requestedAtMs }: Login) => {
    const { refusals, unreachableAtMs } = account;
    const times = { acceptedAtMs, requestedAtMs, unreachableAtMs };
    return decideLogin({ nowMs: clock.monotonicMs(), refusals, login: id, ...times });
  };
  const record = (account: Account, login: string | null, text: string, atMs: number): void => {
    const nowMs = clock.monotonicMs();
    const wallMs = Math.round(clock.wallMs() - (nowMs - atMs));
    // The newest refusal of each login is kept, even if it is older than an hour.
    const remaining = account.refusals.filter((one) => isRecent(one, nowMs) || one.login !== login);
    account.refusals = [...remaining, { atMs, wallMs, login, text }].toSorted(
      (one, other) => one.atMs - other.atMs,
    );
    for (const each of account.logins.values()) if (each.id === login) each.name = randomUUID();
  };
  const isUncertain = (account: Account, login: Login): boolean => {
    const { acceptedAtMs } = login;
    if (acceptedAtMs === null || clock.monotonicMs() - acceptedAtMs >= KNOWN_FOR_MS) return true;
    return decide(account, login).refusal !== null;
  };

  return {
    status(share: LoginOf): LoginStatus {
      const account = accountOf(share);
      const login = loginOf(account, share);
      const { may, refusal } = decide(account, login);
      const nowMs = clock.monotonicMs();
      return {
        refusal: refusal?.text ?? null,
        may,
        accepted: login.acceptedAtMs !== null && refusal === null,
        refusedAt: account.refusals.filter((one) => isRecent(one, nowMs)).map(({ wallMs }) => wallMs),
      };
    },
    idOf: (share: LoginOf): string => loginOf(accountOf(share), share).id,
    /** The relay's name for connections with this login. */
    nameOf: (share: LoginOf): string => loginOf(accountOf(share), share).name,
    /**
     * Runs `run`, which logs in. Runs for one account wait for each other, unless the server has recently accepted
     * the login. `judge` says what a result means for the login; `otherwise` makes the result if the login may not be
     * tried.
     */
    async attempt<T>(
      share: LoginOf,
      run: () => Promise<T>,
      { judge, otherwise, signal }: AttemptParts<T>,
    ): Promise<T> {
      const account = accountOf(share);
      const login = loginOf(account, share);
      const late = new AbortController();
      using _ = clock.setTimer(TURN_MS, () => late.abort());
      const limit = AbortSignal.any([signal, late.signal]);
      while (account.turn !== null && isUncertain(account, login) && !limit.aborted)
        await Promise.race([account.turn, whenAborted(limit)]);
      signal.throwIfAborted();
      const { may, refusal } = decide(account, login);
      if (!may) return otherwise(refusal?.text ?? "");
      const running = run();
      const turn = Promise.allSettled([running]);
      account.turn = turn;
      try {
        const result = await running;
        const verdict = judge(result);
        if (verdict === "accepted") login.acceptedAtMs = clock.monotonicMs();
        else if (verdict !== "unknown") record(account, login.id, verdict.refused, clock.monotonicMs());
        return result;
      } finally {
        if (account.turn === turn) account.turn = null;
      }
    },
    /** Notes a refusal that the relay or a mount has seen; repeated reports count once. `login`: its id; null: unknown. */
    refused(share: LoginOf, login: string | null, text: string, atMs: number): void {
      const account = accountOf(share);
      const isKnown = account.refusals.some(
        (one) => isNear(one.atMs, atMs) && (one.login === null || login === null || one.login === login),
      );
      if (!isKnown) record(account, login, text, atMs);
    },
    /** Notes that a person has asked for a try, or has changed the login. */
    requested(share: LoginOf): void {
      loginOf(accountOf(share), share).requestedAtMs = clock.monotonicMs();
    },
    /** Notes that no route to the server answers. */
    unreachable(share: LoginOf): void {
      accountOf(share).unreachableAtMs = clock.monotonicMs();
    },
    /** Notes the refusals that the state file has. `refusedAt`: wall ms. */
    recall(share: LoginOf, refusedAt: readonly number[]): void {
      const account = accountOf(share);
      const [nowMs, wallMs] = [clock.monotonicMs(), clock.wallMs()];
      // After the clock was set back, times may lie in the future.
      const recalled = refusedAt.map((at) => nowMs - Math.max(0, wallMs - at));
      for (const atMs of recalled) {
        // All shares of an account recall the same refusals, so a refusal that is known already is not noted again.
        const known = account.refusals.filter((one) => isNear(one.atMs, atMs)).length;
        const count = recalled.filter((other) => isNear(other, atMs)).length;
        if (known < count) record(account, null, BEFORE, atMs);
      }
    },
  };
}

function isNear(oneMs: number, otherMs: number): boolean {
  return Math.abs(oneMs - otherMs) < ONE_REFUSAL_MS;
}

interface AttemptParts<T> {
  readonly judge: (result: T) => LoginResult;
  readonly otherwise: (refusal: string) => T;
  readonly signal: AbortSignal;
}
