// The gateway as an OAuth protected resource: its name, its metadata (RFC 9728), and whom tokens have to be for.

import type { ServerConfig, SignedTokensConfig } from "../../config/snapshot.ts";
import { isLoopback } from "../../config/values/host.ts";
import type { ProtectedResource } from "../middleware/middleware.ts";

const WELL_KNOWN = "/.well-known/oauth-protected-resource";
const MCP_PATH = "/mcp";
/** Beside it, for clients of the older transport: they want the metadata to name the address that they have. */
const SSE_PATH = "/sse";
const LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"] as const;

type Address = Pick<ServerConfig, "host" | "port" | "publicUrl">;

/** Without a public address it goes by the name that the request used, which admission has found to be ours. */
export function createProtectedResource(
  { publicUrl }: Address,
  tokens: Pick<SignedTokensConfig, "issuer" | "scopes" | "requiredScopes">,
): ProtectedResource {
  const own = publicUrl === null ? null : new URL(publicUrl);
  const path = publicUrl === null ? MCP_PATH : pathOf(publicUrl);
  const olderPath = beside(path);
  const olderPaths = new Set([`${WELL_KNOWN}${SSE_PATH}`, `${WELL_KNOWN}${olderPath}`]);
  const supported = knownScopes(tokens);
  const originOf = (host: string): string => own?.origin ?? `http://${host}`;
  return {
    paths: new Set([WELL_KNOWN, `${WELL_KNOWN}${MCP_PATH}`, `${WELL_KNOWN}${path}`, ...olderPaths]),
    metadata: (host, asked) => ({
      resource: olderPaths.has(asked)
        ? `${originOf(host)}${olderPath}`
        : (publicUrl ?? `http://${host}${MCP_PATH}`),
      authorization_servers: [tokens.issuer],
      bearer_methods_supported: ["header"],
      ...(supported.length > 0 && { scopes_supported: supported }),
      resource_name: "Mountaineer",
    }),
    metadataUrl: (host, isOlder) => `${originOf(host)}${WELL_KNOWN}${isOlder ? olderPath : path}`,
  };
}

/** The older transport's path, where streamable HTTP has this one. */
function beside(path: string): string {
  return `${path.replace(/\/[^/]*$/, "")}${SSE_PATH}`;
}

/** Those that the configuration names: required ones first. */
export function knownScopes({
  scopes,
  requiredScopes,
}: Pick<SignedTokensConfig, "scopes" | "requiredScopes">): readonly string[] {
  return [...new Set([...requiredScopes, ...Object.keys(scopes)])];
}

/** Whom tokens may be for: as configured, else the gateway under each of its own names. */
export function acceptedAudience(
  { host, port, publicUrl }: Address,
  audience: SignedTokensConfig["audience"],
): readonly string[] {
  if (audience !== null) return audience;
  if (publicUrl !== null) return withSlash([publicUrl, new URL(beside(pathOf(publicUrl)), publicUrl).href]);
  const name = host.includes(":") ? `[${host}]` : host;
  const names = isLoopback(host) ? new Set([...LOOPBACK_NAMES, name]) : [name];
  const origins = [...names].map((one) => `http://${one}:${port}`);
  return withSlash(origins.flatMap((origin) => [origin + MCP_PATH, origin + SSE_PATH]));
}

function pathOf(url: string): string {
  return new URL(url).pathname.replace(/\/$/, "");
}

function withSlash(addresses: readonly string[]): string[] {
  return addresses.flatMap((address) => [address, `${address}/`]);
}
