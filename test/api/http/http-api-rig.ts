// The management API at a real TCP address, for one test, and raw requests to it.
import { connect, type Socket } from "node:net";
import { Access } from "../../../src/api/http/access.ts";
import { HttpApi, type HttpApiSettings } from "../../../src/api/http/http-api.ts";
import type { Control } from "../../../src/api/operations/operations.ts";
import type { PageFile, PageFiles } from "../../../src/api/page-files.ts";
import type { Events } from "../../../src/api/server/event-streams.ts";
import { openListener } from "../../../src/gateway/frontend/http/listener.ts";
import { beforeMcp } from "../../../src/gateway/serving/gateway-listener.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { type Scope, temporaryFolder } from "../../support/temporary-folder.ts";
import { scriptedConfig } from "../sample-config.ts";
import { scriptedGateway } from "../sample-gateway.ts";
import { scriptedControl } from "../sample-report.ts";

interface HttpApiRigOptions {
  readonly clock?: Clock;
  readonly config?: Partial<Control> & Events;
  readonly control?: Partial<Control>;
  readonly settings?: Partial<HttpApiSettings>;
  readonly home?: string;
  readonly page?: PageFiles;
  readonly isNewHome?: () => Promise<boolean>;
  /** False: nothing is served yet. */
  readonly opens?: boolean;
}

export const SHELL: PageFile = {
  type: "text/html; charset=utf-8",
  bytes: Buffer.from("<!doctype html>"),
  etag: '"shell"',
  isImmutable: false,
};

export type HttpApiRig = Awaited<ReturnType<typeof startHttpApi>>;

export async function startHttpApi(t: Scope, options: HttpApiRigOptions = {}) {
  const { clock = systemClock, opens = true } = options;
  const home = options.home ?? (await temporaryFolder(t));
  const page = options.page ?? { find: async (path: string) => (path === "/" ? SHELL : null) };
  const httpApi = new HttpApi({ clock, logger: noopLogger, page });
  const access = await Access.open({ home, clock, logger: noopLogger });
  let settings: HttpApiSettings = {
    isEnabled: true,
    runsCommands: false,
    host: "127.0.0.1",
    allowed: [],
    ...options.settings,
  };
  const events = options.config ?? scriptedConfig();
  const control: Partial<Control> = {
    ...scriptedControl(),
    ...events,
    ...scriptedGateway(),
    aliases: () => ({ aliases: [] }),
    reconcileAliases: () => ({ aliases: [] }),
    daemonLog: () => ({ path: "/home/ann/log", lines: [], more: false, next: null }),
    handOver: () => ({ from: 1, to: 2, version: "0.1.0" }),
    ...options.control,
  };
  const isNewHome = options.isNewHome ?? (async () => false);
  const open = () => httpApi.open({ control, events, access, settings: () => settings, isNewHome });
  const opened = opens ? open() : null;
  const listener = await openListener({
    host: "127.0.0.1",
    port: 0,
    clock,
    logger: noopLogger,
    handler: beforeMcp(httpApi.take, (_request, response) =>
      response.writeHead(404, { "Content-Length": 3 }).end("mcp"),
    ),
  });
  t.after(async () => {
    await opened?.[Symbol.asyncDispose]();
    await listener.close(0);
  });
  const { token } = await access.makeToken();
  const origin = `http://127.0.0.1:${listener.port}`;
  return {
    access,
    httpApi,
    home,
    listener,
    opened,
    open,
    origin,
    port: listener.port,
    control,
    /** As a reload does. */
    change: (changes: Partial<HttpApiSettings>): void => {
      settings = { ...settings, ...changes };
    },
    token,
    /** With the token. */
    ask: (path: string, init: RequestInit = {}) =>
      fetch(`${origin}${path}`, { ...init, headers: { Authorization: `Bearer ${token}`, ...init.headers } }),
    /** Sends `head`, with Host and an end, as it is; resolves with all that comes until the connection ends. */
    raw: (line: string, headers: readonly string[] = [], body = "") =>
      talk(listener.port, request(listener.port, line, headers, body)),
  };
}

export function request(port: number, line: string, headers: readonly string[], body = ""): string {
  const hasHost = headers.some((header) => /^host:/i.test(header));
  const all = [...(hasHost ? [] : [`Host: 127.0.0.1:${port}`]), ...headers, "Connection: close"];
  return `${line} HTTP/1.1\r\n${all.map((header) => `${header}\r\n`).join("")}\r\n${body}`;
}

interface RawAnswer {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

export function talk(port: number, text: string): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text));
    void answerOf(socket).then(resolve, reject);
  });
}

/** All that comes until the connection ends. */
export function answerOf(socket: Socket): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let received = "";
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      received += chunk;
    });
    socket.once("error", reject);
    socket.once("close", () => {
      const [headers = "", body = ""] = received.split("\r\n\r\n", 2);
      resolve({ status: Number(/^HTTP\/1.1 (\d+)/.exec(headers)?.[1]), headers, body });
    });
  });
}
