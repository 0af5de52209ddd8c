// Requests of our own to a gateway that nobody else reaches. The runtime compiles what serves them, so that a daemon that
// takes over serves its first clients as fast as any.
import { duplexPair } from "node:stream";
import { text } from "node:stream/consumers";
import type { ServedBackend } from "../../config/snapshot.ts";
import { silentLogger } from "../../runtime/log/log.ts";
import { type Clock, settledWithin } from "../../runtime/time/clock.ts";
import type { OpenLink } from "../backends/links/backend-link.ts";
import { Listener } from "../front/http/listener.ts";
import { MCP_PATH } from "../front/http/request.ts";
import type { JsonObject } from "../json-rpc.ts";
import { META, MODERN_VERSION } from "../protocol.ts";
import { createGateway, type Gateway } from "./gateway.ts";
import { NO_GATEWAY } from "./gateway-rules.ts";

/** Sessions that begin, call and end. Fewer leave code that is not compiled, more find none. */
const SESSIONS = 40;
const CALLS_EACH = 4;
const LONGEST_MS = 2_000;
const VERSION = "2025-11-25";
const TOOL = "echo";

const NO_FILTER = { allow: null, deny: [] };
const OWN_SERVER: ServedBackend = {
  name: "own",
  enabled: true,
  group: null,
  connection: { type: "stdio", command: "own", args: [], env: {}, cwd: "/" },
  timeouts: { initMs: 10_000, listMs: 10_000, callMs: 10_000 },
  filters: { tools: NO_FILTER, resources: NO_FILTER, prompts: NO_FILTER },
  toolOverrides: {},
  instances: "shared",
  replace: "overlap",
  pin: null,
  requires: [],
  unavailableAfterMs: 5_000,
  whenUnavailable: "hide",
};

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

/** What was asked, and how much of it was answered with a result. */
interface Rehearsed {
  asked: number;
  answered: number;
}

interface Options {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Resolves when it is over, or soon after the signal aborts. Nothing of it is seen outside: no address, no process, no
 * file, no log line. Never rejects.
 */
export async function rehearse(options: Options): Promise<Rehearsed> {
  const done: Rehearsed = { asked: 0, answered: 0 };
  // A daemon takes over without it, too.
  await rehearseInto(done, options).catch(() => {});
  return done;
}

async function rehearseInto(done: Rehearsed, { clock, signal }: Options): Promise<void> {
  const logger = silentLogger;
  const nowhere = { environment: {}, redact() {}, announce() {}, version: "1", listens: false };
  await using gateway = createGateway({ clock, logger, ...nowhere }, { openLink: () => openOwnServer });
  const listener = new Listener({ host: "127.0.0.1", port: 0, handler: gateway.http.handle, clock, logger });
  const client = new InProcessClient(listener, done);
  const over = new AbortController();
  const play = async (): Promise<void> => {
    await gateway.start({ ...NO_GATEWAY, backends: [OWN_SERVER] });
    await gateway.pool.settled(over.signal);
    for (let session = 0; session < SESSIONS && !over.signal.aborted; session++) {
      await legacySession(client);
      await modernRequests(client);
      await lines(gateway, done);
    }
  };
  const end = (): void => over.abort();
  signal.addEventListener("abort", end, { once: true });
  // A machine that is busy is not made to wait: what is not compiled by then is compiled by clients.
  await settledWithin(
    clock,
    LONGEST_MS,
    play().catch(() => {}),
  );
  signal.removeEventListener("abort", end);
  end();
  await listener.close(0);
}

async function legacySession(client: InProcessClient): Promise<void> {
  const begun = await client.post({}, request("initialize", INTRODUCTION));
  const session = /^mcp-session-id: ([\w-]+)/im.exec(begun)?.[1] ?? "";
  const headers = { "Mcp-Session-Id": session, "MCP-Protocol-Version": VERSION };
  await client.post(headers, request("tools/list", {}));
  for (let call = 0; call < CALLS_EACH; call++) await client.post(headers, request("tools/call", CALL));
  await client.exchange("DELETE", headers, "");
}

async function modernRequests(client: InProcessClient): Promise<void> {
  const ask = (method: string, params: JsonObject): Promise<string> => {
    const headers = { "MCP-Protocol-Version": MODERN_VERSION, "Mcp-Method": method };
    const named = method === "tools/call" ? { ...headers, "Mcp-Name": TOOL } : headers;
    return client.post(named, request(method, { ...params, _meta: ENVELOPE }));
  };
  await ask("tools/list", {});
  for (let call = 0; call < CALLS_EACH; call++) await ask("tools/call", CALL);
}

/** As `mountaineer mcp` does. */
async function lines(gateway: Pick<Gateway, "serveLines">, done: Rehearsed): Promise<void> {
  const [ours, theirs] = duplexPair();
  gateway.serveLines(theirs);
  const calls = Array.from({ length: CALLS_EACH }, () => request("tools/call", CALL));
  const messages = [request("initialize", INTRODUCTION), request("tools/list", {}), ...calls];
  ours.end(messages.map((message, id) => `${JSON.stringify({ ...message, id })}\n`).join(""));
  done.asked += messages.length;
  done.answered += (await text(ours)).split('"result"').length - 1;
}

function request(method: string, params: JsonObject): JsonObject {
  return { jsonrpc: "2.0", id: 1, method, params };
}

/** Comes to a listener without a socket, each time anew. */
class InProcessClient {
  readonly #listener: Listener;
  readonly #done: Rehearsed;

  constructor(listener: Listener, done: Rehearsed) {
    this.#listener = listener;
    this.#done = done;
  }

  async post(headers: Readonly<Record<string, string>>, message: JsonObject): Promise<string> {
    const response = await this.exchange("POST", headers, JSON.stringify(message));
    this.#done.asked++;
    if (response.includes('"result"')) this.#done.answered++;
    return response;
  }

  /** The whole response, with its head. */
  exchange(method: string, headers: Readonly<Record<string, string>>, body: string): Promise<string> {
    const [ours, theirs] = duplexPair();
    this.#listener.serve(theirs);
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
}

/** A server without a process. */
const openOwnServer: OpenLink = (events) => ({
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
