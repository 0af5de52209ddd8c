// Refuses requests by their headers and URL: those that a foreign web page could send, and ambiguous ones. Pure.
import type { IncomingMessage } from "node:http";
import { hostName, isLoopbackHost } from "../../runtime/http/host-guard.ts";

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

export interface HeadRefusal {
  readonly status: 400 | 403;
  readonly message: string;
  readonly hint: string | null;
}

/** Names that the Host header may have, besides loopback. */
export interface OwnNames {
  /** As configured: a name or an IP address, without brackets. */
  readonly host: string;
  /** Lower case. */
  readonly allowed: readonly string[];
}

/** Why the request is refused by its headers or URL; null: it may pass. */
export function refusalOfHead(request: IncomingMessage, names: OwnNames): HeadRefusal | null {
  const twice = saidTwice(request);
  if (twice !== null) return bad(`the request has more than one ${twice} header`);
  if (!isPlainTarget(request.url ?? ""))
    return bad("the path has escapes, `..` or `//` in it, which none here has");
  const { host } = request.headers;
  if (host === undefined || !isOurs(host, names)) {
    return {
      status: 403,
      message: "the Host header names another host than this daemon's",
      hint: "a proxy's name goes into [server.management].allowed_hosts",
    };
  }
  return null;
}

/** Why the request is refused as coming from a foreign web page; null: it is not refused. */
export function refusalOfOrigin(request: IncomingMessage): HeadRefusal | null {
  const { origin, host = "", "sec-fetch-site": site } = request.headers;
  if (origin !== undefined && !isOrigin(origin, host))
    return foreign("the Origin header names a foreign origin");
  if (site !== undefined && !(typeof site === "string" && OWN_SITE.has(site)))
    return foreign("another site has sent the request");
  return null;
}

function bad(message: string): HeadRefusal {
  return { status: 400, message, hint: null };
}

function foreign(message: string): HeadRefusal {
  return { status: 403, message, hint: null };
}

function saidTwice({ rawHeaders }: IncomingMessage): string | null {
  const seen = new Set<string>();
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const written = rawHeaders[index] ?? "";
    const name = written.toLowerCase();
    if (!ONCE.has(name)) continue;
    if (seen.has(name)) return written;
    seen.add(name);
  }
  return null;
}

/**
 * Allows only the characters that our own paths need, so that a proxy cannot read a path differently than
 * this server.
 */
function isPlainTarget(target: string): boolean {
  const [path = ""] = target.split("?", 1);
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
