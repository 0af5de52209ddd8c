// The record of a client. A registration is not stored: its `client_id` is the signed record.
import { isObject, type JsonMembers } from "../../runtime/text/json-object.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { openSigned, signText } from "../signed-text.ts";
import { OAuthError } from "./answer.ts";
import { isRedirectUri } from "./redirect-uri.ts";

const LONGEST_NAME = 80;
const MOST_REDIRECTS = 10;
/** Ids are in addresses, which proxies limit. */
const LONGEST_ID = 3_000;
const PURPOSE = ["client"];

export interface ClientRecord {
  readonly id: string;
  /** Chosen by the client. */
  readonly name: string;
  readonly redirectUris: readonly string[];
  /** The host that publishes the client's document; null: the client registered itself. */
  readonly publishedBy: string | null;
}

/**
 * Reads a client's metadata. Grant types and methods that the gateway does not offer are left out, not refused: clients list all
 * that they support. Throws an OAuthError.
 */
export function readMetadata(body: unknown): Pick<ClientRecord, "name" | "redirectUris"> {
  if (!isObject(body)) throw new OAuthError("invalid_client_metadata", "the body is not a JSON object");
  const { redirect_uris: uris, grant_types: grants, response_types: responses, client_name: given } = body;
  if (
    !Array.isArray(uris) ||
    uris.length === 0 ||
    uris.length > MOST_REDIRECTS ||
    !uris.every(isRedirectUri)
  ) {
    const reason = `redirect_uris are 1 to ${MOST_REDIRECTS}: https, http on a loopback address, or the client's own scheme`;
    throw new OAuthError("invalid_redirect_uri", reason);
  }
  const lacks = (list: unknown, needed: string): boolean => Array.isArray(list) && !list.includes(needed);
  if (lacks(grants, "authorization_code") || lacks(responses, "code"))
    throw new OAuthError("invalid_client_metadata", "only the authorization code flow is offered");
  const name = printable(typeof given === "string" ? given.trim().slice(0, LONGEST_NAME) : "");
  return { name: name === "" ? "a program without a name" : name, redirectUris: uris };
}

/** The answer to a registration. Every client becomes a public client. Throws an OAuthError. */
export function registeredClient(key: Buffer, body: unknown, nowMs: number): JsonMembers {
  const { name, redirectUris } = readMetadata(body);
  const id = signText(key, [name, redirectUris, nowMs], PURPOSE);
  if (id.length > LONGEST_ID) throw new OAuthError("invalid_redirect_uri", "the redirect_uris are too long");
  return {
    client_id: id,
    client_id_issued_at: Math.floor(nowMs / 1_000),
    client_name: name,
    redirect_uris: redirectUris,
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
}

/** null: this home did not issue the id. */
export function openClientId(key: Buffer, id: string): ClientRecord | null {
  const value = id.length > LONGEST_ID ? undefined : openSigned(key, id, PURPOSE);
  if (!Array.isArray(value)) return null;
  // The signature proves that `registeredClient` wrote the value.
  const [name, redirectUris] = value as [string, readonly string[]];
  return { id, name, redirectUris, publishedBy: null };
}
