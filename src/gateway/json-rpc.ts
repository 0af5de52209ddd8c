// The messages of JSON-RPC 2.0 and our error codes. Unknown members are kept and passed on, so that features
// of MCP that the gateway does not know work.

import { valueOr } from "../runtime/errors.ts";
import { isUnreadable, writeJson } from "../runtime/json/large-json.ts";
import { memoized } from "../runtime/memo.ts";
import { isRawNumber, type RawNumber } from "../runtime/text/exact-json.ts";

export type JsonObject = Readonly<Record<string, unknown>>;
export type RpcId = string | number | RawNumber;

/** The id as a key of a Map: equal for ids with the same digits. */
export function idKey(id: RpcId): string | number {
  return typeof id === "object" ? `number ${id.rawJSON}` : id;
}

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

export interface RpcRequest {
  readonly jsonrpc: "2.0";
  readonly id: RpcId;
  readonly method: string;
  readonly params?: JsonObject;
}

export interface RpcNotification {
  readonly jsonrpc: "2.0";
  readonly method: string;
  readonly params?: JsonObject;
}

/** The reply to a request: a result, passed on unchanged, or an error. */
export type Reply = { readonly result: JsonObject } | { readonly error: RpcError };

/** `id` is null only in an error about a message whose id could not be read. */
type RpcResponse = { readonly jsonrpc: "2.0"; readonly id: RpcId | null } & Reply;

export type RpcMessage = RpcRequest | RpcNotification | RpcResponse;

export type Classified =
  | { readonly kind: "request"; readonly message: RpcRequest }
  | { readonly kind: "notification"; readonly message: RpcNotification }
  | { readonly kind: "response"; readonly id: RpcId | null; readonly reply: Reply }
  /** `id` for the error response; null if it could not be read. */
  | { readonly kind: "invalid"; readonly id: RpcId | null; readonly reason: string };

export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
export const INTERNAL_ERROR = -32603;
/** Legacy versions only (before 2026-07-28). */
export const RESOURCE_NOT_FOUND = -32002;
/** Our code for failures without fault of the request: the backend is missing, was stopped, or took too long. */
export const BACKEND_UNAVAILABLE = -32000;
/** Mountaineer's error code for a principal that has reached a limit. `data` names the limit and the time to retry. */
export const LIMIT_REACHED = -32029;
/** The code of the official SDKs for a timeout. */
export const REQUEST_TIMEOUT = -32001;

/** False for a RawNumber, which is an object in JavaScript but a number in JSON. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isRawNumber(value);
}

/**
 * Deepest nesting of values that we write as JSON. Real definitions are nested far less deeply; writing
 * overflows the stack at about 3,000 levels.
 */
export const MOST_LEVELS = 500;

/** Whether a parsed value can be written as JSON again. Parsing accepts any depth, but writing does not. */
export function isWritable(value: unknown, levels: number = MOST_LEVELS): boolean {
  if (typeof value !== "object" || value === null || isUnreadable(value)) return true;
  return levels > 0 && Object.values(value).every((part) => isWritable(part, levels - 1));
}

/** Returns null if the value is nested too deep, or if its JSON is longer than a string may be. */
export function jsonOf(value: unknown): string | null {
  return valueOr(() => writeJson(value), null);
}

/** In characters; infinite if the value has no JSON. */
export const jsonLength = memoized((value: object) => jsonOf(value)?.length ?? Number.POSITIVE_INFINITY);

/** JSON with sorted keys at any depth, without spaces, and numbers with their original digits; "null" for undefined. */
export function canonical(value: unknown): string {
  return JSON.stringify(inOrder(value)) ?? "null";
}

/** A copy with sorted keys. Integer keys come first, as in any object. */
function inOrder(value: unknown): unknown {
  if (typeof value !== "object" || value === null || isRawNumber(value)) return value;
  if (Array.isArray(value)) {
    return value.some((part) => typeof part === "object" && part !== null) ? value.map(inOrder) : value;
  }
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) {
    const part = inOrder(Reflect.get(value, key));
    if (key !== "__proto__") copy[key] = part;
    else Object.defineProperty(copy, key, { value: part, enumerable: true });
  }
  return copy;
}

export function isRpcId(value: unknown): value is RpcId {
  return (
    typeof value === "string" || (typeof value === "number" && Number.isFinite(value)) || isRawNumber(value)
  );
}

/** Some servers give errors codes that are not numbers. */
function rpcErrorOf(value: unknown): RpcError | null {
  if (!isJsonObject(value) || typeof value["message"] !== "string") return null;
  return (typeof value["code"] === "number"
    ? value
    : { ...value, code: INTERNAL_ERROR }) as unknown as RpcError;
}

const jsonrpc = "2.0" as const;

/** Extra members are accepted. */
export function classifyMessage(value: unknown): Classified {
  if (!isJsonObject(value)) return { kind: "invalid", id: null, reason: "a message is a JSON object" };
  const { id, method, result, error } = value;
  const ownId = isRpcId(id) ? id : null;
  if (value["jsonrpc"] !== "2.0") return invalid(ownId, '`jsonrpc` must be "2.0"');
  if (method !== undefined) {
    if (typeof method !== "string") return invalid(ownId, "`method` must be a string");
    const params = givenParams(value["params"]);
    if (params === null) return invalid(ownId, "`params` must be an object");
    if (!("id" in value)) return { kind: "notification", message: rpcNotification(method, params) };
    if (ownId === null) return invalid(ownId, "`id` must be a string or a number");
    return { kind: "request", message: rpcRequest(ownId, method, params) };
  }
  if (isJsonObject(result)) {
    return ownId === null
      ? invalid(ownId, "a response needs an `id`")
      : { kind: "response", id: ownId, reply: { result } };
  }
  const failed = rpcErrorOf(error);
  if (failed !== null) return { kind: "response", id: ownId, reply: { error: failed } };
  return invalid(ownId, "neither a request, a notification nor a response");
}

/**
 * Several clients write `null` or an empty list where they have no params, and `null` where they have no cursor; most
 * servers accept that. Returns null for anything else that is not an object.
 */
function givenParams(params: unknown): JsonObject | undefined | null {
  if (params === undefined || params === null) return undefined;
  if (Array.isArray(params)) return params.length === 0 ? undefined : null;
  if (!isJsonObject(params)) return null;
  if (params["cursor"] !== null) return params;
  const { cursor: _, ...others } = params;
  return others;
}

export function rpcRequest(id: RpcId, method: string, params: JsonObject | undefined): RpcRequest {
  return params === undefined ? { jsonrpc, id, method } : { jsonrpc, id, method, params };
}

export function rpcNotification(method: string, params: JsonObject | undefined): RpcNotification {
  return params === undefined ? { jsonrpc, method } : { jsonrpc, method, params };
}

function invalid(id: RpcId | null, reason: string): Classified {
  return { kind: "invalid", id, reason };
}

export function errorReply(code: number, message: string, data?: unknown): { readonly error: RpcError } {
  return { error: data === undefined ? { code, message } : { code, message, data } };
}

export function isError(reply: Reply): reply is { readonly error: RpcError } {
  return "error" in reply;
}
