// The contract of the middleware that every client request passes, and of the serving set: the immutable
// object that holds all that a request needs. A change builds a new set and replaces the current one; a
// request keeps the set with which it began.
import type { IncomingHttpHeaders } from "node:http";
import type { CallSignal } from "../call-signal.ts";
import type { Catalog, CatalogEntry, Resolved } from "../catalog/catalog.ts";
import type { RuleTarget } from "../catalog/rule-names.ts";
import type { CallHandle, ClientHandle, Principal, ReachedAt } from "../client-handle.ts";
import type { JsonObject, Reply } from "../json-rpc.ts";
import type { ParamHeader } from "../param-headers.ts";
import type { ListKind, SpokenVersion } from "../protocol.ts";
import type { OpenTask, TaskOrigin } from "./task-ids.ts";

export const FIND_TOOL = "find_tool";
export const CALL_TOOL = "call_tool";
/** Of scripts (scripts/), whose code is loaded only if a policy allows scripts. */
export const RUN_SCRIPT = "run_script";

/** The request's headers of W3C trace context. */
export interface TraceHeaders {
  readonly traceparent: string;
  readonly tracestate: string | undefined;
}

/** A client's request in the chain. `served`: the `ServingSet` that was in use when the request began. */
export interface GatewayRequest {
  readonly method: string;
  readonly params: JsonObject | undefined;
  readonly handle: CallHandle;
  readonly signal: CallSignal;
  readonly served: ServingSet;
  readonly trace?: TraceHeaders;
  /**
   * The task that `taskId` in the params names (2026-07-28); absent: it names none of this principal's tasks.
   */
  readonly task?: OpenTask;
  /** A person's answer to the question whether the call may be made. */
  readonly consent?: ConsentOutcome;
  /** The rule that asked; absent: none did in this round. */
  readonly consentRule?: string;
  /** The `consentKey` of the question. */
  readonly consentFor?: string;
  /** The gateway's own tool that made the request; absent: the client made it. */
  readonly through?: typeof CALL_TOOL | typeof RUN_SCRIPT;
  /** The script that the request runs, or that made the request. */
  readonly script?: RunningScript;
  /** Of a script's call: why the script may no longer make calls, after a person's answer. */
  readonly refusedNow?: () => Reply | null;
  /**
   * True: the rate limit must not count the call, because it has counted the separate request that brought the
   * person's consent.
   */
  readonly hasUsedQuota?: true;
}

/** What decides whether the policies allow a request. */
export type JudgedRequest = Pick<
  GatewayRequest,
  "method" | "params" | "served" | "task" | "through" | "script"
> & {
  readonly handle: Pick<CallHandle, "client">;
};

export interface RunningScript {
  /** As the audit has it. */
  readonly id: string;
  /** The calls that a person has allowed in advance, by the backend and the tool's name; -1: they are declined. */
  readonly allowed: Map<string, number>;
  /** Its calls without an answer. */
  readonly calls: Set<GatewayRequest>;
  /** Settles when no question of the script waits: a person is asked one thing at a time. */
  consentPending: Promise<unknown>;
}

/**
 * The outcome of asking a person; all but `accept` refuse the call. Of the owner: `denied`, `open` (the question stands without an
 * answer) and `too_long` (to be shown).
 */
export type ConsentOutcome =
  | "accept"
  | "decline"
  | "cancel"
  | "timeout"
  | "unable"
  | "busy"
  | "denied"
  | "open"
  | "too_long";

/** Never rejects once `recovery` is in the chain. */
export type Handle = (request: GatewayRequest) => Promise<Reply>;

/**
 * A function that wraps the next handler. Each middleware has its own file, and is in the chain only if it is
 * enabled.
 */
export type Middleware = (next: Handle) => Handle;

/** The results of tools/list, resources/list, resources/templates/list and prompts/list. */
export interface VisibleLists {
  readonly tools: JsonObject;
  readonly resources: JsonObject;
  readonly resourceTemplates: JsonObject;
  readonly prompts: JsonObject;
}

/**
 * The part of a catalog that a principal may see. Principals with equal rights share one object, so that it
 * is computed once.
 */
export interface CatalogView {
  readonly lists: VisibleLists;
  /** For clients of protocol 2026-07-28; computed on first use. */
  readonly modern: {
    readonly lists: VisibleLists;
    /** The arguments that clients repeat in headers, by tool. */
    readonly paramHeaders: ReadonlyMap<string, readonly ParamHeader[]>;
  };
  /** Tools by name, including unlisted ones. */
  callable(version: SpokenVersion): ReadonlyMap<string, JsonObject>;
  /**
   * True if the client's view has an entry of the backend. Only then does the client get the backend's log messages.
   */
  sees(backend: string): boolean;
  /**
   * A digest of each visible list, which shows whether the list changed. The digest of resources also covers
   * templates.
   */
  readonly digests: Readonly<Record<ListKind, string>>;
}

export type Authentication = { readonly ok: true; readonly principal: Principal } | RefusedAuthentication;

export interface RefusedAuthentication {
  readonly ok: false;
  /** One of a few constant texts, without any part of the token. */
  readonly reason: string;
  /** Default 401. 403: a known principal lacks a scope. 503: tokens cannot be checked now. */
  readonly status?: 401 | 403 | 503;
  /** The error code of RFC 6750; absent: the request had no token. */
  readonly error?: "invalid_token" | "insufficient_scope";
  /** The needed scopes, separated by spaces. */
  readonly scope?: string;
}

export interface RequestAddress extends ReachedAt {
  /** Without the query: `/mcp`, `/mcp/GROUP`, `/sse`, `/messages`, or that of a document. */
  readonly path: string;
}

/** The gateway as an OAuth protected resource (RFC 9728). Each address has its own documents. */
export interface ProtectedResource {
  /** The sign-in document at the path; null: the path has no document. */
  document(address: RequestAddress): JsonObject | null;
  /** The URL of the document about the address; null: clients cannot sign in there. */
  metadataUrl(address: RequestAddress): string | null;
  /** Why clients cannot sign in at that address; null: they can. */
  closedBecause?(address: RequestAddress): string | null;
  /** The methods that pages of other origins may use at a path of the sign-in; absent: only documents have paths. */
  methodsAt?(path: string): readonly string[] | null;
}

/** The properties of a client that select its part of the catalog. */
export type ServedClient = Pick<ClientHandle, "principal" | "group" | "clientInfo" | "capabilities">;

export interface ServingSet {
  /**
   * The set that serves this client: a restricted one if the client uses a group's address or a profile
   * matches, else this set.
   */
  forClient(client: ServedClient): ServingSet;
  /** The set that serves now. */
  current(): ServingSet;
  /** Whether the set may have entries of the backend. */
  serves(backend: string): boolean;
  /** The set's only backend; null: it has several, or none. */
  readonly sole: string | null;
  /** The backend that gets the methods of an extension. */
  extensions(): ReadonlyMap<string, string>;
  /** The backend to which a method that the gateway does not know is forwarded; null: none. */
  passesTo(method: string): string | null;
  /** Whether the principal may run scripts. */
  mayRunScripts(principal: Principal): boolean;
  /** The gateway's own instructions for clients; null: none. */
  readonly introduction: string | null;
  /**
   * The request as the rules judge it and the server gets it. A call of `call_tool` becomes the call of the tool that it names, a
   * call of `run_script` gets its `script`, and a call of a tool the arguments that the configuration sets.
   */
  finalRequest(request: GatewayRequest): GatewayRequest;
  /** The params of the call that a call of `call_tool` contains; any other params unchanged. */
  unwrappedParams(method: string, params: JsonObject | undefined): JsonObject | undefined;
  readonly catalog: Catalog;
  /**
   * The backend that would offer this tool and is away. null: the tool is published or unknown, or the principal may
   * not call it.
   */
  unavailableBackend(principal: Principal, tool: string): string | null;
  authenticate(
    headers: IncomingHttpHeaders,
    address: RequestAddress,
  ): Authentication | Promise<Authentication>;
  /** null: clients cannot sign in. */
  readonly resource: ProtectedResource | null;
  /**
   * Returns the refusal of a forbidden request that a scope would allow. The refusal names the scope. Returns null
   * otherwise.
   */
  missingScope(
    principal: Principal,
    method: string,
    params: JsonObject | undefined,
  ): RefusedAuthentication | null;
  /** The principal with its current roles; null: it is no longer configured. */
  refresh(principal: Principal): Principal | null;
  /** True if the principal's token was withdrawn. The principal's calls and streams then end. */
  isWithdrawn(principal: Principal): boolean;
  viewFor(principal: Principal): CatalogView;
  /** The backend that is asked for the target of this principal's request; null: none. */
  ownerOf(principal: Principal, target: Pick<CatalogEntry, "kind" | "name">): Resolved | null;
  /** Whether the principal may read the resource of the backend, listed or not, with or without a question. */
  mayRead(principal: Principal, target: RuleTarget): boolean;
  /** Makes the request at the server of `target` as the policies for that server say: at once, or after a person's consent. */
  admit(request: GatewayRequest, target: RuleTarget, next: Handle): Promise<Reply> | null;
  /** Whether the backend may have the target, which no list has, for this principal. */
  mayOffer(
    principal: Principal,
    target: Pick<CatalogEntry, "kind" | "name" | "backend">,
    method: string,
  ): boolean;
  /** Whether the principal may get notices about changes of the resource. */
  mayBeNotified(principal: Principal, uri: string): boolean;
  /** The tool that began the task of 2025-11-25 that the client's params name; null: the client has no such task. */
  taskOrigin(client: ClientHandle, params: JsonObject | undefined): TaskOrigin | null;
  /** The principal's task that the params name; null: none. */
  taskOf(principal: Principal, method: string, params: JsonObject | undefined): OpenTask | null;
  /** Whether the principal may get notices about the task. */
  mayFollow(principal: Principal, task: OpenTask): boolean;
  /** The chain. Never rejects. */
  readonly handle: Handle;
  /** The chain for a call that began in an earlier set, which counts the reply. Never rejects. */
  readonly goOn: Handle;
  /**
   * Counts a request that continues a waiting call against the rate limit, and checks the policies. Returns null if
   * the call may continue, otherwise the refusal; `isOver`: the call can never continue.
   */
  stopped(request: GatewayRequest): { readonly reply: Reply; readonly isOver: boolean } | null;
  /** The policies' refusal of the request; null: none. `principal`: as it is now. */
  forbidden(request: JudgedRequest, principal?: Principal): Reply | null;
  /** Whether the policies allow the request without a question. */
  allows(request: GatewayRequest): boolean;
  /** Records a request that was refused before the chain. */
  denied(request: GatewayRequest): void;
}
