// Checks a token's signature with its issuer's current keys.

import { hash } from "node:crypto";
import type { JWK, JWTVerifyGetKey } from "jose";
import { dropOldest } from "../../runtime/bounded-map.ts";
import { memoized } from "../../runtime/memo.ts";
import type { JsonMembers } from "../../runtime/text/json-object.ts";
import type { KeySet } from "../middleware/incoming-auth.ts";
import type { Authentication } from "../middleware/middleware.ts";
import type { KeyRing } from "./key-ring.ts";
import {
  type ExpectedOfToken,
  REFUSED,
  type RefusedReason,
  readToken,
  refusalOf,
  type TokenParts,
} from "./token-claims.ts";

export type Checked =
  | { readonly kind: "valid"; readonly parts: TokenParts; readonly set: KeySet }
  | { readonly kind: "refused"; readonly reason: RefusedReason }
  /** There are no usable keys now. */
  | { readonly kind: "no_keys" };

interface TokenCheckOptions {
  readonly ring: KeyRing;
  readonly wallMs: () => number;
}

/**
 * Returns a function that checks a token and rejects for internal errors only. The library is loaded for the
 * first token that could be valid.
 */
export function createTokenCheck({ ring, wallMs }: TokenCheckOptions) {
  return async (token: string, expected: ExpectedOfToken): Promise<Checked> => {
    const parts = readToken(token);
    if (parts === null) return { kind: "refused", reason: REFUSED.unreadable };
    const refusal = refusalOf(parts, expected, wallMs());
    if (refusal !== null) return { kind: "refused", reason: refusal };
    const set = await ring.ready();
    if (set === null) return { kind: "no_keys" };
    const first = await checkWith(set, token, expected);
    const isOtherKey = first === REFUSED.key || (first === REFUSED.signature && parts.keyId === null);
    if (first === null) return { kind: "valid", parts, set };
    if (!isOtherKey) return { kind: "refused", reason: first };
    const newer = await ring.newerThan(set);
    if (newer === null) return { kind: "refused", reason: first };
    const second = await checkWith(newer, token, expected);
    return second === null ? { kind: "valid", parts, set: newer } : { kind: "refused", reason: second };
  };

  /** Resolves with null if the signature is valid. */
  async function checkWith(
    set: KeySet,
    token: string,
    expected: ExpectedOfToken,
  ): Promise<RefusedReason | null> {
    // The bundle has the library as a separate chunk, so only gateways with signed tokens load it.
    const jose = await import("jose");
    const options = {
      algorithms: [...expected.algorithms],
      currentDate: new Date(wallMs()),
      clockTolerance: expected.leewayMs / 1000,
    };
    try {
      await jose.jwtVerify(token, keySelection(jose)(set), options);
      return null;
    } catch (error) {
      if (error instanceof jose.errors.JWKSMultipleMatchingKeys) {
        for await (const key of error) {
          try {
            await jose.jwtVerify(token, key, options);
            return null;
          } catch (failure) {
            if (!(failure instanceof jose.errors.JOSEError)) throw failure;
          }
        }
        return REFUSED.signature;
      }
      return refusedFor(error, jose);
    }
  }
}

function refusedFor(error: unknown, { errors }: Jose): RefusedReason {
  if (error instanceof errors.JWKSNoMatchingKey) return REFUSED.key;
  if (error instanceof errors.JWSSignatureVerificationFailed) return REFUSED.signature;
  if (error instanceof errors.JOSEError || error instanceof TypeError) return REFUSED.unreadable;
  throw error;
}

type Jose = typeof import("jose");

/**
 * Selects the key for a token. Memoized for each key set, because a new selection would import all keys
 * again.
 */
const keySelection = memoized(({ createLocalJWKSet }: Jose) =>
  memoized(({ keys }: KeySet): JWTVerifyGetKey => {
    const local = createLocalJWKSet({ keys: keys.filter(hasType) });
    // A single key without an id, as from a PEM file, checks all tokens, whatever key id they name.
    const isForAll = keys.length === 1 && keys[0]?.["kid"] === undefined;
    return ({ kid, ...header }, token) => local(isForAll ? header : { kid, ...header }, token);
  }),
);

function hasType(key: JsonMembers): key is JsonMembers & JWK {
  return typeof key["kty"] === "string";
}

// Checked tokens, by digest, until they expire: the next request with the same token takes one hash.

/** Maximum number of remembered tokens; if more are in use at once, the oldest are checked again. */
const MOST_TOKENS = 4_096;

interface Remembered {
  readonly answer: Authentication;
  readonly expiresAtMs: number;
}

export class TokenMemory {
  readonly #byDigest = new Map<string, Remembered>();

  /** Null: not remembered, or expired. */
  find(digest: string, wallMs: number): Authentication | null {
    const found = this.#byDigest.get(digest);
    if (found === undefined) return null;
    this.#byDigest.delete(digest);
    if (found.expiresAtMs <= wallMs) return null;
    this.#byDigest.set(digest, found);
    return found.answer;
  }

  remember(digest: string, answer: Authentication, expiresAtMs: number): void {
    this.#byDigest.delete(digest);
    this.#byDigest.set(digest, { answer, expiresAtMs });
    dropOldest(this.#byDigest, MOST_TOKENS);
  }

  clear(): void {
    this.#byDigest.clear();
  }
}

export function tokenDigest(token: string): string {
  return hash("sha256", token, "base64url");
}
