// Who was refused by which server, and when: all that logs in by itself asks here first, and says what came of it.
import { randomUUID } from "node:crypto";
import { whenAborted } from "../../runtime/abort.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { ROUTE_NAMES, type ShareSpec } from "../share-spec.ts";
import { decideLogon, isRecent, type Refusal } from "./decide-logon.ts";

/** `refused` with why. `unknown`: it did not come to that. */
export type LogonResult = "accepted" | "unknown" | { readonly refused: string };

/** Who logs in where, with what. */
export type LoginOf = Pick<ShareSpec, "username" | "password" | "routes">;

/** What is known of a share's login now. */
export interface LogonSeen {
  /** Why the server does not take it, in words; null: nothing is known against it. */
  readonly refusal: string | null;
  /** It may be tried. */
  readonly may: boolean;
  /** It was accepted, and not refused since. */
  readonly accepted: boolean;
  /** Refusals of its account within the last hour, wall ms. */
  readonly refusedAt: readonly number[];
}

interface KeptRefusal extends Refusal {
  readonly wallMs: number;
}

interface Login {
  /** Another one after each refusal. */
  name: string;
  readonly id: string;
  acceptedAtMs: number | null;
  askedAtMs: number | null;
}

interface Account {
  readonly username: string;
  /** Of one NAS: shares that have one in common are on one. */
  readonly hosts: Set<string>;
  refusals: KeptRefusal[];
  /** By password. */
  readonly logins: Map<string | null, Login>;
  awayAtMs: number | null;
  /** The try that is under way while the login is in doubt. */
  turn: Promise<unknown> | null;
}

/** Two witnesses of one refusal differ by less, ms. */
const ONE_REFUSAL_MS = 500;
/** For so long after it was accepted several may log in at once, ms: it may be changed on the server at any time. */
const KNOWN_FOR_MS = 60_000;
/** How long a try may hold up others of its account, ms. */
const TURN_MS = 15_000;
const BEFORE = "the server refused it before this daemon was started";

export type Logons = ReturnType<typeof createLogons>;

export function createLogons(clock: Clock) {
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
      ...{ username, hosts: new Set<string>(), refusals: [], logins: new Map(), awayAtMs: null, turn: null },
    };
    if (known === undefined) accounts.push(account);
    for (const host of hosts) account.hosts.add(host);
    return account;
  };
  const loginOf = (account: Account, { password }: LoginOf): Login => {
    const known = account.logins.get(password);
    if (known !== undefined) return known;
    const login = { name: randomUUID(), id: randomUUID(), acceptedAtMs: null, askedAtMs: null };
    account.logins.set(password, login);
    return login;
  };
  const decide = (account: Account, { id, acceptedAtMs, askedAtMs }: Login) => {
    const { refusals, awayAtMs } = account;
    const times = { acceptedAtMs, askedAtMs, awayAtMs };
    return decideLogon({ nowMs: clock.monotonicMs(), refusals, login: id, ...times });
  };
  const note = (account: Account, login: string | null, text: string, atMs: number): void => {
    const nowMs = clock.monotonicMs();
    const wallMs = Math.round(clock.wallMs() - (nowMs - atMs));
    // The newest of each login stands, however old it is.
    const kept = account.refusals.filter((one) => isRecent(one, nowMs) || one.login !== login);
    account.refusals = [...kept, { atMs, wallMs, login, text }].toSorted(
      (one, other) => one.atMs - other.atMs,
    );
    for (const each of account.logins.values()) if (each.id === login) each.name = randomUUID();
  };
  const isInDoubt = (account: Account, login: Login): boolean => {
    const { acceptedAtMs } = login;
    if (acceptedAtMs === null || clock.monotonicMs() - acceptedAtMs >= KNOWN_FOR_MS) return true;
    return decide(account, login).refusal !== null;
  };

  return {
    look(share: LoginOf): LogonSeen {
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
    /** The same as long as nobody changes it. */
    idOf: (share: LoginOf): string => loginOf(accountOf(share), share).id,
    /** How the carrier knows connections that log in with it. */
    nameOf: (share: LoginOf): string => loginOf(accountOf(share), share).name,
    /** Runs what logs in, at most one at a time while the login is in doubt; `otherwise`: it may not be tried. */
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
      while (account.turn !== null && isInDoubt(account, login) && !limit.aborted)
        await Promise.race([account.turn, whenAborted(limit)]);
      signal.throwIfAborted();
      const { may, refusal } = decide(account, login);
      if (!may) return otherwise(refusal?.text ?? "");
      const running = run();
      const turn = running.then(
        () => {},
        () => {},
      );
      account.turn = turn;
      try {
        const result = judge(await running);
        if (result === "accepted") login.acceptedAtMs = clock.monotonicMs();
        else if (result !== "unknown") note(account, login.id, result.refused, clock.monotonicMs());
        return await running;
      } finally {
        if (account.turn === turn) account.turn = null;
      }
    },
    /** The carrier saw a refusal then. `login`: of the mount; null: not known. Told more than once, it counts once. */
    seen(share: LoginOf, login: string | null, text: string, atMs: number): void {
      const account = accountOf(share);
      const isKnown = account.refusals.some(
        (one) => isNear(one.atMs, atMs) && (one.login === null || login === null || one.login === login),
      );
      if (!isKnown) note(account, login, text, atMs);
    },
    /** A person asks for a try, or has changed the login. */
    asked(share: LoginOf): void {
      loginOf(accountOf(share), share).askedAtMs = clock.monotonicMs();
    },
    /** No route to its server answers. */
    away(share: LoginOf): void {
      accountOf(share).awayAtMs = clock.monotonicMs();
    },
    /** What an earlier process has noted, wall ms. */
    recall(share: LoginOf, refusedAt: readonly number[]): void {
      const account = accountOf(share);
      const [nowMs, wallMs] = [clock.monotonicMs(), clock.wallMs()];
      // A clock that was set back says nothing of how long ago it was.
      const recalled = refusedAt.map((at) => nowMs - Math.max(0, wallMs - at));
      for (const [index, atMs] of recalled.entries()) {
        // Each share of an account has noted the same ones.
        const known = account.refusals.filter((one) => isNear(one.atMs, atMs)).length;
        const count = recalled.slice(0, index + 1).filter((other) => isNear(other, atMs)).length;
        if (known < count) note(account, null, BEFORE, atMs);
      }
    },
  };
}

function isNear(oneMs: number, otherMs: number): boolean {
  return Math.abs(oneMs - otherMs) < ONE_REFUSAL_MS;
}

interface AttemptParts<T> {
  readonly judge: (result: T) => LogonResult;
  readonly otherwise: (refusal: string) => T;
  readonly signal: AbortSignal;
}
