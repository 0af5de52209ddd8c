// The client handle: the gateway's side of one client, over any transport, with its identity, its calls, and ways to ask
// and notify it.
import type { CallSignal } from "./call-signal.ts";
import type { JsonObject, Reply, RpcId } from "./json-rpc.ts";
import type { McpLogLevel, SpokenVersion } from "./protocol.ts";

/** The identity of a client after authentication. */
export interface Principal {
  /**
   * `owner`: connected over the home's own socket; of the policies, only the rule for destructive tools
   * applies. `machine`: another machine of the fleet.
   */
  readonly kind: "owner" | "anonymous" | "user" | "machine";
  /** Issuer and subject of a signed token; absent: the name identifies the principal. */
  readonly id?: string;
  readonly subject?: string;
  /** The name in logs and the audit; a user with a signed token may have chosen it. */
  readonly name: string;
  readonly roles: readonly string[];
  /** The name of the user in the file whose rights these are. Absent: none, as for people of an issuer. */
  readonly user?: string;
  /** Identifies the user's entry in the file, see `accountOf`. Absent: the principal has no own account at any server. */
  readonly account?: string;
  /** The limits of a client to which a user gave access. Absent: all that the user may. */
  readonly limits?: RightsLimits;
  /** A person on the command line, so no consent is asked for. */
  readonly isPerson?: true;
}

export interface RightsLimits {
  /** null: all servers. */
  readonly backends: readonly string[] | null;
  /** Only what changes nothing, by the word of its server. */
  readonly isReadOnly: boolean;
}

export function named({ kind, name }: Principal): string {
  if (kind === "owner") return "the owner";
  return kind === "anonymous" ? "everybody without a token together" : `user ${name}`;
}

/** Equal for the same principal, even with other roles or another name. */
export function principalKey({ kind, id, name }: Principal): string {
  if (id !== undefined) return `signed ${id}`;
  return kind === "user" || kind === "machine" ? `${kind} ${name}` : kind;
}

/** Another machine of the fleet, by the name with which the NATS server authenticated it. */
export function machinePrincipal(machine: string): Principal {
  return { kind: "machine", name: `fleet:${machine}`, roles: ["fleet"] };
}

/** Whether the principal has no token that could be withdrawn. */
export function needsNoToken({ kind }: Principal): boolean {
  return kind === "owner" || kind === "machine";
}

/**
 * Whether `principal` may continue a session whose principal has this key. Anonymous clients may become users
 * and vice versa, as an edit of the configuration changes the tokens that clients send.
 */
export function mayResumeAs(key: string, principal: Principal): boolean {
  return key === principalKey(ANONYMOUS) || principal.kind === "anonymous" || key === principalKey(principal);
}

/** A request that a server sends to a client, for example for sampling. */
export type ServerRequest = readonly [
  method: string,
  params: JsonObject | undefined,
  signal: CallSignal,
  onProgress?: (params: JsonObject) => void,
];

/** The address to which a client sent its newest request. */
export interface ReachedAt {
  /** As the client wrote it, `127.0.0.1:9000`; request admission has checked it. */
  readonly host: string;
  /** Whether a program on this machine sent the request, without a proxy. */
  readonly isDirect: boolean;
  /** The scheme that a proxy names; null: none does. */
  readonly scheme: string | null;
}

/** One client session. Equal only to itself: compare by identity. */
export interface ClientHandle {
  /** Unguessable; never logged whole. */
  readonly sessionId: string;
  /**
   * Identifies a client without a session in signed task ids; not secret. Absent: the client has a session.
   */
  readonly publicId?: string;
  /**
   * If the client is another machine: identifies the client of that machine that made the request (see
   * caller-marks.ts). If it is `mountaineer mcp`: identifies that process, which connects again after a handover. Absent or
   * null: unknown.
   */
  readonly caller?: string | null;
  /** The principal of the newest request: an edit of the configuration may change roles and names. */
  readonly principal: Principal;
  readonly protocolVersion: SpokenVersion;
  /** As the client declared them at initialize. */
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
  /** Absent: streamable HTTP, or JSON-RPC lines over a socket (used by the owner and by other machines). */
  readonly transport?: "sse";
  /** The client ends its connection at a larger message, in bytes; absent: it has no such limit. */
  readonly messageLimitBytes?: number;
  /** The folder in which the client was started, if the client sent it; absolute and unchecked. */
  readonly folder?: string | null;
  /** The group whose address the client uses; null: the address that serves all groups and backends. */
  readonly group: string | null;
  /** The level of logging/setLevel; null: never set. */
  readonly logLevel: McpLogLevel | null;
  /** Absent: over a socket. */
  readonly address?: ReachedAt | undefined;
  /** The client has an open stream or a request in flight. */
  readonly busy: boolean;
  /** Aborted at the session's end. */
  readonly ended: AbortSignal;
  /**
   * Sends a notification outside of any call (over HTTP: on the client's GET stream). Dropped if the client's
   * buffer is full.
   */
  notify(method: string, params: JsonObject | undefined): void;
  /**
   * Sends a request to the client, outside of any call, with the params unchanged. Resolves with an error if the client
   * cannot be reached, or if the signal aborts; the client then gets notifications/cancelled.
   *
   * With `onProgress`, `params._meta.progressToken` must be a string that the gateway has made and uses for this
   * request only. Until the reply, only `onProgress` gets the params of the client's notifications/progress with this
   * token.
   */
  request(...serverRequest: ServerRequest): Promise<Reply>;
}

/** The session of the requests that the owner makes without a connection (`mountaineer call`). */
export const OWNER_SESSION_ID = "owner";

/** The principal of requests over the home's own sockets, which only its owner can open. */
export const OWNER: Principal = { kind: "owner", name: "owner", roles: ["owner"] };
/** The owner as a person who runs `mountaineer call`, and therefore needs not be asked for consent. */
export const OWNER_IN_PERSON: Principal = { ...OWNER, isPerson: true };
export const ANONYMOUS: Principal = { kind: "anonymous", name: "anonymous", roles: ["anonymous"] };

/** A client's request in flight, with the stream for its notifications and server requests. */
export interface CallHandle {
  readonly client: ClientHandle;
  /** The request's id, as chosen by the client. */
  readonly id: RpcId;
  /** The client's capabilities for this request; absent: `client.capabilities`. */
  readonly declared?: JsonObject;
  notify(method: string, params: JsonObject | undefined): void;
  /** Like `ClientHandle.request`, but on this call's stream; null if the stream closed before the answer. */
  request(...serverRequest: ServerRequest): Promise<Reply | null>;
  /**
   * True: the client has left a server request unanswered for so long that this call may be ended when another client
   * needs its server. Absent: false.
   */
  readonly mayBeEvicted?: boolean;
  /** Ends the call, because another client needs the server that the call occupies. */
  evict?(): void;
  /** Waits for a person's answer elsewhere, without limit of the script's time; absent: the call is not a script's. */
  untilAnswered?<Answer>(answer: () => Promise<Answer>): Promise<Answer>;
  /** Remembers what a person agreed to for the next rounds of this call; absent: the call has only one round. */
  agree?(consentFor: string): void;
  /** Null while the client reads fast enough; otherwise settles when it has read the data buffered for it. */
  readonly congested: Promise<void> | null;
}
