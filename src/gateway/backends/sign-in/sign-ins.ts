// The tokens of all backends, each shared by its links, and what is wrong with them.
import { createRedaction } from "../../../runtime/log/log-redaction.ts";
import { settledWithin, type Timer } from "../../../runtime/time/clock.ts";
import type { SecretStore } from "../../../secrets/secret-store.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import { type LinkFailure, linkFailure } from "../links/backend-link.ts";
import {
  type AuthorizationRefusal,
  type Credential,
  isCredential,
  type LinkAuthorization,
  NO_CREDENTIAL,
  type ResolvedAuth,
  type SignInNotice,
} from "../links/link-authorization.ts";
import { isSafeForTokens } from "./bounded-fetch.ts";
import { type BearerChallenge, bearerChallenge } from "./challenge.ts";
import { type GrantStore, isUsable, type KeptChallenge, openGrantStore } from "./grant-store.ts";
import {
  createGrantSource,
  createMachineSource,
  type HeldToken,
  type TokenOutcome,
  type TokenSource,
} from "./token-source.ts";

/** What signing in needs of the home. */
export interface SignInHome {
  /** Absolute. */
  readonly home: string;
  /** Called when there is a grant to read, and not before. */
  readonly openStore: () => Promise<SecretStore>;
}

interface SignInsOptions extends GatewayTools, SignInHome {
  readonly random: () => number;
  /** `notice` of that backend is another one. */
  readonly onNotice: (backend: string) => void;
}

interface SignedConnection {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly auth?: ResolvedAuth;
}

interface Kept {
  /** Equal for connections that share their tokens. */
  readonly key: string;
  readonly keeper: TokenKeeper;
}

const MOST_UNUSED = 1_024;

/** How long a renewal may go on when the gateway stops. */
const STOP_MS = 3_000;

export class SignIns implements AsyncDisposable {
  readonly #options: SignInsOptions;
  readonly #grants: GrantStore;
  /** By backend; one for each, but while links of an older configuration still end. */
  readonly #keepers = new Map<string, Kept>();
  readonly #older = new Set<TokenKeeper>();

  constructor(options: SignInsOptions) {
    this.#options = options;
    this.#grants = openGrantStore(options);
  }

  /** For one link of a backend; null: it signs in by its own headers, or no token may go to it. */
  authorize(backend: string, connection: SignedConnection): LinkAuthorization | null {
    const url = URL.parse(connection.url);
    const isByHand = Object.keys(connection.headers).some((name) => name.toLowerCase() === "authorization");
    if (url === null || isByHand || url.username !== "" || !isSafeForTokens(url)) return null;
    return this.#keeper(backend, url, connection.auth ?? null).open();
  }

  notice(backend: string): SignInNotice | null {
    return this.#keepers.get(backend)?.keeper.notice ?? null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const keepers = [...[...this.#keepers.values()].map(({ keeper }) => keeper), ...this.#older];
    this.#keepers.clear();
    this.#older.clear();
    await Promise.all(keepers.map((keeper) => keeper.end(STOP_MS)));
  }

  #keeper(backend: string, url: URL, auth: ResolvedAuth | null): TokenKeeper {
    const key = JSON.stringify([url.href, auth]);
    const known = this.#keepers.get(backend);
    if (known?.key === key) return known.keeper;
    this.#forgetUnused();
    if (known !== undefined) this.#older.add(known.keeper);
    const keeper = this.#createKeeper(backend, url, auth);
    this.#keepers.set(backend, { key, keeper });
    return keeper;
  }

  #forgetUnused(): void {
    for (const keeper of this.#older) if (!keeper.isUsed) this.#older.delete(keeper);
    // Of backends that are down, and of those that are configured no more.
    if (this.#keepers.size < MOST_UNUSED) return;
    for (const [name, { keeper }] of this.#keepers) if (!keeper.isUsed) this.#keepers.delete(name);
  }

  #createKeeper(backend: string, url: URL, auth: ResolvedAuth | null): TokenKeeper {
    const { clock, logger, random, onNotice } = this.#options;
    const grants = this.#grants;
    const base = { backend, url, clock, logger };
    const isMachine = auth?.type === "client-credentials";
    return new TokenKeeper({
      backend,
      origin: url.origin,
      source: isMachine
        ? createMachineSource({ ...base, auth })
        : createGrantSource({ ...base, auth, grants }),
      isMachine,
      clock,
      logger,
      random,
      keepChallenge: async (challenge) => {
        if (!isMachine) await grants.keepChallenge(backend, url.href, challenge);
      },
      onNotice: () => onNotice(backend),
    });
  }
}

// One backend's token for all its links: got once for all who wait, renewed before it expires, and never asked for in a
// loop.

/** Of a token's life, the part before its end in which it is renewed; and at most so long before. */
const AHEAD_PART = 0.2;
const AHEAD_AT_MOST_MS = 5 * 60_000;
/** After a renewal that failed and may pass. */
const BACKOFF_MS = { first: 1_000, atMost: 60_000 };
/** An outcome that needs a person is looked at again so soon: somebody may have signed in. */
const LOOK_AGAIN_MS = 1_000;
/** A server that refuses each new token gets no newer one sooner, and ever later. */
const BETWEEN_REFUSALS_MS = { first: 30_000, atMost: 30 * 60_000 };
/** In all, whatever the source waits for. */
const DEADLINE_MS = 75_000;
/** Timers cannot wait longer. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const MOST_SCOPES_SAID = 8;

interface KeeperOptions extends GatewayTools {
  readonly backend: string;
  /** Of the server, for messages. */
  readonly origin: string;
  readonly source: TokenSource;
  /** The gateway signs in as itself: nobody can be asked to. */
  readonly isMachine: boolean;
  /** 0 to 1. */
  readonly random: () => number;
  readonly keepChallenge: (challenge: KeptChallenge) => Promise<void>;
  /** `notice` is another one. */
  readonly onNotice: () => void;
}

interface Failure {
  readonly failure: LinkFailure;
  /** Monotonic ms until which it is not tried again. */
  readonly untilMs: number;
}

class TokenKeeper {
  notice: SignInNotice | null = null;
  readonly #options: KeeperOptions;
  readonly #ending = new AbortController();
  #held: { readonly token: HeldToken; readonly credential: Credential } | null = null;
  /** Nobody has signed in, or was asked to: requests go out as they are. */
  #isNone = false;
  /** What is kept is to be read before it is used again. */
  #isUnread = true;
  #flight: Promise<Credential | LinkFailure> | null = null;
  #failure: Failure | null = null;
  #failures = 0;
  #challenge: BearerChallenge | null = null;
  /** The token that its server refused last: whatever it says of its life, it is of no use. */
  #refusedValue: string | null = null;
  /** When a token was last renewed because it was refused, monotonic ms, and after how many in a row. */
  #refusals: { readonly atMs: number; readonly inRow: number } | null = null;
  #timer: Timer | null = null;
  #links = 0;
  /** The last two tokens are all that a server can still repeat. */
  #tokens: readonly string[] = [];
  #redaction = createRedaction();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  get isUsed(): boolean {
    return this.#links > 0;
  }

  /** For one more link. What is kept is read again: somebody may have signed in meanwhile. */
  open(): LinkAuthorization {
    this.#links++;
    this.#failure = null;
    // What the gateway signs in with as itself goes only to where a refusal has named the way.
    if (this.#options.isMachine) this.#isNone = this.#held === null;
    else this.#isUnread = true;
    this.#arm();
    const current = (): Credential | null => this.#current;
    let isOpen = true;
    return {
      get current() {
        return current();
      },
      obtain: async () => current() ?? (await this.#obtain(null)),
      refused: (refusal) => this.#refused(refusal),
      clean: (text) => this.#redaction.clean(text),
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#links--;
        if (this.#links === 0) this.#disarm();
      },
    };
  }

  /** A renewal that is under way ends well, or is given up after `patienceMs`: half of one may cost the login. */
  async end(patienceMs: number): Promise<void> {
    this.#links = 0;
    this.#disarm();
    if (this.#flight !== null) await settledWithin(this.#options.clock, patienceMs, this.#flight);
    this.#ending.abort(new Error("the gateway is stopping"));
    this.#disarm();
  }

  get #current(): Credential | null {
    const held = this.#held;
    if (this.#isUnread && !this.#options.isMachine) return null;
    if (held === null) return this.#isNone ? NO_CREDENTIAL : null;
    if (held.token.value === this.#refusedValue) return null;
    return isUsable(held.token, this.#options.clock.wallMs()) ? held.credential : null;
  }

  /** Joins what is under way. `replaced`: the token that is not wanted any more. */
  #obtain(replaced: string | null): Promise<Credential | LinkFailure> {
    if (this.#flight !== null) return this.#flight;
    const failure = this.#failure;
    if (failure !== null && this.#options.clock.monotonicMs() < failure.untilMs) {
      return Promise.resolve(failure.failure);
    }
    this.#flight = this.#ask(replaced).finally(() => {
      this.#flight = null;
    });
    return this.#flight;
  }

  async #ask(replaced: string | null): Promise<Credential | LinkFailure> {
    const { clock, source } = this.#options;
    const limit = new AbortController();
    const timer = clock.setTimer(DEADLINE_MS, () => limit.abort(new Error("it took too long")));
    const signal = AbortSignal.any([limit.signal, this.#ending.signal]);
    try {
      return this.#take(await source.token(replaced ?? this.#refusedValue, this.#challenge, signal));
    } catch (error) {
      if (!signal.aborted) throw error;
      return this.#take({ kind: "failed", reason: "no token could be got in time", hint: null });
    } finally {
      timer[Symbol.dispose]();
    }
  }

  #take(outcome: TokenOutcome): Credential | LinkFailure {
    this.#isUnread = false;
    if (outcome.kind === "token") return this.#hold(outcome.token);
    if (outcome.kind === "none") {
      this.#held = null;
      this.#isNone = true;
      return NO_CREDENTIAL;
    }
    const { clock, logger, backend, origin } = this.#options;
    const nowMs = clock.monotonicMs();
    const isEnded = outcome.kind === "ended";
    this.#failures++;
    const waitMs = isEnded
      ? LOOK_AGAIN_MS
      : Math.min(BACKOFF_MS.atMost, BACKOFF_MS.first * 2 ** Math.min(10, this.#failures - 1)) *
        (0.5 + this.#options.random() / 2);
    const hint = isEnded ? this.#loginHint : outcome.hint;
    const failure = linkFailure("unauthorized", `no token for ${origin}: ${outcome.reason}`, hint);
    this.#failure = { failure, untilMs: nowMs + waitMs };
    if (this.#failures === 1)
      logger.warn("a backend's token cannot be renewed", { backend, reason: outcome.reason });
    this.#tell(
      isEnded
        ? {
            code: "login_needed",
            title: `backend ${backend} needs a login: ${outcome.reason}`,
            hint: this.#loginHint,
          }
        : {
            code: "token_not_renewed",
            title: `backend ${backend} has no new token yet: ${outcome.reason}`,
            hint: `It is tried again.${outcome.hint === null ? "" : ` ${sentence(outcome.hint)}`}`,
          },
    );
    // While the old one is valid it is used; it may be that the next try comes in time.
    if (this.#current !== null && !isEnded) this.#armAfter(waitMs);
    return failure;
  }

  #hold(token: HeldToken): Credential {
    const known = this.#held;
    this.#isNone = false;
    this.#failure = null;
    this.#failures = 0;
    if (known?.token.value === token.value) {
      this.#held = { token, credential: known.credential };
    } else {
      this.#held = { token, credential: { header: `Bearer ${token.value}` } };
      this.#remember(token.value);
      // Scopes that were lacking may be there now: the next refusal tells.
      this.#tell(null);
    }
    if (this.notice?.code !== "scopes_needed") this.#tell(null);
    this.#arm();
    return this.#held.credential;
  }

  #remember(value: string): void {
    this.#tokens = [value, ...this.#tokens.filter((one) => one !== value)].slice(0, 2);
    this.#redaction = createRedaction();
    for (const token of this.#tokens) this.#redaction.redact(token);
  }

  async #refused({
    status,
    challenge: header,
    carried,
  }: AuthorizationRefusal): Promise<Credential | LinkFailure | null> {
    const challenge = bearerChallenge(header);
    return status === 403 ? this.#tooNarrow(challenge, carried) : this.#notLetIn(challenge, carried);
  }

  async #notLetIn(
    challenge: BearerChallenge | null,
    carried: Credential,
  ): Promise<Credential | LinkFailure | null> {
    const { backend, origin, clock, isMachine } = this.#options;
    if (challenge !== null) {
      this.#challenge = challenge;
      await this.#options.keepChallenge({ status: 401, ...challenge });
    }
    if (this.#flight !== null) await this.#flight;
    const now = this.#current;
    // Renewed meanwhile, for somebody else's request.
    if (now !== null && now.header !== null && now.header !== carried.header) return now;
    const nowMs = clock.monotonicMs();
    if (this.#failure !== null && nowMs < this.#failure.untilMs) return this.#failure.failure;
    if (carried.header !== null) {
      if (!this.#mayRenewRefused(nowMs)) return this.#refusesAll();
      this.#refusedValue = carried.header.replace(/^Bearer /, "");
    }
    const next = await this.#obtain(carried.header === null ? null : this.#refusedValue);
    if (!isCredential(next)) return next;
    if (next.header !== null && next.header !== carried.header) return next;
    if (next.header !== null || isMachine) return this.#refusesAll();
    this.#tell({
      code: "login_needed",
      title: `backend ${backend}: ${origin} wants a login`,
      hint: `${this.#loginHint}, or give what it wants in \`headers\``,
    });
    return linkFailure(
      "refused",
      `${origin} wants a login (HTTP 401)`,
      `sign in: ${this.#loginHint}, or give what it wants in \`headers\``,
    );
  }

  #refusesAll(): LinkFailure {
    const { backend, origin, isMachine } = this.#options;
    const title = `${origin} refuses the token that it was given (HTTP 401)`;
    const hint = isMachine ? "check `scopes` and the rights of `client_id`" : this.#loginHint;
    this.#tell({ code: "login_needed", title: `backend ${backend}: ${title}`, hint });
    return linkFailure("unauthorized", title, hint);
  }

  async #tooNarrow(
    challenge: BearerChallenge | null,
    carried: Credential,
  ): Promise<Credential | LinkFailure | null> {
    if (challenge?.error !== "insufficient_scope") return null;
    const { backend, origin, isMachine } = this.#options;
    await this.#options.keepChallenge({ status: 403, ...challenge });
    // Somebody may have signed in again without a word to this process.
    if (!isMachine) this.#isUnread = true;
    const now = this.#current ?? (await this.#obtain(null));
    if (isCredential(now) && now.header !== null && now.header !== carried.header) return now;
    const scopes = (challenge.scopes ?? []).slice(0, MOST_SCOPES_SAID).join(" ");
    const what = scopes === "" ? "more scopes" : `the scopes ${scopes}`;
    const hint = isMachine ? "add them to `scopes` in `[backends.NAME.auth]`" : this.#loginHint;
    this.#tell({
      code: "scopes_needed",
      title: `backend ${backend}: ${origin} wants a login with ${what}`,
      hint,
    });
    return linkFailure("refused", `${origin} wants a login with ${what} (HTTP 403)`, hint);
  }

  #mayRenewRefused(nowMs: number): boolean {
    const { atMs, inRow } = this.#refusals ?? { atMs: Number.NEGATIVE_INFINITY, inRow: 0 };
    const windowMs = Math.min(BETWEEN_REFUSALS_MS.atMost, BETWEEN_REFUSALS_MS.first * 2 ** inRow);
    if (nowMs - atMs < windowMs) return false;
    this.#refusals = { atMs: nowMs, inRow: nowMs - atMs < 2 * windowMs ? Math.min(10, inRow + 1) : 0 };
    return true;
  }

  get #loginHint(): string {
    return `mountaineer backends login ${this.#options.backend}`;
  }

  #tell(notice: SignInNotice | null): void {
    if (notice?.code === this.notice?.code && notice?.title === this.notice?.title) return;
    this.notice = notice;
    this.#options.onNotice();
  }

  /** Renews before the end, at an uneven time, so that many backends do not come at once. */
  #arm(): void {
    this.#disarm();
    const token = this.#held?.token;
    if (token === undefined || token.expiresAtMs === null || !token.isRenewable || this.#links === 0) return;
    const lifeMs = token.expiresAtMs - token.obtainedAtMs;
    const aheadMs = Math.min(AHEAD_AT_MOST_MS, lifeMs * AHEAD_PART) * (0.5 + this.#options.random() / 2);
    this.#armAfter(token.expiresAtMs - aheadMs - this.#options.clock.wallMs());
  }

  #armAfter(delayMs: number): void {
    this.#disarm();
    if (this.#links === 0) return;
    this.#timer = this.#options.clock.setTimer(Math.min(LONGEST_TIMER_MS, Math.max(0, delayMs)), () => {
      this.#timer = null;
      const token = this.#held?.token;
      if (delayMs > LONGEST_TIMER_MS) this.#armAfter(delayMs - LONGEST_TIMER_MS);
      if (delayMs > LONGEST_TIMER_MS || token === undefined) return;
      this.#failure = null;
      void this.#obtain(token.value);
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
