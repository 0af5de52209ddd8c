// The headers in which a request of 2026-07-28 says over HTTP what it is: its method, what it names, and those arguments
// of a tool that its schema wants there. Pure.
import { isRawNumber } from "../../../../runtime/text/exact-json.ts";
import type { JsonObject } from "../../../json-rpc.ts";
import { encodeHeader, type ParamHeader, paramText, paramValue } from "../../../param-headers.ts";
import { MODERN_VERSION, NAMED_BY } from "../../../protocol.ts";

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
