// An HTTP link to a server that a test plays.
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import type { TestContext } from "node:test";
import {
  type HttpLinkOptions,
  openHttpLink,
} from "../../../../../src/gateway/backends/links/http/http-link.ts";
import { systemClock as clock } from "../../../../../src/runtime/time/clock.ts";
import { type HttpEcho, type HttpEchoOptions, startHttpEcho } from "../../programs/link-http-echo.ts";
import { openRecorded, type RecordedLink } from "../link-recorder.ts";

/** What a test answers in the echo server's place. */
export type Take = NonNullable<HttpEchoOptions["take"]>;

export function connect(t: TestContext, url: string, more: Partial<HttpLinkOptions> = {}): RecordedLink {
  const recorded = openRecorded(openHttpLink({ url, headers: {}, clock, ...more }));
  t.after(() => recorded.link.close());
  return recorded;
}

export async function withEcho(
  t: TestContext,
  options: Partial<HttpEchoOptions> = {},
  more: Partial<HttpLinkOptions> = {},
): Promise<{ echo: HttpEcho; recorded: RecordedLink }> {
  const echo = await startHttpEcho(t, { answers: "json", ...options });
  return { echo, recorded: connect(t, echo.url, more) };
}

export const isEcho = (message: { method?: string }): boolean => message.method === "echo";
export const openEvents = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
export const result = (id: unknown): string => JSON.stringify({ jsonrpc: "2.0", id, result: { late: true } });

/** A server of bytes; what it gets is let go. */
export async function startRaw(t: TestContext, onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: TcpServer = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return `http://127.0.0.1:${address.port}/mcp?key=s3cret`;
}
