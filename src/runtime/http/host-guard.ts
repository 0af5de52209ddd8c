// Refuses cross-site requests and DNS rebinding by the headers Host and Origin.
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";

/** Why a request with these headers is refused; null: it is allowed. `isAllowed`: the origin may be another site's. */
type HostGuard = (host: string | undefined, origin: string | undefined, isAllowed?: boolean) => string | null;

/**
 * `boundHost`: the configured host; if it is loopback, only loopback names and the host itself are accepted. `publicHost`:
 * a name that a proxy may forward, in lower case; null: none.
 */
export function createHostGuard(
  boundHost: () => string,
  publicHost: () => string | null = () => null,
): HostGuard {
  // Cache of the last allowed host, because clients repeat the same header.
  let bound: string | null = null;
  let lastHost: string | null = null;
  let lastPublic: string | null = null;
  const hostAllowed = (host: string): boolean => {
    const configured = boundHost();
    const publicName = publicHost();
    if (host === lastHost && configured === bound && publicName === lastPublic) return true;
    const name = hostName(host);
    const allowed =
      name !== null &&
      (isLoopbackHost(name) ||
        name === configured.toLowerCase() ||
        name === publicName ||
        (!isLoopbackHost(configured.toLowerCase()) && isIP(name) !== 0));
    if (allowed) {
      lastHost = host;
      bound = configured;
      lastPublic = publicName;
    }
    return allowed;
  };
  return (host, origin, isAllowed = false) => {
    if (host === undefined || !hostAllowed(host)) {
      return "the Host header names another host than this server's: its address, or the name in [server].host";
    }
    if (origin === undefined || isAllowed || isOwnOrigin(origin, host)) return null;
    return "the Origin header names a foreign origin; [server].allowed_origins names those that may use MCP here";
  };
}

/** `name`: a host name or IP address, in lower case and without brackets. */
export function isLoopbackHost(name: string): boolean {
  if (name === "localhost" || name === "localhost.") return true;
  if (isIP(name) === 4) return name.startsWith("127.");
  return name === "::1" || (isIP(name) === 6 && name.startsWith("::ffff:127."));
}

const PROXY_HEADERS = [
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
  "via",
] as const;

/** Whether a proxy has passed on the request. */
export function isProxied(headers: IncomingHttpHeaders): boolean {
  return PROXY_HEADERS.some((name) => headers[name] !== undefined);
}

/** The host in `host[:port]`, in lower case; null if the text has another form. */
export function hostName(text: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::[0-9]{1,5})?$/i.exec(text);
  const name = match?.[1] ?? match?.[2];
  return name === undefined ? null : name.toLowerCase();
}

function isOwnOrigin(origin: string, host: string): boolean {
  return authorityOf(origin)?.toLowerCase() === host.toLowerCase();
}

/** True if this machine serves the page. */
export function isLoopbackOrigin(origin: string): boolean {
  const name = hostName(authorityOf(origin) ?? "");
  return name !== null && isLoopbackHost(name);
}

function authorityOf(origin: string): string | undefined {
  return /^https?:\/\/([^/?#@\\]+)$/i.exec(origin)?.[1];
}

/** The address without the IPv6 prefix of a mapped IPv4 address. */
export function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=[0-9.]+$)/, "");
}
