// A front on a real socket, and raw requests to it.
import { once } from "node:events";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import { HttpFront } from "../../../../src/gateway/frontend/http/http-front.ts";
import { type Listener, openListener } from "../../../../src/gateway/frontend/http/listener.ts";
import { NO_OTHER_PAGES, type PageRules } from "../../../../src/gateway/frontend/http/other-pages.ts";
import { ModernFront } from "../../../../src/gateway/frontend/modern/modern-front.ts";
import type { OtherDaemons } from "../../../../src/gateway/frontend/session/other-daemons.ts";
import { type SessionKeys, sessionKeyOf } from "../../../../src/gateway/frontend/session/sealed-session.ts";
import { SuspendedCalls } from "../../../../src/gateway/frontend/suspended/suspended-calls.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../../src/runtime/time/clock.ts";
import { createBlockingTool, createScriptedGateway, type ScriptedGateway } from "../scripted-gateway.ts";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  json(): Record<string, unknown>;
}

export interface Rig extends AsyncDisposable {
  readonly front: HttpFront;
  readonly modern: ModernFront;
  readonly listener: Listener;
  readonly url: string;
  send(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: string | Buffer,
  ): Promise<Answer>;
  post(message: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** The id of a new session. */
  initialize(version?: string, capabilities?: object): Promise<string>;
  /** Opens a request and gives the response as soon as its head is there. */
  open(
    method: string,
    headers: Record<string, string>,
    body?: unknown,
  ): Promise<{ request: ClientRequest; response: IncomingMessage }>;
  /** A session's stream outside of calls, with what came on it. */
  listen(headers: Record<string, string>): Promise<ReturnType<typeof collect>>;
  /** Writes `bytes` and reads until the other side closes. */
  raw(bytes: string): Promise<string>;
}

const KEY = sessionKeyOf("a secret of the home");
export const SESSION_KEYS: SessionKeys = { seals: KEY, opens: [KEY] };

export const BOTH_TYPES = "application/json, text/event-stream";

export async function startRig(
  gateway: ScriptedGateway,
  options: {
    readonly clock?: Clock;
    readonly bodyLimitBytes?: number;
    readonly host?: string;
    readonly pages?: PageRules;
    readonly others?: OtherDaemons;
    readonly keys?: SessionKeys;
  } = {},
): Promise<Rig> {
  const { clock = systemClock, bodyLimitBytes = 64 * 1024 * 1024, host = "127.0.0.1" } = options;
  const logger = noopLogger;
  const modern = createModern(gateway, clock);
  const front = new HttpFront({
    gateway,
    modern,
    clock,
    logger,
    bodyLimitBytes: () => bodyLimitBytes,
    boundHost: () => host,
    pages: () => options.pages ?? NO_OTHER_PAGES,
    others: options.others,
    sessionKeys: () => options.keys ?? SESSION_KEYS,
  });
  const listener = await openListener({ host: "127.0.0.1", port: 0, handler: front.handle, clock, logger });
  const { port } = listener;
  const begin = (method: string, path: string, headers: Record<string, string>): ClientRequest =>
    httpRequest({ host: "127.0.0.1", port, method, path, headers, agent: false });
  const rig: Rig = {
    front,
    modern,
    listener,
    url: listener.url,
    async send(method, path, headers, body) {
      const request = begin(method, path, headers);
      request.end(body);
      const [response] = (await once(request, "response")) as [IncomingMessage];
      // What is still being sent may find the connection closed.
      request.on("error", () => {});
      const text = await readAll(response);
      return {
        status: response.statusCode ?? 0,
        headers: response.headers,
        body: text,
        json: () => JSON.parse(text),
      };
    },
    post(message, headers = {}) {
      const body = typeof message === "string" ? message : JSON.stringify(message);
      return rig.send(
        "POST",
        "/mcp",
        { "content-type": "application/json", accept: BOTH_TYPES, ...headers },
        body,
      );
    },
    async initialize(version = "2025-11-25", capabilities = {}) {
      const answer = await rig.post(initializeMessage(version, capabilities));
      const id = answer.headers["mcp-session-id"];
      if (typeof id !== "string") throw new Error(`no session: ${answer.status} ${answer.body}`);
      return id;
    },
    async open(method, headers, body) {
      const request = begin(method, "/mcp", {
        "content-type": "application/json",
        accept: BOTH_TYPES,
        ...headers,
      });
      request.on("error", () => {});
      request.end(body === undefined ? undefined : JSON.stringify(body));
      const [response] = (await once(request, "response")) as [IncomingMessage];
      return { request, response };
    },
    async listen(headers) {
      const { response } = await rig.open("GET", headers);
      return collect(response);
    },
    async raw(bytes) {
      const socket = connect(port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(bytes);
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      await once(socket, "close");
      return Buffer.concat(chunks).toString("latin1");
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([front.stop(0), modern.end(0, "the test is over")]);
      await listener.close(0);
    },
  };
  return rig;
}

type Tools = Parameters<typeof createScriptedGateway>[0];
type Times = { readonly version?: string; readonly clock?: Clock; readonly pages?: PageRules };

/** A gateway with these tools and one, `blocking`, that waits for the test; until that is over. */
export async function openFront(t: TestContext, tools?: Tools, { clock, pages }: Times = {}) {
  const blocking = createBlockingTool();
  const gateway = createScriptedGateway({ held: blocking.tool, ...tools });
  const rig = await startRig(gateway, { ...(clock && { clock }), ...(pages && { pages }) });
  t.after(() => rig[Symbol.asyncDispose]());
  return { gateway, rig, blocking };
}

/** With a session. */
export async function begin(t: TestContext, tools?: Tools, times: Times = {}) {
  const opened = await openFront(t, tools, times);
  return { ...opened, headers: { "mcp-session-id": await opened.rig.initialize(times.version) } };
}

export function createModern(gateway: ScriptedGateway, clock: Clock = systemClock): ModernFront {
  return new ModernFront({ gateway, clock, logger: noopLogger, suspension: new SuspendedCalls(clock) });
}

export function initializeMessage(version = "2025-11-25", capabilities: object = {}): object {
  return {
    jsonrpc: "2.0",
    id: 0,
    method: "initialize",
    params: { protocolVersion: version, capabilities, clientInfo: { name: "test", version: "1" } },
  };
}

export function callMessage(id: string | number, name: string, args: object = {}): object {
  return { jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args } };
}

export async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** The messages of an event stream's text. */
export function eventsOf(text: string): Record<string, unknown>[] {
  return text
    .split("\n\n")
    .flatMap((event) => event.split("\n").filter((line) => /^data: ./.test(line)))
    .map((line) => JSON.parse(line.slice("data: ".length)));
}

/** Collects a stream's messages as they come. */
export function collect(response: IncomingMessage): {
  readonly messages: Record<string, unknown>[];
  readonly text: () => string;
  readonly ended: () => boolean;
} {
  let text = "";
  let ended = false;
  response.setEncoding("utf8");
  response.on("data", (chunk: string) => {
    text += chunk;
  });
  response.on("error", () => {});
  response.on("close", () => {
    ended = true;
  });
  return {
    get messages() {
      return eventsOf(text.slice(0, text.lastIndexOf("\n\n") + 2));
    },
    text: () => text,
    ended: () => ended,
  };
}
