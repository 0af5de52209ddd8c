// Admits requests over HTTP: by Host and Origin, by token, by the session that is named. Other requests are answered
// here, and the gateway is told.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Clock } from "../../../runtime/time/clock.ts";
import type { Principal } from "../../client-port.ts";
import type { TurnedAway } from "../../middleware/refusal-audit.ts";
import { isProtocolVersion } from "../../protocol.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import type { Session } from "../session/session.ts";
import type { SessionStore } from "../session/session-store.ts";
import type { Refusal } from "./answer.ts";
import { createHostGuard } from "./host-guard.ts";
import { hostOf, remoteOf, sessionId } from "./request.ts";
import { WrongTokens } from "./wrong-tokens.ts";

/** A request and where its answer goes. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** One request whose sender is known. */
export interface Visit extends Exchange {
  readonly principal: Principal;
}

interface AdmissionOptions {
  readonly gateway: FrontGateway;
  readonly boundHost: () => string;
  readonly clock: Clock;
}

const GONE = "the session is not known, or has ended; initialize anew";

/** What gives null or false has answered the request. */
export class RequestAdmission {
  readonly #gateway: FrontGateway;
  readonly #sessions: SessionStore;
  readonly #refuse: (exchange: Exchange, refusal: Refusal) => void;
  readonly #refusalFor: ReturnType<typeof createHostGuard>;
  readonly #wrongTokens: WrongTokens;

  constructor(
    { gateway, boundHost, clock }: AdmissionOptions,
    sessions: SessionStore,
    refuse: (exchange: Exchange, refusal: Refusal) => void,
  ) {
    this.#gateway = gateway;
    this.#sessions = sessions;
    this.#refuse = refuse;
    this.#refusalFor = createHostGuard(boundHost);
    this.#wrongTokens = new WrongTokens(clock);
  }

  /** False: a web page was tricked into it. */
  isOurs(exchange: Exchange): boolean {
    const { request } = exchange;
    const foreign = this.#refusalFor(hostOf(request), request.headers.origin);
    if (foreign === null) return true;
    this.#turnAway(exchange, { status: 403, reason: foreign, principal: null }, { message: foreign });
    return false;
  }

  identify(exchange: Exchange): Principal | null {
    const authentication = this.#gateway.served.authenticate(exchange.request.headers);
    if (authentication.ok) return authentication.principal;
    const { reason } = authentication;
    const remote = remoteOf(exchange.request);
    this.#gateway.turnedAway({ status: 401, reason, principal: null, remote });
    this.#wrongTokens.refuse(remote, (isSlowed) => {
      const headers = { "WWW-Authenticate": "Bearer", ...(isSlowed && { Connection: "close" }) };
      this.#refuse(exchange, { status: 401, message: reason, headers });
    });
    return null;
  }

  session(visit: Visit, id: string): Session | null {
    const found = this.#sessions.find(id);
    if (found === null || !found.identify(visit.principal)) {
      const { name: principal } = visit.principal;
      // Whoever knows another's id does not learn that it is right.
      const reason = found === null ? GONE : "the session is another principal's";
      this.#turnAway(visit, { status: 404, reason, principal }, { message: GONE });
      return null;
    }
    const version = visit.request.headers["mcp-protocol-version"];
    if (version === undefined || isProtocolVersion(version)) return found;
    this.#refuse(visit, { status: 400, message: "the MCP-Protocol-Version is not supported" });
    return null;
  }

  /** As `session`, of the id in the request's head. */
  namedSession(visit: Visit): Session | null {
    const id = sessionId(visit.request);
    if (id !== undefined) return this.session(visit, id);
    this.#refuse(visit, { status: 400, message: "the Mcp-Session-Id header is missing" });
    return null;
  }

  #turnAway(exchange: Exchange, who: Omit<TurnedAway, "remote">, refusal: Omit<Refusal, "status">): void {
    this.#gateway.turnedAway({ ...who, remote: remoteOf(exchange.request) });
    this.#refuse(exchange, { ...refusal, status: who.status });
  }
}
