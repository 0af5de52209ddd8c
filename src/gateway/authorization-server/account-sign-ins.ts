// Sign-ins of users to their own accounts at servers, in one browser from beginning to end: the user's own token begins one, and
// only the browser in which it was typed ends it. Neither a copied address nor the answer of an issuer is enough.
import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import { accountOf } from "../../secrets/reference.ts";
import type { ClientHandle } from "../client-handle.ts";
import type { Endpoint } from "../client-sign-in/protected-resource.ts";
import type { LocalUsers } from "../middleware/incoming-auth.ts";
import { elicitationIdOf, takesElicitation } from "../protocol.ts";
import { type Answer, OAuthError } from "./answer.ts";
import { continuingPage, escaped, page } from "./consent-pages.ts";
import { cookieFrom, formFrom, queryFrom, setCookie } from "./request-parts.ts";

const LIFE_MS = 10 * 60_000;
const MOST_WRONG = 5;
const GONE = "this sign-in has ended, or its address was mistyped; make the call again for a new one";
const OTHER_BROWSER = "this sign-in was begun in another browser, where it has to end";

/** The user's entry in the file, at one server. */
export interface AccountEntry {
  readonly backend: string;
  readonly user: string;
  /** See `accountOf`. */
  readonly entry: string;
}

/** Signs in at the server's issuer. */
export type BeginSignIn = (
  account: AccountEntry,
  redirectUri: string,
  person: { visit(address: string): void; paste(): Promise<string> },
  signal: AbortSignal,
) => Promise<{ readonly accountName: string | null }>;

export interface AccountSignInParts {
  readonly clock: Clock;
  readonly users: () => LocalUsers | null;
  /** Whether users have accounts at the server. */
  readonly hasAccounts: (backend: string) => boolean;
  /** Rejects with `sign_in_failed`. The tokens are stored when it resolves. */
  readonly begin: BeginSignIn;
  readonly connected: (account: AccountEntry) => void;
  /** Writes to the audit. */
  readonly record: (event: string, entry: string, summary: string) => void;
}

interface Attempt {
  readonly cookieSha256: string;
  readonly state: string;
  readonly stop: AbortController;
  /** Gives the issuer's answer to the sign-in, which then exchanges its code. */
  readonly finish: (answer: string) => void;
  readonly ended: ReturnType<BeginSignIn>;
  /** The issuer's answer, under a name that only the browser knows to which it came. */
  arrival: { readonly sha256: string; readonly answer: string } | null;
}

interface Waiting extends AccountEntry {
  readonly id: string;
  readonly base: string;
  readonly endsAtMs: number;
  /** The clients that show the address to their users. */
  readonly shownBy: Set<ClientHandle>;
  wrong: number;
  /** null: no token has been typed. */
  attempt: Attempt | null;
}

export interface PageRequest {
  readonly request: IncomingMessage;
  readonly endpoint: Endpoint;
  readonly path: string;
  /** Whether another token may be typed from this address. */
  readonly mayType: () => boolean;
  readonly receive: () => Promise<string>;
}

export class AccountSignIns {
  readonly #parts: AccountSignInParts;
  readonly #waiting = new Map<string, Waiting>();
  /** Their codes are being exchanged. */
  readonly #connecting = new Set<Waiting>();

  constructor(parts: AccountSignInParts) {
    this.#parts = parts;
  }

  /** The address at which this user signs in, which is the same until that has ended. It names no one. */
  addressFor({ backend, user, entry }: AccountEntry, base: string, client: ClientHandle | null): string {
    const isIt = (one: Waiting): boolean =>
      one.backend === backend && one.user === user && one.entry === entry && one.base === base;
    const waiting = this.#living().find(isIt) ?? {
      ...{ id: randomBytes(16).toString("base64url"), backend, user, entry, base, wrong: 0, attempt: null },
      ...{ endsAtMs: this.#parts.clock.monotonicMs() + LIFE_MS, shownBy: new Set<ClientHandle>() },
    };
    if (client !== null && takesElicitation(client.capabilities, "url") === true) waiting.shownBy.add(client);
    this.#waiting.set(waiting.id, waiting);
    return addressOf(waiting);
  }

  /** Rejects with an OAuthError. */
  async answer({ request, endpoint, path, mayType, receive }: PageRequest): Promise<Answer> {
    const [, , name = "", last] = path.split("/");
    if (last !== undefined) return this.#arrive(name, request, endpoint);
    const waiting = this.#living().find(({ id, base }) => id === name && base === endpoint.base);
    if (waiting === undefined) throw gone();
    if (request.method !== "POST") {
      const arrival = queryFrom(request).get("arrival");
      if (arrival === null) return tokenPage(waiting);
      this.#attemptOf(waiting, request, arrival);
      return connectPage(waiting, arrival);
    }
    if (request.headers.origin !== new URL(endpoint.base).origin) throw refusal("another page sent this");
    const form = formFrom(request, await receive());
    const arrival = form.get("arrival");
    if (arrival !== null) return this.#connect(waiting, this.#attemptOf(waiting, request, arrival), endpoint);
    if (!mayType()) throw new OAuthError("temporarily_unavailable", "too many tokens were typed", 429);
    return this.#begin(waiting, form.get("token") ?? "", endpoint);
  }

  /** The attempt of the browser that typed the token, if the issuer's answer came to the same one. */
  #attemptOf(waiting: Waiting, request: IncomingMessage, arrival: string): Attempt {
    const { attempt } = waiting;
    const isOwn = attempt?.cookieSha256 === sha256Of(cookieFrom(request));
    const isArrival = attempt?.arrival?.sha256 === sha256Of(arrival);
    if (attempt !== null && isOwn && isArrival) return attempt;
    // The one who signed in at the issuer did not begin this, and may be asked for the address of this page.
    if (isArrival) this.#end(waiting);
    throw refusal(OTHER_BROWSER);
  }

  async #begin(waiting: Waiting, token: string, endpoint: Endpoint): Promise<Answer> {
    const typed = this.#parts.users()?.byToken(Buffer.from(token)) ?? null;
    if (typed === null || accountOf(typed.name, sha256Of(token)) !== waiting.entry) {
      waiting.wrong += 1;
      if (waiting.wrong >= MOST_WRONG) this.#end(waiting);
      return tokenPage(waiting, "This is not the newest token of the user to whom this page belongs.");
    }
    const [shown, given] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
    const stop = new AbortController();
    const redirectUri = callbackOf(waiting);
    const person = { visit: shown.resolve, paste: () => given.promise };
    const ended = this.#parts.begin(waiting, redirectUri, person, stop.signal);
    ended.catch(shown.reject);
    const address = await shown.promise.catch(failed);
    const cookie = randomBytes(32).toString("base64url");
    const state = URL.parse(address)?.searchParams.get("state") ?? "";
    // The token may have been typed in two tabs: the last one counts.
    waiting.attempt?.stop.abort(gone());
    const cookieSha256 = sha256Of(cookie);
    waiting.attempt = { cookieSha256, state, stop, finish: given.resolve, ended, arrival: null };
    return continuingPage(address, setCookie(pathOf(waiting), cookie, endpoint));
  }

  /** The issuer's answer came, to whatever browser: nothing is exchanged. A page, because a redirect would carry no Strict cookie. */
  #arrive(backend: string, request: IncomingMessage, { base }: Endpoint): Answer {
    const query = queryFrom(request);
    const state = query.get("state");
    const waiting = this.#living().find(
      (one) => one.attempt?.state === state && one.backend === backend && one.base === base,
    );
    if (waiting?.attempt?.arrival !== null) throw gone();
    const name = randomBytes(32).toString("base64url");
    const answer = `${callbackOf(waiting)}?${query}`;
    waiting.attempt.arrival = { sha256: sha256Of(name), answer };
    return continuingPage(`${addressOf(waiting)}?arrival=${name}`);
  }

  async #connect(waiting: Waiting, { arrival, finish, ended }: Attempt, endpoint: Endpoint): Promise<Answer> {
    this.#waiting.delete(waiting.id);
    this.#connecting.add(waiting);
    finish(arrival?.answer ?? "");
    const { accountName } = await ended.catch(failed).finally(() => this.#connecting.delete(waiting));
    const { user, backend } = waiting;
    this.#parts.record("account.connected", backend, `user ${user} has signed in to the own account`);
    this.#parts.connected(waiting);
    const done = { elicitationId: elicitationIdOf(addressOf(waiting)) };
    for (const client of waiting.shownBy) client.notify("notifications/elicitation/complete", done);
    return connectedPage(waiting, accountName, setCookie(pathOf(waiting), null, endpoint));
  }

  #end(waiting: Waiting): void {
    this.#waiting.delete(waiting.id);
    waiting.attempt?.stop.abort(gone());
  }

  /** Ends those of entries that are no longer in the file. */
  endOrphans(): void {
    this.#living();
  }

  /** Ends those that are too old, and those of entries and accounts that are no longer in the file. */
  #living(): readonly Waiting[] {
    const nowMs = this.#parts.clock.monotonicMs();
    const entries = this.#parts.users()?.entries;
    for (const one of [...this.#waiting.values(), ...this.#connecting]) {
      const sha256 = entries?.get(one.user)?.sha256;
      const isSame = sha256 !== undefined && accountOf(one.user, sha256) === one.entry;
      if (!isSame || one.endsAtMs <= nowMs || !this.#parts.hasAccounts(one.backend)) this.#end(one);
    }
    return [...this.#waiting.values()];
  }
}

function addressOf({ base, id }: Waiting): string {
  return `${base}/connect/${id}`;
}

function pathOf(waiting: Waiting): string {
  return new URL(addressOf(waiting)).pathname;
}

/** One for each server, so that the answer of one issuer is never taken for another's. */
function callbackOf({ base, backend }: Waiting): string {
  return `${base}/connect/${backend}/callback`;
}

function gone(): OAuthError {
  return new OAuthError("invalid_request", GONE, 410);
}

function refusal(why: string): OAuthError {
  return new OAuthError("access_denied", why, 403);
}

function failed(error: unknown): never {
  if (!(error instanceof MountaineerError)) throw error;
  throw new OAuthError("server_error", `the sign-in failed: ${errorText(error)}`, 502);
}

/** Names no user and no server, because anyone can open it. */
function tokenPage(waiting: Waiting, fault: string | null = null): Answer {
  const field =
    '<label>Your Mountaineer token <input type="password" name="token" autocomplete="off" autofocus></label>';
  const why = fault === null ? "" : `<p role="alert">${escaped(fault)}</p>`;
  const body = `<p>Continue only if your own program has just shown you this address.</p>${formTo(waiting, field + why, "Continue")}`;
  return page({ title: "Connect your account", body, status: fault === null ? 200 : 401 });
}

function connectPage(waiting: Waiting, arrival: string): Answer {
  const { user, backend } = waiting;
  const who = `<p>The account that has just signed in becomes the one of <b>${escaped(user)}</b> at the server <b>${escaped(backend)}</b>.</p>`;
  const hidden = `<input type="hidden" name="arrival" value="${escaped(arrival)}">`;
  return page({ title: "Connect this account?", body: who + formTo(waiting, hidden, "Connect") });
}

function connectedPage(
  { user, backend }: Waiting,
  accountName: string | null,
  headers: Answer["headers"],
): Answer {
  const account = accountName === null ? "The account" : `The account <b>${escaped(accountName)}</b>`;
  const body = `<p>${account} is now the one of <b>${escaped(user)}</b> at the server <b>${escaped(backend)}</b>. You can close this page.</p>`;
  return page({ title: "Connected", body, headers });
}

function formTo(waiting: Waiting, content: string, button: string): string {
  const action = escaped(pathOf(waiting));
  return `<form method="post" action="${action}">${content}<button>${button}</button></form>`;
}
