// The gateway as an OAuth protected resource (RFC 9728): the documents of each of its addresses, and the audiences of tokens.
import type { ServerConfig, SignedTokensConfig } from "../../config/snapshot.ts";
import { isLoopback } from "../../config/values/host.ts";
import { hostName, isLoopbackHost } from "../../runtime/http/host-guard.ts";
import type { ReachedAt } from "../client-handle.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { ProtectedResource, RequestAddress } from "../middleware/middleware.ts";

const OF_RESOURCE = "/.well-known/oauth-protected-resource";
/** Metadata of an authorization server (RFC 8414). */
const OF_SERVER = "/.well-known/oauth-authorization-server";
const MCP_PATH = "/mcp";
/** The path of the legacy transport. Clients of this transport expect the metadata to name the address that they use. */
const SSE_PATH = "/sse";
const MESSAGES_PATH = "/messages";
const GROUP = /^\/mcp\/[A-Za-z][A-Za-z0-9_-]{0,63}$/;
const LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"] as const;

export type Address = Pick<ServerConfig, "host" | "port" | "publicUrl">;

/** The gateway at one address. `path`: of `mcp`, which a proxy may have changed. `base`: the address without this path. */
export interface Endpoint {
  readonly mcp: string;
  readonly path: string;
  readonly base: string;
}

function endpointAt(mcp: string): Endpoint {
  const { origin, pathname } = new URL(mcp);
  const path = pathname.replace(/\/$/, "");
  return { mcp, path, base: `${origin}${path.replace(/\/[^/]*$/, "")}` };
}

function endpointOn(host: string, publicUrl: string | null): Endpoint {
  return endpointAt(publicUrl ?? `http://${host}${MCP_PATH}`);
}

/** The address of the endpoint at a path; null: MCP has no such path. */
export function resourceAt({ mcp, base }: Endpoint, path: string): string | null {
  if (path === MCP_PATH) return mcp;
  if (path === SSE_PATH || path === MESSAGES_PATH) return `${base}${SSE_PATH}`;
  return GROUP.test(path) ? `${mcp}${path.slice(MCP_PATH.length)}` : null;
}

/** The path of the endpoint that the document at this path is about; null: it is not such a document. */
function subjectOf(document: string, { path, base }: Endpoint): string | null {
  if (!document.startsWith(OF_RESOURCE)) return null;
  const about = document.slice(OF_RESOURCE.length);
  if (about === "") return MCP_PATH;
  if (about === SSE_PATH || about === new URL(`${base}${SSE_PATH}`).pathname) return SSE_PATH;
  const own = about.startsWith(path) ? `${MCP_PATH}${about.slice(path.length)}` : about;
  return own === MCP_PATH || GROUP.test(own) ? own : null;
}

function documentAbout(endpoint: Endpoint, path: string): string | null {
  const resource = resourceAt(endpoint, path);
  if (resource === null) return null;
  const { origin, pathname } = new URL(resource);
  return `${origin}${OF_RESOURCE}${pathname}`;
}

/** The scopes in the configuration, required scopes first. */
export function knownScopes({
  scopes,
  requiredScopes,
}: Pick<SignedTokensConfig, "scopes" | "requiredScopes">): readonly string[] {
  return [...new Set([...requiredScopes, ...Object.keys(scopes)])];
}

/** The documents about the gateway's addresses. `endpointFor`: null where there is no sign-in. */
function documents(
  endpointFor: (address: RequestAddress) => Endpoint | null,
  issuerFor: (endpoint: Endpoint) => string,
  scopes: readonly string[],
): ProtectedResource {
  return {
    document(address) {
      const endpoint = endpointFor(address);
      const subject = endpoint === null ? null : subjectOf(address.path, endpoint);
      if (endpoint === null || subject === null) return null;
      return {
        resource: resourceAt(endpoint, subject),
        authorization_servers: [issuerFor(endpoint)],
        bearer_methods_supported: ["header"],
        ...(scopes.length > 0 && { scopes_supported: scopes }),
        resource_name: "Mountaineer",
      };
    },
    metadataUrl(address) {
      const endpoint = endpointFor(address);
      return endpoint === null ? null : documentAbout(endpoint, address.path);
    },
  };
}

/**
 * Where clients sign in with another authorization server. Without `public_url` the documents name the host in the request, which
 * request admission has checked.
 */
export function signedResource(
  { publicUrl }: Pick<Address, "publicUrl">,
  tokens: Pick<SignedTokensConfig, "issuer" | "scopes" | "requiredScopes">,
): ProtectedResource {
  return documents(
    ({ host }) => endpointOn(host, publicUrl),
    () => tokens.issuer,
    knownScopes(tokens),
  );
}

/** The accepted audiences: as configured, else all names of the gateway's addresses, with that of `group` at the group's address. */
export function acceptedAudience(
  { host, port, publicUrl }: Address,
  audience: SignedTokensConfig["audience"],
  group: string | null = null,
): readonly string[] {
  if (audience !== null) return audience;
  const name = host.includes(":") ? `[${host}]` : host;
  const names = isLoopback(host) ? new Set([...LOOPBACK_NAMES, name]) : [name];
  const endpoints =
    publicUrl === null
      ? [...names].map((one) => endpointAt(`http://${one}:${port}${MCP_PATH}`))
      : [endpointAt(publicUrl)];
  const paths = [MCP_PATH, SSE_PATH, ...(group === null ? [] : [`${MCP_PATH}/${group}`])];
  const addresses = endpoints.flatMap((endpoint) =>
    paths.flatMap((path) => resourceAt(endpoint, path) ?? []),
  );
  return addresses.flatMap((address) => [address, `${address}/`]);
}

/** Whether the path belongs to the gateway's own authorization server. */
export function isServerPath(path: string): boolean {
  return /^\/(?:authorize(?:\/[\w-]{1,64})?|token|register|revoke)$/.test(path);
}

/** Whether the path belongs to a user's sign-in to an own account at a server. */
export function isConnectPath(path: string): boolean {
  return /^\/connect\/[\w-]{1,80}(?:\/callback)?$/.test(path);
}

/**
 * The gateway at the address of a request, if its own authorization server issues tokens for that: on this machine over http, and
 * at `publicUrl` over https. Otherwise the reason why not.
 */
export function ownEndpoint(
  { host, isDirect, scheme }: ReachedAt,
  publicUrl: string | null,
): Endpoint | { readonly closedBecause: string } {
  const name = hostName(host) ?? "";
  if (isLoopbackHost(name)) {
    if (isDirect) return endpointOn(host, null);
    return { closedBecause: "the proxy in front must pass on the Host header as it came" };
  }
  const own = publicUrl === null ? null : new URL(publicUrl);
  if (own?.protocol === "https:" && own.hostname === name) {
    if (scheme !== "http") return endpointAt(own.href.replace(/\/$/, ""));
    return { closedBecause: "the client used http: programs sign in over https only" };
  }
  return { closedBecause: "programs sign in only at an https [server].public_url, or on this machine" };
}

/** Where clients sign in with the gateway itself. */
export function ownResource(publicUrl: string | null): ProtectedResource {
  const endpointFor = (address: RequestAddress): Endpoint | null => {
    const endpoint = ownEndpoint(address, publicUrl);
    return "closedBecause" in endpoint ? null : endpoint;
  };
  const own = documents(endpointFor, ({ base }) => base, []);
  return {
    ...own,
    document(address) {
      const base = endpointFor(address)?.base ?? null;
      const paths = base === null ? [] : [OF_SERVER, `${OF_SERVER}${new URL(base).pathname}`];
      if (base !== null && paths.includes(address.path)) return serverDocument(base);
      return own.document(address);
    },
    closedBecause(address) {
      const endpoint = ownEndpoint(address, publicUrl);
      return "closedBecause" in endpoint ? endpoint.closedBecause : null;
    },
    // Pages of other origins may use these.
    methodsAt: (path) => (["/token", "/register", "/revoke"].includes(path) ? ["POST"] : null),
  };
}

function serverDocument(base: string): JsonObject {
  return {
    issuer: base,
    authorization_endpoint: `${base}/authorize`,
    token_endpoint: `${base}/token`,
    registration_endpoint: `${base}/register`,
    revocation_endpoint: `${base}/revoke`,
    response_types_supported: ["code"],
    response_modes_supported: ["query"],
    grant_types_supported: ["authorization_code", "refresh_token"],
    code_challenge_methods_supported: ["S256"],
    token_endpoint_auth_methods_supported: ["none"],
    revocation_endpoint_auth_methods_supported: ["none"],
    authorization_response_iss_parameter_supported: true,
    // On this machine clients register instead: it may be offline, or behind a web proxy.
    client_id_metadata_document_supported: base.startsWith("https:"),
  };
}
