// What the fronts (HTTP, lines) need of the gateway, and what the gateway needs of their sessions.
import type { ClientPort, Principal } from "../../client-port.ts";
import type { JsonObject } from "../../json-rpc.ts";
import type { ServedClient, ServingSet } from "../../middleware/middleware.ts";
import type { TurnedAway } from "../../middleware/refusal-audit.ts";
import type { ListKind, McpLogLevel, SpokenVersion } from "../../protocol.ts";
import type { ListsSeen } from "./session-record.ts";

/** Metrics for Prometheus, or why not. */
export type MetricsAnswer =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "token_needed" }
  /** They are for this machine alone. */
  | { readonly kind: "foreign" };

/** What a front asks the gateway. */
export interface FrontGateway {
  /** What serves a request that begins now. */
  readonly served: ServingSet;
  /** Whether there is such an address; what it serves depends on the client, too. */
  hasGroup(name: string): boolean;
  /** The result of initialize, without `protocolVersion`: capabilities, serverInfo, instructions. */
  initializeResult(version: SpokenVersion, client: ServedClient): JsonObject;
  /** As in it. */
  readonly serverInfo: JsonObject;
  /** How many sessions that one may have. */
  sessionsAllowed(principal: Principal): number;
  /** Whether a result is no larger than that one may be sent. */
  isSmall(principal: Principal, result: JsonObject): boolean;
  /** A session began; the gateway tells it of changes from now on. */
  opened(session: SessionPort): void;
  /** A session of before a restart goes on; it was told of these lists last. */
  resumed(session: SessionPort, lists: ListsSeen): void;
  /** The lists that the client knows, or was told to ask for. */
  listsSeen(session: SessionPort): ListsSeen;
  /** What the request is about may still come after a start: when it is there, or cannot be waited for; null: now. */
  awaited(
    session: SessionPort,
    request: { readonly method: string; readonly params?: JsonObject | undefined },
  ): Promise<void> | null;
  /** Its `principal` is another one than before. */
  identified(session: SessionPort): void;
  /** It has ended: what belongs to it at the backends ends, too. */
  closed(session: SessionPort): void;
  /** A notification of a client that the front does not handle itself. */
  notified(session: SessionPort, method: string, params: JsonObject | undefined): void;
  /** Backends log at that level for a request, until what it returns is called. */
  logsAt(level: McpLogLevel): () => void;
  /** A request was refused before anything was asked of the gateway. */
  turnedAway(request: TurnedAway): void;
  /** `GET /metrics`; null: none are served. */
  metrics(authorization: string | undefined, isOwnMachine: boolean): MetricsAnswer | null;
  /** `GET /manage/v1/health`. */
  health(): JsonObject;
}

/** A session as the gateway sees it. */
export interface SessionPort extends ClientPort {
  /** Tells the client that its visible list is another one; kept (once per kind) until it can be told. */
  listChanged(kind: ListKind): void;
  setLogLevel(level: McpLogLevel): void;
  /** False: not let in as who it was. Until a request shows who it is, it is sent nothing outside of calls. */
  admit(isAdmitted: boolean): void;
  /** Its token was taken back: it ends, with all that is under way. */
  withdraw(): void;
}
