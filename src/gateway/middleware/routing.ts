// The way of a request: lists are answered from the catalog, and all else goes to a backend, under its own names.

import type { RenewedCall } from "../backends/policy/backend-pool-contract.ts";
import { NOT_FRESH } from "../catalog/freshness.ts";
import { resolveServed, resolveTarget } from "../catalog/resolve.ts";
import { errorReply, INVALID_PARAMS, isJsonObject, type JsonObject, type Reply } from "../json-rpc.ts";
import { isLogLevel, LOG_LEVELS, MODERN_VERSION } from "../protocol.ts";
import type { GatewayRequest, Handle, VisibleLists } from "./middleware.ts";
import {
  isKeptResult,
  type RequestTarget,
  targetOf,
  unknownMethod,
  unknownTarget,
} from "./request-target.ts";
import type { RoutingServices } from "./routing-services.ts";
import { createTaskListing, createTaskRouting, rememberingTask } from "./task-routing.ts";

/** Methods of the session itself, or of the other direction: never passed on, however few backends there are. */
const NEVER_PASSED_ON: ReadonlySet<string> = new Set([
  "initialize",
  "sampling/createMessage",
  "elicitation/create",
  "roots/list",
]);

const NAME = "a string `name`";
const URI = "a string `uri`";
const REFERENCE = "a `ref` of type ref/prompt with `name` or ref/resource with `uri`";

/** `backends` are the configured ones: what only a sole server can know of goes to it. */
export function createRouting(services: RoutingServices, backends: readonly string[]): Handle {
  const { pool } = services;
  const sole = backends.length === 1 ? backends[0] : undefined;
  const toTask = createTaskRouting(services);
  const callNamed: ToTarget = (request, target, found) => callByName(services, request, target, found);
  const pass: ToTarget = ({ method, params, port, signal }, _, { backend }) =>
    pool.call(backend, { method, params, port, signal });
  const routes = new Map<string, Handle>([
    ["tools/list", listing(services, "tools")],
    ["resources/list", listing(services, "resources")],
    ["resources/templates/list", listing(services, "resourceTemplates")],
    ["prompts/list", listing(services, "prompts")],
    ["tools/call", routed(NAME, callNamed)],
    ["prompts/get", routed(NAME, callNamed)],
    ["resources/read", readingKept(services, routed(URI, reading(pass)))],
    [
      "resources/subscribe",
      routed(URI, async ({ port }, { name }, { backend, originalName }) =>
        name === originalName
          ? pool.subscribe(backend, name, port.client)
          : errorReply(INVALID_PARAMS, "A page that has another name at its server cannot be subscribed to"),
      ),
    ],
    [
      "resources/unsubscribe",
      routed(URI, ({ port }, { name }, { backend }) => pool.unsubscribe(backend, name, port.client)),
    ],
    [
      "completion/complete",
      routed(REFERENCE, (request, target, found) => pass(completion(request, found), target, found)),
    ],
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

/** A resource that its server knows under another URI is asked for and answered under each one's own. */
function reading(pass: ToTarget): ToTarget {
  return async (request, target, found) => {
    const { name } = target;
    if (name === found.originalName) return pass(request, target, found);
    const params = { ...request.params, uri: found.originalName };
    const reply = await pass({ ...request, params }, target, found);
    const contents = "result" in reply ? reply.result["contents"] : null;
    if (!("result" in reply) || !Array.isArray(contents)) return reply;
    const named = contents.map((each: unknown) =>
      isJsonObject(each) && each["uri"] === found.originalName ? { ...each, uri: name } : each,
    );
    return { ...reply, result: { ...reply.result, contents: named } };
  };
}

/** What was kept of a result is no backend's, whatever its URI would fit. */
function readingKept({ kept }: RoutingServices, otherwise: Handle): Handle {
  return (request) => {
    const uri = request.params?.["uri"];
    if (typeof uri !== "string" || !isKeptResult(uri)) return otherwise(request);
    return Promise.resolve(kept.read({ client: request.port.client, uri }));
  };
}

type Found = NonNullable<ReturnType<typeof resolveTarget>>;
type ToTarget = (request: GatewayRequest, target: RequestTarget, found: Found) => Promise<Reply>;

/** A request about something that has a name: it goes where that is served. */
function routed(needs: string, to: ToTarget): Handle {
  return (request) => {
    const { method, params, served } = request;
    const target = targetOf(method, params);
    if (target === null) return Promise.resolve(errorReply(INVALID_PARAMS, `${method} needs ${needs}`));
    const found = resolveServed(served, target);
    return found === null ? Promise.resolve(unknownTarget(target)) : to(request, target, found);
  };
}

function listing(services: RoutingServices, list: keyof VisibleLists): Handle {
  return async ({ params, port: { client }, served }) => {
    // Whole lists, one page: there is no cursor that we gave.
    if (params?.["cursor"] !== undefined) return errorReply(INVALID_PARAMS, "Invalid cursor");
    const view = served.viewFor(client.principal);
    if (client.protocolVersion !== MODERN_VERSION) return { result: view.lists[list] };
    const result = view.modern.lists[list];
    return { result: services.hasAllLists() ? result : { ...result, ...NOT_FRESH } };
  };
}

/** A tool or a prompt, under its server's own name. */
function callByName(
  services: RoutingServices,
  request: GatewayRequest,
  target: RequestTarget,
  found: Found,
): Promise<Reply> {
  const { method, params, port, signal } = request;
  const { backend } = found;
  const renew = (): RenewedCall => renewedCall(services, request, target, backend);
  const theirs = underTheirName(params, found);
  const answer = services.pool.call(backend, { method, params: theirs, port, signal, renew });
  const isTask = target.kind === "tool" && params?.["task"] !== undefined;
  return isTask ? rememberingTask(services, request, backend, answer) : answer;
}

function underTheirName(params: JsonObject | undefined, { originalName }: Found): JsonObject | undefined {
  return params?.["name"] === originalName ? params : { ...params, name: originalName };
}

/**
 * What becomes of a call that waited for another instance: the client's name may stand for another one of the server's,
 * belong to another backend, or mean nothing any more.
 */
function renewedCall(
  { pool, catalog }: RoutingServices,
  { method, params, port, signal }: GatewayRequest,
  target: RequestTarget,
  backend: string,
): RenewedCall {
  const found = resolveTarget(catalog(), target);
  const moved = found?.backend !== backend;
  // A task is remembered with the backend that it was asked of.
  if (found === null || (moved && params?.["task"] !== undefined)) {
    return { answer: Promise.resolve(unknownTarget(target)) };
  }
  const theirs = underTheirName(params, found);
  if (!moved) return { params: theirs, answer: null };
  return { answer: pool.call(found.backend, { method, params: theirs, port, signal }) };
}

/** A prompt in it gets its server's own name. */
function completion(request: GatewayRequest, { originalName }: Found): GatewayRequest {
  const { params } = request;
  const reference = params?.["ref"];
  if (!isJsonObject(reference) || reference["type"] !== "ref/prompt") return request;
  return { ...request, params: { ...params, ref: { ...reference, name: originalName } } };
}

async function setLevel(services: RoutingServices, { params, port }: GatewayRequest): Promise<Reply> {
  const level = params?.["level"];
  if (!isLogLevel(level)) {
    return errorReply(INVALID_PARAMS, `Invalid log level; one of ${LOG_LEVELS.join(", ")}`);
  }
  services.setLogLevel(port.client, level);
  return { result: {} };
}
