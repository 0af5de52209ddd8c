// Admits HTTP requests by Host and Origin, by token, and by session. Refusals are answered here and reported to the
// gateway's audit.
import type { IncomingMessage } from "node:http";
import { createHostGuard } from "../../../runtime/http/host-guard.ts";
import { WrongTokens } from "../../../runtime/http/wrong-tokens.ts";
import type { RuntimeTools } from "../../../runtime/log/runtime-tools.ts";
import type { Clock } from "../../../runtime/time/clock.ts";
import { named, type Principal } from "../../client-handle.ts";
import { LIMIT_REACHED, type RpcId, type RpcRequest } from "../../json-rpc.ts";
import type { Authentication, RefusedAuthentication, ServedClient } from "../../middleware/middleware.ts";
import type { RefusedRequest } from "../../middleware/refusal-audit.ts";
import { isProtocolVersion } from "../../protocol.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import type { Incoming, SessionBatch } from "../session/incoming.ts";
import type { OtherDaemons } from "../session/other-daemons.ts";
import { Session, WITHDRAWN } from "../session/session.ts";
import type { Missing, NoCapacity, SessionStore } from "../session/session-store.ts";
import type { Refusal } from "./answer.ts";
import type { MessageIntake } from "./message-intake.ts";
import { isAllowedPage, letRead, NO_OTHER_PAGES, type PageRules } from "./other-pages.ts";
import {
  type AuthenticatedRequest,
  addressOf,
  type Exchange,
  groupOf,
  hostOf,
  isJsonType,
  methodsAt,
  pathOf,
  remoteOf,
  repeatedHeader,
  WELL_KNOWN,
} from "./request.ts";
import type { StreamParts } from "./sse-stream.ts";

/** What the parts of the HTTP front share. */
export interface FrontTools extends RuntimeTools {
  readonly gateway: FrontGateway;
  /** The daemons before and after this one; absent: there are none. */
  readonly others?: OtherDaemons | undefined;
  readonly parts: StreamParts;
  readonly sessions: SessionStore;
  readonly admission: RequestAdmission;
  readonly intake: MessageIntake;
  readonly refuse: (exchange: Exchange, refusal: Refusal) => void;
  /** Runs `work`; if that throws, only this request fails. */
  readonly guarded: (exchange: Exchange, work: () => void) => void;
}

export interface AdmissionOptions {
  readonly gateway: FrontGateway;
  /** As configured: a name or an IP address, without brackets. */
  readonly boundHost: () => string;
  readonly clock: Clock;
  /** The host name that a proxy in front may send, in lower case; null: none. */
  readonly publicHost?: () => string | null;
  /** Absent: no pages of other origins. */
  readonly pages?: () => PageRules;
}

const UNKNOWN_SESSION = "the session is not known, or has ended; initialize again";
/** The daemon that asked has ended, and the call that asked has failed with it. */
export const NO_QUESTION: Refusal = { status: 404, message: "the question that this answers is not known" };

/** A check that returns null or false has already answered the request. */
export class RequestAdmission {
  readonly #gateway: FrontGateway;
  readonly #refuse: (exchange: Exchange, refusal: Refusal) => void;
  readonly #refusalFor: ReturnType<typeof createHostGuard>;
  readonly #pages: () => PageRules;
  readonly #wrongTokens: WrongTokens;

  constructor(
    { gateway, boundHost, clock, publicHost, pages = () => NO_OTHER_PAGES }: AdmissionOptions,
    refuse: (exchange: Exchange, refusal: Refusal) => void,
  ) {
    this.#gateway = gateway;
    this.#refuse = refuse;
    this.#wrongTokens = new WrongTokens(clock);
    this.#refusalFor = createHostGuard(boundHost, publicHost);
    this.#pages = pages;
  }

  /**
   * Refuses a request that a foreign web page may have sent (DNS rebinding), or that repeats a header that
   * may come once. `page`: the request is from a page of an allowed origin, which may use these methods.
   */
  origin(exchange: Exchange): { readonly page: readonly string[] | null } | null {
    const { request, response } = exchange;
    const repeated = repeatedHeader(request);
    if (repeated !== null) {
      const reason = `the request has more than one ${repeated} header`;
      this.refuse(exchange, { status: 400, reason, principal: null });
      return null;
    }
    const { origin } = request.headers;
    const methods = origin === undefined ? null : this.#methodsFor(origin, pathOf(request.url));
    const foreign = this.#refusalFor(hostOf(request), origin, methods !== null);
    if (foreign !== null) {
      this.refuse(exchange, { status: 403, reason: foreign, principal: null });
      return null;
    }
    if (origin !== undefined && methods !== null) letRead(response, origin);
    return { page: methods };
  }

  /** The methods that a page of another origin may use at that path; null: none. */
  #methodsFor(origin: string, path: string): readonly string[] | null {
    if (!isAllowedPage(origin, this.#pages())) return null;
    if (path.startsWith(WELL_KNOWN)) return ["GET", "HEAD"];
    return methodsAt(path) ?? this.#gateway.served.resource?.methodsAt?.(path) ?? null;
  }

  /**
   * Authenticates the sender. Returns a promise only for a signed token that this process has not checked
   * before.
   */
  identify(exchange: Exchange): Principal | null | Promise<Principal | null> {
    const { request } = exchange;
    const authentication = this.#gateway.served.authenticate(request.headers, addressOf(request));
    if (authentication instanceof Promise)
      return authentication.then((found) => {
        const principal = this.#admitted(exchange, found);
        return principal !== null && this.isStillValid({ ...exchange, principal }) ? principal : null;
      });
    return this.#admitted(exchange, authentication);
  }

  /** False: the token was revoked while the request arrived. */
  isStillValid(authenticated: AuthenticatedRequest): boolean {
    if (!this.#gateway.served.isWithdrawn(authenticated.principal)) return true;
    const { name } = authenticated.principal;
    this.#unauthorized(authenticated, { ok: false, reason: WITHDRAWN, error: "invalid_token" }, name, null);
    return false;
  }

  /** Returns false if the token lacks a scope for the request; the request is then refused. */
  mayRequest(
    authenticated: AuthenticatedRequest,
    client: ServedClient,
    { id, method, params }: RpcRequest,
  ): boolean {
    const served = this.#gateway.served.forClient(client);
    const missing = served.missingScope(authenticated.principal, method, params);
    if (missing !== null) this.#unauthorized(authenticated, missing, authenticated.principal.name, id);
    return missing === null;
  }

  mayRequestAll(authenticated: AuthenticatedRequest, { session, messages }: SessionBatch): boolean {
    return messages.every(
      (one) => one.kind !== "request" || this.mayRequest(authenticated, session, one.message),
    );
  }

  /** Null: the request gets no session, and is refused. */
  session(authenticated: AuthenticatedRequest, found: Session | Missing | NoCapacity): Session | null {
    if (!(found instanceof Session)) {
      this.refuseSession(authenticated, found);
      return null;
    }
    const { url, headers } = authenticated.request;
    // A session belongs to the group at whose address it began.
    if (found.group !== groupOf(url)) {
      this.refuseSession(authenticated, { kind: "unknown" });
      return null;
    }
    found.address = addressOf(authenticated.request);
    const version = headers["mcp-protocol-version"];
    if (version === undefined || isProtocolVersion(version)) return found;
    this.#refuse(authenticated, { status: 400, message: "the MCP-Protocol-Version is not supported" });
    return null;
  }

  refuseSession(authenticated: AuthenticatedRequest, why: Missing | NoCapacity): void {
    const { principal } = authenticated;
    if (why.kind === "too_many" || why.kind === "full") {
      this.#refuse(authenticated, refusalOfCapacity(why, principal));
      return;
    }
    // Unknown and foreign sessions get the same answer, so that a guessed id cannot be confirmed.
    const reason = why.kind === "unknown" ? UNKNOWN_SESSION : "the session is another principal's";
    this.refuse(
      authenticated,
      { status: 404, reason, principal: principal.name },
      { message: UNKNOWN_SESSION },
    );
  }

  #admitted(exchange: Exchange, authentication: Authentication): Principal | null {
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
    const address = addressOf(exchange.request);
    const { resource } = this.#gateway.served;
    const headers =
      status === 503
        ? { "Retry-After": "5" }
        : { "WWW-Authenticate": challenge(refused, resource?.metadataUrl(address) ?? null) };
    const closed = resource?.closedBecause?.(address) ?? null;
    const message = closed === null ? reason : `${reason}; ${closed}`;
    this.refuse(exchange, { status, reason, principal }, { headers, id, message });
  }

  /** Refuses the request and reports it to the audit. A 401 is delayed for addresses that try many wrong tokens. */
  refuse(
    exchange: Exchange,
    record: Omit<RefusedRequest, "remote">,
    refusal: Omit<Partial<Refusal>, "status"> = {},
  ): void {
    const { status, reason } = record;
    const remote = remoteOf(exchange.request);
    this.#gateway.requestRefused({ ...record, remote });
    const answer = (): void => this.#refuse(exchange, { message: reason, ...refusal, status });
    if (status === 401) this.#wrongTokens.refuse(remote, answer);
    else answer();
  }
}

/** The `WWW-Authenticate` header of RFC 6750 and RFC 9728. */
function challenge({ error, reason, scope }: RefusedAuthentication, metadataUrl: string | null): string {
  const parts: string[] = [];
  // Without an authorization server a client cannot use the details.
  if (metadataUrl !== null) {
    parts.push(`resource_metadata="${metadataUrl}"`);
    if (error !== undefined) parts.push(`error="${error}"`, `error_description="${reason}"`);
    if (scope !== undefined) parts.push(`scope="${scope}"`);
  }
  return parts.length === 0 ? "Bearer" : `Bearer ${parts.join(", ")}`;
}

/** The status is 429 if the principal has reached its own limit, and 503 if memory is full. */
export function refusalOfCapacity(why: NoCapacity, principal: Principal): Refusal {
  const headers = { "Retry-After": "10" };
  if (why.kind === "full") {
    return { status: 503, message: `there are ${why.sessions} sessions, all of them in use`, headers };
  }
  const { allowed } = why;
  return {
    status: 429,
    code: LIMIT_REACHED,
    message: `${named(principal)} has ${allowed} sessions, all of them in use ([limits].sessions); end one, or try again in 10 s`,
    data: { limit: "[limits].sessions", allowed, retryAfterMs: 10_000 },
    headers,
  };
}

// Refusals of the bodies of admitted requests.

/** Refuses a POST whose body is not plain JSON; null: the body can be read. */
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

/** Refuses a POST whose body is not a message, or a message with too many values. */
export function refusalOfMessage(refused: Extract<Incoming, { readonly kind: "refused" }>): Refusal {
  const { code, id, reason: message } = refused;
  return { status: code === LIMIT_REACHED ? 413 : 400, code, id, message };
}
