// Requests of protocol 2026-07-28 as they go over HTTP, one connection each, without a client that does more.
import { randomUUID } from "node:crypto";
import { MODERN_VERSION } from "../../src/gateway/protocol.ts";

export type Json = Readonly<Record<string, unknown>>;

export interface RawAnswer {
  readonly status: number;
  readonly result?: Json;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: Json };
}

const PREFIX = "io.modelcontextprotocol";

export const ASKABLE: Json = { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} };

export interface RawOptions {
  readonly capabilities?: Json;
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function postModern(
  url: string,
  method: string,
  params: Json,
  { capabilities = ASKABLE, signal, headers = {} }: RawOptions = {},
): Promise<RawAnswer> {
  const named = params["name"] ?? params["uri"];
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": MODERN_VERSION,
      "Mcp-Method": method,
      ...(typeof named === "string" ? { "Mcp-Name": named } : {}),
      Connection: "close",
      ...headers,
    },
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: randomUUID(),
      method,
      params: {
        ...params,
        _meta: {
          [`${PREFIX}/protocolVersion`]: MODERN_VERSION,
          [`${PREFIX}/clientCapabilities`]: capabilities,
        },
      },
    }),
    signal: signal ?? null,
  });
  const text = await response.text();
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
  const json = isStream
    ? (
        text
          .trim()
          .split("\n")
          .findLast((line) => line.startsWith("data: ")) ?? ""
      ).slice(6)
    : text;
  return { status: response.status, ...JSON.parse(json) };
}

/** What an answer requires. */
export function requiredBy({ result, error }: RawAnswer): {
  readonly state: string;
  readonly requests: Json;
} {
  if (result?.["resultType"] !== "input_required")
    throw new Error(`no input is required: ${JSON.stringify({ result, error })}`);
  return { state: String(result["requestState"]), requests: result["inputRequests"] as Json };
}

/** The text of a tool's result. */
export function textOf({ result, error }: RawAnswer): string {
  if (error !== undefined) throw new Error(`error ${error.code}: ${error.message}`);
  const [first] = (result?.["content"] ?? []) as readonly { readonly text?: string }[];
  return first?.text ?? "";
}
