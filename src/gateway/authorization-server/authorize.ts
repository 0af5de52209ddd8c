// Reads a client's request for access: the client, the address that it wants to use, and the address of the answer.
import { type Endpoint, resourceAt } from "../client-sign-in/protected-resource.ts";
import { OAuthError } from "./answer.ts";
import { fetchClient, isDocumentUrl } from "./client-document.ts";
import { type ClientRecord, openClientId } from "./client-record.ts";
import { isRegistered } from "./redirect-uri.ts";
import type { AccessRequest } from "./waiting-requests.ts";

const LONGEST_STATE = 4_096;

interface AuthorizeTools {
  readonly key: Buffer;
  readonly endpoint: Endpoint;
  readonly remote: string | null;
  /** Counts a fetch of a client's document. False: there were too many. */
  readonly mayFetch: () => boolean;
  /** Replaced in tests. */
  readonly fetchClient?: typeof fetchClient | undefined;
  readonly hasGroup: (name: string) => boolean;
}

/** Rejects with an OAuthError. */
export async function readAuthorize(query: URLSearchParams, tools: AuthorizeTools): Promise<AccessRequest> {
  const { endpoint, remote } = tools;
  const client = await clientOf(query.get("client_id") ?? "", tools);
  const [only, ...others] = client.redirectUris;
  const redirectUri = query.get("redirect_uri") ?? (others.length === 0 ? (only ?? "") : "");
  if (!isRegistered(redirectUri, client.redirectUris))
    throw new OAuthError(
      "invalid_request",
      "the program has not registered this address for the answer (redirect_uri)",
    );
  const state = query.get("state");
  const challenge = query.get("code_challenge") ?? "";
  const resource = resourceOf(query.get("resource"), endpoint);
  const rules: readonly (readonly [isMet: boolean, code: string, reason: string])[] = [
    [new Set(query.keys()).size === [...query].length, "invalid_request", "a parameter is there twice"],
    [
      !query.has("request") && !query.has("request_uri"),
      "request_not_supported",
      "request objects are not supported",
    ],
    [
      query.get("response_type") === "code",
      "unsupported_response_type",
      "only response_type=code is supported",
    ],
    [
      (query.get("response_mode") ?? "query") === "query",
      "invalid_request",
      "only response_mode=query is supported",
    ],
    [
      query.get("code_challenge_method") === "S256",
      "invalid_request",
      "the program must prove itself by PKCE with S256",
    ],
    [/^[\w-]{43}$/.test(challenge), "invalid_request", "code_challenge is not a SHA-256 digest"],
    [(state?.length ?? 0) <= LONGEST_STATE, "invalid_request", "state is too long"],
    [
      resource !== null && isServed(resource, tools),
      "invalid_target",
      "this gateway does not serve the address in resource",
    ],
  ];
  for (const [isMet, error, reason] of rules) {
    if (isMet) continue;
    throw new OAuthError(error, reason, 400, answerUri(redirectUri, { error, state, iss: endpoint.base }));
  }
  return { client, redirectUri, state, challenge, resource: resource ?? "", issuer: endpoint.base, remote };
}

/** Whether MCP is served at the address. */
function isServed(resource: string, { endpoint: { mcp }, hasGroup }: AuthorizeTools): boolean {
  return !resource.startsWith(`${mcp}/`) || hasGroup(resource.slice(mcp.length + 1));
}

/** The address that the client wants to use. Without one, it is the address that serves everything. */
export function resourceOf(given: string | null, { mcp, base, path }: Endpoint): string | null {
  const plain = given?.replace(/\/$/, "") ?? mcp;
  if (plain === mcp || plain === base) return mcp;
  const own = plain.startsWith(mcp) ? `/mcp${plain.slice(mcp.length)}` : plain.slice(base.length);
  return plain.startsWith(base) && own !== path ? resourceAt({ mcp, base, path }, own) : null;
}

async function clientOf(id: string, tools: AuthorizeTools): Promise<ClientRecord> {
  if (!isDocumentUrl(id)) {
    const known = openClientId(tools.key, id);
    if (known !== null) return known;
    throw new OAuthError(
      "invalid_client",
      "the program is not known here (client_id): it must register again",
    );
  }
  if (!tools.mayFetch())
    throw new OAuthError("invalid_client", "too many programs were looked up; try again in a minute");
  return (tools.fetchClient ?? fetchClient)(id);
}

/** The address of the answer with its parameters; null values are left out. */
export function answerUri(redirectUri: string, parameters: Readonly<Record<string, string | null>>): string {
  const [address = "", query = ""] = redirectUri.split(/\?(.*)/s);
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== null) given.set(name, value);
  return `${address}?${query === "" ? "" : `${query}&`}${given}`;
}
