// Finds the authorization server of an MCP server, by metadata (RFC 9728, RFC 8414, OpenID Connect). Without
// metadata, the default addresses of MCP 2025-03-26 are used.

import { type JsonMembers, jsonObject, objectOf } from "../../../runtime/text/json-object.ts";
import { parseJson } from "../../../runtime/text/parse-json.ts";
import {
  allowedAddress,
  type BoundedFetch,
  failed,
  isAboutServer,
  issuerMetadataAddresses,
  resourceMetadataAddresses,
  resourceOf,
  shownAddress,
} from "./bounded-fetch.ts";
import type { BearerChallenge } from "./challenge.ts";
import { type AuthorizationServer, type OAuthTools, signInFailure } from "./oauth-library.ts";

export type SignInServer = Awaited<ReturnType<typeof findSignInServer>>;

interface Discovery {
  readonly server: URL;
  readonly challenge: BearerChallenge | null;
  /** Null: the first authorization server that the MCP server names. */
  readonly issuer: string | null;
  /** The configured resource; false: it is left out of all requests. Null: the one that the server names. */
  readonly resource: string | false | null;
}

const MOST_SCOPES = 64;

/** Rejects with `sign_in_failed` and `aborted`. */
export async function findSignInServer(tools: OAuthTools, discovery: Discovery) {
  const { server, issuer } = discovery;
  const resource = await resourceMetadata(discovery, tools.boundedFetch);
  const named = resource?.issuers ?? [server.origin];
  const wanted = issuer === null ? null : URL.parse(issuer)?.href;
  const chosen = wanted === null ? named[0] : named.find((one) => URL.parse(one)?.href === wanted);
  if (chosen === undefined) {
    const names = named.map(shownAddress).join(", ");
    throw failed(
      "never",
      `the server names ${names} as its authorization server, not the configured one`,
      "if that is right, correct `issuer` in `[backends.NAME.auth]`",
    );
  }
  const metadata = await issuerMetadata(tools, chosen, server);
  if (metadata === null && resource !== null) {
    throw failed("never", `${shownAddress(chosen)} has no metadata of an authorization server`);
  }
  return {
    /** Null: it is left out. */
    resource:
      discovery.resource === false ? null : (discovery.resource ?? resource?.resource ?? resourceOf(server)),
    server: metadata ?? guessedServer(server),
    /** Null: the server lists no scopes. */
    scopesSupported: resource?.scopes ?? null,
    /** There was no metadata: the addresses are the defaults of MCP 2025-03-26. */
    isGuessed: metadata === null,
  };
}

type ResourceFacts = ReturnType<typeof resourceFacts>;

async function resourceMetadata(
  { server, challenge }: Discovery,
  boundedFetch: BoundedFetch,
): Promise<ResourceFacts | null> {
  const given = challenge?.resourceMetadata ?? null;
  const named = given === null ? null : (URL.parse(given, server)?.href ?? given);
  const addresses = named === null ? resourceMetadataAddresses(server) : [named];
  for (const address of addresses) {
    const response = await metadataAt(boundedFetch, address);
    if (response !== null) return resourceFacts(objectOf(parseJson(await response.text())), address, server);
  }
  if (named !== null) throw failed("later", `${shownAddress(named)} has no metadata of the server`);
  return null;
}

function resourceFacts(facts: JsonMembers, address: string, server: URL) {
  const { resource, authorization_servers: servers, scopes_supported: scopes } = facts;
  if (typeof resource !== "string" || !isAboutServer(resource, server)) {
    const subject = typeof resource === "string" ? shownAddress(resource) : "nothing";
    throw failed("never", `${shownAddress(address)} is about ${subject}, and not about this server`);
  }
  const issuers = texts(servers).filter((issuer) => allowedAddress(issuer, server) !== null);
  if (issuers.length === 0) {
    throw failed("never", `${shownAddress(address)} names no authorization server that may be used`);
  }
  return { resource, issuers, scopes: Array.isArray(scopes) ? texts(scopes) : null };
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string").slice(0, MOST_SCOPES) : [];
}

/** Null: there is no metadata. `issuer` must be an allowed address. */
async function issuerMetadata(
  tools: OAuthTools,
  issuer: string,
  server: URL,
): Promise<AuthorizationServer | null> {
  const url = new URL(issuer);
  for (const address of issuerMetadataAddresses(url)) {
    const response = await metadataAt(tools.boundedFetch, address);
    if (response === null) continue;
    const fail = signInFailure(tools, `${shownAddress(address)} cannot be used`);
    return checkedServer(await tools.oauth.processDiscoveryResponse(url, response).catch(fail), server);
  }
  return null;
}

function checkedServer(metadata: AuthorizationServer, server: URL): AuthorizationServer {
  for (const [key, value] of Object.entries(metadata)) {
    if (!key.endsWith("_endpoint") || typeof value !== "string" || allowedAddress(value, server) !== null)
      continue;
    throw failed("never", `${metadata.issuer} names ${shownAddress(value)} as its ${key}: it must be https`);
  }
  return metadata;
}

/** Null: no JSON object is there. Rejects for a server error, which may be temporary. */
async function metadataAt(boundedFetch: BoundedFetch, address: string): Promise<Response | null> {
  const question = { method: "GET", headers: { accept: "application/json" }, follows: "search" } as const;
  const response = await boundedFetch(address, question);
  if (response.status >= 500)
    throw failed("later", `${shownAddress(address)} answers HTTP ${response.status}`);
  if (response.status !== 200) return null;
  const text = await response.text();
  return jsonObject(text) === null ? null : Response.json(jsonObject(text));
}

function guessedServer({ origin }: URL): AuthorizationServer {
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
    code_challenge_methods_supported: ["S256"],
  };
}
