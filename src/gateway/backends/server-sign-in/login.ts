// Signs a person in to one backend, in a browser, and signs out again.

import { randomBytes } from "node:crypto";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { isSafeForTokens } from "../../../config/values/sign-in-values.ts";
import { unlessAborted } from "../../../runtime/abort.ts";
import { errorText, systemErrorCode } from "../../../runtime/errors.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { ResolvedAuth } from "../transports/transport-authorization.ts";
import { type BoundedFetch, failed } from "./bounded-fetch.ts";
import { bearerChallenge, scopeList } from "./challenge.ts";
import { type ClientIdentity, configuredClient, registerClient } from "./client.ts";
import { findSignInServer, type SignInServer } from "./discovery.ts";
import { type Grant, type GrantStore, isUnreadable, type StoredChallenge } from "./grant-store.ts";
import { type OAuthTools, openOAuth } from "./oauth-library.ts";
import { type CodeRequest, codeRequestAddress, revokeGrant, tokensForCode } from "./token-requests.ts";

/** The person who signs in. If a function rejects, the sign-in ends. */
export interface SignInPerson {
  /** Opens the address in a browser, or shows it. */
  visit(address: string): void;
  /** Asks for the address at which the browser has arrived. */
  paste(signal: AbortSignal): Promise<string>;
}

export interface LoginRequest {
  readonly backend: string;
  readonly url: URL;
  /** Sent with every request to the server. */
  readonly headers: Readonly<Record<string, string>>;
  readonly auth: ResolvedAuth | null;
  readonly method: "browser" | "paste";
  /** With `paste`: where the browser arrives. Absent: at this machine, where nothing listens. */
  readonly redirectUri?: string;
  /** Scopes that are requested in addition to the scopes that the server wants. */
  readonly moreScopes: readonly string[];
}

interface LoginTools {
  readonly grants: GrantStore;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** How long the person may take, ms. */
const PATIENCE_MS = 10 * 60_000;
/** Nothing listens at this port. The browser shows an error page, and the person copies the address of that page. */
const PASTE_PORT = 33_418;

/** Resolves when the grant is stored. Rejects with `sign_in_failed`, `secret_unavailable` and `aborted`. */
export async function signIn(request: LoginRequest, person: SignInPerson, tools: LoginTools): Promise<Grant> {
  const { backend, url, auth } = request;
  const { grants, clock } = tools;
  if (!isSafeForTokens(url)) {
    throw failed("never", "tokens are sent over https only", "give the server's https address as `url`");
  }
  const limit = new AbortController();
  const late = `no one signed in within ${PATIENCE_MS / 60_000} minutes`;
  using _ = clock.setTimer(PATIENCE_MS, () => limit.abort(failed("later", late)));
  const signal = AbortSignal.any([tools.signal, limit.signal]);
  const library = await openOAuth({ server: url, clock, signal });
  const stored = await readable(grants.read(backend, signal));
  const before = stored?.serverUrl === url.href ? stored : null;
  const refused = await challengesOf(request, grants, library.boundedFetch);
  const { challenge } = refused;
  const server = await findSignInServer(library, {
    ...{ server: url, challenge, issuer: auth?.issuer ?? null, resource: auth?.resource ?? null },
  });
  if (server.isGuessed && !refused.isRefused) {
    throw failed("never", `${url.origin} does not ask for a login, and does not advertise a sign-in server`);
  }
  const scopes = scopesToRequest(request, refused.challenges, server, before);
  // Without renewals nothing has shown lately that the issuer still knows the client.
  const isRenewed = before?.ended === null && before.refreshToken !== null;
  const known = isRenewed && before.issuer === server.server.issuer ? before : null;
  const context: SignInContext = { request, person, library, server, scopes, known, signal };
  const { client, redirectUri, tokens } = await byBrowser(context);
  const grant: Grant = {
    serverUrl: url.href,
    resource: server.resource,
    issuer: server.server.issuer,
    tokenEndpoint: server.server.token_endpoint ?? "",
    revocationEndpoint: server.server.revocation_endpoint ?? null,
    client,
    redirectUri,
    scopes,
    ...tokens,
    obtainedAtMs: clock.wallMs(),
    renewingSinceMs: null,
    ended: null,
  };
  await grants.exclusively(backend, signal, () => grants.write(backend, grant, signal));
  return grant;
}

/** Removes the grant, and revokes it where the server can. Resolves with null if there was no grant. */
export async function signOut(
  request: Pick<LoginRequest, "backend" | "auth"> & { readonly url: URL | null },
  { grants, clock, signal }: LoginTools,
): Promise<{ readonly issuer: string | null; readonly isRevoked: boolean } | null> {
  const { backend, url, auth } = request;
  if (!(await grants.has(backend))) return null;
  return grants.exclusively(backend, signal, async () => {
    const grant = await readable(grants.read(backend, signal));
    let isRevoked = false;
    const server = grant === null ? null : (URL.parse(grant.serverUrl) ?? url);
    if (grant !== null && server !== null && grant.revocationEndpoint !== null) {
      const tools = await openOAuth({ server, clock, signal });
      isRevoked = await revokeGrant(grant, auth, tools).then(
        () => true,
        () => false,
      );
    }
    const isRemoved = await grants.remove(backend);
    return isRemoved ? { issuer: grant?.issuer ?? null, isRevoked } : null;
  });
}

interface SignInContext {
  readonly request: LoginRequest;
  readonly person: SignInPerson;
  readonly library: OAuthTools;
  readonly server: SignInServer;
  readonly scopes: readonly string[] | null;
  /** An earlier grant, whose client registration can be used again; null: there is none. */
  readonly known: Grant | null;
  readonly signal: AbortSignal;
}

async function byBrowser(context: SignInContext) {
  const { request, person, library, server, scopes, signal } = context;
  await using listener = request.method === "browser" ? await openListener(context) : null;
  const redirectUri = listener?.redirectUri ?? request.redirectUri ?? pasteAddress(context);
  const client = await clientFor(context, redirectUri);
  const code: CodeRequest = {
    target: server,
    client,
    auth: request.auth,
    redirectUri,
    scopes,
    state: randomBytes(32).toString("base64url"),
    verifier: library.oauth.generateRandomCodeVerifier(),
  };
  const address = await codeRequestAddress(code, library);
  const answering = listener?.answer(code.state, signal) ?? null;
  person.visit(address);
  const answer =
    answering === null
      ? pastedAddress(await unlessAborted(person.paste(signal), signal), redirectUri)
      : await answering;
  return { client, redirectUri, tokens: await tokensForCode(code, answer, library) };
}

/** Prefers the port of the earlier registration, because many servers compare whole redirect addresses. */
async function openListener({ request, known }: SignInContext): Promise<RedirectListener> {
  const { redirectHost: host = HOST, redirectPort: given = null } = request.auth ?? {};
  const before = given === null ? redirectPortOf(known?.redirectUri ?? null, host) : null;
  if (before === null) return listenForRedirect(given, host);
  return listenForRedirect(before, host).catch(() => listenForRedirect(null, host));
}

function pasteAddress({ request, known }: SignInContext): string {
  const { redirectHost: host = HOST, redirectPort: given = null } = request.auth ?? {};
  const port = given ?? redirectPortOf(known?.redirectUri ?? null, host) ?? PASTE_PORT;
  return `http://${host}:${port}${PATH}`;
}

function pastedAddress(text: string, redirectUri: string): URL {
  const typed = text.trim();
  const url = typed.startsWith("?") ? URL.parse(redirectUri + typed) : URL.parse(typed);
  if (url !== null && (url.searchParams.has("code") || url.searchParams.has("error"))) return url;
  throw failed("never", "that is not the last address of the browser", `it begins with ${redirectUri}`);
}

async function clientFor(
  { request, library, server, known }: SignInContext,
  redirectUri: string,
): Promise<ClientIdentity> {
  const { auth } = request;
  const given = configuredClient(auth, server.server);
  if (given !== null) return given;
  const knownClient = known?.client ?? null;
  const endsAtMs = knownClient?.secretEndsAtMs ?? Number.POSITIVE_INFINITY;
  const isStillKnown =
    knownClient?.source === "registered" &&
    known?.redirectUri === redirectUri &&
    endsAtMs > library.clock.wallMs();
  if (knownClient !== null && isStillKnown) return knownClient;
  const registration = { name: auth?.clientName ?? null, redirectUri };
  return registerClient(library, server.server, registration);
}

/** Null: there is no grant, or it is unreadable. */
async function readable(reading: Promise<Grant | null>): Promise<Grant | null> {
  try {
    return await reading;
  } catch (error) {
    if (isUnreadable(error)) return null;
    throw error;
  }
}

/**
 * Returns the challenges that the server sent to a request without a token, and to the gateway's last refused
 * request.
 */
async function challengesOf(
  { backend, url, headers }: LoginRequest,
  grants: GrantStore,
  boundedFetch: BoundedFetch,
) {
  const response = await boundedFetch(url.href, {
    method: "POST",
    headers: {
      ...headers,
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }),
    isBodyUnread: true,
    follows: "look",
  });
  const now = response.status === 401 ? bearerChallenge(response.headers.get("www-authenticate")) : null;
  const stored = await grants.readChallenge(backend, url.href);
  const challenges: StoredChallenge[] = now === null ? [] : [{ status: 401, ...now }];
  if (stored !== null && (now === null || stored.status === 403)) challenges.push(stored);
  return {
    /** Prefers a challenge that names the metadata. */
    challenge: challenges.find(({ resourceMetadata }) => resourceMetadata !== null) ?? challenges[0] ?? null,
    challenges,
    isRefused: response.status === 401 || stored !== null,
  };
}

/**
 * Returns null if the server is to choose the scopes. If the server refused a token for lack of scopes, the scopes of
 * the earlier grant are also requested again.
 */
function scopesToRequest(
  { auth, moreScopes }: LoginRequest,
  challenges: readonly StoredChallenge[],
  server: SignInServer,
  before: Grant | null,
): readonly string[] | null {
  const first = challenges.find(({ status }) => status === 401)?.scopes ?? null;
  const missing = challenges.find(({ status }) => status === 403)?.scopes ?? null;
  const base = auth?.scopes ?? first ?? (missing === null ? server.scopesSupported : null);
  const earlier = missing === null ? [] : (before?.scopes ?? []);
  const all = scopeList([...earlier, ...(base ?? []), ...(missing ?? []), ...moreScopes].join(" "));
  if (all.length === 0) return null;
  const canStay = server.server.scopes_supported?.includes("offline_access") === true;
  return canStay && !all.includes("offline_access") ? [...all, "offline_access"] : all;
}

const HOST = "127.0.0.1";
const PATH = "/callback";
const LONGEST_ADDRESS = 16 * 1024;

/** Listens on this machine for the browser's return. */
interface RedirectListener extends AsyncDisposable {
  readonly redirectUri: string;
  /** Ignores answers with another state. Rejects with the signal's reason. */
  answer(state: string, signal: AbortSignal): Promise<URL>;
}

/** Returns null if the address is not one of our redirect addresses. */
function redirectPortOf(redirectUri: string | null, host: string): number | null {
  const url = redirectUri === null ? null : URL.parse(redirectUri);
  return url !== null && url.hostname === host && url.pathname === PATH ? Number(url.port) : null;
}

/**
 * Null: any free port. `localhost` is both addresses of this machine, as a browser may use either; the port must be free at
 * both. Rejects with `sign_in_failed` if it is taken.
 */
async function listenForRedirect(port: number | null, host: string): Promise<RedirectListener> {
  const http = process.getBuiltinModule("node:http");
  let waiting: { readonly state: string; readonly take: (answer: URL) => void } | null = null;
  let base = "";

  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const url = (request.url ?? "").length > LONGEST_ADDRESS ? null : URL.parse(request.url ?? "", base);
    const isOurs = url !== null && url.pathname === PATH && `http://${request.headers.host}` === base;
    const isAnswer = waiting !== null && url?.searchParams.get("state") === waiting.state;
    if (!isOurs) page(response, 404, "There is nothing here.");
    else if (request.method !== "GET") page(response, 405, "There is nothing here.");
    else if (!isAnswer) page(response, 400, "This is not the answer to the sign-in that is under way.");
    else {
      const taker = waiting;
      waiting = null;
      page(response, 200, "You can close this page and return to Mountaineer.");
      taker?.take(url);
    }
  };

  const servers: Server[] = [];
  const listen = async (at: string, own: number): Promise<number> => {
    const server = http.createServer({ keepAlive: false }, onRequest);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => {
        const isTaken = systemErrorCode(error) === "EADDRINUSE";
        const why = isTaken ? "something else listens there" : errorText(error);
        // A machine without IPv6 has no second address.
        if (systemErrorCode(error) === "EADDRNOTAVAIL" && at !== HOST) resolve();
        else reject(failed("later", `cannot wait for the browser at port ${own}: ${why}`));
      });
      server.listen(own, at, resolve);
    });
    servers.push(server);
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : own;
  };
  const end = (server: Server): Promise<unknown> => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeIdleConnections();
    return closed;
  };
  const chosen = await listen(HOST, port ?? 0);
  if (host !== HOST)
    await listen("::1", chosen).catch(async (error: unknown) => {
      await Promise.all(servers.map(end));
      throw error;
    });
  base = `http://${host}:${chosen}`;

  return {
    redirectUri: base + PATH,
    answer(state, signal) {
      const { promise, resolve } = Promise.withResolvers<URL>();
      waiting = { state, take: resolve };
      return unlessAborted(promise, signal);
    },
    async [Symbol.asyncDispose]() {
      const closed = servers.map(end);
      // Time for the page to reach the browser.
      const limit = setTimeout(() => {
        for (const server of servers) server.closeAllConnections();
      }, 500);
      await Promise.all(closed);
      clearTimeout(limit);
    },
  };
}

function page(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": "default-src 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    connection: "close",
  });
  response.end(`<!doctype html><title>Mountaineer</title><p>${text}</p>\n`);
}
