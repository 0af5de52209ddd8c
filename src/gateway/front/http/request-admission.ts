// Admits requests over HTTP: by Host and Origin, by token, by the session that is named. Other requests are answered
// here, and the gateway is told.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Principal } from "../../client-port.ts";
import type { TurnedAway } from "../../middleware/refusal-audit.ts";
import { isProtocolVersion } from "../../protocol.ts";
import type { FrontGateway } from "../session/front-contract.ts";
import type { Session } from "../session/session.ts";
import type { SessionStore } from "../session/session-store.ts";
import type { Refusal } from "./answer.ts";
import { createHostGuard } from "./host-guard.ts";
import { hostOf, remoteOf, sessionId } from "./request.ts";

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
}

/** What gives null or false has answered the request. */
export interface RequestAdmission {
  /** False: a web page was tricked into it. */
  isOurs(exchange: Exchange): boolean;
  identify(exchange: Exchange): Principal | null;
  session(visit: Visit, id: string): Session | null;
  /** As `session`, of the id in the request's head. */
  namedSession(visit: Visit): Session | null;
}

const GONE = "the session is not known, or has ended; initialize anew";

export function createRequestAdmission(
  { gateway, boundHost }: AdmissionOptions,
  sessions: SessionStore,
  refuse: (exchange: Exchange, refusal: Refusal) => void,
): RequestAdmission {
  const guard = createHostGuard(boundHost);
  const turnAway = (
    exchange: Exchange,
    who: Omit<TurnedAway, "remote">,
    refusal: Omit<Refusal, "status">,
  ): void => {
    gateway.turnedAway({ ...who, remote: remoteOf(exchange.request) });
    refuse(exchange, { ...refusal, status: who.status });
  };

  const session = (visit: Visit, id: string): Session | null => {
    const found = sessions.find(id);
    if (found === null || !found.identify(visit.principal)) {
      const { name: principal } = visit.principal;
      // Whoever knows another's id does not learn that it is right.
      const reason = found === null ? GONE : "the session is another principal's";
      turnAway(visit, { status: 404, reason, principal }, { message: GONE });
      return null;
    }
    const version = visit.request.headers["mcp-protocol-version"];
    if (version !== undefined && !isProtocolVersion(version)) {
      refuse(visit, { status: 400, message: "the MCP-Protocol-Version is not supported" });
      return null;
    }
    return found;
  };

  return {
    isOurs(exchange) {
      const { request } = exchange;
      const foreign = guard.refusal(hostOf(request), request.headers.origin);
      if (foreign === null) return true;
      turnAway(exchange, { status: 403, reason: foreign, principal: null }, { message: foreign });
      return false;
    },
    identify(exchange) {
      const authentication = gateway.served.authenticate(exchange.request.headers);
      if (authentication.ok) return authentication.principal;
      const { reason } = authentication;
      const answer = { message: reason, headers: { "WWW-Authenticate": "Bearer" } };
      turnAway(exchange, { status: 401, reason, principal: null }, answer);
      return null;
    },
    session,
    namedSession(visit) {
      const id = sessionId(visit.request);
      if (id !== undefined) return session(visit, id);
      refuse(visit, { status: 400, message: "the Mcp-Session-Id header is missing" });
      return null;
    },
  };
}
