// A token's claims, before and after its signature is checked: principal, roles, and the reason of a refusal. Pure.
import type { SignedTokensConfig } from "../../config/snapshot.ts";
import { isObject, type JsonMembers, jsonObject } from "../../runtime/text/json-object.ts";
import { printable } from "../../runtime/text/plain-text.ts";
import type { Principal } from "../client-handle.ts";

const LONGEST_NAME = 200;
const MOST_ROLES = 500;
const LONGEST_ROLE = 256;
const SCOPE_ROLE = "scope:";
/** Matches a scope of RFC 6749. All its characters may be used in a header. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;

/** The texts of refusals: a fixed set, since they are counted, logged and sent to the client. */
export const REFUSED = {
  unreadable: "the bearer token is not accepted",
  algorithm: "the token's signature algorithm is not accepted",
  issuer: "the token has the wrong issuer",
  audience: "the token is for another audience",
  expired: "the token has expired",
  early: "the token is not valid yet",
  noExpiry: "the token does not say when it expires",
  noSubject: "the token does not name a user",
  bound: "the token is bound to a key, and the request does not prove it",
  claim: "the token lacks a claim that is needed here",
  scope: "the token lacks a scope that is needed here",
  key: "the token's key does not belong to its issuer",
  signature: "the token's signature is wrong",
} as const;

export type RefusedReason = (typeof REFUSED)[keyof typeof REFUSED];

/** The parts of a token that can be read without a key. */
export interface TokenParts {
  readonly algorithm: string;
  readonly keyId: string | null;
  readonly claims: JsonMembers;
}

/** Null: not a signed token in compact form. */
export function readToken(token: string): TokenParts | null {
  const [head, body, signature, ...more] = token.split(".");
  if (head === undefined || body === undefined || signature === undefined || more.length > 0) return null;
  const header = part(head);
  const claims = part(body);
  if (header === null || claims === null || typeof header["alg"] !== "string") return null;
  return {
    algorithm: header["alg"],
    keyId: typeof header["kid"] === "string" ? header["kid"] : null,
    claims,
  };
}

function part(text: string): JsonMembers | null {
  return /^[\w-]+$/.test(text) ? jsonObject(Buffer.from(text, "base64url").toString("utf8")) : null;
}

export interface ExpectedOfToken
  extends Pick<SignedTokensConfig, "issuer" | "algorithms" | "leewayMs" | "requiredClaims"> {
  readonly audience: readonly string[];
}

/** Why the token is refused, even with a valid signature; null: the signature decides. */
export function refusalOf(
  { algorithm, claims }: TokenParts,
  { issuer, algorithms, audience, leewayMs, requiredClaims }: ExpectedOfToken,
  wallMs: number,
): RefusedReason | null {
  if (!algorithms.includes(algorithm)) return REFUSED.algorithm;
  if (claims["iss"] !== issuer) return REFUSED.issuer;
  if (!textsOf(claims["aud"]).some((one) => audience.includes(one))) return REFUSED.audience;
  const expiresAtMs = secondsAsMs(claims["exp"]);
  if (expiresAtMs === null) return REFUSED.noExpiry;
  if (expiresAtMs + leewayMs <= wallMs) return REFUSED.expired;
  const { nbf } = claims;
  if (nbf !== undefined && (secondsAsMs(nbf) ?? Number.POSITIVE_INFINITY) - leewayMs > wallMs)
    return REFUSED.early;
  if (subjectOf(claims) === null) return REFUSED.noSubject;
  if (claims["cnf"] !== undefined) return REFUSED.bound;
  const lacks = Object.entries(requiredClaims).some(
    ([name, values]) => !isOneOf(claimAt(claims, name), values),
  );
  return lacks ? REFUSED.claim : null;
}

/** Returns milliseconds since the epoch; null if `value` is not a time. */
export function secondsAsMs(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value * 1000 : null;
}

/**
 * Whom the token stands for: the person to whom the issuer gave it, else the program; null: the token names
 * neither.
 */
function subjectOf({ sub, client_id: client, azp }: JsonMembers): string | null {
  if (typeof sub === "string" && sub !== "") return sub;
  for (const id of [client, azp]) if (typeof id === "string" && id !== "") return `client ${id}`;
  return null;
}

function isOneOf(claim: unknown, values: readonly string[]): boolean {
  if (claim === undefined || claim === null) return false;
  if (values.includes("*")) return true;
  const own = Array.isArray(claim) ? claim : [claim];
  return own.some((one) => typeof one !== "object" && values.includes(String(one)));
}

/**
 * Returns the claim whose name is the whole path. If there is none, the path is split at its dots and leads to a
 * nested claim.
 */
function claimAt(claims: JsonMembers, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const name of path.split(".")) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** The texts of a claim that is a text or a list of texts. */
function textsOf(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

/** The scopes in `scope` and `scp`: each a text, or a list of texts, with scopes separated by spaces. */
export function scopesOf({ scope, scp }: JsonMembers): readonly string[] {
  const scopes = [...textsOf(scope), ...textsOf(scp)].flatMap((text) => text.split(" "));
  return [...new Set(scopes.filter((one) => SCOPE.test(one)))];
}

/**
 * Returns the principal of a checked token. The roles are one for each scope, the roles that the configuration gives
 * for the scopes, and the roles in the roles claim.
 */
export function principalOf(
  claims: JsonMembers,
  { rolesClaim, nameClaim, scopes }: Pick<SignedTokensConfig, "rolesClaim" | "nameClaim" | "scopes">,
): Principal {
  const subject = subjectOf(claims) ?? "";
  const roles = new Set(rolesOfScopes(scopesOf(claims), scopes));
  for (const role of rolesClaim === null ? [] : textsOf(claimAt(claims, rolesClaim))) {
    // The roles claim must not grant scopes.
    if (!role.startsWith(SCOPE_ROLE)) roles.add(role);
  }
  const named = nameClaim === null ? null : claimAt(claims, nameClaim);
  const name = typeof named === "string" && named !== "" ? named : subject;
  return {
    kind: "user",
    id: JSON.stringify([claims["iss"], subject]),
    subject,
    name: printable(name.slice(0, LONGEST_NAME)),
    roles: [...roles].filter((role) => role.length <= LONGEST_ROLE).slice(0, MOST_ROLES),
  };
}

/** `scope:NAME` for each scope, and the roles that the configuration gives for it. */
export function rolesOfScopes(names: readonly string[], given: Readonly<Record<string, readonly string[]>>) {
  return names.flatMap((name) => [
    `${SCOPE_ROLE}${name}`,
    ...(Object.hasOwn(given, name) ? (given[name] ?? []) : []),
  ]);
}
