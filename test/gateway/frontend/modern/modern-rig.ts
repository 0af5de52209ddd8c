// Requests of protocol 2026-07-28 to a front on a real socket.

import { isJsonObject } from "../../../../src/gateway/json-rpc.ts";
import { META, MODERN_VERSION } from "../../../../src/gateway/protocol.ts";
import type { Answer, Rig } from "../http/http-rig.ts";

export const ENVELOPE = {
  [META.protocolVersion]: MODERN_VERSION,
  [META.clientCapabilities]: {},
  [META.clientInfo]: { name: "test", version: "1" },
};

type Params = Readonly<Record<string, unknown>>;

/** With `_meta` as it has to be; what `params` has of `_meta` comes on top. */
export function modernMessage(method: string, params: Params = {}, id: string | number = 1): object {
  const meta = isJsonObject(params["_meta"]) ? params["_meta"] : {};
  return { jsonrpc: "2.0", id, method, params: { ...params, _meta: { ...ENVELOPE, ...meta } } };
}

/** The headers that belong to it. */
export function modernHeaders(method: string, params: Params = {}): Record<string, string> {
  const name = method === "resources/read" ? params["uri"] : params["name"];
  const isNamed = method === "tools/call" || method === "prompts/get" || method === "resources/read";
  return {
    "mcp-protocol-version": MODERN_VERSION,
    "mcp-method": method,
    ...(isNamed && typeof name === "string" ? { "mcp-name": name } : {}),
  };
}

export function postModern(
  rig: Rig,
  method: string,
  params: Params = {},
  headers: Record<string, string> = {},
): Promise<Answer> {
  return rig.post(modernMessage(method, params), { ...modernHeaders(method, params), ...headers });
}

export function openModern(
  rig: Rig,
  method: string,
  params: Params = {},
  id: string | number = 1,
): ReturnType<Rig["open"]> {
  return rig.open("POST", modernHeaders(method, params), modernMessage(method, params, id));
}
