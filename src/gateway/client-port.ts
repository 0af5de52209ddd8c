// What backends may do towards a client, whatever carries it: answer within a call, ask, and notify.
import type { CallSignal } from "./call-signal.ts";
import type { JsonObject, Reply, RpcId } from "./json-rpc.ts";
import type { McpLogLevel, SpokenVersion } from "./protocol.ts";

/** Who a client is, as the authentication found it. */
export interface Principal {
  /** `owner`: came over the home's own socket; no policy applies. `machine`: another machine of the fleet. */
  readonly kind: "owner" | "anonymous" | "user" | "machine";
  /** Issuer and subject of a signed token; absent: the name alone tells who it is. */
  readonly id?: string;
  /** Of a signed token: who it is at its issuer, whatever it is called. */
  readonly subject?: string;
  /** For people: logs, the audit. */
  readonly name: string;
  readonly roles: readonly string[];
  /** A person says it on the command line: nobody needs to be asked. */
  readonly isPerson?: true;
}

/** How messages call it. */
export function named({ kind, name }: Principal): string {
  if (kind === "owner") return "the owner";
  return kind === "anonymous" ? "everybody without a token together" : `user ${name}`;
}

/** Equal for one and the same principal, whatever its roles are by now, and whatever it is called. */
export function principalKey({ kind, id, name }: Principal): string {
  if (id !== undefined) return `signed ${id}`;
  return kind === "user" || kind === "machine" ? `${kind} ${name}` : kind;
}

/** Another machine of the fleet, by the name that the server let it speak under. */
export function machinePrincipal(machine: string): Principal {
  return { kind: "machine", name: `fleet:${machine}`, roles: ["fleet"] };
}

/** It came in without a token that could be taken back. */
export function needsNoToken({ kind }: Principal): boolean {
  return kind === "owner" || kind === "machine";
}

/**
 * Whether a session of the principal with that key goes on with this one. Who is anonymous may become somebody, and the
 * other way round: an edit of the configuration changes what clients send.
 */
export function mayGoOn(key: string, principal: Principal): boolean {
  return key === principalKey(ANONYMOUS) || principal.kind === "anonymous" || key === principalKey(principal);
}

/** What a client is asked. */
export type Question = readonly [
  method: string,
  params: JsonObject | undefined,
  signal: CallSignal,
  onProgress?: (params: JsonObject) => void,
];

/** One client session. Equal only to itself: compare by identity. */
export interface ClientPort {
  /** Unguessable; never logged whole. */
  readonly sessionId: string;
  /** Tells it apart in what clients carry, and is no secret; absent: it has a session of its own. */
  readonly mark?: string;
  /** Which client of another machine it is now, as that machine says; absent or null: that is not known, or it is of none. */
  readonly caller?: string | null;
  /** Of its newest request: an edit of the configuration may give other roles, or other names. */
  readonly principal: Principal;
  readonly protocolVersion: SpokenVersion;
  /** As the client declared them at initialize. */
  readonly capabilities: JsonObject;
  readonly clientInfo: JsonObject;
  /** Absent: streamable HTTP, or lines where its principal came over the home's socket or from another machine. */
  readonly transport?: "sse";
  /** The group at whose address it came in; null: at that of everything. */
  readonly group: string | null;
  /** What the client asked for by logging/setLevel; null: never. */
  readonly logLevel: McpLogLevel | null;
  /** It listens, or waits for an answer: somebody is there. */
  readonly busy: boolean;
  /** Aborted when the session has ended. */
  readonly ended: AbortSignal;
  /** Tells the client outside of any call (its GET stream); what cannot be delivered within bounds is dropped. */
  notify(method: string, params: JsonObject | undefined): void;
  /**
   * Asks the client outside of any call; an error reply when it cannot be reached, and when the signal aborts, which
   * also withdraws the question (notifications/cancelled).
   *
   * Where `onProgress` is given, `params._meta.progressToken` is one that the gateway made (a string, unique among all
   * questions): the params of each notifications/progress of this client that carries it go there until the reply,
   * and nowhere else. Params pass to the client as they are.
   */
  request(...question: Question): Promise<Reply>;
}

/** The session of the requests that the owner makes without a connection (`mountaineer call`). */
export const OWNER_SESSION_ID = "owner";

/** The principal of requests over the home's own sockets, which only its owner can open. */
export const OWNER: Principal = { kind: "owner", name: "owner", roles: ["owner"] };
/** The same who types `mountaineer call`. */
export const OWNER_IN_PERSON: Principal = { ...OWNER, isPerson: true };
export const ANONYMOUS: Principal = { kind: "anonymous", name: "anonymous", roles: ["anonymous"] };

/** One request of a client that is in flight: what belongs to it travels on its stream. */
export interface CallPort {
  readonly client: ClientPort;
  /** The client's own id. */
  readonly id: RpcId;
  /** What the client can be asked within this request; absent: as `client.capabilities` has it. */
  readonly declared?: JsonObject;
  notify(method: string, params: JsonObject | undefined): void;
  /** As `ClientPort.request`, on this call's stream; null: that closed before there was an answer. */
  request(...question: Question): Promise<Reply | null>;
  /** Its client was asked, and nothing was heard of it for a while; absent: it is there. */
  readonly mayGiveWay?: boolean;
  /** Another client needs the server: the call ends. */
  giveWay?(): void;
  /** A person has agreed to this call, by a request that was counted; absent: its client makes it once. */
  agree?(): void;
  /** Null, or a promise that settles when the client has read what is buffered for it beyond a bound. */
  readonly congested: Promise<void> | null;
}
