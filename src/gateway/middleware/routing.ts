// Routing: answers lists from the catalog, and sends other requests to a backend, under the backend's own names.
import { isDeepStrictEqual } from "node:util";
import { machineOf } from "../../config/values/backend-names.ts";
import { shellCommand } from "../../runtime/text/plain-text.ts";
import type { RenewedCall } from "../backends/policy/backend-pool-contract.ts";
import type { Catalog, Resolved } from "../catalog/catalog.ts";
import { entryOf, resolveTarget } from "../catalog/resolve.ts";
import { otherArgument } from "../catalog/set-arguments.ts";
import { withoutTexts } from "../catalog/without-texts.ts";
import type { Principal } from "../client-handle.ts";
import {
  errorReply,
  INVALID_PARAMS,
  INVALID_REQUEST,
  isError,
  isJsonObject,
  type JsonObject,
  RESOURCE_NOT_FOUND,
  type Reply,
} from "../json-rpc.ts";
import { isLogLevel, LOG_LEVELS, MODERN_VERSION, UNWATCH_TASK, WATCH_TASK } from "../protocol.ts";
import { createTaskPassing, createTaskWatching, publishedTask, takesTasks } from "./extension-tasks.ts";
import type { GatewayRequest, Handle, VisibleLists } from "./middleware.ts";
import { publishedResult } from "./named-uris.ts";
import {
  answeredInstead,
  type RequestTarget,
  targetAt,
  targetOf,
  unknownMethod,
  unknownTarget,
} from "./request-target.ts";
import type { RoutingServices } from "./routing-services.ts";
import { sanitise } from "./sanitise.ts";
import { createTaskListing, createTaskRouting, rememberingTask } from "./task-routing.ts";

/**
 * Methods that concern the session, or that only a server sends to a client. They are never passed on to a backend,
 * not even to a sole one.
 */
const NEVER_PASSED_ON: ReadonlySet<string> = new Set([
  "initialize",
  "sampling/createMessage",
  "elicitation/create",
  "roots/list",
  // Methods of 2026-07-28 that the gateway's front answers.
  "server/discover",
  "subscriptions/listen",
  // Internal: only the gateway itself sends this method, over its connections to servers.
  UNWATCH_TASK,
]);

const NAME = "a string `name`";
const URI = "a string `uri`";
const REFERENCE = "a `ref` of type ref/prompt with `name` or ref/resource with `uri`";

/** How servers say that they have no such resource. */
const NOT_FOUND: ReadonlySet<number> = new Set([RESOURCE_NOT_FOUND, INVALID_PARAMS]);

/** Of schemas that are compared. */
const MOST_LEVELS = 200;

const OF_SPECIFICATION =
  /^(?:initialize|ping|(?:tools|resources|prompts|completion|logging|tasks|sampling|elicitation|roots|server|subscriptions)\/.*)$/;

/** Whether the specification has the methods that begin with this name: `tools`. */
export function isOfSpecification(name: string): boolean {
  return OF_SPECIFICATION.test(`${name}/`);
}

/** The first part of an extension's methods: `notes` of `com.example/notes`. */
export function methodsOf(extension: string): string {
  return extension.split("/").at(-1) ?? "";
}

/**
 * The backend that gets a method which the specification does not have: the one whose capability (`notes`) or extension
 * (`com.example/notes`) is named like it (`notes/list`), or the only one with extensions.
 */
export function ownerOfMethod(method: string, extensions: ReadonlyMap<string, string>): string | null {
  if (OF_SPECIFICATION.test(method)) return null;
  const [first = ""] = method.split("/");
  const named = [...extensions].find(([name]) => methodsOf(name) === first);
  const backends = [...extensions].flatMap(([name, backend]) => (name.includes("/") ? [backend] : []));
  const [only = null, ...others] = new Set(backends);
  return extensions.get(first) ?? named?.[1] ?? (others.length === 0 ? only : null);
}

/** `passesTo`: the backend that gets an unknown method; null: it fails. */
export function createRouting(
  services: RoutingServices,
  passesTo: (method: string) => string | null,
): Handle {
  const { pool } = services;
  const [legacy, modern] = [createTaskRouting(services), createTaskPassing(services)];
  const callNamed: ToTarget = (request, target, found) => callByName(services, request, target, found);
  const pass: ToTarget = (request, target, { backend }) => {
    const { method, params, handle, signal } = request;
    // After the server's start, the tool may be gone, or may wait for approval.
    const renew = (): RenewedCall => {
      const now = destination(services, services.catalog(), target, request);
      if ("refusal" in now) return { answer: Promise.resolve(now.refusal) };
      const isThere = [now.found.backend, ...(now.found.equals ?? [])].includes(backend);
      return isThere ? { params, answer: null } : { answer: Promise.resolve(unknownTarget(target)) };
    };
    return pool.call(backend, { method, params, handle, signal, renew });
  };
  const routes = new Map<string, Handle>([
    ["tools/list", listing(services, "tools")],
    ["resources/list", listing(services, "resources")],
    ["resources/templates/list", listing(services, "resourceTemplates")],
    ["prompts/list", listing(services, "prompts")],
    ["tools/call", routed(services, NAME, publishing(services, callNamed))],
    ["prompts/get", routed(services, NAME, publishing(services, callNamed))],
    ["resources/read", routed(services, URI, withFallback(services, publishing(services, reading(pass))))],
    [
      "resources/subscribe",
      routed(services, URI, ({ handle }, _, { backend, originalName }) =>
        pool.subscribe(backend, originalName, handle.client),
      ),
    ],
    [
      "resources/unsubscribe",
      routed(services, URI, ({ handle }, _, { backend, originalName }) =>
        pool.unsubscribe(backend, originalName, handle.client),
      ),
    ],
    [
      "completion/complete",
      routed(services, REFERENCE, (request, target, found) =>
        pass(completion(request, found), target, found),
      ),
    ],
    ["logging/setLevel", (request) => setLevel(services, request)],
    ["ping", async () => ({ result: {} })],
    ["tasks/get", eitherVersion(legacy, modern)],
    ["tasks/cancel", eitherVersion(legacy, modern)],
    ["tasks/result", eitherVersion(legacy, notKnown)],
    ["tasks/list", eitherVersion(createTaskListing(services), notKnown)],
    ["tasks/update", eitherVersion(notKnown, modern)],
    [WATCH_TASK, eitherVersion(notKnown, createTaskWatching(services))],
  ]);
  return (request) => {
    const { method, params, handle, signal } = request;
    const route = routes.get(method);
    if (route !== undefined) return route(request);
    const backend = NEVER_PASSED_ON.has(method) ? null : passesTo(method);
    if (backend === null) return Promise.resolve(unknownMethod(method));
    return pool.call(backend, { method, params, handle, signal });
  };
}

/** Tasks of 2025-11-25 and of 2026-07-28 share method names, but nothing else. */
function eitherVersion(legacy: Handle, modern: Handle): Handle {
  return (request) =>
    request.handle.client.protocolVersion === MODERN_VERSION ? modern(request) : legacy(request);
}

const notKnown: Handle = async ({ method }) => unknownMethod(method);

/** Translates the URIs in results, and remembers who named them. */
function publishing({ named }: RoutingServices, pass: ToTarget): ToTarget {
  return async (request, target, found) => {
    const reply = await pass(request, target, found);
    if (!("result" in reply)) return reply;
    const backend = found.backend;
    const of = target.kind === "resource" ? { name: target.name, originalName: found.originalName } : null;
    const { result, uris } = publishedResult(request.served.catalog, backend, reply.result, of);
    named.take(request.handle.client.principal, backend, uris);
    return result === reply.result ? reply : { ...reply, result };
  };
}

/** A server that mentioned the URI is asked after the first one said that it has none. */
function withFallback({ named }: RoutingServices, send: ToTarget): ToTarget {
  return async (request, target, found) => {
    const reply = await send(request, target, found);
    if (found.equals === undefined || !isError(reply) || !NOT_FOUND.has(reply.error.code)) return reply;
    const { principal } = request.handle.client;
    const mentionedBy = named.mentionedBy(principal, target.name);
    const backend = found.equals.find((one) => mentionedBy.includes(one));
    if (backend === undefined) return reply;
    const other = { backend, originalName: target.name, status: "listed" } as const;
    const next: Handle = (admitted) => send(admitted, target, other);
    const instead = await request.served.admit(request, targetAt(target, other), next);
    if (instead === null) return reply;
    answeredInstead.set(instead, backend);
    return instead;
  };
}

/** Asks for a resource by the server's own URI. */
function reading(pass: ToTarget): ToTarget {
  return (request, target, found) => {
    const { name } = target;
    if (name === found.originalName) return pass(request, target, found);
    const params = { ...request.params, uri: found.originalName };
    return pass({ ...request, params }, target, found);
  };
}

type ToTarget = (request: GatewayRequest, target: RequestTarget, found: Resolved) => Promise<Reply>;

/** The backend that is asked for the target of a principal's request; null: none. */
export function findOwner(
  { named }: Pick<RoutingServices, "named">,
  catalog: Catalog,
  principal: Principal,
  target: Pick<RequestTarget, "kind" | "name">,
): Resolved | null {
  const { kind, name } = target;
  return resolveTarget(
    catalog,
    target,
    kind === "tool" || kind === "prompt" ? [] : named.mentionedBy(principal, name),
  );
}

/** Finds the backend of the target. Returns the refusal if the target cannot be used, for example switched off. */
function destination(
  { named }: Pick<RoutingServices, "named">,
  catalog: Catalog,
  target: RequestTarget,
  { params, handle }: Pick<GatewayRequest, "params" | "handle">,
): { readonly found: Resolved } | { readonly refusal: Reply } {
  const found = findOwner({ named }, catalog, handle.client.principal, target);
  if (found === null) return { refusal: unknownTarget(target) };
  if (found.status === "unapproved") return { refusal: unknownTarget(target, found.backend) };
  if (found.status === "off") return { refusal: switchedOff(target, params) };
  const other = otherArgument(params, found.setArguments ?? {});
  if (found.status !== "unfit" && other === null) return { found };
  const shown = sanitise(target.name);
  const text =
    other === null || found.status === "unfit"
      ? `The tool ${shown} is withheld: the arguments that this machine's owner sets for it do not fit it.`
      : `The argument ${other} of ${shown} is set by this machine's owner: call the tool again without it.`;
  return { refusal: refusedTool(text, params) };
}

/** Sends a request to the backend of its target. */
function routed(services: RoutingServices, needs: string, send: ToTarget): Handle {
  return (request) => {
    const { method, params, served } = request;
    const target = targetOf(method, params);
    if (target === null) return Promise.resolve(errorReply(INVALID_PARAMS, `${method} needs ${needs}`));
    const to = destination(services, served.catalog, target, request);
    return "refusal" in to ? Promise.resolve(to.refusal) : send(request, target, to.found);
  };
}

function listing(services: RoutingServices, list: keyof VisibleLists): Handle {
  return async ({ params, handle: { client }, served }) => {
    // Lists have one page, so no cursor is valid.
    if (params?.["cursor"] !== undefined) return errorReply(INVALID_PARAMS, "Invalid cursor");
    await services.inUse?.(served.catalog);
    const view = served.viewFor(client.principal);
    if (client.protocolVersion !== MODERN_VERSION) return { result: view.lists[list] };
    const { ttlMs, ...result } = view.modern.lists[list];
    if (!services.hasAllLists()) return { result: { ...result, cacheScope: "private" } };
    return {
      result: { ...result, ttlMs: ttlMs === 0 ? 0 : Math.max(1, Math.floor(services.remainingMs(list))) },
    };
  };
}

/** Calls a tool or gets a prompt, by the name that its own server gives it. */
function callByName(
  services: RoutingServices,
  request: GatewayRequest,
  target: RequestTarget,
  found: Resolved,
) {
  const { method, params, handle, signal, served } = request;
  const { backend } = found;
  services.inUse?.(served.catalog);
  if (target.kind === "tool" && takesTasks(request))
    return callThatMayBeTask(services, request, target, found);
  const renew = (hasStarted: boolean): RenewedCall =>
    changedMeanwhile(services, request, target, hasStarted) ?? renewedCall(services, request, target, found);
  const serverParams = withServerName(params, found);
  const answer = services.pool.call(backend, { method, params: serverParams, handle, signal, renew });
  const isTask = target.kind === "tool" && params?.["task"] !== undefined;
  const origin = { backend, tool: target.name, originalTool: found.originalName };
  return isTask ? rememberingTask(services, request, origin, answer) : answer;
}

/** Makes a call for a client that supports tasks. The tool may move to another backend while the call waits. */
async function callThatMayBeTask(
  services: RoutingServices,
  request: GatewayRequest,
  target: RequestTarget,
  found: Resolved,
): Promise<Reply> {
  const { method, params, handle, signal } = request;
  let task = {
    backend: found.backend,
    tool: target.name,
    originalTool: found.originalName,
    taskLocation: "",
  };
  const onTaskLocation = ({ backend, originalName }: Resolved, taskLocation: string): void => {
    task = { ...task, backend, originalTool: originalName, taskLocation };
  };
  let now = found;
  const renew = (hasStarted: boolean): RenewedCall => {
    const changed = changedMeanwhile(services, request, target, hasStarted);
    if (changed !== null) return changed;
    const at = resolveTarget(services.catalog(), target);
    if (at !== null) now = at;
    return renewedCall(services, request, target, found, (taskLocation) => onTaskLocation(now, taskLocation));
  };
  const reply = await services.pool.call(found.backend, {
    method,
    params: withServerName(params, found),
    handle,
    signal,
    renew,
    onTaskLocation: (taskLocation) => onTaskLocation(now, taskLocation),
  });
  return publishedTask(services, request, task, reply);
}

/**
 * The refusal of a call of a switched-off tool. It is a tool result where possible, so that the calling model reads
 * the reason.
 */
function switchedOff({ name }: RequestTarget, params: JsonObject | undefined): Reply {
  const shown = sanitise(name);
  const text = `The tool ${shown} is switched off on this machine. Its owner can switch it on: ${shellCommand`mountaineer tools enable ${shown}`}`;
  return refusedTool(text, params);
}

function refusedTool(text: string, params: JsonObject | undefined): Reply {
  if (params?.["task"] !== undefined) return errorReply(INVALID_REQUEST, text);
  return { result: { content: [{ type: "text", text }], isError: true } };
}

function withServerName(params: JsonObject | undefined, { originalName }: Resolved): JsonObject | undefined {
  return params?.["name"] === originalName ? params : { ...params, name: originalName };
}

/**
 * The answer to a call of a tool that has changed while its server was not running: the caller has not seen the tool's
 * present definition. Null: the call continues, also if only prose has changed and no change of it needs approval.
 */
function changedMeanwhile(
  { catalog, blocksChanges }: RoutingServices,
  { params, served }: GatewayRequest,
  target: RequestTarget,
  hasStarted: boolean,
): RenewedCall | null {
  const before = hasStarted && target.kind === "tool" ? entryOf(served.catalog, target) : null;
  const now = before === null ? null : entryOf(catalog(), target);
  if (before?.status !== "listed" || now?.status !== "listed") return null;
  const [old, fresh] = [before, now].map(({ definition }) =>
    blocksChanges(now.backend) ? definition : withoutProse(definition),
  );
  if (isDeepStrictEqual(old, fresh)) return null;
  const text = `The tool ${sanitise(target.name)} has changed since it was listed, and was not called. List the tools again.`;
  return { answer: Promise.resolve(refusedTool(text, params)) };
}

/** What decides whether a call means the same as before: no text that only describes. */
function withoutProse({ name, inputSchema, outputSchema, annotations }: JsonObject): JsonObject {
  const [input, output] = [inputSchema, outputSchema].map((schema) => withoutTexts(schema, MOST_LEVELS));
  return { name, input, output, annotations };
}

/**
 * Resolves the name again for a call that has waited for another instance: by now the name may belong to another tool
 * of the server, to a tool of another backend, or to no tool.
 */
function renewedCall(
  services: RoutingServices,
  request: GatewayRequest,
  target: RequestTarget,
  before: Resolved,
  onTaskLocation?: (taskLocation: string) => void,
): RenewedCall {
  const { pool, catalog } = services;
  const { method, params, handle, signal } = request;
  const now = destination(services, catalog(), target, request);
  if ("refusal" in now) return { answer: Promise.resolve(now.refusal) };
  const { found } = now;
  const moved = found.backend !== before.backend;
  // A call that asks for a task must not move: the task is remembered with its first backend. Nor does one with arguments
  // that are set only for the first backend's tool.
  const mayMove =
    params?.["task"] === undefined &&
    isDeepStrictEqual(found.setArguments, before.setArguments) &&
    !isOtherMachines(found, before) &&
    isAllowedNow(request);
  if (moved && !mayMove) return { answer: Promise.resolve(unknownTarget(target)) };
  const serverParams = withServerName(params, found);
  if (!moved) return { params: serverParams, answer: null };
  const call = { method, params: serverParams, handle, signal };
  return {
    answer: pool.call(found.backend, onTaskLocation === undefined ? call : { ...call, onTaskLocation }),
  };
}

/** Whether the policies allow the call, without a question, at the server to which its name belongs by now. */
function isAllowedNow(request: GatewayRequest): boolean {
  const served = request.served.current().forClient(request.handle.client);
  return served.allows({ ...request, served });
}

/**
 * True if the name now belongs to a different tool on another machine. Names with a prefix can be equal by chance:
 * tool `x` of backend `a_b` and tool `b_x` of backend `a` are both `a_b_x`.
 */
function isOtherMachines(found: Resolved, before: Resolved): boolean {
  return machineOf(found.backend) !== machineOf(before.backend) && found.originalName !== before.originalName;
}

/** Replaces the published name or URI in the params with the one that the server uses. */
function completion(request: GatewayRequest, { originalName }: Resolved): GatewayRequest {
  const { params } = request;
  const reference = params?.["ref"];
  if (!isJsonObject(reference)) return request;
  const own = reference["type"] === "ref/prompt" ? { name: originalName } : { uri: originalName };
  return { ...request, params: { ...params, ref: { ...reference, ...own } } };
}

async function setLevel(services: RoutingServices, { params, handle }: GatewayRequest): Promise<Reply> {
  const level = params?.["level"];
  if (!isLogLevel(level)) {
    return errorReply(INVALID_PARAMS, `Invalid log level; one of ${LOG_LEVELS.join(", ")}`);
  }
  services.setLogLevel(handle.client, level);
  return { result: {} };
}
