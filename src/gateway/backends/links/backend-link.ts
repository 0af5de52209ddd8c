// The contract of a backend transport: one connection to one MCP server, as JSON-RPC messages. Each transport has a
// folder beside this file, and one contract suite runs on all of them.
import type { JsonObject, RpcId, RpcMessage } from "../../json-rpc.ts";
import type { McpLogLevel, SpokenVersion } from "../../protocol.ts";

/** Why a link, or one request on it, came to nothing. `message` is fit for people: no secret, no stack. */
export interface LinkFailure {
  readonly kind: /** The program could not be started, or the host not be reached. */
    | "unreachable"
    /** The process ended, or the connection broke: whether the server did the work is not known. */
    | "closed"
    /** HTTP: the server no longer knows our session; it has not done the work. */
    | "session_lost"
    /** HTTP: an error status. */
    | "refused"
    /** HTTP: there is no valid token, and there will be none for the next request either; it has not done the work. */
    | "unauthorized"
    /** It answers something that is no MCP. */
    | "protocol"
    /** It does not read what it is sent, or sends more than the bounds allow. */
    | "overloaded";
  readonly message: string;
  readonly hint: string | null;
  /** HTTP: the status by which the server refused it. */
  readonly status?: number;
  /** HTTP: the address takes no connections; absent where its name, its certificate or its answers are what is wrong. */
  readonly isAway?: true;
}

export function linkFailure(
  kind: LinkFailure["kind"],
  message: string,
  hint: string | null = null,
): LinkFailure {
  return { kind, message, hint };
}

export interface LinkEvents {
  /**
   * One parsed JSON value from the server (not checked to be JSON-RPC). `streamOf` is the id of the request whose HTTP
   * response carried it; null on stdio and on a GET stream. A returned promise asks the link to read no more from that
   * source (the one HTTP response, or the process) until it settles.
   */
  onMessage(message: unknown, streamOf: RpcId | null): Promise<void> | null;
  /** A request that was sent will get no answer. On stdio only of one that the server's backlog has no room for. */
  onRequestFailed(id: RpcId, failure: LinkFailure): void;
  /** HTTP: the server refuses what it granted before; it may have forgotten the session. A request tells. */
  onDoubt(): void;
  /** HTTP: the server's own stream was interrupted, and what it said meanwhile is lost. */
  onGap(): void;
  /** Once; nothing comes after it. Not called after `close` was. */
  onClosed(failure: LinkFailure): void;
  /** What the server writes beside the protocol: lines of stderr, and lines of stdout that are no JSON. */
  onLogLine(line: string): void;
}

/** In whose name a request goes out. */
export interface Sender {
  readonly sessionId: string;
  /** As the client declared them. */
  readonly capabilities: JsonObject;
  readonly logLevel: McpLogLevel | null;
}

/** HTTP without a session: each message says in its own headers what it is. */
export interface StatelessSender {
  /** As `BackendLink.send`. Ends the session there may be, and its stream. */
  send(message: RpcMessage, headers: Readonly<Record<string, string>>): void;
  /** Breaks the request off: to close its stream is to cancel it. Nothing more comes of it. */
  abandon(id: RpcId): void;
}

export interface BackendLink {
  /** The process' id; null over HTTP. */
  readonly pid: number | null;
  /** Bytes accepted by `send` and not yet taken by the server. */
  readonly backlogBytes: number;
  /**
   * Hands over one message, in order. Never throws: what cannot be sent comes back as `onRequestFailed` (a request) or
   * is dropped (the rest). `sender`: the client whose request it is; absent or null: the gateway's own.
   */
  send(message: RpcMessage, sender?: Sender | null): void;
  /** After the initialize result: what later messages carry, and from when the server's own stream is read. */
  established(version: SpokenVersion): void;
  /** Of a transport that can do without sessions. */
  readonly stateless?: StatelessSender;
  /** Why this tool cannot be called over the link; null: it can. Absent: any can. */
  readonly toolFault?: (tool: JsonObject) => string | null;
  /**
   * Ends in order, within 5 s: stdio closes stdin, then SIGTERM, then SIGKILL to the process group; HTTP deletes the
   * session. Resolves when nothing is left. Idempotent.
   */
  close(): Promise<void>;
}

/** Opens a link; rejects never: a failure comes as `onClosed`. Nothing is called back synchronously. */
export type OpenLink = (events: LinkEvents) => BackendLink;
