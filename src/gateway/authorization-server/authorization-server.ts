// The gateway as an authorization server (OAuth 2.1; RFC 7009, 7591, 7636, 8414, 8707, 9207). It issues tokens for its own addresses
// only, to public clients only, and a person answers each request.
import type { IncomingMessage, ServerResponse } from "node:http";
import { errorText } from "../../runtime/errors.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { BodyIntake, type ReceivedBody } from "../../runtime/http/body-intake.ts";
import { MinuteCounts } from "../../runtime/http/minute-counts.ts";
import { senderNetwork } from "../../runtime/http/sender-network.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import type { Principal } from "../client-handle.ts";
import type { GrantLimits, GrantOrigin, Grants, Tokens } from "../client-sign-in/grants.ts";
import { type Endpoint, ownEndpoint } from "../client-sign-in/protected-resource.ts";
import type { RequestAddress } from "../middleware/middleware.ts";
import { type AccountSignInParts, AccountSignIns } from "./account-sign-ins.ts";
import { type Answer, jsonAnswer, OAuthError, send } from "./answer.ts";
import { answerUri, readAuthorize, resourceOf } from "./authorize.ts";
import type { fetchClient } from "./client-document.ts";
import { registeredClient } from "./client-record.ts";
import {
  choicePage,
  continuingPage,
  faultPage,
  type ServerAccess,
  tokenPage,
  waitingPage,
} from "./consent-pages.ts";
import { cookieFrom, formFrom, queryFrom, senderOf, setCookie } from "./request-parts.ts";
import { grantOf, provesChallenge, type WaitingRequest, WaitingRequests } from "./waiting-requests.ts";

const BODY_BYTES = 64 * 1024;
const BODIES_BYTES = 4 * 1024 * 1024;
/** Of one address behind `public_url`. */
const MOST_A_MINUTE = 60;
const MOST_FETCHES_A_MINUTE = 10;
const MOST_WRONG_A_MINUTE = 20;
const MOST_WRONG_OF_PAGE = 5;
const RENEWED = "This token was replaced by a newer one, which is needed here.";

export interface AuthorizationServerParts extends RuntimeTools, AccountSignInParts {
  readonly grants: Grants;
  readonly publicUrl: () => string | null;
  readonly hasGroup: (name: string) => boolean;
  /** The user's rights on each server. */
  readonly accessOf: (principal: Principal) => readonly ServerAccess[];
  /** `reason`: one of a few constant texts. */
  readonly refused: (reason: string, remote: string | null, principal: string | null) => void;
  /** Replaced in tests. */
  readonly fetchClient?: typeof fetchClient;
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly endpoint: Endpoint;
  readonly remote: string | null;
}

export class AuthorizationServer implements Disposable {
  readonly requests: WaitingRequests;
  readonly accounts: AccountSignIns;
  readonly #parts: AuthorizationServerParts;
  readonly #bodies: BodyIntake;
  readonly #counts: MinuteCounts;

  constructor(parts: AuthorizationServerParts) {
    this.#parts = parts;
    this.requests = new WaitingRequests(parts.clock);
    this.accounts = new AccountSignIns(parts);
    this.#bodies = new BodyIntake(parts.clock, BODIES_BYTES);
    this.#counts = new MinuteCounts(parts.clock);
  }

  /** Answers a request at one of the server's paths. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse, address: RequestAddress): void {
    const { logger } = this.#parts;
    const { path } = address;
    const failed = (error: unknown): Answer => {
      if (error instanceof OAuthError) return failure(address, error);
      // The store cannot be read or written now: nothing has changed.
      logger.warn("a sign-in request has to wait", { path, reason: errorText(error) });
      return failure(
        address,
        new OAuthError("temporarily_unavailable", "grants cannot be read or stored now", 503),
      );
    };
    void this.#answer(request, address)
      .catch(failed)
      .then((answer) => send(response, answer));
  }

  /** The users as whom a client may act. */
  get userNames(): string[] {
    return [...(this.#parts.users()?.entries.keys() ?? [])];
  }

  /**
   * The owner allows a waiting request as the user, or refuses it (null). False: there is no such user. Rejects with
   * `secret_unavailable`.
   */
  async decide(
    waiting: WaitingRequest,
    choice: (GrantLimits & { readonly user: string }) | null,
  ): Promise<boolean> {
    if (choice === null) {
      this.#refuse(waiting);
      return true;
    }
    await this.#parts.grants.keyFor("entry");
    const entry = this.#presentEntry(choice.user);
    if (entry === null) return false;
    waiting.answer = { ...choice, entry, by_owner: true };
    return true;
  }

  #refuse(waiting: WaitingRequest): void {
    waiting.answer = "no";
    this.#parts.record("client.refused", waiting.client.name, "a person refused it");
  }

  /** The user's entry by the present token; null: there is no such user. */
  #presentEntry(user: string): string | null {
    const { grants, users } = this.#parts;
    const sha256 = users()?.entries.get(user)?.sha256;
    return sha256 === undefined ? null : grants.entryOf(user, sha256);
  }

  /** Whether it still counts: a consent by a token only while that is the user's present one. */
  #stands(given: GrantOrigin): boolean {
    if (given.by_owner === true) return this.#parts.grants.isOfUser(given);
    return this.#presentEntry(given.user) === given.entry;
  }

  [Symbol.dispose](): void {
    this.#bodies[Symbol.dispose]();
  }

  async #answer(request: IncomingMessage, address: RequestAddress): Promise<Answer> {
    const endpoint = ownEndpoint(address, this.#parts.publicUrl());
    if ("closedBecause" in endpoint) throw new OAuthError("invalid_request", endpoint.closedBecause, 403);
    const { path } = address;
    const exchange = { request, endpoint, remote: senderOf(request) };
    if (!methodsAt(path).includes(request.method ?? ""))
      throw new OAuthError("invalid_request", `allowed here: ${methodsAt(path).join(", ")}`, 405);
    if (!address.isDirect && !this.#counts.isWithin(senderNetwork(exchange.remote ?? ""), MOST_A_MINUTE))
      throw new OAuthError("temporarily_unavailable", "too many requests; try again in a minute", 429);
    const { "sec-fetch-dest": destination = "document" } = request.headers;
    if (isPage(path) && destination !== "document")
      throw new OAuthError("invalid_request", "this page opens only in a tab", 403);
    if (path === "/authorize") return this.#authorize(exchange);
    if (path.startsWith("/connect/")) {
      const mayType = () => this.#mayType(exchange);
      return this.accounts.answer({ ...exchange, path, mayType, receive: () => this.#receive(exchange) });
    }
    if (isPage(path)) return this.#consent(exchange, path.slice("/authorize/".length));
    const text = await this.#receive(exchange);
    if (path === "/register") return this.#register(text);
    const form = formFrom(request, text);
    return path === "/token" ? this.#token(exchange, form) : this.#revoke(form);
  }

  async #authorize({ request, endpoint, remote }: Exchange): Promise<Answer> {
    const { grants, hasGroup, fetchClient: fetched } = this.#parts;
    await grants.load();
    const wanted = await readAuthorize(queryFrom(request), {
      ...{ key: await grants.keyFor("client"), endpoint, remote, hasGroup, fetchClient: fetched },
      mayFetch: () => this.#counts.isWithin("document of a client", MOST_FETCHES_A_MINUTE),
    });
    const { waiting, cookie } = this.requests.open(wanted);
    const action = actionOf(endpoint, waiting);
    return waitingPage(waiting, action, setCookie(action, cookie, endpoint));
  }

  async #consent(exchange: Exchange, id: string): Promise<Answer> {
    const { request, endpoint } = exchange;
    const waiting = this.requests.find(id, cookieFrom(request));
    if (waiting === null) {
      const reason =
        "the request was answered, is older than ten minutes, or belongs to another browser; start again";
      throw new OAuthError("invalid_request", reason, 410);
    }
    const action = actionOf(endpoint, waiting);
    if (request.method === "POST") {
      const form = formFrom(request, await this.#receive(exchange));
      return waiting.answer === null ? this.#choose(exchange, waiting, form) : continuingPage(action);
    }
    if (waiting.answer === null)
      return queryFrom(request).has("token") ? tokenPage(waiting, action) : waitingPage(waiting, action);
    const { redirectUri, state, issuer: iss } = waiting;
    const code = this.requests.issueCode(waiting);
    const error = code === null ? "access_denied" : null;
    const headers = { "Cache-Control": "no-store", "Referrer-Policy": "no-referrer" };
    const location = { Location: answerUri(redirectUri, { code, error, state, iss }) };
    return {
      status: 302,
      headers: { ...headers, ...location, ...setCookie(action, null, endpoint) },
      text: "",
    };
  }

  async #choose(
    { endpoint, remote }: Exchange,
    waiting: WaitingRequest,
    form: URLSearchParams,
  ): Promise<Answer> {
    const { grants, users, accessOf, refused } = this.#parts;
    const action = actionOf(endpoint, waiting);
    if (form.get("answer") === "token") {
      if (!this.#mayType({ remote }))
        throw new OAuthError(
          "temporarily_unavailable",
          "too many tokens were typed; try again in a minute",
          429,
        );
      const text = form.get("token") ?? "";
      const typed = users()?.byToken(Buffer.from(text)) ?? null;
      if (typed !== null) {
        await grants.keyFor("entry");
        const origin = { user: typed.name, entry: grants.entryOf(typed.name, sha256Of(text)) ?? "" };
        waiting.typed = this.#stands(origin) ? origin : null;
        if (waiting.typed === null) return tokenPage(waiting, action, RENEWED);
        const servers = accessOf(typed);
        waiting.shown = servers.map(({ name }) => name);
        return choicePage(waiting, typed.name, servers, action);
      }
      waiting.wrong += 1;
      refused("a wrong token was typed in the page of a client", remote, null);
      if (waiting.wrong < MOST_WRONG_OF_PAGE) return tokenPage(waiting, action, "No user has this token.");
    }
    const { typed } = waiting;
    if (form.get("answer") !== "allow" || typed === null) this.#refuse(waiting);
    else if (this.#stands(typed)) {
      const ticked = form.getAll("server");
      const backends = form.has("all") ? null : waiting.shown.filter((name) => ticked.includes(name));
      waiting.answer = { ...typed, backends, read_only: form.has("read_only") };
    } else {
      waiting.typed = null;
      return tokenPage(waiting, action, RENEWED);
    }
    return continuingPage(action);
  }

  #mayType({ remote }: Pick<Exchange, "remote">): boolean {
    return this.#counts.isWithin(`token of ${senderNetwork(remote ?? "")}`, MOST_WRONG_A_MINUTE);
  }

  async #register(text: string): Promise<Answer> {
    const { grants, clock } = this.#parts;
    const key = await grants.keyFor("client");
    return jsonAnswer(201, registeredClient(key, jsonObject(text), clock.wallMs()));
  }

  async #token({ endpoint, remote }: Exchange, form: URLSearchParams): Promise<Answer> {
    const { grants, record, refused } = this.#parts;
    const clientId = form.get("client_id") ?? "";
    if (clientId === "") throw new OAuthError("invalid_client", "client_id is missing", 401);
    await grants.load();
    const resource = form.has("resource") ? resourceOf(form.get("resource"), endpoint) : null;
    if (form.has("resource") && resource === null)
      throw new OAuthError("invalid_target", "this gateway has no such address");
    if (form.get("grant_type") === "authorization_code")
      return tokenAnswer(await this.#exchange(form, clientId, resource, endpoint));
    if (form.get("grant_type") !== "refresh_token")
      throw new OAuthError("unsupported_grant_type", "not offered here");
    const refreshed = await grants.refresh(form.get("refresh_token") ?? "", clientId, resource);
    if (refreshed.kind === "tokens") return tokenAnswer(refreshed.tokens);
    if (refreshed.kind === "other_resource")
      throw new OAuthError("invalid_target", "the token is for another address");
    const isReused = refreshed.kind === "reused";
    const reason = isReused
      ? "a refresh token was used again: the client's access has ended"
      : "a refresh token is not accepted";
    refused(reason, remote, refreshed.user);
    if (isReused) record("client.ended", refreshed.user ?? "", reason);
    throw new OAuthError("invalid_grant", reason);
  }

  /** Exchanges a code. */
  async #exchange(
    form: URLSearchParams,
    clientId: string,
    resource: string | null,
    { base }: Endpoint,
  ): Promise<Tokens> {
    const { grants, record } = this.#parts;
    const invalid = new OAuthError("invalid_grant", "the code is not valid for this program");
    const waiting = this.requests.byCode(form.get("code") ?? "");
    const consent = waiting?.answer ?? "no";
    if (waiting === null || consent === "no" || !this.#stands(consent)) throw invalid;
    const { client, redirectUri, challenge, issuer, refreshToken } = waiting;
    if (client.id !== clientId || issuer !== base) throw invalid;
    if ((form.get("redirect_uri") ?? redirectUri) !== redirectUri) throw invalid;
    if (!provesChallenge(form.get("code_verifier") ?? "", challenge)) throw invalid;
    if (resource !== null && resource !== waiting.resource)
      throw new OAuthError("invalid_target", "the code is for another address");
    if (refreshToken !== null) {
      const ended = await grants.revoke(refreshToken, clientId);
      if (ended !== null) record("client.ended", ended.client.name, "its code was used twice");
      throw invalid;
    }
    waiting.refreshToken = "";
    try {
      const grant = grantOf(waiting, consent);
      const tokens = await grants.begin(grant);
      this.requests.exchanged(waiting, tokens.refresh);
      const servers = grant.backends?.join(", ") ?? "every server";
      const limits = `${servers}${grant.read_only ? ", read-only" : ""}`;
      record(
        "client.granted",
        client.name,
        `as ${grant.user}: ${limits}; its answer goes to ${grant.client.answers_to}`,
      );
      return tokens;
    } catch (error) {
      waiting.refreshToken = null;
      throw error;
    }
  }

  /** Answers the same whether there was such a token (RFC 7009). */
  async #revoke(form: URLSearchParams): Promise<Answer> {
    const { grants, record } = this.#parts;
    await grants.load();
    const ended = await grants.revoke(form.get("token") ?? "", form.get("client_id") ?? "");
    if (ended !== null) record("client.ended", ended.client.name, "the client signed out");
    return jsonAnswer(200, {});
  }

  async #receive({ request, remote }: Exchange): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<ReceivedBody>();
    request.once("close", () => resolve({ kind: "too_slow" }));
    this.#bodies.receive({
      request,
      limitBytes: BODY_BYTES,
      sender: senderNetwork(remote ?? ""),
      done: resolve,
    });
    const body = await promise;
    if (body.kind === "whole") return body.bytes.toString("utf8");
    throw new OAuthError("invalid_request", "the body is too large, or comes too slowly", 413);
  }
}

function isPage(path: string): boolean {
  return path.startsWith("/authorize") || path.startsWith("/connect/");
}

function methodsAt(path: string): readonly string[] {
  if (path === "/authorize") return ["GET"];
  return isPage(path) ? ["GET", "POST"] : ["POST"];
}

function failure({ path }: RequestAddress, { code, message, status, back }: OAuthError): Answer {
  const seconds = new Map([
    [429, "60"],
    [503, "5"],
  ]).get(status);
  const more = {
    ...(seconds !== undefined && { "Retry-After": seconds }),
    ...(status === 405 && { Allow: methodsAt(path).join(", ") }),
  };
  const answer = isPage(path)
    ? faultPage(status, message, back)
    : jsonAnswer(status, { error: code, error_description: message });
  return { ...answer, headers: { ...answer.headers, ...more } };
}

function tokenAnswer({ access, refresh, expiresInSecs }: Tokens): Answer {
  const expires = { token_type: "Bearer", expires_in: expiresInSecs };
  return jsonAnswer(200, { access_token: access, ...expires, refresh_token: refresh });
}

/** The path of the request's page, as the browser sees it. */
function actionOf({ base }: Endpoint, { id }: WaitingRequest): string {
  return new URL(`${base}/authorize/${id}`).pathname;
}
