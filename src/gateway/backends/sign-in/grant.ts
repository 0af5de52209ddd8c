// What is kept of one sign-in: the tokens, whom they are for, and who renews them.
import { type JsonMembers, jsonObject } from "../../../runtime/text/json-object.ts";
import type { ClientIdentity } from "./client.ts";

export interface Grant {
  /** The backend's address as it was configured then: for no other are the tokens. */
  readonly serverUrl: string;
  readonly resource: string;
  readonly issuer: string;
  readonly tokenEndpoint: string;
  /** Null: the server revokes no tokens. */
  readonly revocationEndpoint: string | null;
  readonly client: ClientIdentity;
  /** Of a registered client: what it was registered with. */
  readonly redirectUri: string | null;
  /** As they were asked for; null: none were named. */
  readonly scopes: readonly string[] | null;
  readonly accessToken: string;
  /** Wall ms; null: the server does not say. */
  readonly expiresAtMs: number | null;
  readonly refreshToken: string | null;
  /** Wall ms. */
  readonly obtainedAtMs: number;
  /** Wall ms at which a renewal was begun whose outcome is not known; null: none is open. */
  readonly renewingSinceMs: number | null;
  /** Why a person has to sign in again; null: nobody has to. */
  readonly ended: string | null;
}

/** A token that is about to expire would not outlive the request. */
const LEAST_LEFT = { ms: 5_000, part: 0.1 };

/** Whether a token can still be used; times are wall ms, `expiresAtMs` null where the server does not say. */
export function isUsable(
  { obtainedAtMs, expiresAtMs }: Pick<Grant, "obtainedAtMs" | "expiresAtMs">,
  wallMs: number,
): boolean {
  if (expiresAtMs === null) return true;
  const leastMs = Math.min(LEAST_LEFT.ms, (expiresAtMs - obtainedAtMs) * LEAST_LEFT.part);
  return wallMs < expiresAtMs - leastMs;
}

const VERSION = 1;

export function grantText(grant: Grant): string {
  return JSON.stringify({ version: VERSION, ...grant });
}

/** Null: it is no grant that this version knows. */
export function parseGrant(text: string): Grant | null {
  const found = jsonObject(text);
  if (found === null || found["version"] !== VERSION) return null;
  const client = parseClient(found["client"]);
  const texts = textMembers(found, ["serverUrl", "resource", "issuer", "tokenEndpoint", "accessToken"]);
  const { scopes, obtainedAtMs } = found;
  if (client === null || texts === null || typeof obtainedAtMs !== "number") return null;
  return {
    ...texts,
    client,
    obtainedAtMs,
    scopes: Array.isArray(scopes) ? scopes.filter((one) => typeof one === "string") : null,
    revocationEndpoint: textOrNull(found["revocationEndpoint"]),
    redirectUri: textOrNull(found["redirectUri"]),
    refreshToken: textOrNull(found["refreshToken"]),
    ended: textOrNull(found["ended"]),
    expiresAtMs: numberOrNull(found["expiresAtMs"]),
    renewingSinceMs: numberOrNull(found["renewingSinceMs"]),
  };
}

function parseClient(value: unknown): ClientIdentity | null {
  const { source, id, method, secret, secretEndsAtMs } = Object(value) as JsonMembers;
  if (source !== "configured" && source !== "document" && source !== "registered") return null;
  if (method !== "none" && method !== "client_secret_basic" && method !== "client_secret_post") return null;
  if (typeof id !== "string") return null;
  return { source, id, method, secret: textOrNull(secret), secretEndsAtMs: numberOrNull(secretEndsAtMs) };
}

function textMembers<const Keys extends readonly string[]>(
  found: JsonMembers,
  keys: Keys,
): { readonly [Key in Keys[number]]: string } | null {
  const entries = keys.map((key) => [key, found[key]] as const);
  if (!entries.every(([, value]) => typeof value === "string")) return null;
  return Object.fromEntries(entries) as { [Key in Keys[number]]: string };
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
