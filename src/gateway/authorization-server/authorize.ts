// Reads a client's request for access: the client, the address that it wants to use, and the address of the answer.
import { type Endpoint, resourceAt } from "../client-sign-in/protected-resource.ts";
import { fetchClient, isDocumentUrl } from "./client-document.ts";
import { type ClientRecord, openClientId } from "./client-record.ts";
import { isRegistered } from "./redirect-uri.ts";
import type { AccessRequest } from "./waiting-requests.ts";

const LONGEST_STATE = 4_096;

type Reading =
  | { readonly ok: true; readonly request: AccessRequest }
  /** `back`: the client's own address, with the error; null: the client or its address is not known. */
  | { readonly ok: false; readonly reason: string; readonly back: string | null };

export interface AuthorizeTools {
  readonly key: Buffer;
  readonly endpoint: Endpoint;
  readonly remote: string | null;
  /** Counts a fetch of a client's document. False: there were too many. */
  readonly mayFetch: () => boolean;
  readonly fetchClient?: typeof fetchClient;
  /** Whether MCP is served at the address. */
  readonly isServed: (resource: string) => boolean;
}

export async function readAuthorize(query: URLSearchParams, tools: AuthorizeTools): Promise<Reading> {
  const repeated = [...new Set(query.keys())].find((name) => query.getAll(name).length > 1);
  if (repeated !== undefined) return refused(`the parameter ${repeated} is there twice`);
  const client = await clientOf(query.get("client_id") ?? "", tools);
  if (typeof client === "string") return refused(client);
  const [only, ...others] = client.redirectUris;
  const redirectUri = query.get("redirect_uri") ?? (others.length === 0 ? (only ?? "") : "");
  if (!isRegistered(redirectUri, client.redirectUris))
    return refused("the address for the answer (redirect_uri) is not one that the program registered");
  const state = query.get("state");
  const challenge = query.get("code_challenge") ?? "";
  const resource = resourceOf(query.get("resource"), tools.endpoint);
  const fault = faultIn(query, challenge, state);
  const { base: issuer } = tools.endpoint;
  const back = (error: string): string => answerUri(redirectUri, { error, state, iss: issuer });
  if (fault !== null) return refused(fault.reason, back(fault.error));
  if (resource === null || !tools.isServed(resource))
    return refused(
      "it wants a token for another address (resource) than this gateway's",
      back("invalid_target"),
    );
  const { remote } = tools;
  return { ok: true, request: { client, redirectUri, state, challenge, resource, issuer, remote } };
}

function faultIn(query: URLSearchParams, challenge: string, state: string | null) {
  const fault = (error: string, reason: string) => ({ error, reason });
  if (query.has("request") || query.has("request_uri"))
    return fault("request_not_supported", "request objects are not supported");
  if (query.get("response_type") !== "code")
    return fault("unsupported_response_type", "only response_type=code is supported");
  if ((query.get("response_mode") ?? "query") !== "query")
    return fault("invalid_request", "only response_mode=query is supported");
  if (query.get("code_challenge_method") !== "S256" || !/^[\w-]{43}$/.test(challenge))
    return fault("invalid_request", "the program must prove itself by PKCE with S256");
  if (state !== null && state.length > LONGEST_STATE) return fault("invalid_request", "state is too long");
  return null;
}

/** The address that the client wants to use. Without one, it is the address that serves everything. */
export function resourceOf(given: string | null, { mcp, base, path }: Endpoint): string | null {
  if (given === null) return mcp;
  const plain = given.replace(/\/$/, "");
  if (plain === mcp || plain === base) return mcp;
  const own = plain.startsWith(mcp) ? `/mcp${plain.slice(mcp.length)}` : plain.slice(base.length);
  return plain.startsWith(base) && own !== path ? resourceAt({ mcp, base, path }, own) : null;
}

async function clientOf(id: string, tools: AuthorizeTools): Promise<ClientRecord | string> {
  if (id === "") return "the program does not say who it is (client_id)";
  if (!isDocumentUrl(id))
    return openClientId(tools.key, id) ?? "the program is not known here (client_id): it must register again";
  if (!tools.mayFetch()) return "too many programs were looked up; try again in a minute";
  const fetched = await (tools.fetchClient ?? fetchClient)(id);
  return typeof fetched === "string" ? `the program is not known here: ${fetched}` : fetched;
}

/** The address of the answer with its parameters; null values are left out. */
export function answerUri(redirectUri: string, parameters: Readonly<Record<string, string | null>>): string {
  const [address = "", query] = redirectUri.split(/\?(.*)/s);
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== null) given.set(name, value);
  return `${address}?${query === undefined || query === "" ? "" : `${query}&`}${given}`;
}

function refused(reason: string, back: string | null = null): Reading {
  return { ok: false, reason, back };
}
