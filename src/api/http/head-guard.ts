// Refuses requests by their headers and URL: those that a foreign web page could send, and ambiguous ones. Pure.
import type { IncomingMessage } from "node:http";
import { MountaineerError } from "../../runtime/errors.ts";
import { hostName, isLoopbackHost } from "../../runtime/http/host-guard.ts";
import { pathOf, Refusal, refusal } from "../server/answers.ts";

/**
 * Headers that may occur only once in a request. Node keeps one of several values or joins them, and a proxy
 * in front may read another value than Node.
 */
const ONCE: ReadonlySet<string> = new Set(["host", "authorization", "origin", "x-mountaineer-owner"]);
/**
 * The values of `Sec-Fetch-Site` when our own page sends the request, or when a person types or follows an
 * address.
 */
const OWN_SITE: ReadonlySet<string> = new Set(["same-origin", "none"]);

/** Names that the Host header may have, besides loopback. */
export interface OwnNames {
  /** As configured: a name or an IP address, without brackets. */
  readonly host: string;
  /** Lower case. */
  readonly allowed: readonly string[];
}

/** Throws the refusal of a request by its headers or URL. */
export function requireHead(request: IncomingMessage, names: OwnNames): void {
  const twice = repeatedHeader(request);
  if (twice !== null) throw refusal(400, `the request has more than one ${twice} header`);
  if (!isPlainPath(pathOf(request)))
    throw refusal(400, "the path has escapes, `..` or `//` in it, which no path here has");
  const { host } = request.headers;
  if (host !== undefined && isOurs(host, names)) return;
  throw foreign(
    "the Host header names another host than this daemon's",
    "a proxy's name goes into [server.management].allowed_hosts",
  );
}

/** Throws the refusal of a request that a foreign web page has sent. */
export function requireOwnOrigin({ headers }: IncomingMessage): void {
  const { origin, host = "", "sec-fetch-site": site } = headers;
  if (origin !== undefined && !isOrigin(origin, host))
    throw foreign("the Origin header names a foreign origin");
  if (site !== undefined && !(typeof site === "string" && OWN_SITE.has(site)))
    throw foreign("another site has sent the request");
}

function foreign(message: string, hint: string | null = null): Refusal {
  return new Refusal(403, new MountaineerError("permission_denied", message, { hint }));
}

function repeatedHeader({ rawHeaders }: IncomingMessage): string | null {
  const visited = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const written = rawHeaders[index] ?? "";
    const name = written.toLowerCase();
    if (!ONCE.has(name)) continue;
    if (visited.has(name)) return written;
    visited.add(name);
  }
  return null;
}

/**
 * Allows only the characters that our own paths need, so that a proxy cannot read a path differently than
 * this server.
 */
function isPlainPath(path: string): boolean {
  return /^\/[A-Za-z0-9/._-]*$/.test(path) && !path.includes("..") && !path.includes("//");
}

function isOurs(text: string, { host, allowed }: OwnNames): boolean {
  const name = hostName(text);
  if (name === null) return false;
  return isLoopbackHost(name) || name === host.toLowerCase() || allowed.includes(name);
}

/** Another port of the same machine is another origin. */
function isOrigin(origin: string, host: string): boolean {
  const [, authority] = /^https?:\/\/([^/?#@\\]+)$/i.exec(origin) ?? [];
  return authority !== undefined && authority.toLowerCase() === host.toLowerCase();
}
