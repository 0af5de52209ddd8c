// Opens one connection to an HTTP server: TCP, the proxy if there is one, a tunnel through it, and TLS, all within one
// deadline.
import { type BlockList, connect as connectTcp, isIP, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { addressOf, type HttpProxy, hostAndPort } from "./proxy.ts";

export const CONNECT_TIMEOUT_MS = 5_000;
/** Delay before TCP keep-alive probes detect a dead peer of an idle stream. Node's default of 1 s wakes both ends often. */
const PROBE_MS = 30_000;

export interface NotConnected {
  readonly how: /** The connection failed before it was established. */
    | "not connected"
    /** TCP was not accepted within `CONNECT_TIMEOUT_MS`. */
    | "not taken"
    /** TCP was accepted, but the connection was not established within `CONNECT_TIMEOUT_MS`. */
    | "not secured";
  /** Null: no error of the system says why. */
  readonly error: Error | null;
  /** Who failed: the server, the proxy, or the proxy when it was asked to connect to the server. */
  readonly at: "server" | "proxy" | "tunnel";
  /** The proxy's answer when it was asked to connect; null: none. */
  readonly status: number | null;
}

export type Dial = (signal: AbortSignal) => Promise<Socket | NotConnected>;

interface Server {
  readonly url: URL;
  readonly proxy: HttpProxy | null;
  /** The configured `Host`; the certificate must be for that name instead of the address. */
  readonly hostHeader: string | undefined;
  /** Addresses that are not connected to, also if a name resolves to one. A proxy resolves names itself. */
  readonly blockList?: BlockList | undefined;
}

/** The returned function opens a connection each time, never rejects, and ends its attempt when the signal is aborted. */
export function createDial({ url, proxy, hostHeader, blockList }: Server, clock: Clock): Dial {
  const named = hostHeader === undefined ? null : URL.parse(`https://${hostHeader}`);
  const secure = url.protocol === "https:" ? createTls(addressOf(named ?? url).host) : null;
  const secureProxy = proxy?.isSecure === true ? createTls(proxy.address.host) : null;
  return async (signal) => {
    let how: NotConnected["how"] = "not connected";
    let at: NotConnected["at"] = proxy === null ? "server" : "proxy";
    let isTaken = false;
    let socket: Socket = connectTcp(proxy?.address ?? { ...addressOf(url), blockList });
    const end = (): void => void socket.destroy();
    signal.addEventListener("abort", end);
    using _ = clock.setTimer(CONNECT_TIMEOUT_MS, () => {
      how = isTaken ? "not secured" : "not taken";
      end();
    });
    const failed = (error: Error | null, status: number | null = null): NotConnected => {
      end();
      return { how, error, at, status };
    };
    try {
      await ready(socket, "connect");
      isTaken = true;
      socket.setNoDelay(true).setKeepAlive(true, PROBE_MS);
      if (secureProxy !== null) {
        socket = secureProxy(socket);
        await ready(socket, "secureConnect");
      }
      if (proxy !== null && secure !== null) {
        at = "tunnel";
        const status = await openTunnel(socket, hostAndPort(url), proxy.authorization);
        if (status < 200 || status > 299) return failed(null, status);
        at = "server";
      }
      if (secure !== null) {
        socket = secure(socket);
        await ready(socket, "secureConnect");
      }
      return socket;
    } catch (error) {
      return failed(error instanceof Error ? error : null);
    } finally {
      signal.removeEventListener("abort", end);
    }
  };
}

/** Rejects with the socket's error, or with null if it closes without one. */
function ready(socket: Socket, event: "connect" | "secureConnect"): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once(event, () => resolve());
  socket.on("error", reject);
  socket.once("close", () => reject(null));
  return promise;
}

/** Asks the proxy to connect to the server. Resolves with the status of its answer. */
function openTunnel(socket: Socket, to: string, authorization: string | undefined): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = { host: to, ...(authorization !== undefined && { "proxy-authorization": authorization }) };
  const { request } = process.getBuiltinModule("node:http");
  request({ method: "CONNECT", path: to, headers, createConnection: () => socket })
    .once("connect", ({ statusCode = 0 }) => resolve(statusCode))
    .on("error", reject)
    .end();
  return promise;
}

/** `host`: whom the certificate must name. */
function createTls(host: string): (socket: Socket) => TLSSocket {
  const tls = process.getBuiltinModule("node:tls");
  let session: Buffer | undefined;
  return (under) => {
    const socket = tls.connect({
      socket: under,
      host,
      servername: isIP(host) === 0 ? host : "",
      ALPNProtocols: ["http/1.1"],
      ...(session && { session }),
    });
    socket.on("session", (begun: Buffer) => {
      session = begun;
    });
    socket.once("error", () => {
      session = undefined;
    });
    return socket;
  };
}
