// A small MCP client over node:http with kept connections and without the SDK, for load: the SDK's own client would be
// measured instead.
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";

export type Json = Readonly<Record<string, unknown>>;

/** What answered one request. */
export type LightReply =
  | { readonly result: Json }
  | { readonly error: { readonly code: number; readonly message: string; readonly data?: unknown } };

/** A JSON-RPC error, or an HTTP status, where a result was wanted. */
export class LightError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

export interface LightClientOptions {
  readonly token?: string;
  readonly capabilities?: Json;
  readonly protocolVersion?: string;
  /** Headers of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Answers a server's request; absent: method not found. */
  readonly onRequest?: (method: string, params: Json) => Json | Promise<Json>;
  /** Connections at once. */
  readonly sockets?: number;
  /** Ends whatever it waits for that has no signal of its own. */
  readonly signal?: AbortSignal;
}

export interface CallOptions {
  /** Whatever comes on this call's stream before its answer. */
  readonly onNotice?: (notice: Json) => void;
  /** Goes into `params._meta`. */
  readonly meta?: Json;
  /** Closes the connection; tells the server nothing. */
  readonly signal?: AbortSignal;
  /** Called with the request's id before it is sent. */
  readonly onId?: (id: number) => void;
}

/** One session. Disposal deletes it and closes its connections. */
export interface LightClient extends AsyncDisposable {
  readonly sessionId: string | null;
  readonly initialized: Json;
  /** What came on the GET stream, in order. */
  readonly notices: readonly Json[];
  /** The reply, an error too. Rejects with LightError for any HTTP status but 200, and when the connection breaks. */
  ask(method: string, params?: Json, options?: CallOptions): Promise<LightReply>;
  /** The result; rejects with LightError for an error reply. */
  request(method: string, params?: Json, options?: CallOptions): Promise<Json>;
  notify(method: string, params?: Json): Promise<void>;
  /** The text of the first content. */
  call(tool: string, given?: Json, options?: CallOptions): Promise<string>;
  /** Names, all pages. */
  tools(): Promise<string[]>;
  /** Opens the GET stream; resolves when the server has answered its headers. */
  listen(): Promise<void>;
  /** Closes the connections that no request uses, as a client does that was away for a while. */
  closeIdle(): void;
}

interface Exchange {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
}

/** Opens a session at a streamable HTTP endpoint. */
export async function connectLight(url: string, options: LightClientOptions = {}): Promise<LightClient> {
  const { protocolVersion = "2025-11-25", capabilities = {} } = options;
  const target = new URL(url);
  const agent = new Agent({ keepAlive: true, maxSockets: options.sockets ?? 64 });
  const notices: Json[] = [];
  const streams = new Set<() => void>();
  let sessionId: string | null = null;
  let version: string | null = null;
  let lastId = 0;

  const headers = (): Record<string, string> => ({
    accept: "application/json, text/event-stream",
    ...(sessionId !== null && { "mcp-session-id": sessionId }),
    ...(version !== null && { "mcp-protocol-version": version }),
    ...(options.token !== undefined && { authorization: `Bearer ${options.token}` }),
    ...options.headers,
  });

  const exchange = (
    method: string,
    body: string | null,
    onMessage: (message: Json) => void,
    more: { readonly signal?: AbortSignal | undefined; readonly onHeaders?: (head: Exchange) => void } = {},
  ): Promise<Exchange> =>
    new Promise((resolve, reject) => {
      const signal = more.signal ?? options.signal;
      const sent = httpRequest(target, {
        method,
        agent,
        headers: {
          ...headers(),
          ...(body !== null && {
            "content-type": "application/json",
            "content-length": String(Buffer.byteLength(body)),
          }),
        },
        ...(signal !== undefined && { signal }),
      });
      if (method === "GET") {
        const end = (): void => void sent.destroy();
        streams.add(end);
        sent.on("close", () => streams.delete(end));
      }
      sent.on("error", reject);
      sent.on("response", (response) => {
        const head = { status: response.statusCode ?? 0, headers: response.headers };
        more.onHeaders?.(head);
        const isStream = response.headers["content-type"]?.startsWith("text/event-stream") === true;
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
          if (isStream) text = takeFrames(text, onMessage);
        });
        response.on("error", reject);
        response.on("end", () => {
          if (!isStream && text !== "" && head.status < 300) onMessage(JSON.parse(text));
          if (head.status >= 400) reject(new LightError(head.status, text.slice(0, 500)));
          else resolve(head);
        });
      });
      sent.end(body ?? undefined);
    });

  const post = (message: Json): Promise<Exchange> => exchange("POST", JSON.stringify(message), () => {});

  const served = async (message: Json): Promise<void> => {
    const { id, method } = message;
    const params = isObject(message["params"]) ? message["params"] : {};
    const reply =
      options.onRequest === undefined
        ? { error: { code: -32601, message: "Method not found" } }
        : { result: await options.onRequest(String(method), params) };
    await post({ jsonrpc: "2.0", id, ...reply });
  };

  const self: LightClient = {
    get sessionId() {
      return sessionId;
    },
    initialized: {},
    notices,
    async ask(method, params, { onNotice, meta, signal, onId } = {}) {
      const id = ++lastId;
      onId?.(id);
      const whole = meta === undefined ? params : { ...params, _meta: meta };
      let reply: LightReply | null = null;
      const head = await exchange(
        "POST",
        JSON.stringify({ jsonrpc: "2.0", id, method, ...(whole && { params: whole }) }),
        (message) => {
          if (typeof message["method"] === "string") {
            if (message["id"] === undefined) onNotice?.(message);
            else void served(message).catch(() => {});
          } else if (message["id"] === id) reply = replyOf(message);
        },
        { signal },
      );
      const { "mcp-session-id": given } = head.headers;
      if (typeof given === "string") sessionId = given;
      if (reply === null) throw new LightError(head.status, "the response held no answer");
      return reply;
    },
    async request(method, params, more) {
      const reply = await self.ask(method, params, more);
      if ("error" in reply) throw new LightError(reply.error.code, reply.error.message);
      return reply.result;
    },
    async notify(method, params) {
      await post({ jsonrpc: "2.0", method, ...(params && { params }) });
    },
    async call(tool, given = {}, more) {
      return firstText(await self.request("tools/call", { name: tool, arguments: given }, more));
    },
    async tools() {
      const names: string[] = [];
      let cursor: unknown;
      do {
        const page = await self.request("tools/list", cursor === undefined ? {} : { cursor });
        if (!Array.isArray(page["tools"])) throw new Error("tools/list gave no tools");
        for (const tool of page["tools"]) names.push(tool.name);
        cursor = page["nextCursor"];
      } while (cursor !== undefined);
      return names;
    },
    listen() {
      return new Promise((resolve, reject) => {
        const onMessage = (message: Json): void => {
          if (message["id"] === undefined) notices.push(message);
          else void served(message).catch(() => {});
        };
        const onHeaders = ({ status }: Exchange): void =>
          status === 200 ? resolve() : reject(new LightError(status, "GET stream"));
        // It ends with the session, or with the server.
        exchange("GET", null, onMessage, { onHeaders }).catch(reject);
      });
    },
    closeIdle() {
      for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy();
    },
    async [Symbol.asyncDispose]() {
      if (sessionId !== null) await exchange("DELETE", null, () => {}).catch(() => {});
      for (const end of streams) end();
      agent.destroy();
    },
  };
  try {
    const initialized = await self.request("initialize", {
      protocolVersion,
      capabilities,
      clientInfo: { name: "light-client", version: "1.0.0" },
    });
    version = String(initialized["protocolVersion"]);
    await self.notify("notifications/initialized");
    return Object.assign(self, { initialized });
  } catch (error) {
    agent.destroy();
    throw error;
  }
}

/** Hands over each whole frame's message; what is left of a frame not yet whole. */
function takeFrames(text: string, onMessage: (message: Json) => void): string {
  const frames = text.split(/\r?\n\r?\n/u);
  const rest = frames.pop() ?? "";
  for (const each of frames) {
    const data = each
      .split(/\r?\n/u)
      .filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trimStart())
      .join("\n");
    if (data !== "") onMessage(JSON.parse(data));
  }
  return rest;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function replyOf(message: Json): LightReply {
  const { result, error } = message;
  if (isObject(result)) return { result };
  if (isObject(error)) {
    const { code, message: words, data } = error;
    return { error: { code: Number(code), message: String(words), data } };
  }
  throw new Error(`neither result nor error: ${JSON.stringify(message).slice(0, 200)}`);
}

function firstText(result: Json): string {
  const { content } = result;
  const first: unknown = Array.isArray(content) ? content[0] : undefined;
  if (!isObject(first)) throw new Error("the tool's result has no content");
  return String(first["text"]);
}
