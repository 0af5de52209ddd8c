// Messages of 2026-07-28 in the form of the versions before it, and the other way round. Pure.

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

/** Of a request to an older server: what only 2026-07-28 knows is left out. The same object where nothing is. */
export function olderRequest(message: RpcMessage): RpcMessage {
  if (!("method" in message) || !isModern(message.params)) return message;
  const { _meta, inputResponses: _responses, requestState: _state, ...params } = message.params ?? {};
  const meta = withoutKeys(_meta, OF_REQUESTS);
  return { ...message, params: { ...params, ...(Object.keys(meta).length > 0 && { _meta: meta }) } };
}

/** A newer client brings answers, and the state of a server that was of 2026-07-28 when it asked. */
export function bringsState(message: RpcRequest): boolean {
  return isModern(message.params) && message.params?.["requestState"] !== undefined;
}

const OF_REQUESTS: ReadonlySet<string> = new Set([
  META.protocolVersion,
  META.clientCapabilities,
  META.clientInfo,
  META.logLevel,
]);

const PLAIN = { enumerable: true, configurable: true, writable: true };

function withoutKeys(meta: unknown, keys: ReadonlySet<string>): JsonObject {
  const kept: Record<string, unknown> = {};
  if (!isJsonObject(meta)) return kept;
  for (const key of Object.keys(meta)) {
    if (keys.has(key)) continue;
    if (key !== "__proto__") kept[key] = meta[key];
    else Object.defineProperty(kept, key, { value: meta[key], ...PLAIN });
  }
  return kept;
}

/** Who says so, in each request. */
export interface Introduction {
  readonly clientInfo: unknown;
  readonly capabilities: JsonObject;
  readonly logLevel: McpLogLevel | null;
  /** The gateway itself listens: for tasks too, which its clients of 2026-07-28 have. */
  readonly takesTasks?: boolean;
}

/** The params of a request to a server of 2026-07-28. */
export function modernParams(
  params: JsonObject | undefined,
  { clientInfo, capabilities, logLevel, takesTasks = false }: Introduction,
): JsonObject {
  // Of the tasks of 2025-11-25, which are others now.
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

/** What an older client declared, as 2026-07-28 says it; never its tasks, which are others. */
export function modernCapabilities(capabilities: JsonObject): JsonObject {
  const { tasks: _tasks, roots, elicitation, extensions, ...rest } = capabilities;
  const isPlain = isJsonObject(elicitation) && Object.keys(elicitation).length === 0;
  return {
    ...rest,
    ...(isJsonObject(extensions) && { extensions: withoutKeys(extensions, OF_TASKS) }),
    ...(isJsonObject(roots) && { roots: {} }),
    ...(elicitation !== undefined && { elicitation: isPlain ? { form: {} } : elicitation }),
  };
}

const OF_TASKS: ReadonlySet<string> = new Set([TASKS_EXTENSION]);

/** Read for the gateway alone, which tells clients how long its own lists hold. */
const LISTS: ReadonlySet<string> = new Set([
  "tools/list",
  "resources/list",
  "resources/templates/list",
  "prompts/list",
  "skills/list",
]);
const OF_RESULTS: ReadonlySet<string> = new Set([META.serverInfo]);

/** A complete reply, for a client that knows no 2026-07-28. `wraps`: the tool's output is no object by its schema. */
export function olderReply(method: string, reply: Reply, wraps: boolean): Reply {
  if (isError(reply)) {
    const { code, message, data } = reply.error;
    if (code !== MISSING_CAPABILITY) return reply;
    const text = `${message} (the client does not declare ${requiredOf(data)}, which the server needs for this)`;
    return method === "tools/call" ? toolError(text) : { error: { ...reply.error, message: text } };
  }
  if (reply.result["resultType"] === "task") {
    return toolError("the server answered with a task of 2026-07-28, which the client does not know");
  }
  const { resultType: _type, ttlMs, cacheScope, _meta, ...result } = reply.result;
  const meta = withoutKeys(_meta, OF_RESULTS);
  const older: JsonObject = {
    ...result,
    ...(LISTS.has(method) && { ttlMs, cacheScope }),
    ...(Object.keys(meta).length > 0 && { _meta: meta }),
  };
  return { result: method === "tools/call" ? legacyToolResult(older, wraps) : older };
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

/** The answer to `initialize` that a server of 2026-07-28 would give. */
export function initializeResult(discovered: JsonObject): JsonObject {
  const { capabilities, instructions, _meta } = discovered;
  return {
    protocolVersion: MODERN_VERSION,
    capabilities: isJsonObject(capabilities) ? capabilities : {},
    serverInfo: isJsonObject(_meta) ? (_meta[META.serverInfo] ?? {}) : {},
    ...(instructions === undefined ? {} : { instructions }),
  };
}

/** Without what names the stream that carried it. */
export function withoutSubscription(params: JsonObject | undefined): JsonObject | undefined {
  if (!isJsonObject(params?.["_meta"])) return params;
  const { _meta, ...rest } = params;
  const meta = withoutKeys(_meta, OF_STREAMS);
  return { ...rest, ...(Object.keys(meta).length > 0 && { _meta: meta }) };
}

const OF_STREAMS: ReadonlySet<string> = new Set([META.subscriptionId]);

// The headers in which a request of 2026-07-28 says over HTTP what it is: its method, what it names, and those arguments
// of a tool that its schema wants there. Pure.

/** All headers of one request; `wanted`: of the tool that it calls. */
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
    // Digits that a number here cannot hold go on as they came.
    const text = isRawNumber(value) ? value.rawJSON : paramText(value);
    if (text !== null) headers[param.header.toLowerCase()] = encodeHeader(text);
  }
  return headers;
}
