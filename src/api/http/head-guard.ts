// Refuses requests by their heads: what a web page elsewhere could send, and targets that are written in another way than
// ours. Pure.
import type { IncomingMessage } from "node:http";
import { hostName, isLoopbackHost } from "../../runtime/http/host-guard.ts";

/** Node keeps one of these headers or joins them; a proxy before us may have read another one. */
const ONCE: ReadonlySet<string> = new Set(["host", "authorization", "origin", "x-mountaineer-owner"]);
/** What a browser sends with requests of the page's own, and with those that a person makes. */
const OWN_SITE: ReadonlySet<string> = new Set(["same-origin", "none"]);

export interface HeadRefusal {
  readonly status: 400 | 403;
  readonly message: string;
  readonly hint: string | null;
}

/** By what names it may be asked for. */
export interface OwnNames {
  /** As configured: a name or an IP address, without brackets. */
  readonly host: string;
  /** In lower case. */
  readonly allowed: readonly string[];
}

/** Null: it may go on. */
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

/** Null: no page of another origin has sent it. */
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

/** No target here needs other characters, so no two readers of a path can understand it differently. */
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
