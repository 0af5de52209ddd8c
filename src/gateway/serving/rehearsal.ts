// Plays requests in a private gateway, so that the code which serves requests is compiled. A daemon that takes over is
// then fast from its first client on.
import { duplexPair } from "node:stream";
import { text } from "node:stream/consumers";
import { noopLogger } from "../../runtime/log/log.ts";
import { type Clock, settlesWithin } from "../../runtime/time/clock.ts";
import type { OpenTransport } from "../backends/transports/backend-transport.ts";
import { Listener } from "../frontend/http/listener.ts";
import { MCP_PATH } from "../frontend/http/request.ts";
import type { JsonObject } from "../json-rpc.ts";
import { META, MODERN_VERSION } from "../protocol.ts";
import { Gateway } from "./gateway.ts";
import { NO_GATEWAY } from "./gateway-rules.ts";
import { defaultBackend } from "./imported-backends.ts";

/** With this many sessions and calls, all code that serves requests is compiled. */
const SESSIONS = 40;
const CALLS_EACH = 4;
const LONGEST_MS = 2_000;
const VERSION = "2025-11-25";
const TOOL = "echo";
const OWN_SERVER = defaultBackend("own", { type: "stdio", command: "own", args: [], env: {}, cwd: "/" });

const CALL = { name: TOOL, arguments: { text: "rehearsal" } };
const INTRODUCTION = {
  protocolVersion: VERSION,
  capabilities: {},
  clientInfo: { name: "rehearsal", version: "1" },
};
const ENVELOPE = {
  [META.protocolVersion]: MODERN_VERSION,
  [META.clientCapabilities]: {},
  [META.clientInfo]: INTRODUCTION.clientInfo,
};

interface Rehearsed {
  requested: number;
  answered: number;
}

interface Options {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Resolves soon after the signal aborts. Opens no address, starts no process, writes no file or log line.
 * Never rejects.
 */
export async function rehearse(options: Options): Promise<Rehearsed> {
  const done: Rehearsed = { requested: 0, answered: 0 };
  // A failed rehearsal must not make the takeover fail.
  await rehearseInto(done, options).catch(() => {});
  return done;
}

async function rehearseInto(done: Rehearsed, { clock, signal }: Options): Promise<void> {
  const logger = noopLogger;
  const nowhere = { environment: {}, redact() {}, announce() {}, version: "1", listens: false };
  await using gateway = new Gateway({ clock, logger, ...nowhere }, { openTransport: () => openOwnServer });
  const { handle } = gateway.http;
  const listener = new Listener({ host: "127.0.0.1", port: 0, handler: handle, clock, logger });
  const late = new AbortController();
  const ended = AbortSignal.any([signal, late.signal]);
  const post: Post = async (headers, message) => {
    const response = await exchange(listener, "POST", headers, JSON.stringify(message));
    done.requested++;
    if (response.includes('"result"')) done.answered++;
    return response;
  };
  const play = async (): Promise<void> => {
    await gateway.start({ ...NO_GATEWAY, backends: [OWN_SERVER] });
    await gateway.pool.whenStarted(ended);
    for (let session = 0; session < SESSIONS && !ended.aborted; session++) {
      const headers = await legacySession(post);
      await exchange(listener, "DELETE", headers, "");
      await modernRequests(post);
      const lines = [request("initialize", INTRODUCTION), request("tools/list", {}), ...calls()];
      const [ours, theirs] = duplexPair();
      gateway.serveLines(theirs);
      ours.end(lines.map((message, id) => `${JSON.stringify({ ...message, id })}\n`).join(""));
      done.requested += lines.length;
      done.answered += (await text(ours)).split('"result"').length - 1;
    }
  };
  // Bounded, because the takeover waits for it.
  await settlesWithin(
    clock,
    LONGEST_MS,
    play().catch(() => {}),
  );
  late.abort();
  await listener.close(0);
}

type Headers = Readonly<Record<string, string>>;
/** Resolves with the whole response, including its head. */
type Post = (headers: Headers, message: JsonObject) => Promise<string>;

async function legacySession(post: Post): Promise<Headers> {
  const begun = await post({}, request("initialize", INTRODUCTION));
  const session = /^mcp-session-id: ([\w-]+)/im.exec(begun)?.[1] ?? "";
  const headers = { "Mcp-Session-Id": session, "MCP-Protocol-Version": VERSION };
  await post(headers, request("tools/list", {}));
  for (const call of calls()) await post(headers, call);
  return headers;
}

async function modernRequests(post: Post): Promise<void> {
  const send = (method: string, params: JsonObject): Promise<string> => {
    const headers = { "MCP-Protocol-Version": MODERN_VERSION, "Mcp-Method": method };
    const named = method === "tools/call" ? { ...headers, "Mcp-Name": TOOL } : headers;
    return post(named, request(method, { ...params, _meta: ENVELOPE }));
  };
  await send("tools/list", {});
  for (let call = 0; call < CALLS_EACH; call++) await send("tools/call", CALL);
}

function calls(): readonly JsonObject[] {
  return Array.from({ length: CALLS_EACH }, () => request("tools/call", CALL));
}

function request(method: string, params: JsonObject): JsonObject {
  return { jsonrpc: "2.0", id: 1, method, params };
}

/** Exchanges a request and its answer with the listener over a pair of streams instead of a socket. */
function exchange(listener: Listener, method: string, headers: Headers, body: string): Promise<string> {
  const [ours, theirs] = duplexPair();
  listener.serve(theirs);
  const head = {
    Host: "127.0.0.1",
    Connection: "close",
    Accept: "application/json, text/event-stream",
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(body)),
    ...headers,
  };
  const named = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
  ours.write(`${method} ${MCP_PATH} HTTP/1.1\r\n${named.join("")}\r\n${body}`);
  return text(ours);
}

/** Answers within this process, without a program. */
const openOwnServer: OpenTransport = (events) => ({
  pid: null,
  backlogBytes: 0,
  send(message) {
    if (!("method" in message) || !("id" in message)) return;
    const { id, method } = message;
    setImmediate(() => void events.onMessage({ jsonrpc: "2.0", id, result: resultOf(method) }, null));
  },
  established() {},
  async close() {},
});

function resultOf(method: string): JsonObject {
  if (method === "tools/list") return { tools: [{ name: TOOL, inputSchema: { type: "object" } }] };
  if (method === "tools/call") return { content: [{ type: "text", text: "rehearsal" }] };
  const serverInfo = { name: "own", version: "1" };
  return { protocolVersion: VERSION, capabilities: { tools: {} }, serverInfo };
}
