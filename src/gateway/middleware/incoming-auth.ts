// Authentication of requests: everybody is anonymous, or a configured user by the token in the headers.
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { AuthUser } from "../../config/snapshot.ts";
import { referenceKey, resolveReference } from "../../secrets/reference.ts";
import { ANONYMOUS, needsNoToken, type Principal } from "../client-port.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { Authentication, ProtectedResource } from "./middleware.ts";

export interface Authenticator extends Disposable {
  /** Never rejects. */
  authenticate(headers: IncomingHttpHeaders): Authentication | Promise<Authentication>;
  /** The same person under this configuration; null: not let in by what they came with. */
  refresh(principal: Principal): Principal | null;
  /** Its token was taken back: it lets in nobody any more. Never of who came without one, or whose token has expired. */
  isWithdrawn(principal: Principal): boolean;
  /** References that should give a token and give none, or an empty one: their users cannot come in. */
  readonly missing: readonly string[];
  /** null: tokens come from the configuration alone. */
  readonly signed: SignedTokens | null;
}

/** Tokens that an authorization server signs, as far as others ask. */
interface SignedTokens {
  readonly resource: ProtectedResource;
  readonly keys: KeyState;
  /** For whoever takes over with another configuration: an edit needs no issuer that answers. */
  readonly lastKeys: LastKeys | null;
  /** The scopes that a principal's token has; null: it came with none of these. */
  scopesOf(principal: Principal): readonly string[] | null;
}

/** Keys as they were read last. */
export interface LastKeys {
  /** Equal for the same issuer and the same place of its keys. */
  readonly from: string;
  readonly set: KeySet;
  readonly readAtMs: number;
}

/** One set; a set with the same keys is the same object. */
export interface KeySet {
  readonly keys: readonly JsonObject[];
}

/** The keys that tokens are checked with. */
export type KeyState =
  | { readonly kind: "good" | "reading" }
  /** Those of before are used until they are too old. */
  | { readonly kind: "aging"; readonly reason: string; readonly sinceMs: number }
  /** Nobody's token can be checked. */
  | { readonly kind: "none"; readonly reason: string; readonly sinceMs: number };

/** Users with tokens of the configuration. */
export interface LocalUsers extends Pick<Authenticator, "refresh" | "isWithdrawn" | "missing"> {
  /** Null: it is nobody's. */
  byToken(token: Buffer): Principal | null;
}

const WELCOME: Authentication = { ok: true, principal: ANONYMOUS };

export const ANYBODY: Authenticator = {
  authenticate: () => WELCOME,
  refresh: (principal) => (needsNoToken(principal) ? principal : ANONYMOUS),
  isWithdrawn: () => false,
  missing: [],
  signed: null,
  [Symbol.dispose]() {},
};

/** Which token each principal came with, for as long as anybody goes by that principal. */
export class TokensUsed {
  readonly #key = randomBytes(32);
  readonly #digests = new WeakMap<Principal, Buffer>();

  /** Digests of one length compare in constant time, and after random bytes they reveal nothing. */
  digestOf(token: Buffer): Buffer {
    return hash("sha256", Buffer.concat([this.#key, token]), "buffer");
  }

  note(principal: Principal, digest: Buffer): void {
    this.#digests.set(principal, digest);
  }

  /** Null: it came to another daemon. */
  by(principal: Principal): Buffer | null {
    return this.#digests.get(principal) ?? null;
  }
}

interface KnownUser {
  readonly digest: Buffer;
  readonly principal: Principal;
}

/** `redact` gets each token, so that no log line ever shows one. `used` is one and the same for all configurations. */
export function readLocalUsers(
  users: readonly AuthUser[],
  environment: Readonly<Record<string, string | undefined>>,
  redact: (secret: string) => void,
  used: TokensUsed,
): LocalUsers {
  const known: KnownUser[] = [];
  const byName = new Map<string, Principal>();
  const missing = new Set<string>();
  for (const { name, token, roles } of users) {
    const secret = resolveReference(token, environment);
    if (!secret.ok || secret.value === "") {
      missing.add(referenceKey(token));
      continue;
    }
    redact(secret.value);
    const principal: Principal = { kind: "user", name, roles };
    const digest = used.digestOf(Buffer.from(secret.value, "utf8"));
    used.note(principal, digest);
    known.push({ digest, principal });
    if (!byName.has(name)) byName.set(name, principal);
  }
  const byDigest = (digest: Buffer): Principal | null => {
    let found: Principal | null = null;
    // All of them, so that the time tells nothing about which it was; of two users with one token the first counts.
    for (const user of known) {
      if (timingSafeEqual(user.digest, digest)) found ??= user.principal;
    }
    return found;
  };
  /** Whose the token is by now that it came with. */
  const holderNow = (principal: Principal): Principal | null => {
    const digest = used.by(principal);
    return digest === null ? (byName.get(principal.name) ?? null) : byDigest(digest);
  };
  return {
    byToken: (token) => byDigest(used.digestOf(token)),
    refresh(principal) {
      const now = holderNow(principal);
      return now?.name === principal.name ? now : null;
    },
    isWithdrawn: (principal) => holderNow(principal) === null,
    missing: [...missing],
  };
}

export const NO_TOKEN = "a bearer token is required";
const UNKNOWN_TOKEN = "the bearer token is not accepted";

/** Lets in who has a token of the configuration, and nobody else. */
export function authenticateUsers(users: LocalUsers): Authenticator {
  return {
    authenticate(headers) {
      const token = bearerToken(headers.authorization);
      if (token === null) return { ok: false, reason: NO_TOKEN };
      const principal = users.byToken(token);
      return principal === null ? { ok: false, reason: UNKNOWN_TOKEN } : { ok: true, principal };
    },
    refresh(principal) {
      if (needsNoToken(principal)) return principal;
      return isLocal(principal) ? users.refresh(principal) : null;
    },
    isWithdrawn: (principal) =>
      principal.kind === "user" && (!isLocal(principal) || users.isWithdrawn(principal)),
    missing: users.missing,
    signed: null,
    [Symbol.dispose]() {},
  };
}

/** It came with a token of the configuration. */
export function isLocal({ kind, id }: Principal): boolean {
  return kind === "user" && id === undefined;
}

/** The bytes of the token as they came: a header is read as Latin-1, whatever was meant. */
export function bearerToken(header: string | undefined): Buffer | null {
  const token = header === undefined ? undefined : /^Bearer +(\S(?:.*\S)?) *$/i.exec(header)?.[1];
  return token === undefined || hasWideUnit(token) ? null : Buffer.from(token, "latin1");
}

function hasWideUnit(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0xff) return true;
  return false;
}
