// Admits requests over HTTP: by Host and Origin, by token, by the session that is named. Other requests are answered
// here, and the gateway is told.
import type { IncomingMessage, ServerResponse } from "node:http";
import { createHostGuard } from "../../../runtime/http/host-guard.ts";
import { WrongTokens } from "../../../runtime/http/wrong-tokens.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { named, type Principal } from "../../client-port.ts";
import type { GatewayTools } from "../../gateway-tools.ts";
import { LIMIT_REACHED, type RpcId, type RpcRequest } from "../../json-rpc.ts";
import type { Authentication, RefusedAuthentication, ServedClient } from "../../middleware/middleware.ts";
import type { TurnedAway } from "../../middleware/refusal-audit.ts";
import { isProtocolVersion } from "../../protocol.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import { type Session, WITHDRAWN } from "../session/session.ts";
import { holderOf } from "../session/session-record.ts";
import type { SessionStore } from "../session/session-store.ts";
import type { Refusal } from "./answer.ts";
import {
  groupOf,
  hostOf,
  isJsonType,
  MESSAGES_PATH,
  pathOf,
  remoteOf,
  SSE_PATH,
  saidTwice,
  sessionId,
} from "./request.ts";
import type { StreamParts } from "./sse-stream.ts";

/** A request and where its answer goes. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** One request whose sender is known. */
export interface Visit extends Exchange {
  readonly principal: Principal;
}

/** What the front has for its parts. */
export interface FrontTools extends GatewayTools {
  readonly gateway: FrontGateway;
  readonly parts: StreamParts;
  readonly sessions: SessionStore;
  readonly admission: RequestAdmission;
  readonly refuse: (exchange: Exchange, refusal: Refusal) => void;
  /** Calls back with the body, or answers why not. */
  readonly receive: (visit: Visit, take: (body: Buffer) => void) => void;
}

export interface AdmissionOptions {
  readonly gateway: FrontGateway;
  /** As configured: a name or an IP address, without brackets. */
  readonly boundHost: () => string;
  readonly clock: Clock;
  /** The name that a proxy may pass on, in lower case; null: none. */
  readonly publicHost?: () => string | null;
}

const GONE = "the session is not known, or has ended; initialize anew";

/** Where its id names a machine, that is said: what is not shared with that one is not known here. */
function goneText(id: string | undefined): string {
  const machine = id === undefined ? null : holderOf(id);
  return machine === null
    ? GONE
    : `the session, which began on ${machine}, is not known here, or has ended; initialize anew`;
}

/** What gives null or false has answered the request. */
export class RequestAdmission {
  readonly #gateway: FrontGateway;
  readonly #sessions: SessionStore;
  readonly #refuse: (exchange: Exchange, refusal: Refusal) => void;
  readonly #refusalFor: ReturnType<typeof createHostGuard>;
  readonly #wrongTokens: WrongTokens;

  constructor(
    { gateway, boundHost, clock, publicHost }: AdmissionOptions,
    sessions: SessionStore,
    refuse: (exchange: Exchange, refusal: Refusal) => void,
  ) {
    this.#gateway = gateway;
    this.#sessions = sessions;
    this.#refuse = refuse;
    this.#wrongTokens = new WrongTokens(clock);
    this.#refusalFor = createHostGuard(boundHost, publicHost);
  }

  /** False, and it is answered: a web page was tricked into it, or it says twice what counts once. */
  isOurs(exchange: Exchange): boolean {
    const { request } = exchange;
    const twice = saidTwice(request);
    if (twice !== null) {
      const reason = `the request has more than one ${twice} header`;
      this.#turnAway(exchange, { status: 400, reason, principal: null }, { message: reason });
      return false;
    }
    const foreign = this.#refusalFor(hostOf(request), request.headers.origin);
    if (foreign === null) return true;
    this.#turnAway(exchange, { status: 403, reason: foreign, principal: null }, { message: foreign });
    return false;
  }

  /** At once wherever the token is known; the first time that a signed one comes, its check takes a moment. */
  identify(exchange: Exchange): Principal | null | Promise<Principal | null> {
    const authentication = this.#gateway.served.authenticate(exchange.request.headers);
    if (authentication instanceof Promise)
      return authentication.then((known) => {
        const principal = this.#known(exchange, known);
        return principal !== null && this.isStillIn({ ...exchange, principal }) ? principal : null;
      });
    return this.#known(exchange, authentication);
  }

  /** False, and it is answered: its token was taken back while the request came. */
  isStillIn(visit: Visit): boolean {
    if (!this.#gateway.served.isWithdrawn(visit.principal)) return true;
    const { name } = visit.principal;
    this.#unauthorized(visit, { ok: false, reason: WITHDRAWN, error: "invalid_token" }, name, null);
    return false;
  }

  /** False, and the request is answered: its token lacks a scope. */
  mayAsk(visit: Visit, client: ServedClient, { id, method, params }: RpcRequest): boolean {
    const served = this.#gateway.served.forClient(client);
    const lacking = served.missingScope(visit.principal, method, params);
    if (lacking !== null) this.#unauthorized(visit, lacking, visit.principal.name, id);
    return lacking === null;
  }

  session(visit: Visit, id: string): Session | null {
    const found = this.#sessions.find(id, visit.principal);
    // A session is that of its address: what another one serves is not in it.
    if (found === null || found === "foreign" || found.group !== groupOf(visit.request.url)) {
      this.refuseSession(visit, found === "foreign" ? found : null);
      return null;
    }
    const version = visit.request.headers["mcp-protocol-version"];
    if (version === undefined || isProtocolVersion(version)) return found;
    this.#refuse(visit, { status: 400, message: "the MCP-Protocol-Version is not supported" });
    return null;
  }

  /** `found`: what the id names. */
  refuseSession(visit: Visit, found: "foreign" | null): void {
    const { name: principal } = visit.principal;
    // Whoever knows another's id does not learn that it is right.
    const reason = found === null ? GONE : "the session is another principal's";
    const message = goneText(sessionId(visit.request));
    this.#turnAway(visit, { status: 404, reason, principal }, { message });
  }

  /** As `session`, of the id in the request's head. */
  namedSession(visit: Visit): Session | null {
    const id = sessionId(visit.request);
    if (id !== undefined) return this.session(visit, id);
    this.#refuse(visit, { status: 400, message: "the Mcp-Session-Id header is missing" });
    return null;
  }

  #known(exchange: Exchange, authentication: Authentication): Principal | null {
    if (authentication.ok) return authentication.principal;
    this.#unauthorized(exchange, authentication, null, null);
    return null;
  }

  #unauthorized(
    exchange: Exchange,
    refused: RefusedAuthentication,
    principal: string | null,
    id: RpcId | null,
  ): void {
    const { status = 401, reason } = refused;
    const headers =
      status === 503
        ? { "Retry-After": "5" }
        : { "WWW-Authenticate": challenge(refused, this.#metadataUrl(exchange.request)) };
    this.#turnAway(exchange, { status, reason, principal }, { message: reason, headers, id }, status === 401);
  }

  /** Null: there is no authorization server that it could lead to. */
  #metadataUrl(request: IncomingMessage): string | null {
    const host = hostOf(request);
    const { resource } = this.#gateway.served;
    return host === undefined || resource === null ? null : resource.metadataUrl(host, isOlder(request));
  }

  /** In one way for all who have no business here. */
  turnAway(exchange: Exchange, who: Omit<TurnedAway, "remote">): void {
    const headers = who.status === 401 ? { "WWW-Authenticate": "Bearer" } : {};
    this.#turnAway(exchange, who, { message: who.reason, headers }, who.status === 401);
  }

  /** `isSlowed`: whoever tries often waits for it. */
  #turnAway(
    exchange: Exchange,
    who: Omit<TurnedAway, "remote">,
    refusal: Omit<Refusal, "status">,
    isSlowed = false,
  ): void {
    const remote = remoteOf(exchange.request);
    this.#gateway.turnedAway({ ...who, remote });
    const answer = (): void => this.#refuse(exchange, { ...refusal, status: who.status });
    if (isSlowed) this.#wrongTokens.refuse(remote, answer);
    else answer();
  }
}

/** To an address of the older transport. */
function isOlder({ url }: IncomingMessage): boolean {
  const path = pathOf(url);
  return path === SSE_PATH || path === MESSAGES_PATH;
}

/** `WWW-Authenticate`, as RFC 6750 and RFC 9728 say. */
function challenge({ error, reason, scope }: RefusedAuthentication, metadataUrl: string | null): string {
  const parts: string[] = [];
  // Without an authorization server there is nothing that a client could do about it.
  if (metadataUrl !== null) {
    parts.push(`resource_metadata="${metadataUrl}"`);
    if (error !== undefined) parts.push(`error="${error}"`, `error_description="${reason}"`);
    if (scope !== undefined) parts.push(`scope="${scope}"`);
  }
  return parts.length === 0 ? "Bearer" : `Bearer ${parts.join(", ")}`;
}

// Refusals of requests that were admitted: of their bodies, and of new sessions where there are too many.

/** Whoever holds as many as it may waits for its own; a full table is everybody's. */
export function refusalOfSession(
  room: Exclude<ReturnType<SessionStore["makeRoom"]>, { readonly kind: "room" }>,
  principal: Principal,
): Refusal {
  const headers = { "Retry-After": "10" };
  if (room.kind === "full") {
    return { status: 503, message: `there are ${room.sessions} sessions, all of them in use`, headers };
  }
  const { allowed } = room;
  return {
    status: 429,
    code: LIMIT_REACHED,
    message: `${named(principal)} has ${allowed} sessions, all of them in use ([limits].sessions); end one, or try again in 10 s`,
    data: { limit: "[limits].sessions", allowed, retryAfterMs: 10_000 },
    headers,
  };
}

/** Why the body of a POST is not read; null: it is. */
export function refusalOfBody({ headers }: IncomingMessage): Refusal | null {
  if (!isJsonType(headers["content-type"])) {
    return { status: 415, message: "the Content-Type must be application/json" };
  }
  const coding = headers["content-encoding"];
  if (coding !== undefined && coding !== "identity") {
    const message = "the body must not be compressed (Content-Encoding)";
    return { status: 415, message, headers: { "Accept-Encoding": "identity" } };
  }
  return null;
}
