// Requests, clients and a pool that records what it is asked, for tests of the chain.
import type { ConflictConfig, PolicyConfig } from "../../../src/config/snapshot.ts";
import type { PoolCall } from "../../../src/gateway/backends/policy/backend-pool-contract.ts";
import { buildCatalog } from "../../../src/gateway/catalog/build-catalog.ts";
import { type CatalogSource, NOT_FRESH } from "../../../src/gateway/catalog/catalog.ts";
import { NO_OWNERS, type RuleOwners } from "../../../src/gateway/catalog/rule-names.ts";
import {
  ANONYMOUS,
  type CallHandle,
  type ClientHandle,
  type Principal,
} from "../../../src/gateway/client-handle.ts";
import { errorReply, type JsonObject, type Reply } from "../../../src/gateway/json-rpc.ts";
import { ANYBODY } from "../../../src/gateway/middleware/incoming-auth.ts";
import type { ServingSet } from "../../../src/gateway/middleware/middleware.ts";
import { NamedUris } from "../../../src/gateway/middleware/named-uris.ts";
import type { RoutingServices } from "../../../src/gateway/middleware/routing-services.ts";
import { TaskIds, TaskMemory } from "../../../src/gateway/middleware/task-ids.ts";
import { createOwnTools } from "../../../src/gateway/optimizer/own-tools.ts";
import { ToolIndex } from "../../../src/gateway/optimizer/tool-index.ts";
import type { McpLogLevel } from "../../../src/gateway/protocol.ts";
import type { GatewayConfig } from "../../../src/gateway/serving/gateway-contract.ts";
import { NO_GATEWAY } from "../../../src/gateway/serving/gateway-rules.ts";
import { boundNames } from "../../../src/gateway/serving/rule-bindings.ts";
import { createSelections } from "../../../src/gateway/serving/selection.ts";
import { buildServingSet, type ServingSetOptions } from "../../../src/gateway/serving/serving-set.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { catalogOf, FIRST_WINS } from "../catalog/sources.ts";

export const user = (name: string, ...roles: string[]): Principal => ({
  ...{ kind: "user", name, roles, user: name },
});

/** Where most clients ask. */
export const AT_MCP = { host: "127.0.0.1:9000", path: "/mcp", isDirect: true, scheme: null } as const;

/** For everybody and everything that is not named. */
export const policy = (effect: PolicyConfig["effect"], parts: Partial<PolicyConfig> = {}): PolicyConfig => ({
  ...{ effect, roles: null, resources: null, methods: null },
  ...parts,
});

export function client(principal: Principal = ANONYMOUS, sessionId = "session-1"): ClientHandle {
  return {
    sessionId,
    principal,
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: {},
    group: null,
    logLevel: null,
    busy: false,
    ended: new AbortController().signal,
    notify() {},
    request: async () => errorReply(-32000, "nobody answers here"),
  };
}

export function callPort(of: ClientHandle): CallHandle {
  return { client: of, id: 1, notify() {}, request: (...asked) => of.request(...asked), congested: null };
}

export interface PoolRecord {
  readonly backend: string;
  readonly what: string;
  readonly params: JsonObject | undefined;
}

export interface RecordingServices extends RoutingServices {
  readonly calls: readonly PoolRecord[];
  readonly levels: readonly McpLogLevel[];
}

/** Answers each call by `answer`. */
export function recordingServices(
  answer: (backend: string, call: PoolCall) => Reply | Promise<Reply> = () => ({ result: { content: [] } }),
  taskBackends: readonly string[] = [],
): RecordingServices {
  const calls: PoolRecord[] = [];
  const levels: McpLogLevel[] = [];
  const watch =
    (what: string) =>
    async (backend: string, uri: string): Promise<Reply> => {
      calls.push({ backend, what, params: { uri } });
      return { result: {} };
    };
  return {
    calls,
    levels,
    hasAllLists: () => true,
    remainingMs: () => 0,
    catalog: () => catalogOf(),
    pool: {
      async call(backend, call) {
        calls.push({ backend, what: call.method, params: call.params });
        return answer(backend, call);
      },
      subscribe: watch("subscribe"),
      unsubscribe: watch("unsubscribe"),
      async watchTask({ backend, id }) {
        calls.push({ backend, what: "watchTask", params: { id } });
        return { result: {} };
      },
    },
    setLogLevel: (_client, level) => levels.push(level),
    tasks: new TaskMemory(),
    named: new NamedUris(createManualClock()),
    taskIds: new TaskIds(() => "a2V5"),
    blocksChanges: () => false,
    extensionBackends: () => new Map(),
    taskBackends: () => taskBackends,
  };
}

/** The servers that the names in these rules mean, once all lists are known. */
export function ownersIn(sources: readonly CatalogSource[], rules: Partial<GatewayConfig>): RuleOwners {
  const freshness = { tools: NOT_FRESH, prompts: NOT_FRESH, resources: NOT_FRESH };
  const listed = sources.map((source) => ({ freshness, ...source }));
  const config = { ...NO_GATEWAY, ...rules, backends: sources.map(({ backend }) => backendConfig(backend)) };
  return boundNames(config, NO_OWNERS, buildCatalog(sources, config.conflictResolution), listed);
}

/** What is not given is off, anonymous and silent. */
export function servingSet(
  sources: readonly CatalogSource[],
  services: RoutingServices,
  options: Partial<ServingSetOptions> & {
    readonly conflict?: ConflictConfig;
  } = {},
): ServingSet {
  const { conflict = FIRST_WINS, ...others } = options;
  const catalog = options.catalog ?? buildCatalog(sources, conflict);
  const set: ServingSet = buildServingSet({
    catalog,
    ruleOwners: ownersIn(sources, {
      ...(options.authorization !== undefined && { authorization: options.authorization }),
      conflictResolution: conflict,
    }),
    authentication: ANYBODY,
    authorization: null,
    audit: null,
    services,
    backends: sources.map(({ backend }) => backend),
    clock: createManualClock(),
    logger: noopLogger,
    clean: (text) => text,
    scopes: {},
    limiter: null,
    between: [],
    selections: createSelections(NO_GATEWAY),
    ownTools: createOwnTools({ index: new ToolIndex(), clock: createManualClock(), logger: noopLogger }),
    answered() {},
    current: () => set,
    ...others,
  });
  return set;
}

/** A set of these, and the services behind it. */
export function serving(sources: readonly CatalogSource[]) {
  const services = recordingServices();
  return { services, served: servingSet(sources, services) };
}

/** Asks the chain as this client. */
export function ask(
  served: ServingSet,
  method: string,
  params?: JsonObject,
  from: ClientHandle = client(),
  signal: AbortSignal = new AbortController().signal,
): Promise<Reply> {
  return served.handle({ method, params, handle: callPort(from), signal, served });
}
