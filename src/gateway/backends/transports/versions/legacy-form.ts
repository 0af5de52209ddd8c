// Converts messages between 2026-07-28 and the versions before it ("legacy"). Pure.

import { isRawNumber } from "../../../../runtime/text/exact-json.ts";
import {
  isError,
  isJsonObject,
  type JsonObject,
  type Reply,
  type RpcMessage,
  type RpcRequest,
} from "../../../json-rpc.ts";
import { legacyToolResult } from "../../../legacy-output.ts";
import { encodeHeader, type ParamHeader, paramText, paramValue } from "../../../param-headers.ts";
import {
  isModern,
  type McpLogLevel,
  META,
  MISSING_CAPABILITY,
  MODERN_VERSION,
  NAMED_BY,
  TASKS_EXTENSION,
} from "../../../protocol.ts";

/** Removes from a request to a legacy server the members that only 2026-07-28 has. Returns other messages as they are. */
export function legacyRequest(message: RpcMessage): RpcMessage {
  if (!("method" in message) || !isModern(message.params)) return message;
  const { _meta, inputResponses: _responses, requestState: _state, ...params } = message.params ?? {};
  return { ...message, params: { ...params, ...metaWithout(_meta, REQUEST_KEYS) } };
}

export function hasRequestState(message: RpcRequest): boolean {
  return isModern(message.params) && message.params?.["requestState"] !== undefined;
}

const REQUEST_KEYS: readonly string[] = [
  META.protocolVersion,
  META.clientCapabilities,
  META.clientInfo,
  META.logLevel,
];

function withoutKeys(object: JsonObject, keys: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** `{ _meta }` without these keys; {} if none is left. */
function metaWithout(meta: unknown, keys: readonly string[]): { readonly _meta?: JsonObject } {
  const _meta = isJsonObject(meta) ? withoutKeys(meta, keys) : {};
  return Object.keys(_meta).length > 0 ? { _meta } : {};
}

/** The client, as each modern request describes it. */
interface ClientMeta {
  readonly clientInfo: unknown;
  readonly capabilities: JsonObject;
  readonly logLevel: McpLogLevel | null;
  /** True in the request that listens for all clients, if some of them take tasks. */
  readonly takesTasks?: boolean;
}

export function modernParams(
  params: JsonObject | undefined,
  { clientInfo, capabilities, logLevel, takesTasks = false }: ClientMeta,
): JsonObject {
  // The member `task` requests a task as in protocol 2025-11-25, which modern servers do not have.
  const { _meta, task: _task, ...rest } = params ?? {};
  return {
    ...rest,
    _meta: {
      ...(isJsonObject(_meta) ? _meta : {}),
      [META.protocolVersion]: MODERN_VERSION,
      [META.clientCapabilities]: takesTasks ? withTasks(capabilities) : capabilities,
      ...(clientInfo === undefined ? {} : { [META.clientInfo]: clientInfo }),
      ...(logLevel === null ? {} : { [META.logLevel]: logLevel }),
    },
  };
}

function withTasks(capabilities: JsonObject): JsonObject {
  const { extensions } = capabilities;
  const others = isJsonObject(extensions) ? extensions : {};
  return { ...capabilities, extensions: { ...others, [TASKS_EXTENSION]: {} } };
}

/**
 * A legacy client's capabilities in modern form. They lack tasks, because the tasks of the two versions are
 * incompatible.
 */
export function modernCapabilities(capabilities: JsonObject): JsonObject {
  const { tasks: _tasks, roots, elicitation, extensions, ...rest } = capabilities;
  const isPlain = isJsonObject(elicitation) && Object.keys(elicitation).length === 0;
  return {
    ...rest,
    ...(isJsonObject(extensions) && { extensions: withoutKeys(extensions, [TASKS_EXTENSION]) }),
    ...(isJsonObject(roots) && { roots: {} }),
    ...(elicitation !== undefined && { elicitation: isPlain ? { form: {} } : elicitation }),
  };
}

/** Lists that the gateway itself reads: it needs their `ttlMs` and `cacheScope`. */
const LISTS: ReadonlySet<string> = new Set([
  "tools/list",
  "resources/list",
  "resources/templates/list",
  "prompts/list",
]);

/**
 * A modern reply in legacy form; the reply is complete, not `input_required`. `wraps`: the tool's output
 * schema is not that of an object.
 */
export function legacyReply(method: string, reply: Reply, wraps: boolean): Reply {
  if (isError(reply)) {
    const { code, message, data } = reply.error;
    if (code !== MISSING_CAPABILITY) return reply;
    const text = `${message} (the client does not declare ${requiredOf(data)}, which the server needs for this)`;
    return method === "tools/call" ? toolError(text) : { error: { ...reply.error, message: text } };
  }
  if (reply.result["resultType"] === "task") {
    return toolError("the server answered with a task of 2026-07-28, which the client does not know");
  }
  const { resultType: _type, ttlMs, cacheScope, _meta, ...rest } = reply.result;
  const result: JsonObject = {
    ...rest,
    ...(LISTS.has(method) && { ttlMs, cacheScope }),
    ...metaWithout(_meta, [META.serverInfo]),
  };
  return { result: method === "tools/call" ? legacyToolResult(result, wraps) : result };
}

function requiredOf(data: unknown): string {
  const required = isJsonObject(data) ? data["requiredCapabilities"] : undefined;
  const { extensions, ...others } = isJsonObject(required) ? required : {};
  const names = [...Object.keys(others), ...Object.keys(isJsonObject(extensions) ? extensions : {})];
  return names.length === 0 ? "a capability" : names.join(", ");
}

export function toolError(text: string): Reply {
  return { result: { content: [{ type: "text", text }], isError: true } };
}

/** The result of `initialize` for the gateway, from a modern server's `server/discover`. */
export function initializeResult(discovered: JsonObject): JsonObject {
  const { capabilities, instructions, _meta } = discovered;
  return {
    protocolVersion: MODERN_VERSION,
    capabilities: isJsonObject(capabilities) ? capabilities : {},
    serverInfo: isJsonObject(_meta) ? (_meta[META.serverInfo] ?? {}) : {},
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/** Removes the id of the stream that delivered a notification. */
export function withoutSubscription(params: JsonObject | undefined): JsonObject | undefined {
  if (!isJsonObject(params?.["_meta"])) return params;
  const { _meta, ...rest } = params;
  return { ...rest, ...metaWithout(_meta, [META.subscriptionId]) };
}

// The headers that repeat parts of a modern request over HTTP: its method, the name of its subject, and the arguments
// that a tool's schema selects. Pure.

/** All headers of one request; `wanted`: those that the schema of the called tool selects. */
export function requestHeaders(
  method: string,
  params: JsonObject | undefined,
  wanted: readonly Pick<ParamHeader, "header" | "path">[],
): Record<string, string> {
  const headers: Record<string, string> = { "mcp-protocol-version": MODERN_VERSION, "mcp-method": method };
  const part = NAMED_BY.get(method);
  const name = part === undefined ? undefined : params?.[part];
  if (typeof name === "string") headers["mcp-name"] = encodeHeader(name);
  for (const param of wanted) {
    const value = paramValue(params?.["arguments"], param);
    // A number that JavaScript cannot represent keeps its digits.
    const text = isRawNumber(value) ? value.rawJSON : paramText(value);
    if (text !== null) headers[param.header.toLowerCase()] = encodeHeader(text);
  }
  return headers;
}
