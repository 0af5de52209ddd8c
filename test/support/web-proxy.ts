// A web proxy on loopback: CONNECT, and requests in absolute form. Only it knows where the names of a test's servers lead.
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, type Socket } from "node:net";
import type { TestContext } from "node:test";
import { createServer as createTlsServer, getCACertificates, setDefaultCACertificates } from "node:tls";
import { onLoopback } from "./on-loopback.ts";
import { selfSigned } from "./self-signed.ts";

interface WebProxyOptions {
  /** Ports of this machine by `name:port`. Anything else is answered with HTTP 502. */
  readonly leads: Readonly<Record<string, number>>;
  /** `user:password`, without which it answers HTTP 407. */
  readonly user?: string;
  /** Answers CONNECT itself. */
  readonly onConnect?: (socket: Socket) => void;
  /** Speaks TLS to its clients. */
  readonly certificate?: Certificate;
}

interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export async function startWebProxy(
  t: TestContext,
  { leads, user, onConnect, certificate }: WebProxyOptions,
) {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const wanted = user === undefined ? undefined : `Basic ${Buffer.from(user).toString("base64")}`;
  const statusFor = ({ headers }: IncomingMessage, port: number | undefined): number => {
    if (wanted !== undefined && headers["proxy-authorization"] !== wanted) return 407;
    return port === undefined ? 502 : 200;
  };
  const forward = (incoming: IncomingMessage, response: ServerResponse): void => {
    const url = URL.parse(incoming.url ?? "");
    const port = url === null ? undefined : leads[`${url.hostname}:${url.port || 80}`];
    asked.push(`${incoming.method} ${incoming.url}`);
    const status = statusFor(incoming, port);
    if (url === null || status !== 200) return void response.writeHead(status).end();
    const { "proxy-authorization": _, ...headers } = incoming.headers;
    const { method = "" } = incoming;
    const path = url.pathname + url.search;
    const onwards = request({ host: "127.0.0.1", port, method, path, headers, agent: false }, (answer) => {
      const { connection: _, ...kept } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, kept).flushHeaders();
      // As tinyproxy, without announcing it.
      response.on("finish", () => incoming.socket.end());
      answer.pipe(response);
    });
    response.on("close", () => onwards.destroy());
    onwards.on("error", () => response.destroy());
    incoming.pipe(onwards);
  };
  const server =
    certificate === undefined ? createServer(forward) : createSecureServer({ ...certificate }, forward);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => {});
  });
  server.on("connect", (incoming: IncomingMessage, socket: Socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    socket.on("error", () => {});
    if (onConnect !== undefined) return onConnect(socket);
    const port = leads[incoming.url ?? ""];
    const status = statusFor(incoming, port);
    if (status !== 200 || port === undefined) return void socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
    const onwards = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      onwards.pipe(socket).pipe(onwards);
    });
    socket.on("close", () => onwards.destroy());
    onwards.on("error", () => socket.destroy()).on("close", () => socket.destroy());
  });
  const port = await onLoopback(t, server);
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  t.after(cut);
  return {
    name: `127.0.0.1:${port}`,
    /** `CONNECT name:port`, or method and address. */
    asked,
    /** Ends all its connections. */
    cut,
    /** Nothing listens there any more. */
    stop(): void {
      server.close();
      cut();
    },
  };
}

/** Speaks TLS for the names, and passes all on to a port of this machine. Resolves with its own port. */
export async function startTlsFront(t: TestContext, certificate: Certificate, port: number): Promise<number> {
  const front = createTlsServer({ ...certificate }, (socket) => {
    const onwards = connect(port, "127.0.0.1");
    socket.on("error", () => onwards.destroy()).on("close", () => onwards.destroy());
    onwards.on("error", () => socket.destroy()).on("close", () => socket.destroy());
    onwards.pipe(socket).pipe(onwards);
  });
  return await onLoopback(t, front);
}

/** A certificate for the names whose authority this process trusts until the test ends. */
export function trustedCertificate(t: TestContext, ...names: readonly string[]) {
  const pair = selfSigned(names);
  const before = getCACertificates("default");
  setDefaultCACertificates([...before, pair.cert]);
  t.after(() => setDefaultCACertificates(before));
  return { ...pair, authority: pair.cert };
}

const VARIABLES = ["http_proxy", "https_proxy", "no_proxy"];

/** The variables of this process that name proxies, until the test ends; no others are set. */
export function nameProxies(t: TestContext, variables: Readonly<Record<string, string>>): void {
  const names = [...VARIABLES, ...VARIABLES.map((name) => name.toUpperCase())];
  const before = names.map((name) => [name, process.env[name]] as const);
  for (const name of names) delete process.env[name];
  Object.assign(process.env, variables);
  t.after(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
}
