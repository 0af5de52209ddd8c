// The gateway as its fronts (HTTP, lines) see it.
import type { BackendPool } from "../backends/pool/backend-pool.ts";
import type { FrontGateway } from "../frontend/session/front-contract.ts";
import { isWithin } from "../limits/result-size.ts";
import { gatewayInfo } from "./initialize-result.ts";
import type { Serving } from "./serving.ts";
import type { ContinuedSessions, SessionRoster } from "./session-roster.ts";

interface FrontParts {
  readonly roster: SessionRoster;
  readonly pool: BackendPool;
  readonly serving: Serving;
  readonly continued: ContinuedSessions;
  readonly signIn: FrontGateway["signIn"];
}

export function createGatewayFront(
  version: string,
  { roster, pool, serving, continued, signIn }: FrontParts,
): FrontGateway {
  return {
    signIn,
    get served() {
      return serving.served;
    },
    initializeResult: (spoken, client) => serving.initializeResult(version, spoken, client),
    hasGroup: (name) => serving.hasGroup(name),
    serverInfo: gatewayInfo(version),
    receiving: (principal, bytes) => serving.limiter.receiving(principal, bytes),
    unread: (principal) => serving.limiter.unread(principal),
    sessionsAllowed: () => serving.limiter.limits.sessions,
    isSmall(result) {
      const { resultBytes } = serving.limiter.limits;
      return resultBytes === null || isWithin(result, resultBytes);
    },
    opened: (session) => {
      roster.add(session, serving.served);
      serving.clients.opened(session);
    },
    continued: (session, lists) => {
      serving.clients.opened(session);
      continued.add(session, lists);
      serving.followLogLevel();
    },
    hasStateOf: (session) => pool.hasStateOf(session),
    knownLists: (session) => roster.knownLists(session),
    awaited: (session, request) => continued.awaited(session, request),
    identified: (session) => roster.identified(session, serving.served),
    closed(session) {
      roster.remove(session);
      continued.remove(session);
      serving.clients.closed(session);
      pool.forget(session);
      if (session.logLevel !== null) serving.followLogLevel();
    },
    notified(session, method, params) {
      const { sees } = serving.served.forClient(session).viewFor(session.principal);
      pool.notifyOwn(session, method, params, sees);
    },
    logsAt(level) {
      const release = roster.logAt(level);
      serving.followLogLevel();
      return () => {
        release();
        serving.followLogLevel();
      };
    },
    requestRefused(request) {
      if (serving.rules.auditFile !== null) serving.refusals.record(request);
    },
    metrics: (...args) => serving.rules.telemetry?.metrics(...args) ?? null,
    health: () => ({
      status: "ok",
      version,
      backends: Object.fromEntries(pool.view().map(({ name, phase }) => [name, phase])),
    }),
  };
}
