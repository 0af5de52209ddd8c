// An HTTP link to a server that a test plays.
import type { ServerResponse } from "node:http";
import { createServer as createTcpServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import {
  type HttpTransportOptions,
  openHttpTransport,
} from "../../../../../src/gateway/backends/transports/http/http-transport.ts";
import { systemClock as clock } from "../../../../../src/runtime/time/clock.ts";
import { onLoopback } from "../../../../support/on-loopback.ts";
import {
  echoing,
  type HttpServer,
  type HttpServerOptions,
  startHttpServer,
  type Take,
} from "../../programs/http-server.ts";
import { openRecorded, type RecordedLink } from "../link-recorder.ts";

export function connect(t: TestContext, url: string, more: Partial<HttpTransportOptions> = {}): RecordedLink {
  const recorded = openRecorded(openHttpTransport({ url, headers: {}, clock, ...more }));
  t.after(() => recorded.link.close());
  return recorded;
}

type EchoOptions = Partial<HttpServerOptions & HttpTransportOptions> & {
  readonly answers?: "json" | "events";
  readonly take?: Take;
};

/** To the echo server; `options` are of both. */
export async function withEcho(
  t: TestContext,
  { answers = "json", take, onGet, ...more }: EchoOptions = {},
): Promise<{ echo: HttpServer; recorded: RecordedLink }> {
  const echo = await startHttpServer(t, echoing(answers, take), onGet && { onGet });
  return { echo, recorded: connect(t, echo.url, more) };
}

/** The same with a session that has begun. */
export async function withSession(t: TestContext, options: EchoOptions = {}): ReturnType<typeof withEcho> {
  const opened = await withEcho(t, options);
  await opened.recorded.initialize();
  return opened;
}

/** In place of the server's answer to the request `echo`. */
export const takeEcho =
  (answer: (response: ServerResponse, message: { readonly id?: unknown }) => unknown): Take =>
  (message, response) => {
    if (message.method === "echo") answer(response, message);
    return message.method === "echo";
  };
export const isEcho = (message: { readonly method?: unknown }): boolean => message.method === "echo";
export const result = (id: unknown): string => JSON.stringify({ jsonrpc: "2.0", id, result: { late: true } });

/** A server of bytes; what it gets is let go. */
export async function startRaw(t: TestContext, onConnection: (socket: Socket) => void): Promise<string> {
  const server = createTcpServer((socket) => {
    t.after(() => socket.destroy());
    socket.on("error", () => {});
    onConnection(socket);
  });
  return `http://127.0.0.1:${await onLoopback(t, server)}/mcp?key=s3cret`;
}
