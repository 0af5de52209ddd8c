// The interfaces between the fronts (HTTP, lines) and the gateway: what fronts call, and what a session offers.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ClientHandle, Principal } from "../../client-handle.ts";
import type { JsonObject } from "../../json-rpc.ts";
import type { RequestAddress, ServedClient, ServingSet } from "../../middleware/middleware.ts";
import type { RefusedRequest } from "../../middleware/refusal-audit.ts";
import type { ListKind, McpLogLevel, SpokenVersion } from "../../protocol.ts";
import type { ListDigests } from "./session-memory.ts";

/** Metrics for Prometheus, or why the request is refused. */
export type MetricsAnswer =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "token_needed" }
  /** The request comes from another machine. Without a token, only this machine gets metrics. */
  | { readonly kind: "foreign" };

export interface FrontGateway {
  /** The serving set for new requests. A request in flight keeps the set with which it began. */
  readonly served: ServingSet;
  hasGroup(name: string): boolean;
  /** The result of initialize, without `protocolVersion`: capabilities, serverInfo, instructions. */
  initializeResult(version: SpokenVersion, client: ServedClient): JsonObject;
  readonly serverInfo: JsonObject;
  sessionsAllowed(): number;
  /** Counts a message of that size until the returned function is called; null: the bytes in flight leave no room for it. */
  readonly receiving: (principal: Principal, bytes: number) => (() => void) | null;
  /** Returns what counts the bytes of one stream that the principal has not read. */
  readonly unread: (principal: Principal) => (bytes: number) => void;
  /** True if the result is within the limit of size. */
  isSmall(result: JsonObject): boolean;
  /** A session has begun; from now on the gateway notifies it of changes. */
  opened(session: SessionPort): void;
  /** A session of before continues; `lists` are those that its client knows. Null: it is notified of all of them. */
  continued(session: SessionPort, lists: ListDigests | null): void;
  /** The lists that the client knows, or was notified of. */
  knownLists(session: SessionPort): ListDigests;
  /** Whether the session has what another daemon could not continue: a server process or a task. */
  hasStateOf(session: SessionPort): boolean;
  /** Resolves when the backends that the request needs are ready, or have failed to start; null: no need to wait. */
  awaited(
    session: SessionPort,
    request: { readonly method: string; readonly params?: JsonObject | undefined },
  ): Promise<void> | null;
  /** The session's `principal` has changed. */
  identified(session: SessionPort): void;
  /** Called when the session has ended. Drops the session's state at the backends. */
  closed(session: SessionPort): void;
  /** Takes a client's notification if the front does not handle it itself. */
  notified(session: SessionPort, method: string, params: JsonObject | undefined): void;
  /** Makes backends log at that level, until the returned function is called. */
  logsAt(level: McpLogLevel): () => void;
  /** Answers a request about signing in with the gateway itself. False: it is not one. */
  signIn(request: IncomingMessage, response: ServerResponse, address: RequestAddress): boolean;
  /** Records a refused request in the audit. */
  requestRefused(request: RefusedRequest): void;
  /** Answers `GET /metrics`; null: metrics are not configured. */
  metrics(authorization: string | undefined, isOwnMachine: boolean): MetricsAnswer | null;
  /** `GET /manage/v1/health`. */
  health(): JsonObject;
}

export interface SessionPort extends ClientHandle {
  /**
   * Notifies the client that its list of this kind has changed; without an open stream, as soon as one opens.
   */
  listChanged(kind: ListKind): void;
  setLogLevel(level: McpLogLevel): void;
  /** False: the principal is no longer admitted. Until its next request the client gets nothing outside of calls. */
  admit(isAdmitted: boolean): void;
  /**
   * Ends the calls and subscriptions that the principal, as it is now, may no longer make. Returns the URIs of resources of which
   * the server need no longer notify the client.
   */
  endForbidden(served: ServingSet, principal: Principal): readonly string[];
  /** The token was revoked: the session ends, and its calls with it. */
  withdraw(): void;
}
