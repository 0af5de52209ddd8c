// The address of an HTTP backend and how it is asked: the configured headers, the kept-alive connections, the deadline
// for connecting, and what a failed connection means.
import type { Agent, ClientRequest, IncomingMessage, OutgoingHttpHeaders, RequestOptions } from "node:http";
import type { Socket } from "node:net";
import { errorText, systemErrorCode } from "../../../../runtime/errors.ts";
import type { Clock } from "../../../../runtime/time/clock.ts";
import { type LinkFailure, linkFailure } from "../backend-link.ts";
import type { LinkAuthorization } from "../link-authorization.ts";

const CONNECT_TIMEOUT_MS = 5_000;
/** Calls and streams of one backend at once; more wait for a connection. */
const CONNECTIONS = 256;
/** Many servers end an idle connection after 5 s, some without saying so: a request must not meet that end. */
const IDLE_MS = 4_000;
/** Of a stream on which nothing is said: a peer that is gone is found, and Node's own 1 s would wake both ends for it. */
const PROBE_MS = 30_000;

interface TargetOptions {
  readonly url: string;
  /** Resolved. */
  readonly headers: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Signs each request; null: the headers are all there is. */
  readonly authorization: LinkAuthorization | null;
}

export interface Asked {
  readonly request: ClientRequest;
  /** A response has begun: what goes wrong from now on is an event of the response. */
  readonly responded: boolean;
  /** What an error before the response means. */
  failure(error: unknown): LinkFailure;
}

export interface HttpTarget {
  /** Scheme, host and port: fit for people, where a path or query may hold a secret. */
  readonly origin: string;
  /** With the query. */
  readonly path: string;
  /**
   * `headers` win over the configured ones; `path`, with its query, is of the same origin, and `HttpTarget.path` by
   * default. Throws when a header's value cannot be sent.
   */
  ask(
    method: "POST" | "GET" | "DELETE",
    headers: OutgoingHttpHeaders,
    onResponse: (response: IncomingMessage) => void,
    path?: string,
  ): Asked;
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
  const protocol = secure ? process.getBuiltinModule("node:https") : http;
  const agent: Agent = new protocol.Agent({
    keepAlive: true,
    keepAliveMsecs: PROBE_MS,
    maxSockets: CONNECTIONS,
    maxFreeSockets: CONNECTIONS,
    scheduling: "lifo",
    timeout: IDLE_MS,
  });
  const fixed: RequestOptions = {
    protocol: url.protocol,
    ...addressOf(url),
    agent,
  };
  if (url.username !== "" || url.password !== "") {
    fixed.auth = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  }
  const connectedEvent = secure ? "secureConnect" : "connect";

  return {
    origin: url.origin,
    path: url.pathname + url.search,
    ask(method, headers, onResponse, path = url.pathname + url.search) {
      const all: OutgoingHttpHeaders = { ...base, ...headers };
      const signed = options.authorization?.current?.header ?? null;
      if (signed !== null) all["authorization"] ??= signed;
      const request = protocol.request({ ...fixed, path, method, headers: all }, (response) => {
        asked.responded = true;
        onResponse(response);
      });
      let connected = false;
      let isTaken = false;
      let late = false;
      request.once("socket", (socket: Socket) => {
        if (!socket.connecting) {
          connected = true;
          return;
        }
        const timer = options.clock.setTimer(CONNECT_TIMEOUT_MS, () => {
          late = true;
          request.destroy(new Error("connecting took too long"));
        });
        socket.once("connect", () => {
          isTaken = true;
        });
        socket.once(connectedEvent, () => {
          connected = true;
          timer[Symbol.dispose]();
        });
        request.once("close", () => timer[Symbol.dispose]());
      });
      // Without an accessor: V8 makes each object with one a class of its own, which keeps it in the old heap.
      const asked = {
        request,
        responded: false,
        failure(error: unknown) {
          const { origin } = url;
          if (late) {
            const text = `no connection within ${CONNECT_TIMEOUT_MS / 1000} s`;
            // One that is taken, and gets no further, would be found to be back at each look.
            return unreachable(origin, isTaken ? { text } : { text, isAway: true });
          }
          if (!connected) return unreachable(origin, connectReason(error));
          if (systemErrorCode(error)?.startsWith("HPE_")) {
            return linkFailure("protocol", `${origin} answers something that is no HTTP`);
          }
          return linkFailure("closed", `the connection to ${origin} broke before the answer came`);
        },
      };
      return asked;
    },
    destroy: () => agent.destroy(),
  };
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
