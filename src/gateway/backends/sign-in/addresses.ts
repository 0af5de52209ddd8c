// Which addresses may be asked, and shown to a browser, when signing in to a server. Pure.
import { isLoopbackUrl } from "../../../config/values/host.ts";

const LONGEST = 4_096;

/**
 * An address that a server or its metadata named: https anywhere; plain http, and this machine at all, only where the
 * server itself is on this machine. Null: it is none of these.
 */
export function allowedAddress(text: string, server: URL): URL | null {
  const url = text.length > LONGEST ? null : URL.parse(text);
  if (url === null || url.username !== "" || url.password !== "") return null;
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  const isLocal = isLoopbackUrl(url);
  if (isLocal) return isLoopbackUrl(server) ? url : null;
  return url.protocol === "https:" ? url : null;
}

/** A token goes to it over TLS, or does not leave this machine. */
export function isSafeForTokens(server: URL): boolean {
  return server.protocol === "https:" || isLoopbackUrl(server);
}

/** The server's own identifier as a resource (RFC 8707): without fragment, and without the slash of an empty path. */
export function resourceOf(server: URL): string {
  const { origin, pathname, search } = server;
  return pathname === "/" && search === "" ? origin : origin + pathname + search;
}

/** Whether metadata for `resource` is about `server`: of the same origin, and at its path or above it. */
export function isAboutServer(resource: string, server: URL): boolean {
  const url = URL.parse(resource);
  if (url === null || url.origin !== server.origin || url.hash !== "") return false;
  const folder = (path: string): string => (path.endsWith("/") ? path : `${path}/`);
  return folder(server.pathname).startsWith(folder(url.pathname));
}

/** Where a server's metadata may be (RFC 9728): for its path first, then for its origin. */
export function resourceMetadataAddresses(server: URL): readonly string[] {
  const base = `${server.origin}/.well-known/oauth-protected-resource`;
  return server.pathname === "/" ? [base] : [`${base}${server.pathname}${server.search}`, base];
}

/** Where an authorization server's metadata may be, in the order in which MCP wants them tried. */
export function issuerMetadataAddresses(issuer: URL): readonly string[] {
  const { origin } = issuer;
  const path = issuer.pathname.replace(/\/$/, "");
  const oauth = `${origin}/.well-known/oauth-authorization-server${path}`;
  const openid = `${origin}/.well-known/openid-configuration${path}`;
  return path === "" ? [oauth, openid] : [oauth, openid, `${origin}${path}/.well-known/openid-configuration`];
}
