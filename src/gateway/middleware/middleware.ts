// The contract of the chain that every client request passes, and of the serving set: one immutable object, built
// beside the current one and swapped; a request keeps the one it began with.
import type { IncomingHttpHeaders } from "node:http";
import type { CallSignal } from "../call-signal.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { CallPort, ClientPort, Principal } from "../client-port.ts";
import type { JsonObject, Reply } from "../json-rpc.ts";
import type { ParamHeader } from "../param-headers.ts";
import type { ListKind, SpokenVersion } from "../protocol.ts";
import type { OpenTask } from "./task-ids.ts";

/** W3C trace context, as it came in headers. */
export interface TraceHeaders {
  readonly traceparent: string;
  readonly tracestate: string | undefined;
}

/** A client's request on its way; `served` is the set that it began with. */
export interface GatewayRequest {
  readonly method: string;
  readonly params: JsonObject | undefined;
  readonly port: CallPort;
  readonly signal: CallSignal;
  readonly served: ServingSet;
  /** Absent: its headers had none. */
  readonly trace?: TraceHeaders;
  /** What its `taskId` stands for (2026-07-28); absent: it is about no task that its principal has. */
  readonly task?: OpenTask;
  /** A person was asked whether it may be done, and said so. */
  readonly asked?: Asked;
  /** By which of the gateway's own tools it was made; absent: by itself. */
  readonly through?: "call_tool";
  /** Its rate was counted when its client came back with a person's consent. */
  readonly isCounted?: true;
  /** Told where a tool was served that several machines have in common; absent: nobody asks. */
  readonly place?: { backend: string | null };
}

/** What came of asking a person; all but `accept` refuse the call. */
export type Asked = "accept" | "decline" | "cancel" | "timeout" | "unable" | "busy";

/** Never rejects once `recovery` is in the chain. */
export type Handle = (request: GatewayRequest) => Promise<Reply>;

/** Wraps what comes after it. One file each; one that is off is not in the chain. */
export type Middleware = (next: Handle) => Handle;

/** The results of tools/list, resources/list, resources/templates/list, prompts/list and skills/list. */
export interface VisibleLists {
  readonly tools: JsonObject;
  readonly resources: JsonObject;
  readonly resourceTemplates: JsonObject;
  readonly prompts: JsonObject;
  readonly skills: JsonObject;
}

/** What one principal may see; the same object for equal rights, so that it is computed once for each catalog. */
export interface CatalogView {
  readonly lists: VisibleLists;
  /** For clients of protocol 2026-07-28; made when it is first asked for. */
  readonly modern: {
    readonly lists: VisibleLists;
    /** By tool, for those that want arguments in headers, too. */
    readonly paramHeaders: ReadonlyMap<string, readonly ParamHeader[]>;
  };
  /** Tools by name, those included that are not listed. */
  callable(version: SpokenVersion): ReadonlyMap<string, JsonObject>;
  /** Whether anything of that backend is in them: its logs are for those alone. */
  sees(backend: string): boolean;
  /** Equal when the visible list is equal (resources: both lists). */
  readonly digests: Readonly<Record<ListKind, string>>;
}

/** Who a request's headers say it is. */
export type Authentication = { readonly ok: true; readonly principal: Principal } | RefusedAuthentication;

export interface RefusedAuthentication {
  readonly ok: false;
  /** One of a few texts; nothing of a token is in it. */
  readonly reason: string;
  /** Default 401. 403: who it is is known, and a scope is missing; 503: nobody can tell just now. */
  readonly status?: 401 | 403 | 503;
  /** As RFC 6750 calls it; absent: no token came. */
  readonly error?: "invalid_token" | "insufficient_scope";
  /** The scopes that would do, with spaces between. */
  readonly scope?: string;
}

/** The gateway as an OAuth protected resource (RFC 9728). `host` is what the request's Host header says. */
export interface ProtectedResource {
  /** Where its metadata is asked for. */
  readonly paths: ReadonlySet<string>;
  /** `path`: where it was asked for. */
  metadata(host: string, path: string): JsonObject;
  /** The address of the metadata; `isOlder`: for a client of the older transport, whose address is another. */
  metadataUrl(host: string, isOlder: boolean): string;
}

/** What decides which part of everything a client is served. */
export type ServedClient = Pick<ClientPort, "principal" | "group" | "clientInfo">;

export interface ServingSet {
  /** What serves that client: another set where it came to a group's address, or a profile is about it. */
  forClient(client: ServedClient): ServingSet;
  /** Whether anything of that backend may be in it. */
  serves(backend: string): boolean;
  /** Methods that the gateway does not know go to its only backend. */
  readonly passesAll: boolean;
  /** What its clients are to know before all else; null: nothing. */
  readonly introduction: string | null;
  /** What a request is about to do, in the words of the tool that it names within; mostly the request itself. */
  meant(request: GatewayRequest): GatewayRequest;
  /** The same of its params alone. */
  meantParams(method: string, params: JsonObject | undefined): JsonObject | undefined;
  readonly catalog: Catalog;
  /**
   * What is in no list while its data is away or its server is down, or has listed nothing since the start: calls to it
   * are told so.
   * null: nothing.
   */
  readonly away: Catalog | null;
  /** The backend in `away` that has this tool, for who may call it; null: it is published, or nobody's. */
  backendAway(principal: Principal, tool: string): string | null;
  authenticate(headers: IncomingHttpHeaders): Authentication | Promise<Authentication>;
  /** null: no authorization server is configured. */
  readonly resource: ProtectedResource | null;
  /** What a signed token lacks for this request, where a further scope would do; null: nothing that a scope could give. */
  missingScope(
    principal: Principal,
    method: string,
    params: JsonObject | undefined,
  ): RefusedAuthentication | null;
  /** The same person as this set's configuration knows them (other roles); null: not at all any more. */
  refresh(principal: Principal): Principal | null;
  /** Its token was taken back: nothing of it goes on. */
  isWithdrawn(principal: Principal): boolean;
  viewFor(principal: Principal): CatalogView;
  /** Whether it may read that resource, listed or not. */
  mayRead(principal: Principal, uri: string): boolean;
  /** Whether it may be told outside of calls that the resource is another one, as this set's configuration knows it. */
  mayBeNotified(principal: Principal, uri: string): boolean;
  /** The task that params name, if it is this principal's; null: it is none. */
  taskOf(principal: Principal, method: string, params: JsonObject | undefined): OpenTask | null;
  /** Whether it may be told outside of calls what becomes of that task. */
  mayFollow(principal: Principal, task: OpenTask): boolean;
  /** The whole chain. Never rejects. */
  readonly handle: Handle;
  /**
   * Why a call that waits does not go on with what its client brings now, which is counted; null: it does. `isOver`: it
   * does not later either.
   */
  stopped(request: GatewayRequest): { readonly reply: Reply; readonly isOver: boolean } | null;
  /** Records what was refused before it came to the chain. */
  denied(request: GatewayRequest): void;
}
