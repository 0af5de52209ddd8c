// Authentication of requests: all clients are anonymous, or each is the configured user of its bearer token.
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { AuthUser } from "../../config/snapshot.ts";
import { referenceKey, resolveReference } from "../../secrets/reference.ts";
import { ANONYMOUS, needsNoToken, type Principal } from "../client-handle.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { Authentication, ProtectedResource } from "./middleware.ts";

export interface Authenticator extends Disposable {
  /** Never rejects. */
  authenticate(headers: IncomingHttpHeaders): Authentication | Promise<Authentication>;
  /**
   * The principal as this configuration defines it; null if the configuration no longer accepts the
   * principal's token.
   */
  refresh(principal: Principal): Principal | null;
  /**
   * True if the principal's token no longer authenticates anyone. False for a principal without a token, or with an
   * expired one.
   */
  isWithdrawn(principal: Principal): boolean;
  /** References to tokens whose value is not set or is empty. Users with these tokens cannot authenticate. */
  readonly missing: readonly string[];
  /** null: only tokens in the configuration are valid. */
  readonly signed: SignedTokens | null;
}

interface SignedTokens {
  readonly resource: ProtectedResource;
  readonly keys: KeyState;
  /**
   * The last keys of the issuer. The authenticator of the next configuration begins with them, so that an
   * edit also works while the issuer does not answer.
   */
  readonly lastKeys: LastKeys | null;
  /** The scopes of the principal's token; null: it has no signed token. */
  scopesOf(principal: Principal): readonly string[] | null;
}

/** The issuer's keys when they were last read. */
export interface LastKeys {
  /** Identifies the issuer and the place of its keys: equal only if both are the same. */
  readonly from: string;
  readonly set: KeySet;
  readonly readAtMs: number;
}

/** An issuer's keys. Reading the same keys again does not create a new object. */
export interface KeySet {
  readonly keys: readonly JsonObject[];
}

/** Whether the keys that check tokens are known. */
export type KeyState =
  | { readonly kind: "good" | "reading" }
  /** The keys cannot be read again; the last ones are used until they are too old. */
  | { readonly kind: "aging"; readonly reason: string; readonly sinceMs: number }
  /** No token can be checked. */
  | { readonly kind: "none"; readonly reason: string; readonly sinceMs: number };

/** The configured users, who authenticate with tokens of the configuration. */
export interface LocalUsers extends Pick<Authenticator, "refresh" | "isWithdrawn" | "missing"> {
  /** null for an unknown token. */
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

/**
 * Remembers a digest of the token with which each principal authenticated, as long as the principal's object exists.
 */
export class TokensUsed {
  readonly #key = randomBytes(32);
  readonly #digests = new WeakMap<Principal, Buffer>();

  /**
   * Digests have equal lengths, so that they can be compared in constant time. The random key makes them
   * useless outside of this process.
   */
  digestOf(token: Buffer): Buffer {
    return hash("sha256", Buffer.concat([this.#key, token]), "buffer");
  }

  record(principal: Principal, digest: Buffer): void {
    this.#digests.set(principal, digest);
  }

  /** The digest of the principal's token; null if the principal authenticated at another daemon. */
  by(principal: Principal): Buffer | null {
    return this.#digests.get(principal) ?? null;
  }
}

interface KnownUser {
  readonly digest: Buffer;
  readonly principal: Principal;
}

/** `redact` gets each token, so that no log line shows one. `used` is shared by all configurations. */
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
    used.record(principal, digest);
    known.push({ digest, principal });
    if (!byName.has(name)) byName.set(name, principal);
  }
  const byDigest = (digest: Buffer): Principal | null => {
    let found: Principal | null = null;
    // Compares all users, so that the time reveals nothing. Of two users with one token, the first one counts.
    for (const user of known) {
      if (timingSafeEqual(user.digest, digest)) found ??= user.principal;
    }
    return found;
  };
  /** The user who has the principal's token in this configuration; null: no user has it now. */
  const currentUser = (principal: Principal): Principal | null => {
    const digest = used.by(principal);
    return digest === null ? (byName.get(principal.name) ?? null) : byDigest(digest);
  };
  return {
    byToken: (token) => byDigest(used.digestOf(token)),
    refresh(principal) {
      const now = currentUser(principal);
      return now?.name === principal.name ? now : null;
    },
    isWithdrawn: (principal) => currentUser(principal) === null,
    missing: [...missing],
  };
}

export const NO_TOKEN = "a bearer token is required";
const UNKNOWN_TOKEN = "the bearer token is not accepted";

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

/** Whether the principal signed in with a token from the configuration. */
export function isLocal({ kind, id }: Principal): boolean {
  return kind === "user" && id === undefined;
}

/**
 * Returns the token's bytes, because Node decodes headers as Latin-1; null without a token, or if it has characters
 * beyond Latin-1.
 */
export function bearerToken(header: string | undefined): Buffer | null {
  const token = header === undefined ? undefined : /^Bearer +(\S(?:.*\S)?) *$/i.exec(header)?.[1];
  if (token === undefined) return null;
  const bytes = Buffer.from(token, "latin1");
  return bytes.toString("latin1") === token ? bytes : null;
}
