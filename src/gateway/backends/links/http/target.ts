// The address of an HTTP backend: writes the head of each request, opens connections, and puts their failures into
// words.
import { connect as connectTcp, isIP, type Socket } from "node:net";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { type LinkFailure, linkFailure } from "../backend-link.ts";
import type { LinkAuthorization } from "../link-authorization.ts";
import { type ConnectReason, connectReason } from "./connect-reason.ts";
import { type Asked, type CallEvents, CONNECT_TIMEOUT_MS, Connections, type Lost } from "./connections.ts";

interface TargetOptions {
  readonly url: string;
  /** The configured headers, with the values of secrets filled in. */
  readonly headers: Headers;
  readonly clock: Clock;
  readonly authorization: Pick<LinkAuthorization, "current">;
}

export type Headers = Readonly<Record<string, string>>;

export interface Question {
  readonly method: "POST" | "GET" | "DELETE";
  /** Override the configured headers of the same names. */
  readonly headers: Headers;
  readonly body?: string;
  /** Path and query on the same origin. Default: the path of the target. */
  readonly path?: string;
  /** Default: the current credential of the authorization. */
  readonly authorization?: string | null;
}

export type HttpTarget = Exclude<ReturnType<typeof createHttpTarget>, LinkFailure>;

/** Headers that frame the message on its connection: the configuration cannot override them. */
const RESERVED = new Set(["content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"]);

export function addressOf({ hostname, port, protocol }: URL) {
  const usual = protocol === "https:" ? 443 : 80;
  return { host: hostname.replace(/^\[(.*)\]$/, "$1"), port: port === "" ? usual : Number(port) };
}

/** Returns a failure if the address or a header is not usable. Ignores proxies named in the environment. */
export function createHttpTarget(options: TargetOptions) {
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
  // Responses are not decompressed here, and without this header a server may compress them.
  base["accept-encoding"] = "identity";
  const basic = basicOf(url);
  if (basic === null) return unusable("the user in its `url` is not percent-encoded UTF-8");
  let own = url.pathname + url.search;
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
  // The messages of a session share one head, apart from the length, so the last head is reused.
  let last: { readonly of: readonly unknown[]; readonly head: string } = { of: [], head: "" };

  return {
    /** Scheme, host and port. Safe to show, unlike path and query, which may hold a secret. */
    origin: url.origin,
    /** Path and query, after the server's redirects. */
    get path() {
      return own;
    },
    /** The server has redirected to this path and query. */
    moveTo(path: string): void {
      own = path;
    },
    /** Sends a request. Throws if a header's value has characters that HTTP forbids. */
    ask({ method, headers, body, path = own, authorization }: Question, events: CallEvents): Asked {
      const current = options.authorization.current?.header;
      const signed = authorization ?? base["authorization"] ?? current ?? basic;
      const of = [method, path, headers, signed];
      if (!of.every((part, index) => part === last.of[index]))
        last = { of, head: headOf(method, path, headers, signed) };
      const length = body === undefined ? "" : `content-length: ${Buffer.byteLength(body)}\r\n`;
      return connections.ask(`${last.head}${length}\r\n${body ?? ""}`, events);
    },
    failure: (lost: Lost): LinkFailure => failureOf(url.origin, lost),
    destroy: (): void => connections.destroy(),
  };
}

/**
 * Returns the `Authorization` header for the user in the address: undefined if the address names no user, null if the
 * user cannot be decoded.
 */
function basicOf({ username, password }: URL): string | null | undefined {
  if (username === "" && password === "") return undefined;
  try {
    const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(user).toString("base64")}`;
  } catch {
    return null;
  }
}

/** `hostHeader`: the configured `Host`; the certificate must be for that name instead of the address. */
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
      // A stall in TLS is not `isAway`: checks by TCP alone would find the address reachable although the
      // server does not work.
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

function unreachable(origin: string, reason: ConnectReason): LinkFailure {
  const { text, hint = "check that the server runs, and its `url`", isAway } = reason;
  const failure = linkFailure("unreachable", `cannot reach ${origin}: ${text}`, hint);
  return isAway === true ? { ...failure, isAway } : failure;
}
