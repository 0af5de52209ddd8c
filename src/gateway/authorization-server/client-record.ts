// The record of a client. A registration is not stored: its `client_id` is the signed record.
import { isObject, type JsonMembers } from "../../runtime/text/json-object.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import { openSigned, signText } from "../signed-text.ts";
import { isRedirectUri } from "./redirect-uri.ts";

const LONGEST_NAME = 80;
const MOST_REDIRECTS = 10;
/** Ids are in addresses, which proxies limit. */
const LONGEST_ID = 3_000;
const PURPOSE = "client";

export interface ClientRecord {
  readonly id: string;
  /** Chosen by the client. */
  readonly name: string;
  readonly redirectUris: readonly string[];
  /** The host that publishes the client's document; null: the client registered itself. */
  readonly publishedBy: string | null;
}

type Reading =
  | { readonly ok: true; readonly name: string; readonly redirectUris: readonly string[] }
  | { readonly ok: false; readonly error: string; readonly reason: string };

/**
 * Reads a client's metadata. Grant types and methods that the gateway does not offer are left out, not refused: clients list all
 * that they support.
 */
export function readMetadata(body: unknown): Reading {
  if (!isObject(body)) return refused("invalid_client_metadata", "the body is not a JSON object");
  const uris = body["redirect_uris"];
  if (!Array.isArray(uris) || uris.length === 0)
    return refused("invalid_redirect_uri", "redirect_uris is missing");
  if (uris.length > MOST_REDIRECTS)
    return refused("invalid_redirect_uri", `at most ${MOST_REDIRECTS} redirect_uris`);
  if (!uris.every(isRedirectUri)) {
    const reason =
      "each of redirect_uris is https, http on a loopback address, or the client's own scheme; without #";
    return refused("invalid_redirect_uri", reason);
  }
  const { grant_types: grants, response_types: responses } = body;
  const lacks = (given: unknown, needed: string): boolean => Array.isArray(given) && !given.includes(needed);
  if (lacks(grants, "authorization_code") || lacks(responses, "code"))
    return refused("invalid_client_metadata", "only the authorization code flow is offered");
  const { client_name: given } = body;
  const name = printable(typeof given === "string" ? given.trim().slice(0, LONGEST_NAME) : "");
  return { ok: true, name: name === "" ? "a program without a name" : name, redirectUris: uris };
}

/** The answer to a registration. Every client becomes a public client. */
export function registeredClient(key: Buffer, body: unknown, nowMs: number): Reading | JsonMembers {
  const read = readMetadata(body);
  if (!read.ok) return read;
  const { name, redirectUris } = read;
  const id = signText(key, [name, redirectUris, nowMs], [PURPOSE]);
  if (id.length > LONGEST_ID) return refused("invalid_redirect_uri", "the redirect_uris are too long");
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
  if (id.length > LONGEST_ID) return null;
  const value = openSigned(key, id, [PURPOSE]);
  if (!Array.isArray(value)) return null;
  const [name, redirectUris] = value;
  if (typeof name !== "string" || !Array.isArray(redirectUris) || !redirectUris.every(isRedirectUri))
    return null;
  return { id, name, redirectUris, publishedBy: null };
}

function refused(error: string, reason: string): Reading {
  return { ok: false, error, reason };
}
