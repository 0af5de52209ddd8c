// The OAuth tokens of all backends, shared by their links and renewed before they expire.
import { isSafeForTokens } from "../../../config/values/sign-in-values.ts";
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import { shellCommand } from "../../../runtime/text/plain-text.ts";
import { type BackoffMs, backoffMs } from "../../../runtime/time/backoff.ts";
import { settlesWithin, type Timer } from "../../../runtime/time/clock.ts";
import type { SecretStore } from "../../../secrets/secret-store.ts";
import { BACKEND_CONDITIONS, type SignInNotice } from "../policy/condition-rows.ts";
import { type TransportFailure, transportFailure } from "../transports/backend-transport.ts";
import {
  type Credential,
  isCredential,
  NO_CREDENTIAL,
  type ResolvedAuth,
  type SignInAccount,
  type TransportAuthorization,
} from "../transports/transport-authorization.ts";
import { type BearerChallenge, bearerChallenge } from "./challenge.ts";
import { type GrantStore, isUsable, openGrantStore, type StoredChallenge } from "./grant-store.ts";
import {
  type CachedToken,
  createGrantSource,
  createMachineSource,
  type TokenOutcome,
  type TokenSource,
} from "./token-source.ts";

export interface SignInHome {
  readonly home: string;
  readonly openStore: () => Promise<SecretStore>;
}

interface SignInsOptions extends RuntimeTools, SignInHome {
  readonly random: () => number;
  readonly onNotice: (backend: string) => void;
}

interface SignedConnection {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly auth?: ResolvedAuth;
}

/** How long the gateway's end waits for a renewal, ms. */
const STOP_MS = 3_000;

export class SignIns implements AsyncDisposable {
  readonly #options: SignInsOptions;
  readonly #grants: GrantStore;
  readonly #tokens = new Map<string, SharedToken>();
  readonly #ofAccounts = new WeakMap<SignInAccount, SharedToken>();
  /** Tokens with an open link, including tokens of an earlier configuration. */
  readonly #used = new Set<SharedToken>();

  constructor(options: SignInsOptions) {
    this.#options = options;
    this.#grants = openGrantStore(options);
  }

  /** Returns null if the configured headers authenticate the link, or if the address is not safe for tokens. */
  authorize(
    backend: string,
    connection: SignedConnection,
    account?: SignInAccount,
  ): TransportAuthorization | null {
    const url = URL.parse(connection.url);
    const isByHand = Object.keys(connection.headers).some((name) => name.toLowerCase() === "authorization");
    if (url === null || isByHand || url.username !== "" || !isSafeForTokens(url)) return null;
    return this.#token(backend, url, connection.auth ?? null, account).open();
  }

  notice(backend: string, account?: SignInAccount): SignInNotice | null {
    const token = account === undefined ? this.#tokens.get(backend) : this.#ofAccounts.get(account);
    return token?.notice ?? null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const tokens = new Set([...this.#tokens.values(), ...this.#used]);
    this.#tokens.clear();
    await Promise.all([...tokens].map((token) => token.end(STOP_MS)));
  }

  #token(
    backend: string,
    url: URL,
    auth: ResolvedAuth | null,
    account: SignInAccount | undefined,
  ): SharedToken {
    const key = JSON.stringify([url.href, auth]);
    const known = account === undefined ? this.#tokens.get(backend) : this.#ofAccounts.get(account);
    if (known?.key === key) return known;
    const own = { backend, url, auth, key, grants: this.#grants, used: this.#used };
    if (account === undefined) {
      const token = new SharedToken({ ...this.#options, ...own });
      this.#tokens.set(backend, token);
      return token;
    }
    const grants = openGrantStore({ ...this.#options, account });
    const token = new SharedToken({ ...this.#options, ...own, grants, account, onNotice: () => {} });
    this.#ofAccounts.set(account, token);
    return token;
  }
}

/** A token is renewed when this part of its lifetime is left, or `AHEAD_AT_MOST_MS` if that is less. */
const AHEAD_PART = 0.2;
const AHEAD_AT_MOST_MS = 5 * 60_000;
const BACKOFF: BackoffMs = { first: 1_000, most: 60_000 };
/** After an outcome that needs a person, the stored grant is read again after this time, ms. */
const RETRY_MS = 1_000;
/**
 * Pauses between renewals that are made because the server refused the token, ms. The first one ends while a failed instance is
 * still tried every few seconds: a person would wait for a minute more.
 */
const BETWEEN_REFUSALS: BackoffMs = { first: 10_000, most: 30 * 60_000 };
const DEADLINE_MS = 75_000;
/** Node fires a timer with a longer delay at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const MOST_SHOWN_SCOPES = 8;

interface TokenOptions extends SignInsOptions {
  readonly backend: string;
  readonly url: URL;
  readonly auth: ResolvedAuth | null;
  readonly key: string;
  readonly grants: GrantStore;
  /** Absent: the owner's. */
  readonly account?: SignInAccount;
  /** The tokens of all backends that have an open link. */
  readonly used: Set<SharedToken>;
}

interface Failure {
  readonly failure: TransportFailure;
  /** The time until which no request is sent, monotonic ms. */
  readonly untilMs: number;
}

class SharedToken {
  notice: SignInNotice | null = null;
  readonly key: string;
  readonly #options: TokenOptions;
  readonly #source: TokenSource;
  /** The backend has client credentials, so no person signs in. */
  readonly #isMachine: boolean;
  readonly #ending = new AbortController();
  #cached: { readonly token: CachedToken; readonly credential: Credential } | null = null;
  /** There is no grant: requests carry no token. */
  #isNone = false;
  /** True: the grant must be read again before the next use. */
  #isUnread = true;
  #flight: Promise<Credential | TransportFailure> | null = null;
  #failure: Failure | null = null;
  #failures = 0;
  #challenge: BearerChallenge | null = null;
  #refusedValue: string | null = null;
  /** When a refusal last caused a renewal, monotonic ms, and how many of these renewals followed each other closely. */
  #refusals: { readonly atMs: number; readonly inRow: number } | null = null;
  #timer: Timer | null = null;
  #users = 0;
  /** The last two tokens, which the server's messages must not reveal. */
  #tokens: readonly string[] = [];
  #redaction = createRedaction();

  constructor(options: TokenOptions) {
    const { auth, key } = options;
    this.#options = options;
    this.key = key;
    this.#isMachine = auth?.type === "client-credentials";
    this.#source =
      this.#isMachine && auth !== null
        ? createMachineSource({ ...options, auth })
        : createGrantSource(options);
  }

  /** Reads the grant again, because a person may have signed in since. */
  open(): TransportAuthorization {
    this.#users++;
    this.#options.used.add(this);
    this.#failure = null;
    // Client credentials are sent only after a refusal that names the authorization server.
    if (this.#isMachine) this.#isNone = true;
    else this.#isUnread = true;
    this.#arm();
    const current = (): Credential | null => this.#current;
    return {
      get current() {
        return current();
      },
      obtain: async () => current() ?? (await this.#obtain(null)),
      refused: ({ status, challenge: header, credential }) => {
        const challenge = bearerChallenge(header);
        if (status === 403) return this.#forbidden(challenge, credential);
        return this.#unauthorized(challenge, credential);
      },
      clean: (text) => this.#redaction.clean(text),
      [Symbol.dispose]: () => {
        this.#users--;
        if (this.#users > 0) return;
        this.#options.used.delete(this);
        this.#disarm();
      },
    };
  }

  /** Waits at most `limitMs` for a renewal in progress, because interrupting it may lose the login. */
  async end(limitMs: number): Promise<void> {
    this.#users = 0;
    this.#disarm();
    if (this.#flight !== null) await settlesWithin(this.#options.clock, limitMs, this.#flight);
    this.#ending.abort(new Error("the gateway is stopping"));
    this.#disarm();
  }

  get #current(): Credential | null {
    const cached = this.#cached;
    if (this.#isUnread && !this.#isMachine) return null;
    if (cached === null) return this.#isNone ? NO_CREDENTIAL : null;
    if (cached.token.value === this.#refusedValue) return null;
    return isUsable(cached.token, this.#options.clock.wallMs()) ? cached.credential : null;
  }

  /**
   * Obtains a token. If a request for a token is already under way, waits for that request. `replaced`: a token that
   * must not be returned again.
   */
  #obtain(replaced: string | null): Promise<Credential | TransportFailure> {
    if (this.#flight !== null) return this.#flight;
    const failure = this.#failure;
    if (failure !== null && this.#options.clock.monotonicMs() < failure.untilMs) {
      return Promise.resolve(failure.failure);
    }
    this.#flight = this.#request(replaced).finally(() => {
      this.#flight = null;
    });
    return this.#flight;
  }

  async #request(replaced: string | null): Promise<Credential | TransportFailure> {
    const { clock } = this.#options;
    const limit = new AbortController();
    using _ = clock.setTimer(DEADLINE_MS, () => limit.abort(new Error("it took too long")));
    const signal = AbortSignal.any([limit.signal, this.#ending.signal]);
    try {
      return this.#take(await this.#source(replaced ?? this.#refusedValue, this.#challenge, signal));
    } catch (error) {
      if (!signal.aborted) throw error;
      return this.#take({ kind: "failed", reason: "no token could be got in time", hint: null });
    }
  }

  #take(outcome: TokenOutcome): Credential | TransportFailure {
    this.#isUnread = false;
    if (outcome.kind === "token") return this.#cache(outcome.token);
    if (outcome.kind === "none") {
      this.#cached = null;
      this.#isNone = true;
      return NO_CREDENTIAL;
    }
    const { clock, logger, random, backend, url } = this.#options;
    const nowMs = clock.monotonicMs();
    const isEnded = outcome.kind === "ended";
    this.#failures++;
    const waitMs = isEnded ? RETRY_MS : backoffMs(BACKOFF, this.#failures) * (0.5 + random() / 2);
    const hint = isEnded ? this.#loginHint : outcome.hint;
    const failure = transportFailure("unauthorized", `no token for ${url.origin}: ${outcome.reason}`, hint);
    this.#failure = { failure, untilMs: nowMs + waitMs };
    if (this.#failures === 1)
      logger.warn("a server's token cannot be renewed", { backend, reason: outcome.reason });
    this.#setNotice(
      isEnded
        ? BACKEND_CONDITIONS.login_needed(
            `server ${backend} needs a login: ${outcome.reason}`,
            this.#loginHint,
          )
        : BACKEND_CONDITIONS.token_not_renewed(
            `server ${backend} has no new token yet: ${outcome.reason}`,
            `It is tried again.${outcome.hint === null ? "" : ` ${sentence(outcome.hint)}`}`,
          ),
    );
    // The old token is still valid, so another try may come in time.
    if (this.#current !== null && !isEnded) this.#armAfter(waitMs);
    return failure;
  }

  #cache(token: CachedToken): Credential {
    const known = this.#cached;
    this.#failure = null;
    this.#failures = 0;
    const isNew = known?.token.value !== token.value;
    const credential = isNew ? { header: `Bearer ${token.value}` } : known.credential;
    this.#cached = { token, credential };
    if (isNew) this.#redact(token.value);
    // A new token may have the missing scopes.
    if (isNew || this.notice?.code !== "scopes_needed") this.#setNotice(null);
    this.#arm();
    return credential;
  }

  #redact(value: string): void {
    this.#tokens = [value, ...this.#tokens.filter((one) => one !== value)].slice(0, 2);
    this.#redaction = createRedaction();
    for (const token of this.#tokens) this.#redaction.redact(token);
  }

  async #unauthorized(
    challenge: BearerChallenge | null,
    credential: Credential,
  ): Promise<Credential | TransportFailure> {
    if (challenge !== null) {
      this.#challenge = challenge;
      await this.#keepChallenge({ status: 401, ...challenge });
    }
    if (this.#flight !== null) await this.#flight;
    const now = this.#current;
    // Another request has since renewed the token.
    if (now !== null && now.header !== null && now.header !== credential.header) return now;
    const nowMs = this.#options.clock.monotonicMs();
    if (this.#failure !== null && nowMs < this.#failure.untilMs) return this.#failure.failure;
    if (credential.header !== null) {
      if (!this.#mayRenewRefused(nowMs)) return this.#refusesAll();
      this.#refusedValue = credential.header.replace(/^Bearer /, "");
    }
    const next = await this.#obtain(credential.header === null ? null : this.#refusedValue);
    if (!isCredential(next)) return next;
    if (next.header !== null && next.header !== credential.header) return next;
    if (next.header !== null) return this.#refusesAll();
    const hint = `${this.#loginHint}, or give what it wants in \`headers\``;
    return this.#fail("login_needed", "refused", "wants a login (HTTP 401)", hint);
  }

  #refusesAll(): TransportFailure {
    const hint = this.#isMachine ? "check `scopes` and the rights of `client_id`" : this.#loginHint;
    return this.#fail("login_needed", "unauthorized", "refuses the token that it was given (HTTP 401)", hint);
  }

  #fail(
    code: "login_needed" | "scopes_needed",
    kind: TransportFailure["kind"],
    problem: string,
    hint: string,
  ): TransportFailure {
    const { backend, url } = this.#options;
    const title = `${url.origin} ${problem}`;
    this.#setNotice(BACKEND_CONDITIONS[code](`server ${backend}: ${title}`, hint));
    return transportFailure(kind, title, hint);
  }

  async #keepChallenge(challenge: StoredChallenge): Promise<void> {
    const { grants, backend, url } = this.#options;
    if (!this.#isMachine) await grants.keepChallenge(backend, url.href, challenge);
  }

  async #forbidden(
    challenge: BearerChallenge | null,
    credential: Credential,
  ): Promise<Credential | TransportFailure | null> {
    if (challenge?.error !== "insufficient_scope") return null;
    await this.#keepChallenge({ status: 403, ...challenge });
    // A person may have signed in through another process.
    if (!this.#isMachine) this.#isUnread = true;
    const now = this.#current ?? (await this.#obtain(null));
    if (isCredential(now) && now.header !== null && now.header !== credential.header) return now;
    const scopes = (challenge.scopes ?? []).slice(0, MOST_SHOWN_SCOPES).join(" ");
    const what = scopes === "" ? "more scopes" : `the scopes ${scopes}`;
    const hint = this.#isMachine ? "add them to `scopes` in `[backends.NAME.auth]`" : this.#loginHint;
    return this.#fail("scopes_needed", "refused", `wants a login with ${what} (HTTP 403)`, hint);
  }

  #mayRenewRefused(nowMs: number): boolean {
    const { atMs, inRow } = this.#refusals ?? { atMs: Number.NEGATIVE_INFINITY, inRow: 0 };
    const windowMs = backoffMs(BETWEEN_REFUSALS, inRow + 1);
    if (nowMs - atMs < windowMs) return false;
    this.#refusals = { atMs: nowMs, inRow: nowMs - atMs < 2 * windowMs ? inRow + 1 : 0 };
    return true;
  }

  get #loginHint(): string {
    const { backend, account } = this.#options;
    return account === undefined
      ? shellCommand`mountaineer backends login ${backend}`
      : `the owner: ${shellCommand`mountaineer backends login ${backend} --as ${account.user}`}`;
  }

  #setNotice(notice: SignInNotice | null): void {
    if (notice?.code === this.notice?.code && notice?.title === this.notice?.title) return;
    this.notice = notice;
    this.#options.onNotice(this.#options.backend);
  }

  /** Sets the timer for the next renewal. The time is random, so that many backends do not renew together. */
  #arm(): void {
    this.#disarm();
    const token = this.#cached?.token;
    if (token === undefined || token.expiresAtMs === null || !token.isRenewable || this.#users === 0) return;
    const lifeMs = token.expiresAtMs - token.obtainedAtMs;
    const aheadMs = Math.min(AHEAD_AT_MOST_MS, lifeMs * AHEAD_PART) * (0.5 + this.#options.random() / 2);
    this.#armAfter(token.expiresAtMs - aheadMs - this.#options.clock.wallMs());
  }

  #armAfter(delayMs: number): void {
    this.#disarm();
    if (this.#users === 0) return;
    this.#timer = this.#options.clock.setTimer(Math.min(LONGEST_TIMER_MS, Math.max(0, delayMs)), () => {
      this.#timer = null;
      if (delayMs > LONGEST_TIMER_MS) this.#arm();
      else if (this.#cached !== null) {
        this.#failure = null;
        void this.#obtain(this.#cached.token.value);
      }
    });
  }

  #disarm(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
