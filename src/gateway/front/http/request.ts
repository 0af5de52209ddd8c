// Reads a request's head, and holds the refusals that depend on it.
import type { IncomingMessage } from "node:http";
import type { TraceHeaders } from "../../middleware/middleware.ts";
import type { Refusal } from "./answer.ts";

export const MCP_PATH = "/mcp";
/** The two of the older transport. */
export const SSE_PATH = "/sse";
export const MESSAGES_PATH = "/messages";

/** The address of a group: MCP_PATH, a slash, its name. */
const GROUP_PATH = /^\/mcp\/([A-Za-z][A-Za-z0-9_-]{0,63})$/;

/** What the client reads. */
export interface Accepts {
  readonly json: boolean;
  readonly events: boolean;
}

export const SESSION_HEADER = "mcp-session-id";
/** Node drops or joins their second values, and what stands before us may have read another one. */
const ONCE: ReadonlySet<string> = new Set([
  "host",
  "authorization",
  "origin",
  SESSION_HEADER,
  "mcp-protocol-version",
  "mcp-method",
  "mcp-name",
  "last-event-id",
]);
/** And whatever begins with it. */
const ONCE_EACH = "mcp-param-";
const ONCE_LENGTHS: ReadonlySet<number> = new Set([...ONCE].map(({ length }) => length));
const BOTH: Accepts = { json: true, events: true };

/** The replies when all request bodies together exceed the limit, and when one comes too slowly. */
export const NOT_READ: Readonly<Record<"busy" | "too_slow", Refusal>> = {
  busy: {
    status: 503,
    message: "too much is being received at once; try again",
    headers: { "Retry-After": "1" },
  },
  too_slow: { status: 408, message: "the body comes too slowly", headers: { Connection: "close" } },
};

/** Of a body over the limit. */
export function tooLarge(limitBytes: number): Refusal {
  const limit = `${Math.round((limitBytes / 1024 / 1024) * 100) / 100} MiB`;
  return {
    status: 413,
    message: `the body is larger than ${limit}, the limit that [server].body_limit_mb sets`,
  };
}

/** `methods`: those that are, as Allow spells them. */
export function notAllowed(methods: string): Refusal {
  return { status: 405, message: `allowed here: ${methods}`, headers: { Allow: methods } };
}

/** A request target that names its host, too, as one to a proxy does (RFC 9112 §3.2.2). */
const ABSOLUTE_TARGET = /^https?:\/\/([^/?#]*)([^?#]*)/i;

/** Without the query, and without a slash at its end. */
export function pathOf(target: string | undefined): string {
  if (target === undefined) return "";
  if (target === MCP_PATH) return MCP_PATH;
  const absolute = target.startsWith("/") ? null : ABSOLUTE_TARGET.exec(target);
  if (absolute !== null) return withoutSlash(absolute[2] || "/");
  const query = target.indexOf("?");
  return withoutSlash(query < 0 ? target : target.slice(0, query));
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}

/** The group whose address it is; null: another address. */
export function groupOf(target: string | undefined): string | null {
  return target === MCP_PATH ? null : (GROUP_PATH.exec(pathOf(target))?.[1] ?? null);
}

export function queryOf(target = ""): URLSearchParams {
  const query = target.indexOf("?");
  return new URLSearchParams(query < 0 ? "" : target.slice(query));
}

/** A header that may come once alone, and comes more than once; null: none does. */
export function saidTwice({ rawHeaders, headers }: IncomingMessage): string | null {
  // Node has one member for each name, however often it came: as many as there are lines says that none came twice.
  let names = 0;
  for (const _ in headers) names += 1;
  if (names * 2 === rawHeaders.length) return null;
  let seen = "";
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const written = rawHeaders[index] ?? "";
    const isParam = written.length > ONCE_EACH.length && written[ONCE_EACH.length - 1] === "-";
    if (!isParam && !ONCE_LENGTHS.has(written.length)) continue;
    const name = written.toLowerCase();
    if (!ONCE.has(name) && !name.startsWith(ONCE_EACH)) continue;
    if (seen.includes(`,${name},`)) return written;
    seen += `,${name},`;
  }
  return null;
}

/** Whom a request is meant for: a host in its target overrules the Host header. */
export function hostOf({ url = "", headers }: IncomingMessage): string | undefined {
  const absolute = url.startsWith("/") ? null : ABSOLUTE_TARGET.exec(url);
  return absolute === null ? headers.host : absolute[1];
}

/** Null: it is of no trace. */
export function traceOf({ headers }: IncomingMessage): TraceHeaders | null {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== "string") return null;
  return { traceparent, tracestate: typeof tracestate === "string" ? tracestate : undefined };
}

/** The session that a request names in its head. */
export function sessionId(request: IncomingMessage): string | undefined {
  const id = request.headers[SESSION_HEADER];
  return typeof id === "string" ? id : undefined;
}

/** Whether it is about a session that there is, as far as its head says. */
export function isOfSession(request: IncomingMessage): boolean {
  return sessionId(request) !== undefined || pathOf(request.url) === MESSAGES_PATH;
}

/** The sender's address, IPv4 as such; null: it has gone. */
export function remoteOf(request: IncomingMessage): string | null {
  return request.socket.remoteAddress?.replace(/^::ffff:(?=[0-9.]+$)/, "") ?? null;
}

/** Whether it came over loopback. */
export function isOwnMachine(request: IncomingMessage): boolean {
  const remote = remoteOf(request);
  return remote === "::1" || remote?.startsWith("127.") === true;
}

/** Whether a Content-Type is JSON's, with or without parameters. */
export function isJsonType(type: string | undefined): boolean {
  if (type === "application/json") return true;
  return type !== undefined && /^application\/json\s*(;|$)/i.test(type);
}

/** Who says nothing accepts anything. */
export function accepted(header: string | undefined): Accepts {
  if (header === undefined || header === "application/json, text/event-stream") return BOTH;
  const types = header.toLowerCase();
  const any = types.includes("*/*");
  return {
    json: any || types.includes("application/json") || types.includes("application/*"),
    events: any || types.includes("text/event-stream") || types.includes("text/*"),
  };
}

/** See `refusesLargeEvents`. */
export const LARGEST_EVENT_BYTES = 1_048_576;

/**
 * Clients that refuse an event of more than 1 MiB, by the program that speaks HTTP for them: that of the official Python
 * SDK (`max_sse_event_size` of mcp 2.3.0, `mcp/client/streamable_http.py`). They read JSON of any size.
 */
export function refusesLargeEvents({ headers }: IncomingMessage): boolean {
  return headers["user-agent"]?.startsWith("python-httpx") === true;
}
