// The gateway as an authorization server (OAuth 2.1; RFC 7009, 7591, 7636, 8414, 8707, 9207). It issues tokens for its own addresses
// only, to public clients only, and a person answers each request.
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { dropOldest } from "../../runtime/bounded-map.ts";
import { errorText } from "../../runtime/errors.ts";
import { BodyIntake, type ReceivedBody } from "../../runtime/http/body-intake.ts";
import { isLoopbackHost, plainAddress } from "../../runtime/http/host-guard.ts";
import { WrongTokens } from "../../runtime/http/wrong-tokens.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { parseJson } from "../../runtime/text/parse-json.ts";
import type { Clock } from "../../runtime/time/clock.ts";
import type { Principal } from "../client-handle.ts";
import type { Grants, Tokens } from "../client-sign-in/grants.ts";
import { type Endpoint, ownEndpoint } from "../client-sign-in/protected-resource.ts";
import type { LocalUsers } from "../middleware/incoming-auth.ts";
import type { RequestAddress } from "../middleware/middleware.ts";
import { answerUri, readAuthorize, resourceOf } from "./authorize.ts";
import type { fetchClient } from "./client-document.ts";
import { registeredClient } from "./client-record.ts";
import {
  choicePage,
  continuingPage,
  faultPage,
  type Page,
  type ServerAccess,
  tokenPage,
  waitingPage,
} from "./consent-pages.ts";
import { type Consent, provesChallenge, type WaitingRequest, WaitingRequests } from "./waiting-requests.ts";

const BODY_BYTES = 64 * 1024;
const BODIES_BYTES = 4 * 1024 * 1024;
const MINUTE_MS = 60_000;
/** Of one address behind `public_url`. */
const MOST_A_MINUTE = 60;
const MOST_FETCHES_A_MINUTE = 10;
const MOST_ADDRESSES = 1_024;
const MOST_WRONG = 5;
const COOKIE = "mountaineer_request";

export interface AuthorizationServerParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly grants: Grants;
  readonly users: () => LocalUsers | null;
  readonly publicUrl: () => string | null;
  readonly hasGroup: (name: string) => boolean;
  /** The user's rights on each server. */
  readonly accessOf: (principal: Principal) => readonly ServerAccess[];
  /** Writes to the audit. `reason`: one of a few constant texts. */
  readonly record: (event: string, client: string, summary: string) => void;
  readonly refused: (reason: string, remote: string | null, principal: string | null) => void;
  /** Replaced in tests. */
  readonly fetchClient?: typeof fetchClient;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly endpoint: Endpoint;
  readonly remote: string | null;
}

/** A token request's error (RFC 6749 5.2). */
class OAuthError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export class AuthorizationServer implements Disposable {
  readonly requests: WaitingRequests;
  readonly #parts: AuthorizationServerParts;
  readonly #bodies: BodyIntake;
  readonly #wrong: WrongTokens;
  readonly #counts = new Map<string, { readonly sinceMs: number; count: number }>();

  constructor(parts: AuthorizationServerParts) {
    this.#parts = parts;
    this.requests = new WaitingRequests(parts.clock);
    this.#bodies = new BodyIntake(parts.clock, BODIES_BYTES);
    this.#wrong = new WrongTokens(parts.clock);
  }

  /** Answers a request at one of the server's paths. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse, address: RequestAddress): void {
    void this.#answer(request, response, address).catch((error: unknown) => {
      this.#parts.logger.error("a sign-in request was not handled", {
        path: address.path,
        error: errorText(error),
      });
      if (response.headersSent) response.destroy();
      else sendJson(response, 500, { error: "server_error" });
    });
  }

  /** Allows a waiting request as the user, or refuses it (null). Rejects with `secret_unavailable`. */
  async decide(waiting: WaitingRequest, choice: Omit<Consent, "entry"> | null): Promise<boolean> {
    const { grants, users, record } = this.#parts;
    const { name } = waiting.client;
    if (choice === null) {
      waiting.answer = { kind: "refused" };
      record("client.refused", name, "a person refused it");
      return true;
    }
    await grants.keyFor("entry");
    const [digest] = users()?.entries.get(choice.user)?.sha256s ?? [];
    const entry = digest === undefined ? null : grants.entryOf(choice.user, digest);
    if (entry === null) return false;
    waiting.answer = { kind: "allowed", consent: { ...choice, entry } };
    return true;
  }

  [Symbol.dispose](): void {
    this.#bodies[Symbol.dispose]();
  }

  async #answer(request: IncomingMessage, response: ServerResponse, address: RequestAddress): Promise<void> {
    const endpoint = ownEndpoint(address, this.#parts.publicUrl());
    const { path } = address;
    const isPage = path.startsWith("/authorize");
    const fail = (status: number, code: string, reason: string, headers: OutgoingHttpHeaders = {}): void => {
      if (isPage) sendPage(response, status, faultPage(reason), headers);
      else sendJson(response, status, { error: code, error_description: reason }, headers);
    };
    if ("closedBecause" in endpoint) return fail(403, "invalid_request", endpoint.closedBecause);
    const exchange = { request, response, endpoint, remote: senderOf(request) };
    const { method = "" } = request;
    const allowed = path === "/authorize" ? ["GET"] : isPage ? ["GET", "POST"] : ["POST"];
    if (!allowed.includes(method))
      return fail(405, "invalid_request", `allowed here: ${allowed.join(", ")}`, {
        Allow: allowed.join(", "),
      });
    if (!address.isDirect && !this.#isWithin(exchange.remote ?? "", MOST_A_MINUTE))
      return fail(429, "temporarily_unavailable", "too many requests; try again in a minute", {
        "Retry-After": "60",
      });
    const { "sec-fetch-dest": destination = "document" } = request.headers;
    if (isPage && destination !== "document") return fail(403, "", "this page opens only in a tab");
    try {
      if (path === "/authorize") return await this.#authorize(exchange);
      if (isPage) return await this.#consent(exchange, path.slice("/authorize/".length));
      const text = await this.#receive(exchange);
      if (path === "/register") await this.#register(exchange, text);
      else if (path === "/token") sendJson(response, 200, await this.#token(exchange, formOf(request, text)));
      else sendJson(response, 200, await this.#revoke(formOf(request, text)));
    } catch (error) {
      if (error instanceof OAuthError) return fail(error.status, error.code, error.message);
      // The store cannot be read or written now: nothing has changed.
      this.#parts.logger.warn("a sign-in request has to wait", { path, reason: errorText(error) });
      fail(503, "temporarily_unavailable", "grants cannot be read or stored now", {
        "Retry-After": "5",
      });
    }
  }

  async #authorize(exchange: Exchange): Promise<void> {
    const { request, response, endpoint, remote } = exchange;
    const { grants, hasGroup, fetchClient: fetched } = this.#parts;
    await grants.load();
    const key = await grants.keyFor("client");
    const read = await readAuthorize(queryOf(request), {
      ...{ key, endpoint, remote },
      mayFetch: () => this.#isWithin("document of a client", MOST_FETCHES_A_MINUTE),
      ...(fetched !== undefined && { fetchClient: fetched }),
      isServed: (resource) => {
        const group = resource.slice(endpoint.mcp.length + 1);
        return !resource.startsWith(`${endpoint.mcp}/`) || hasGroup(group);
      },
    });
    if (!read.ok) return sendPage(response, 400, faultPage(read.reason, read.back));
    const { waiting, cookie } = this.requests.open(read.request);
    const secure = endpoint.base.startsWith("https:") ? "; Secure" : "";
    const path = new URL(actionOf(endpoint, waiting.id)).pathname;
    const setCookie = `${COOKIE}=${cookie}; Path=${path}; Max-Age=600; HttpOnly; SameSite=Strict${secure}`;
    sendPage(response, 200, waitingPage(waiting, path), { "Set-Cookie": setCookie });
  }

  async #consent(exchange: Exchange, id: string): Promise<void> {
    const { request, response, endpoint } = exchange;
    const waiting = this.requests.find(id, cookieOf(request));
    if (waiting === null) {
      const reason =
        "the request was answered, has waited for more than ten minutes, or belongs to another browser; start again";
      return sendPage(response, 410, faultPage(reason));
    }
    const action = new URL(actionOf(endpoint, id)).pathname;
    if (request.method === "POST") return this.#choose(exchange, waiting, action);
    if (waiting.answer.kind === "waiting")
      return sendPage(
        response,
        200,
        queryOf(request).has("token") ? tokenPage(waiting, action) : waitingPage(waiting, action),
      );
    const { redirectUri, state, issuer: iss } = waiting;
    const code = this.requests.close(waiting);
    const error = code === null ? "access_denied" : null;
    const location = answerUri(redirectUri, { code, error, state, iss });
    const gone = `${COOKIE}=; Path=${action}; Max-Age=0; HttpOnly; SameSite=Strict`;
    const headers = {
      Location: location,
      "Set-Cookie": gone,
      "Cache-Control": "no-store",
      "Content-Length": 0,
    };
    response.writeHead(302, { ...headers, "Referrer-Policy": "no-referrer" }).end();
  }

  async #choose(exchange: Exchange, waiting: WaitingRequest, action: string): Promise<void> {
    const { request, response, remote } = exchange;
    const { users, accessOf, refused } = this.#parts;
    const form = formOf(request, await this.#receive(exchange));
    const answer = form.get("answer");
    if (waiting.answer.kind !== "waiting") return sendPage(response, 200, continuingPage(action));
    if (answer === "token") {
      const user = users()?.byToken(Buffer.from(form.get("token") ?? "")) ?? null;
      if (user !== null) {
        waiting.typed = user.name;
        return sendPage(response, 200, choicePage(waiting, user.name, accessOf(user), action));
      }
      waiting.wrong += 1;
      refused("a wrong token was typed in the page of a client", remote, null);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wrong.refuse(remote, resolve);
      await promise;
      if (waiting.wrong < MOST_WRONG)
        return sendPage(response, 401, tokenPage(waiting, action, "No user has this token."));
    }
    const user = users()?.entries.get(waiting.typed ?? "")?.principal;
    if (answer === "allow" && user !== undefined) {
      const chosen = form.getAll("server");
      const isAll = accessOf(user).every(({ name }) => chosen.includes(name));
      const limits = { backends: isAll ? null : chosen, read_only: form.has("read_only") };
      if (await this.decide(waiting, { user: user.name, ...limits }))
        return sendPage(response, 200, continuingPage(action));
    }
    await this.decide(waiting, null);
    sendPage(response, 200, continuingPage(action));
  }

  async #register({ response }: Exchange, text: string): Promise<void> {
    const { grants, clock } = this.#parts;
    let body: unknown = null;
    try {
      body = parseJson(text);
    } catch {
      throw new OAuthError("invalid_client_metadata", "the body is not JSON");
    }
    const made = registeredClient(await grants.keyFor("client"), body, clock.wallMs());
    if (isRefusal(made)) throw new OAuthError(made.error, made.reason);
    sendJson(response, 201, made);
  }

  async #token({ endpoint, remote }: Exchange, form: URLSearchParams): Promise<object> {
    const { grants, record, refused } = this.#parts;
    const clientId = form.get("client_id") ?? "";
    if (clientId === "") throw new OAuthError("invalid_client", "client_id is missing", 401);
    await grants.load();
    const given = form.get("resource");
    const resource = given === null ? null : resourceOf(given, endpoint);
    if (given !== null && resource === null)
      throw new OAuthError("invalid_target", "this gateway has no such address");
    const type = form.get("grant_type");
    if (type === "authorization_code") return this.#exchanged(form, clientId, resource, endpoint);
    if (type !== "refresh_token") throw new OAuthError("unsupported_grant_type", "not offered here");
    const refreshed = await grants.refresh(form.get("refresh_token") ?? "", clientId, resource);
    if (refreshed.kind === "tokens") return tokenAnswer(refreshed.tokens);
    if (refreshed.kind === "other_resource")
      throw new OAuthError("invalid_target", "the token is for another address");
    const reason =
      refreshed.kind === "reused"
        ? "a refresh token was used again: the client's access has ended"
        : "a refresh token is not accepted";
    refused(reason, remote, refreshed.user);
    if (refreshed.kind === "reused") record("client.ended", refreshed.user ?? "", reason);
    throw new OAuthError("invalid_grant", reason);
  }

  async #exchanged(
    form: URLSearchParams,
    clientId: string,
    resource: string | null,
    { base }: Endpoint,
  ): Promise<object> {
    const { grants, record } = this.#parts;
    const issued = this.requests.issued(form.get("code") ?? "");
    const { client, redirectUri, challenge, resource: own, issuer } = issued?.request ?? {};
    const invalid = new OAuthError("invalid_grant", "the code is not valid for this program");
    if (issued === null || client?.id !== clientId || issuer !== base) throw invalid;
    if ((form.get("redirect_uri") ?? redirectUri) !== redirectUri) throw invalid;
    if (!provesChallenge(form.get("code_verifier") ?? "", challenge ?? "")) throw invalid;
    if (resource !== null && resource !== own)
      throw new OAuthError("invalid_target", "the code is for another address");
    if (issued.givenToken !== null) {
      const ended = await grants.revoke(issued.givenToken, clientId);
      if (ended !== null) record("client.ended", ended.client.name, "its code was used twice");
      throw invalid;
    }
    issued.givenToken = "";
    try {
      const tokens = await grants.begin(issued.grant);
      issued.givenToken = tokens.refresh;
      const { user, backends, read_only, client: named } = issued.grant;
      const limits = `${backends === null ? "every server" : backends.join(", ")}${read_only ? ", read-only" : ""}`;
      record("client.granted", named.name, `as ${user}: ${limits}; its answer goes to ${named.answers_to}`);
      return tokenAnswer(tokens);
    } catch (error) {
      issued.givenToken = null;
      throw error;
    }
  }

  /** Answers the same whether there was such a token (RFC 7009). */
  async #revoke(form: URLSearchParams): Promise<object> {
    const { grants, record } = this.#parts;
    await grants.load();
    const ended = await grants.revoke(form.get("token") ?? "", form.get("client_id") ?? "");
    if (ended !== null) record("client.ended", ended.client.name, "the client signed out");
    return {};
  }

  async #receive({ request, response, remote }: Exchange): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<ReceivedBody>();
    response.once("close", () => resolve({ kind: "too_slow" }));
    this.#bodies.receive({ request, limitBytes: BODY_BYTES, sender: remote ?? "", done: resolve });
    const body = await promise;
    if (body.kind === "whole") return body.bytes.toString("utf8");
    throw new OAuthError("invalid_request", "the body is too large, or comes too slowly", 413);
  }

  /** Counts an event; false: there were already `most` of its kind within a minute. */
  #isWithin(what: string, most: number): boolean {
    const nowMs = this.#parts.clock.monotonicMs();
    const known = this.#counts.get(what);
    if (known !== undefined && nowMs - known.sinceMs < MINUTE_MS) {
      known.count += 1;
      return known.count <= most;
    }
    this.#counts.delete(what);
    this.#counts.set(what, { sinceMs: nowMs, count: 1 });
    dropOldest(this.#counts, MOST_ADDRESSES);
    return true;
  }
}

function isRefusal(made: object): made is { readonly error: string; readonly reason: string } {
  return "error" in made && "reason" in made;
}

function tokenAnswer({ access, refresh, expiresInSecs }: Tokens): object {
  return { access_token: access, token_type: "Bearer", expires_in: expiresInSecs, refresh_token: refresh };
}

function actionOf({ base }: Endpoint, id: string): string {
  return `${base}/authorize/${id}`;
}

function queryOf({ url = "" }: IncomingMessage): URLSearchParams {
  return new URLSearchParams(url.includes("?") ? url.slice(url.indexOf("?")) : "");
}

/** Throws for another type, and for a parameter that is there twice, but for the servers of a page. */
function formOf({ headers }: IncomingMessage, text: string): URLSearchParams {
  const type = headers["content-type"] ?? "";
  if (!/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type))
    throw new OAuthError("invalid_request", "the Content-Type must be application/x-www-form-urlencoded");
  const form = new URLSearchParams(text);
  const repeated = [...form.keys()].find((name) => name !== "server" && form.getAll(name).length > 1);
  if (repeated !== undefined)
    throw new OAuthError("invalid_request", `the parameter ${repeated} is there twice`);
  return form;
}

function cookieOf({ headers }: IncomingMessage): string {
  return new RegExp(`(?:^|; )${COOKIE}=([\\w-]{43})(?:;|$)`).exec(headers.cookie ?? "")?.[1] ?? "";
}

/** The sender, as a proxy on this machine appends it to the header; null: unknown. */
function senderOf({ headers, socket }: IncomingMessage): string | null {
  const remote = plainAddress(socket.remoteAddress ?? "");
  const senders = headers["x-forwarded-for"];
  const last = (typeof senders === "string" ? senders : "").split(",").at(-1)?.trim() ?? "";
  if (isLoopbackHost(remote) && isIP(last) !== 0) return last;
  return remote === "" ? null : remote;
}

function sendPage(
  response: ServerResponse,
  status: number,
  { headers, html }: Page,
  more: OutgoingHttpHeaders = {},
): void {
  response.writeHead(status, { ...headers, ...more, "Content-Length": Buffer.byteLength(html) }).end(html);
}

function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  more: OutgoingHttpHeaders = {},
): void {
  const text = JSON.stringify(isObject(body) ? body : {});
  const headers = { "Content-Type": "application/json", "Cache-Control": "no-store", Pragma: "no-cache" };
  response.writeHead(status, { ...headers, ...more, "Content-Length": Buffer.byteLength(text) }).end(text);
}
