import { Agent, request as httpRequest } from "node:http";
import { text } from "node:stream/consumers";
import { META, MODERN_VERSION } from "../../src/gateway/protocol.ts";
import type { Json } from "./fixtures/matrix-tools.ts";

const ALL_CAPABILITIES: Json = { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} };

interface WireOptions {
  /** Replaces, or with null leaves out, a header. */
  readonly headers?: Readonly<Record<string, string | null>>;
  readonly capabilities?: Json;
  readonly meta?: Json;
  readonly signal?: AbortSignal;
}

export interface WireReply {
  readonly status: number;
  readonly result?: Json;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
  /** What came before it on its stream. */
  readonly notices: readonly Json[];
}

let lastId = 0;

/** One request on a connection of its own. */
export async function ask(
  url: string,
  method: string,
  params: Json = {},
  { headers = {}, capabilities = ALL_CAPABILITIES, meta = {}, signal }: WireOptions = {},
): Promise<WireReply> {
  const id = ++lastId;
  const named = params["name"] ?? params["uri"] ?? params["taskId"];
  const _meta = {
    [META.protocolVersion]: MODERN_VERSION,
    [META.clientInfo]: { name: "wire", version: "1.0.0" },
    [META.clientCapabilities]: capabilities,
    ...meta,
  };
  const all = {
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    "mcp-protocol-version": MODERN_VERSION,
    "mcp-method": method,
    ...(typeof named === "string" && { "mcp-name": named }),
    ...headers,
  };
  const sent = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null);
  const body = JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...params, _meta } });
  const { status, words } = await post(url, Object.fromEntries(sent), body, signal);
  const messages = messagesOf(words);
  const reply = messages.find((message) => message["id"] === id || message["id"] === null) ?? {};
  return { status, notices: messages.filter((message) => message !== reply), ...reply } as WireReply;
}

/** Any body, with any headers. */
export function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  signal?: AbortSignal,
): Promise<{ readonly status: number; readonly words: string }> {
  return new Promise((resolve, reject) => {
    const agent = new Agent();
    const sent = httpRequest(new URL(url), { method: "POST", agent, headers, ...(signal && { signal }) });
    sent.once("error", reject);
    sent.once("response", (response) => {
      text(response)
        .then((words) => resolve({ status: response.statusCode ?? 0, words }), reject)
        .finally(() => agent.destroy());
    });
    sent.end(body);
  });
}

function messagesOf(words: string): Json[] {
  if (words.trimStart().startsWith("{")) return [JSON.parse(words)];
  return words
    .split("\n")
    .filter((line) => line.startsWith("data:") && line.length > "data: ".length)
    .map((line) => JSON.parse(line.slice("data:".length)));
}

/** What an answer requires. */
export function requiredBy({ result, error }: WireReply): {
  readonly state: string;
  readonly requests: Json;
} {
  if (result?.["resultType"] !== "input_required")
    throw new Error(`no input is required: ${JSON.stringify({ result, error })}`);
  return { state: String(result["requestState"]), requests: result["inputRequests"] as Json };
}

/** The text of a tool's result. */
export function textOf({ result, error }: WireReply): string {
  if (error !== undefined) throw new Error(`error ${error.code}: ${error.message}`);
  const [first] = (result?.["content"] ?? []) as readonly { readonly text?: string }[];
  return first?.text ?? "";
}
