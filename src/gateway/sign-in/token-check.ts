// Checks a token's signature with the keys that its issuer has now.

import { hash } from "node:crypto";
import type { JSONWebKeySet, JWTVerifyGetKey } from "jose";
import { dropOldest } from "../../runtime/bounded-map.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
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
  /** Nobody's token can be checked just now. */
  | { readonly kind: "no_keys" };

type Jose = typeof import("jose");

/** Bundled, it is a chunk of its own, which only who signs in so ever loads. */
function loadJose(): Promise<Jose> {
  return import("jose");
}

type KeysOf = (set: KeySet) => Promise<JWTVerifyGetKey>;

interface TokenCheckOptions {
  readonly ring: KeyRing;
  readonly expected: ExpectedOfToken;
  readonly wallMs: () => number;
}

/** Rejects for mistakes of ours alone. The library is loaded with the first token that could be valid. */
export function createTokenCheck({ ring, expected, wallMs }: TokenCheckOptions) {
  const keysOf = createKeySelection();
  return async (token: string): Promise<Checked> => {
    const parts = readToken(token);
    if (parts === null) return { kind: "refused", reason: REFUSED.unreadable };
    const refusal = refusalOf(parts, expected, wallMs());
    if (refusal !== null) return { kind: "refused", reason: refusal };
    const set = await ring.ready();
    if (set === null) return { kind: "no_keys" };
    const first = await checkWith(set, token, keysOf);
    const isOtherKey = first === REFUSED.key || (first === REFUSED.signature && parts.keyId === null);
    if (first === null) return { kind: "valid", parts, set };
    if (!isOtherKey) return { kind: "refused", reason: first };
    const newer = await ring.newerThan(set);
    if (newer === null) return { kind: "refused", reason: first };
    const second = await checkWith(newer, token, keysOf);
    return second === null ? { kind: "valid", parts, set: newer } : { kind: "refused", reason: second };
  };

  /** Null: the signature is right. */
  async function checkWith(set: KeySet, token: string, keys: KeysOf): Promise<RefusedReason | null> {
    const jose = await loadJose();
    const options = {
      algorithms: [...expected.algorithms],
      currentDate: new Date(wallMs()),
      clockTolerance: expected.leewayMs / 1000,
    };
    try {
      await jose.jwtVerify(token, await keys(set), options);
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
  if (error instanceof errors.JWTExpired) return REFUSED.expired;
  if (error instanceof errors.JOSEAlgNotAllowed) return REFUSED.algorithm;
  if (error instanceof errors.JOSEError || error instanceof TypeError) return REFUSED.unreadable;
  throw error;
}

/** A set's keys are imported once. */
function createKeySelection(): KeysOf {
  let known: { readonly set: KeySet; readonly select: JWTVerifyGetKey } | null = null;
  return async (set) => {
    if (known?.set === set) return known.select;
    const { createLocalJWKSet } = await loadJose();
    // One key without a name, as of a PEM file, is for tokens of whatever name.
    const isNameless = set.keys.length === 1 && set.keys[0]?.["kid"] === undefined;
    const local = createLocalJWKSet(jwksOf(set));
    const select: JWTVerifyGetKey = isNameless
      ? ({ kid: _, ...header }, token) => local(header, token)
      : (header, token) => local(header, token);
    known = { set, select };
    return select;
  };
}

function jwksOf({ keys }: KeySet): JSONWebKeySet {
  const jwks: unknown = { keys };
  if (!isJwks(jwks)) throw new TypeError("a key has no type");
  return jwks;
}

function isJwks(value: unknown): value is JSONWebKeySet {
  const keys = objectOf(value)["keys"];
  return Array.isArray(keys) && keys.every((key) => typeof objectOf(key)["kty"] === "string");
}

// Tokens that were checked already, by their digest, until they expire: the second request with one costs a hash.

/** More principals than that at once make the oldest be checked again. */
const MOST_TOKENS = 4_096;

interface Remembered {
  readonly answer: Authentication;
  readonly expiresAtMs: number;
}

export class TokenMemory {
  readonly #byDigest = new Map<string, Remembered>();

  get size(): number {
    return this.#byDigest.size;
  }

  /** Null: not known, or expired by now. */
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
