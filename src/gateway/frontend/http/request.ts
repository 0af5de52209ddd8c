// Reads the head of an HTTP request: path, session, what the client accepts. Also refusals that depend on the head.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { isLoopbackHost, isProxied, plainAddress } from "../../../runtime/http/host-guard.ts";
import type { Principal } from "../../client-handle.ts";
import type { RequestAddress, TraceHeaders } from "../../middleware/middleware.ts";
import type { Refusal } from "./answer.ts";

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** A request whose sender is authenticated. */
export interface AuthenticatedRequest extends Exchange {
  readonly principal: Principal;
}

export const MCP_PATH = "/mcp";
/** Paths of the HTTP+SSE transport of 2024-11-05. */
export const SSE_PATH = "/sse";
export const MESSAGES_PATH = "/messages";
/** Before the path of each sign-in document. */
export const WELL_KNOWN = "/.well-known/";

const METHODS: ReadonlyMap<string, readonly string[]> = new Map([
  [MCP_PATH, ["GET", "POST", "DELETE"]],
  [SSE_PATH, ["GET"]],
  [MESSAGES_PATH, ["POST"]],
]);

/** The methods of MCP at that path; undefined: MCP has no such path. */
export function methodsAt(path: string): readonly string[] | undefined {
  return METHODS.get(groupOf(path) === null ? path : MCP_PATH);
}

/** `/mcp/NAME`, the address of a group. */
const GROUP_PATH = /^\/mcp\/([A-Za-z][A-Za-z0-9_-]{0,63})$/;

export interface Accepts {
  readonly json: boolean;
  readonly events: boolean;
}

export const SESSION_HEADER = "mcp-session-id";
/**
 * Headers that may occur only once. Node drops or joins repeated values, so a proxy may have checked a value that is
 * dropped here.
 */
const UNIQUE: ReadonlySet<string> = new Set([
  "host",
  "authorization",
  "origin",
  SESSION_HEADER,
  "mcp-protocol-version",
  "mcp-method",
  "last-event-id",
]);
const UNIQUE_PREFIX = "mcp-param-";
const BOTH: Accepts = { json: true, events: true };

export const NO_EVENTS: Refusal = { status: 406, message: "the client must accept text/event-stream" };

/** `methods`: the value of the Allow header. */
export function notAllowed(methods: string): Refusal {
  return { status: 405, message: `allowed here: ${methods}`, headers: { Allow: methods } };
}

/** A request target in absolute form, as sent to proxies (RFC 9112 §3.2.2). */
const ABSOLUTE_TARGET = /^https?:\/\/([^/?#]*)([^?#]*)/i;

/** The path without the query and without a trailing slash. */
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

/** The group in the address; null: it is not a group's address. */
export function groupOf(target: string | undefined): string | null {
  return target === MCP_PATH ? null : (GROUP_PATH.exec(pathOf(target))?.[1] ?? null);
}

export function queryOf(target = ""): URLSearchParams {
  const query = target.indexOf("?");
  return new URLSearchParams(query < 0 ? "" : target.slice(query));
}

/** The first header of `UNIQUE` that the request has more than once; null: none. */
export function repeatedHeader({ rawHeaders, headers }: IncomingMessage): string | null {
  // `headers` has each name once, `rawHeaders` two entries for each line: if the numbers agree, no header is
  // repeated.
  let names = 0;
  for (const _ in headers) names += 1;
  if (names * 2 === rawHeaders.length) return null;
  const visited = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const written = rawHeaders[index] ?? "";
    const name = written.toLowerCase();
    if (!UNIQUE.has(name) && !name.startsWith(UNIQUE_PREFIX)) continue;
    if (visited.has(name)) return written;
    visited.add(name);
  }
  return null;
}

/** The headers, with each of several names of a target: Node joins them, and one name may have commas. */
export function headersOf(request: IncomingMessage): IncomingHttpHeaders {
  const { headers } = request;
  if (headers["mcp-name"]?.includes(",") !== true) return headers;
  const names = request.headersDistinct["mcp-name"] ?? [];
  return names.length > 1 ? { ...headers, "mcp-name": names } : headers;
}

/** The requested host: a host in the request target overrides the Host header. */
export function hostOf({ url = "", headers }: IncomingMessage): string | undefined {
  const absolute = url.startsWith("/") ? null : ABSOLUTE_TARGET.exec(url);
  return absolute === null ? headers.host : absolute[1];
}

export function addressOf(request: IncomingMessage): RequestAddress {
  const { headers, url } = request;
  const scheme = headers["x-forwarded-proto"];
  return {
    host: hostOf(request) ?? "",
    path: pathOf(url),
    isDirect: isOwnMachine(request) && !isProxied(headers),
    scheme: typeof scheme === "string" ? (scheme.split(",")[0] ?? "").trim().toLowerCase() : null,
  };
}

export function traceOf({ headers }: IncomingMessage): TraceHeaders | null {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== "string") return null;
  return { traceparent, tracestate: typeof tracestate === "string" ? tracestate : undefined };
}

export function sessionId(request: IncomingMessage): string | undefined {
  const id = request.headers[SESSION_HEADER];
  return typeof id === "string" ? id : undefined;
}

export function isOfSession(request: IncomingMessage): boolean {
  return sessionId(request) !== undefined || pathOf(request.url) === MESSAGES_PATH;
}

/** The sender's address; null: the connection has closed. */
export function remoteOf({ socket: { remoteAddress } }: IncomingMessage): string | null {
  return remoteAddress === undefined ? null : plainAddress(remoteAddress);
}

export function isOwnMachine(request: IncomingMessage): boolean {
  return isLoopbackHost(remoteOf(request) ?? "");
}

export function isJsonType(type: string | undefined): boolean {
  if (type === "application/json") return true;
  return type !== undefined && /^application\/json\s*(;|$)/i.test(type);
}

/** A request without an Accept header accepts everything. */
export function accepted(header: string | undefined): Accepts {
  if (header === undefined || header === "application/json, text/event-stream") return BOTH;
  const types = header.toLowerCase();
  const any = types.includes("*/*");
  return {
    json: any || types.includes("application/json") || types.includes("application/*"),
    events: any || types.includes("text/event-stream") || types.includes("text/*"),
  };
}

/** Maximum size of an event for the clients of which `refusesLargeEvents` is true. */
export const LARGEST_EVENT_BYTES = 1_048_576;

/** Leaves room for the lines around the reply in its event. */
export const LARGE_REPLY_BYTES = LARGEST_EVENT_BYTES - 1_024;

/**
 * True for clients on the official Python SDK, recognized by its HTTP library: they refuse an event of more than 1 MiB
 * (`max_sse_event_size` of mcp 2.3.0, `mcp/client/streamable_http.py`), but read JSON of any size.
 */
export function refusesLargeEvents({ headers }: IncomingMessage): boolean {
  return headers["user-agent"]?.startsWith("python-httpx") === true;
}
