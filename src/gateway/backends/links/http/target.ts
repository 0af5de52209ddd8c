// The address of an HTTP backend and how it is asked: the head of a request, how a connection is opened, and what a failed
// one means.
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { type LinkFailure, linkFailure } from "../backend-link.ts";
import type { LinkAuthorization } from "../link-authorization.ts";
import { type Asked, type CallEvents, CONNECT_TIMEOUT_MS, Connections, type Lost } from "./connections.ts";

interface TargetOptions {
  readonly url: string;
  /** Resolved. */
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Signs each request; null: the headers are all there is. */
  readonly authorization: LinkAuthorization | null;
}

export type Headers = Readonly<Record<string, string>>;

export interface Question {
  readonly method: "POST" | "GET" | "DELETE";
  /** Win over the configured ones. */
  readonly headers: Headers;
  readonly body?: string;
  /** With its query, of the same origin. Default: `HttpTarget.path`. */
  readonly path?: string;
  /** In place of the credential of now. */
  readonly authorization?: string | null;
}

export interface HttpTarget {
  /** Scheme, host and port: fit for people, where a path or query may hold a secret. */
  readonly origin: string;
  /** With the query. */
  readonly path: string;
  /** Throws when a header's value cannot be sent. */
  ask(question: Question, events: CallEvents): Asked;
  /** What it means that there is no response. */
  failure(lost: Lost): LinkFailure;
  /** Ends all connections. */
  destroy(): void;
}

/** Of ours, or of the connection's framing: not to be overridden by configuration. */
const RESERVED = new Set(["content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"]);

/** What to connect to. */
export function addressOf({ hostname, port, protocol }: URL): {
  readonly host: string;
  readonly port: number;
} {
  const usual = protocol === "https:" ? 443 : 80;
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: port === "" ? usual : Number(port) };
}

/** A failure when the address or a header cannot be used. Proxies in the environment are not looked at. */
export function createHttpTarget(options: TargetOptions): HttpTarget | LinkFailure {
  const url = URL.parse(options.url);
  const secure = url?.protocol === "https:";
  if (url === null || (!secure && url.protocol !== "http:")) {
    return unusable("its `url` is no http or https address");
  }
  const http = process.getBuiltinModule("node:http");
  const base: Record<string, string> = {};
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
  // Nothing here unpacks; without this header a server may pack as it likes.
  base["accept-encoding"] = "identity";
  const basic = basicOf(url);
  if (basic === null) return unusable("the user in its `url` is not percent-encoded UTF-8");
  const own = url.pathname + url.search;
  const connections = new Connections(
    secure ? openTls(url, base["host"]) : () => connectTcp(addressOf(url)),
    secure ? "secureConnect" : "connect",
    options.clock,
  );

  const headOf = (method: string, path: string, headers: Headers, signed: string | undefined): string => {
    const all: Record<string, string> = { host: url.host, ...base };
    const authorization = signed === undefined ? {} : { authorization: signed };
    for (const [name, value] of Object.entries({ ...headers, ...authorization })) {
      http.validateHeaderName(name);
      http.validateHeaderValue(name, value);
      all[name.toLowerCase()] = value;
    }
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return `${method} ${path} HTTP/1.1\r\n${lines.join("")}connection: keep-alive\r\n`;
  };
  // The last head: all messages of a session have the same, but for their length.
  let last: { readonly of: readonly unknown[]; readonly head: string } = { of: [], head: "" };

  return {
    origin: url.origin,
    path: own,
    ask({ method, headers, body, path = own, authorization }, events) {
      const current = options.authorization?.current?.header;
      const signed = authorization ?? base["authorization"] ?? current ?? basic;
      const of = [method, path, headers, signed];
      if (!of.every((part, index) => part === last.of[index]))
        last = { of, head: headOf(method, path, headers, signed) };
      const length = body === undefined ? "" : `content-length: ${Buffer.byteLength(body)}\r\n`;
      return connections.ask(`${last.head}${length}\r\n${body ?? ""}`, events);
    },
    failure: (lost) => failureOf(url.origin, lost),
    destroy: () => connections.destroy(),
  };
}

/** Undefined: the address names no user; null: it cannot be decoded. */
function basicOf({ username, password }: URL): string | null | undefined {
  if (username === "" && password === "") return undefined;
  try {
    const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(user).toString("base64")}`;
  } catch {
    return null;
  }
}

/** `hostHeader`: whom the server is to be, where that is not its address. */
function openTls(url: URL, hostHeader: string | undefined): () => Socket {
  const tls = process.getBuiltinModule("node:tls");
  const asked = hostHeader === undefined ? null : URL.parse(`https://${hostHeader}`);
  const { host } = addressOf(asked ?? url);
  let session: Buffer | undefined;
  return () => {
    const socket = tls.connect({
      ...addressOf(url),
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

function failureOf(origin: string, { how, error }: Lost): LinkFailure {
  switch (how) {
    case "not taken":
    case "not secured": {
      const text = `no connection within ${CONNECT_TIMEOUT_MS / 1000} s`;
      // One that is taken, and gets no further, would be found to be back at each look.
      return unreachable(origin, how === "not taken" ? { text, isAway: true } : { text });
    }
    case "not connected":
      return unreachable(origin, connectReason(error));
    case "not http":
      return linkFailure("protocol", `${origin} answers something that is no HTTP`);
    default:
      return linkFailure("closed", `the connection to ${origin} broke before the answer came`);
  }
}

function unusable(message: string): LinkFailure {
  return linkFailure("unreachable", message, "correct it in the configuration");
}

function unreachable(origin: string, { text, hint, isAway }: ConnectReason): LinkFailure {
  const message = `cannot reach ${origin}: ${text}`;
  const failure = linkFailure("unreachable", message, hint ?? "check that the server runs, and its `url`");
  return isAway === true ? { ...failure, isAway } : failure;
}

// Why a connection to an HTTP server failed, in words, and what a person can do about it. Pure.

interface ConnectReason {
  readonly text: string;
  /** Absent: the server, or its address, is to be looked at. */
  readonly hint?: string;
  /** The address takes no connections now. */
  readonly isAway?: true;
}

/** Of an error before the connection was there, that of TLS included. */
export function connectReason(error: unknown): ConnectReason {
  switch (systemErrorCode(error)) {
    case "ECONNREFUSED":
      return { text: "nothing listens there", isAway: true };
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return { text: "its name cannot be resolved" };
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return { text: "there is no route to it", isAway: true };
    case "ETIMEDOUT":
      return { text: "it does not answer", isAway: true };
    case "ECONNRESET":
      return { text: "it ended the connection at once" };
    case "EPROTO":
      return {
        text: "what listens there speaks no TLS, or none that is spoken here",
        hint: "check `url`: http:// may be meant",
      };
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return {
        text: "its certificate is signed by nobody who is trusted here",
        hint: "if you trust it, name the file of its authority's certificate in NODE_EXTRA_CA_CERTS, in the daemon's environment",
      };
    case "CERT_HAS_EXPIRED":
      return { text: "its certificate has expired", hint: "have it renewed, and check this machine's clock" };
    case "CERT_NOT_YET_VALID":
      return { text: "its certificate is not valid yet", hint: "check this machine's clock" };
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return { text: "its certificate is for another name", hint: "check the host in `url`" };
    default:
      return { text: errorText(error) };
  }
}
