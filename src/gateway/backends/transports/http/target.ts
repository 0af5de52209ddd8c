// The address of an HTTP backend: writes the head of each request, and puts failures of its connections into words.
import type { BlockList } from "node:net";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { userAgent } from "../../../../runtime/version.ts";
import { type TransportFailure, transportFailure } from "../backend-transport.ts";
import type { TransportAuthorization } from "../transport-authorization.ts";
import { type ConnectReason, connectReason } from "./connect-reason.ts";
import {
  type CallEvents,
  Connections,
  type Lost,
  type OutgoingRequest,
  type Response,
} from "./connections.ts";
import { Cookies } from "./cookies.ts";
import { CONNECT_TIMEOUT_MS, createDial, type NotConnected } from "./dial.ts";
import { basicOf, type HttpProxy, hostAndPort, proxyFor } from "./proxy.ts";

interface TargetOptions {
  readonly url: string;
  /** The configured headers, with the values of secrets filled in. */
  readonly headers: Headers;
  readonly clock: Clock;
  readonly authorization: Pick<TransportAuthorization, "current">;
  readonly blockList?: BlockList | undefined;
}

export type Headers = Readonly<Record<string, string>>;

export interface RequestInfo {
  readonly method: string;
  /** Override the configured headers of the same names. */
  readonly headers: Headers;
  readonly body?: string;
  /** Path and query on the same origin. Default: the path of the target. */
  readonly path?: string;
  /** Default: the current credential of the authorization. */
  readonly authorization?: string | null;
}

export type HttpTarget = Exclude<ReturnType<typeof createHttpTarget>, TransportFailure>;

/** Headers that frame the message on its connection: the configuration cannot override them. */
const RESERVED = new Set(["content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"]);

/** Returns a failure if the address or a header, or its proxy's address, is not usable. */
export function createHttpTarget(options: TargetOptions) {
  const url = URL.parse(options.url);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) {
    return unusable("its `url` is not an http or https address");
  }
  const proxy = proxyFor(url, process.env);
  if (proxy !== null && "unusable" in proxy) {
    const hint = "give it as http://HOST:PORT, or name the server's host in NO_PROXY";
    const message = `the proxy in ${proxy.unusable} is not an http:// or https:// address`;
    return transportFailure("unreachable", message, hint);
  }
  const http = process.getBuiltinModule("node:http");
  const base: Record<string, string> = { "user-agent": userAgent() };
  for (const [name, value] of Object.entries(options.headers)) {
    try {
      http.validateHeaderName(name);
      http.validateHeaderValue(name, value);
    } catch {
      return unusable(
        `the header ${JSON.stringify(name)} cannot be sent: its name or value has characters that HTTP forbids`,
      );
    }
    if (!RESERVED.has(name.toLowerCase())) base[name.toLowerCase()] = value;
  }
  // Responses are not decompressed here, and without this header a server may compress them.
  base["accept-encoding"] = "identity";
  const basic = basicOf(url);
  if (basic === null) return unusable("the user in its `url` is not percent-encoded UTF-8");
  let own = url.pathname + url.search;
  const { clock, blockList } = options;
  const dial = createDial({ url, proxy, hostHeader: base["host"], blockList }, clock);
  const isForwarded = proxy !== null && url.protocol === "http:";
  // A proxy that forwards requests may end its connection after each answer without announcing it, as tinyproxy does.
  const connections = new Connections(dial, !isForwarded, clock);
  if (isForwarded && proxy.authorization !== undefined) base["proxy-authorization"] = proxy.authorization;
  const name = proxy === null ? url.origin : `${url.origin} through the proxy ${proxy.name}`;

  const headOf = (method: string, path: string, headers: Headers, signed: string | undefined): string => {
    const all: Record<string, string> = { host: url.host, ...base };
    if (cookies.header !== null)
      all["cookie"] = base["cookie"] === undefined ? cookies.header : `${base["cookie"]}; ${cookies.header}`;
    const authorization = signed === undefined ? {} : { authorization: signed };
    for (const [name, value] of Object.entries({ ...headers, ...authorization })) {
      http.validateHeaderName(name);
      http.validateHeaderValue(name, value);
      all[name.toLowerCase()] = value;
    }
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return `${method} ${isForwarded ? url.origin : ""}${path} HTTP/1.1\r\n${lines.join("")}connection: ${isForwarded ? "close" : "keep-alive"}\r\n`;
  };
  const cookies = new Cookies();
  // The messages of a session share one head, apart from the length, so the last head is reused.
  let last: { readonly of: readonly unknown[]; readonly head: string } = { of: [], head: "" };

  return {
    /** Scheme, host and port. Safe to show, unlike path and query, which may hold a secret. */
    origin: url.origin,
    /** The origin, and the proxy on the way there. */
    name,
    /** The failure behind a status that only a proxy answers; null: it is the server's. */
    proxyRefusal: (status: number): TransportFailure | null =>
      isForwarded && status === 407 ? tunnelFailure(hostAndPort(url), proxy, status) : null,
    /** Path and query, after the server's redirects. */
    get path() {
      return own;
    },
    /** The server has redirected to this path and query. */
    moveTo(path: string): void {
      own = path;
    },
    /** Sends a request. Throws if a header's value has characters that HTTP forbids. */
    send(
      { method, headers, body, path = own, authorization }: RequestInfo,
      events: CallEvents,
    ): OutgoingRequest {
      const current = options.authorization.current?.header;
      const signed = authorization ?? base["authorization"] ?? current ?? basic;
      const of = [method, path, headers, signed, cookies.header];
      if (!of.every((part, index) => part === last.of[index]))
        last = { of, head: headOf(method, path, headers, signed) };
      const length = body === undefined ? "" : `content-length: ${Buffer.byteLength(body)}\r\n`;
      return connections.send(`${last.head}${length}\r\n${body ?? ""}`, events);
    },
    /** Keeps the cookies that a response sets. */
    keepCookies({ headers }: Pick<Response, "headers">): void {
      const given = headers.get("set-cookie");
      if (given !== undefined) cookies.take(given);
    },
    failure: (lost: Lost): TransportFailure => failureOf(url, proxy, name, lost),
    destroy: (): void => connections.destroy(),
  };
}

function failureOf(url: URL, proxy: HttpProxy | null, name: string, lost: Lost): TransportFailure {
  if (!("at" in lost)) {
    return lost.how === "not http"
      ? transportFailure("protocol", `${name} answers, but not with HTTP`)
      : transportFailure("closed", `the connection to ${name} broke before the answer came`);
  }
  const reason = reasonOf(lost);
  if (proxy === null || lost.at === "server") return unreachable(name, reason);
  if (lost.at === "tunnel" && lost.status !== null)
    return tunnelFailure(hostAndPort(url), proxy, lost.status);
  if (lost.at === "tunnel")
    return transportFailure(
      "unreachable",
      `the proxy ${proxy.name} does not connect to ${url.origin}: ${reason.text}`,
      proxyHint(proxy),
    );
  const failure = unreachable(`the proxy ${proxy.name} on the way to ${url.origin}`, reason);
  return { ...failure, hint: proxyHint(proxy) };
}

function reasonOf({ how, error }: NotConnected): ConnectReason {
  if (how === "not connected")
    return error === null ? { text: "it ended the connection" } : connectReason(error);
  const text = `no connection within ${CONNECT_TIMEOUT_MS / 1000} s`;
  // A stall in TLS is not `isUnreachable`: checks by TCP would find the address reachable although the server does not work.
  return how === "not taken" ? { text, isUnreachable: true } : { text };
}

/** `to`: host and port of the server. */
function tunnelFailure(to: string, proxy: HttpProxy, status: number): TransportFailure {
  const fail = (text: string, hint: string): TransportFailure =>
    transportFailure("unreachable", `the proxy ${proxy.name} ${text} (HTTP ${status})`, hint);
  if (status >= 500) return fail(`cannot connect to ${to}`, USUAL_HINT);
  if (status !== 401 && status !== 407)
    return fail(
      `refuses to connect to ${to}`,
      "ask who runs the proxy, or name the server's host in NO_PROXY",
    );
  const isGiven = proxy.authorization !== undefined;
  const hint = `put them into ${proxy.variable} as http://USER:PASSWORD@HOST:PORT; only Basic authentication is supported`;
  return isGiven
    ? fail("refuses the user and password that it was given", `correct them in ${proxy.variable}`)
    : fail("asks for a user and a password", hint);
}

function proxyHint({ variable }: HttpProxy): string {
  return `check ${variable} in the daemon's environment, or name the server's host in NO_PROXY there`;
}

const USUAL_HINT = "check that the server runs, and its `url`";

function unusable(message: string): TransportFailure {
  return transportFailure("unreachable", message, "correct it in the configuration");
}

function unreachable(name: string, reason: ConnectReason): TransportFailure {
  const { text, hint = USUAL_HINT, isUnreachable } = reason;
  const failure = transportFailure("unreachable", `cannot reach ${name}: ${text}`, hint);
  const whole = { ...failure, cause: `cannot be reached: ${text}` };
  return isUnreachable === true ? { ...whole, isUnreachable } : whole;
}
