// Owns where a request goes: what the catalog answers, and which backend answers the rest, under its own names.
import type { RenewedCall } from "../backends/policy/backend-pool-contract.ts";
import type { CatalogEntry } from "../catalog/catalog.ts";
import { resolvePrompt, resolveResource, resolveTemplate, resolveTool } from "../catalog/resolve.ts";
import { errorReply, INVALID_PARAMS, isJsonObject, type JsonObject, type Reply } from "../json-rpc.ts";
import { isLogLevel, LOG_LEVELS } from "../protocol.ts";
import type { CatalogView, GatewayRequest, Handle } from "./middleware.ts";
import { targetOf, unknownMethod, unknownTarget } from "./request-target.ts";
import type { RoutingServices } from "./routing-services.ts";
import { createTaskListing, createTaskRouting, rememberingTask } from "./task-routing.ts";

/** Of the session, or of the other direction: never passed on, however few backends there are. */
const NEVER_PASSED_ON: ReadonlySet<string> = new Set([
  "initialize",
  "sampling/createMessage",
  "elicitation/create",
  "roots/list",
]);

/** `backends` are the configured ones: what only a sole server can know of goes to it. */
export function createRouting(services: RoutingServices, backends: readonly string[]): Handle {
  const { pool } = services;
  const sole = backends.length === 1 ? backends[0] : undefined;
  const toTask = createTaskRouting(services);
  const routes = new Map<string, Handle>([
    ["tools/list", listing("tools")],
    ["resources/list", listing("resources")],
    ["resources/templates/list", listing("resourceTemplates")],
    ["prompts/list", listing("prompts")],
    ["tools/call", (request) => callTool(services, request)],
    ["prompts/get", (request) => getPrompt(services, request)],
    ["resources/read", (request) => readResource(pool, request)],
    ["resources/subscribe", (request) => watchResource(pool, "subscribe", request)],
    ["resources/unsubscribe", (request) => watchResource(pool, "unsubscribe", request)],
    ["completion/complete", (request) => complete(pool, request)],
    ["logging/setLevel", (request) => setLevel(services, request)],
    ["ping", async () => ({ result: {} })],
    ["tasks/get", toTask],
    ["tasks/result", toTask],
    ["tasks/cancel", toTask],
    ["tasks/list", createTaskListing(services)],
  ]);
  return (request) => {
    const { method, params, port, signal } = request;
    const route = routes.get(method);
    if (route !== undefined) return route(request);
    if (sole === undefined || NEVER_PASSED_ON.has(method)) return Promise.resolve(unknownMethod(method));
    return pool.call(sole, { method, params, port, signal });
  };
}

function listing(list: keyof CatalogView["lists"]): Handle {
  return async ({ params, port, served }) =>
    // Whole lists, one page: there is no cursor that we gave.
    params?.["cursor"] === undefined
      ? { result: served.viewFor(port.client.principal).lists[list] }
      : errorReply(INVALID_PARAMS, "Invalid cursor");
}

function missing(method: string, what: string): Promise<Reply> {
  return Promise.resolve(errorReply(INVALID_PARAMS, `${method} needs ${what}`));
}

function callTool(services: RoutingServices, request: GatewayRequest): Promise<Reply> {
  const { method, params, port, signal, served } = request;
  const name = params?.["name"];
  if (typeof name !== "string") return missing(method, "a string `name`");
  const entry = resolveTool(served.catalog, name);
  if (entry === null) return Promise.resolve(unknownTarget({ kind: "tool", name }));
  const { backend } = entry;
  const theirs = underTheirName(params, name, entry);
  const renew = renewal(services, request, "tool", name, backend);
  const answer = services.pool.call(backend, { method, params: theirs, port, signal, renew });
  return params?.["task"] === undefined ? answer : rememberingTask(services, request, backend, answer);
}

function underTheirName(
  params: JsonObject | undefined,
  name: string,
  { originalName }: CatalogEntry,
): JsonObject | undefined {
  return originalName === name ? params : { ...params, name: originalName };
}

/**
 * What becomes of a call that waited for another instance: the client's name may stand for another one of the server's,
 * belong to another backend, or mean nothing any more.
 */
function renewal(
  { pool, catalog }: RoutingServices,
  { method, params, port, signal }: GatewayRequest,
  kind: "tool" | "prompt",
  name: string,
  backend: string,
): () => RenewedCall {
  return () => {
    const entry = kind === "tool" ? resolveTool(catalog(), name) : resolvePrompt(catalog(), name);
    const moved = entry?.backend !== backend;
    // A task is remembered with the backend that it was asked of.
    if (entry === null || (moved && params?.["task"] !== undefined)) {
      return { answer: Promise.resolve(unknownTarget({ kind, name })) };
    }
    const theirs = underTheirName(params, name, entry);
    if (!moved) return { params: theirs, answer: null };
    return { answer: pool.call(entry.backend, { method, params: theirs, port, signal }) };
  };
}

function getPrompt(services: RoutingServices, request: GatewayRequest): Promise<Reply> {
  const { method, params, port, signal, served } = request;
  const name = params?.["name"];
  if (typeof name !== "string") return missing(method, "a string `name`");
  const entry = resolvePrompt(served.catalog, name);
  if (entry === null) return Promise.resolve(unknownTarget({ kind: "prompt", name }));
  const { backend } = entry;
  const theirs = underTheirName(params, name, entry);
  const renew = renewal(services, request, "prompt", name, backend);
  return services.pool.call(backend, { method, params: theirs, port, signal, renew });
}

function readResource(pool: RoutingServices["pool"], request: GatewayRequest): Promise<Reply> {
  const { method, params, port, signal, served } = request;
  const uri = params?.["uri"];
  if (typeof uri !== "string") return missing(method, "a string `uri`");
  const found = resolveResource(served.catalog, uri);
  if (found === null) return Promise.resolve(unknownTarget({ kind: "resource", name: uri }));
  return pool.call(found.backend, { method, params, port, signal });
}

function watchResource(
  pool: RoutingServices["pool"],
  what: "subscribe" | "unsubscribe",
  { method, params, port, served }: GatewayRequest,
): Promise<Reply> {
  const uri = params?.["uri"];
  if (typeof uri !== "string") return missing(method, "a string `uri`");
  const found = resolveResource(served.catalog, uri);
  if (found === null) return Promise.resolve(unknownTarget({ kind: "resource", name: uri }));
  return pool[what](found.backend, uri, port.client);
}

function complete(pool: RoutingServices["pool"], request: GatewayRequest): Promise<Reply> {
  const { method, params, port, signal, served } = request;
  const target = targetOf(method, params);
  if (target === null)
    return missing(method, "a `ref` of type ref/prompt with `name` or ref/resource with `uri`");
  const { kind, name } = target;
  const found =
    kind === "prompt" ? resolvePrompt(served.catalog, name) : resolveTemplate(served.catalog, name);
  if (found === null) return Promise.resolve(unknownTarget(target));
  const reference = params?.["ref"];
  const renamed = kind === "prompt" && found.originalName !== name && isJsonObject(reference);
  const theirs = renamed ? { ...params, ref: { ...reference, name: found.originalName } } : params;
  return pool.call(found.backend, { method, params: theirs, port, signal });
}

async function setLevel(services: RoutingServices, { params, port }: GatewayRequest): Promise<Reply> {
  const level = params?.["level"];
  if (!isLogLevel(level)) {
    return errorReply(INVALID_PARAMS, `Invalid log level; one of ${LOG_LEVELS.join(", ")}`);
  }
  services.setLogLevel(port.client, level);
  return { result: {} };
}
