// A gateway that the front's tests script: it keeps what it was told, and answers tools by their names.

import { ANONYMOUS } from "../../../src/gateway/client-handle.ts";
import type { FrontGateway, SessionPort } from "../../../src/gateway/frontend/session/front-contract.ts";
import type { ListDigests } from "../../../src/gateway/frontend/session/session-memory.ts";
import { errorReply, isJsonObject, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import type {
  Authentication,
  CatalogView,
  GatewayRequest,
  Handle,
  ServingSet,
} from "../../../src/gateway/middleware/middleware.ts";
import type { RefusedRequest } from "../../../src/gateway/middleware/refusal-audit.ts";
import { catalogOf } from "../catalog/sources.ts";

export interface ScriptedGateway extends FrontGateway {
  readonly sessions: Set<SessionPort>;
  readonly heard: { readonly session: SessionPort; readonly method: string; readonly params: unknown }[];
  readonly requests: GatewayRequest[];
  readonly turnedAwayRequests: RefusedRequest[];
  /** The lists that the clients of sessions from before know; null: not known. */
  readonly continuedWith: (ListDigests | null)[];
  /** Sessions with something that only this daemon has. */
  readonly holds: Set<SessionPort>;
  lists: ListDigests;
  authenticate: (headers: Readonly<Record<string, unknown>>) => Authentication;
  handle: Handle;
  mayBeNotified: ServingSet["mayBeNotified"];
  taskOf: ServingSet["taskOf"];
  mayFollow: ServingSet["mayFollow"];
  missingScope: ServingSet["missingScope"];
  /** Why calls that wait do not go on. */
  stopped: ServingSet["stopped"];
  readonly deniedRequests: GatewayRequest[];
  /** What a request wants to be logged, while it lasts. */
  readonly levels: Set<{ readonly level: string }>;
  /** By tool: what of its arguments is repeated in headers. */
  paramHeaders: CatalogView["modern"]["paramHeaders"];
  sessionsAllowed: FrontGateway["sessionsAllowed"];
}

const empty = new Map<never, never>();

const NO_LISTS = { tools: {}, resources: {}, resourceTemplates: {}, prompts: {} };
const NO_VIEW: CatalogView = {
  lists: NO_LISTS,
  modern: { lists: NO_LISTS, paramHeaders: empty },
  callable: () => empty,
  sees: () => true,
  digests: { tools: "", resources: "", prompts: "" },
};

/** `tools`: what tools/call does for each name; anything else is answered with its method. */
export function createScriptedGateway(
  tools: Readonly<Record<string, (request: GatewayRequest) => Promise<Reply>>> = {},
): ScriptedGateway {
  const gateway: ScriptedGateway = {
    sessions: new Set(),
    heard: [],
    requests: [],
    continuedWith: [],
    holds: new Set(),
    lists: { tools: "t", resources: "r", prompts: "p" },
    turnedAwayRequests: [],
    authenticate: () => ({ ok: true, principal: ANONYMOUS }),
    handle: async (request) => {
      const tool = request.method === "tools/call" ? tools[String(request.params?.["name"])] : undefined;
      if (tool !== undefined) return await tool(request);
      return request.method === "tools/call"
        ? text(JSON.stringify(request.params?.["arguments"] ?? {}))
        : { result: { method: request.method } };
    },
    mayBeNotified: () => true,
    taskOf: () => null,
    mayFollow: () => true,
    isSmall: () => true,
    signIn: () => false,
    missingScope: () => null,
    stopped: () => null,
    deniedRequests: [],
    levels: new Set(),
    paramHeaders: new Map(),
    hasGroup: () => false,
    get served(): ServingSet {
      const served: ServingSet = {
        forClient: () => served,
        current: () => served,
        goOn: (request) => served.handle(request),
        serves: () => true,
        sole: null,
        extensions: () => new Map(),
        passesTo: () => null,
        introduction: null,
        mayRunScripts: () => false,
        forbidden: () => null,
        allows: () => true,
        finalRequest: (request) => request,
        unwrappedParams: (_, params) => params,
        catalog: catalogOf(),
        unavailableBackend: () => null,
        authenticate: (headers) => gateway.authenticate(headers),
        resource: null,
        missingScope: (...asked) => gateway.missingScope(...asked),
        refresh: (principal) => principal,
        isWithdrawn: () => false,
        ownerOf: () => null,
        mayRead: () => true,
        admit: (request, _, next) => next(request),
        mayOffer: () => true,
        mayBeNotified: (principal, uri) => gateway.mayBeNotified(principal, uri),
        viewFor: () => ({ ...NO_VIEW, modern: { ...NO_VIEW.modern, paramHeaders: gateway.paramHeaders } }),
        taskOrigin: () => null,
        taskOf: (...asked) => gateway.taskOf(...asked),
        mayFollow: (principal, task) => gateway.mayFollow(principal, task),
        handle: (request) => {
          gateway.requests.push(request);
          return gateway.handle(request);
        },
        stopped: (request) => gateway.stopped(request),
        denied: (request) => void gateway.deniedRequests.push(request),
      };
      return served;
    },
    serverInfo: { name: "scripted", version: "1" },
    logsAt(level) {
      const one = { level };
      gateway.levels.add(one);
      return () => void gateway.levels.delete(one);
    },
    initializeResult: () => ({
      capabilities: { tools: { listChanged: true }, logging: {} },
      serverInfo: { name: "scripted", version: "1" },
    }),
    sessionsAllowed: () => 1_000,
    receiving: () => () => {},
    unread: () => () => {},
    opened: (session) => void gateway.sessions.add(session),
    continued: (session, lists) => {
      gateway.sessions.add(session);
      gateway.continuedWith.push(lists);
    },
    hasStateOf: (session) => gateway.holds.has(session),
    knownLists: () => gateway.lists,
    awaited: () => null,
    identified() {},
    closed: (session) => void gateway.sessions.delete(session),
    notified: (session, method, params) => void gateway.heard.push({ session, method, params }),
    requestRefused: (request) => void gateway.turnedAwayRequests.push(request),
    metrics: () => null,
    health: () => ({ status: "ok", backends: {} }),
  };
  return gateway;
}

export function text(value: string): Reply {
  return { result: { content: [{ type: "text", text: value }] } };
}

/** Takes the tokens of all principals back. */
export function withdraw(gateway: ScriptedGateway, change: Partial<ServingSet> = {}): void {
  const value = { ...gateway.served, isWithdrawn: () => true, ...change };
  Object.defineProperty(gateway, "served", { value });
}

/** The only session there is. */
export function onlySession(gateway: ScriptedGateway): SessionPort {
  const [session, ...more] = gateway.sessions;
  if (session === undefined || more.length > 0) throw new Error(`${gateway.sessions.size} sessions`);
  return session;
}

/** A call that is answered when the test says so, or when it is aborted. */
export function createBlockingTool(): {
  tool(request: GatewayRequest): Promise<Reply>;
  release(reply: Reply): void;
  readonly started: GatewayRequest[];
} {
  const waiting: ((reply: Reply) => void)[] = [];
  const started: GatewayRequest[] = [];
  return {
    started,
    tool(request) {
      started.push(request);
      const { promise, resolve } = Promise.withResolvers<Reply>();
      waiting.push(resolve);
      request.signal.addEventListener("abort", () => resolve(errorReply(-32000, "aborted")));
      return promise;
    },
    release: (reply) => waiting.shift()?.(reply),
  };
}

export function objectOf(value: unknown): JsonObject {
  if (!isJsonObject(value)) throw new Error(`no object: ${JSON.stringify(value)}`);
  return value;
}
