// Authentication of requests: all clients are anonymous, or each is the configured user of its bearer token.
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { AuthUser } from "../../config/snapshot.ts";
import { sha256Of } from "../../runtime/files/sha256.ts";
import { accountOf, referenceKey, resolveReference } from "../../secrets/reference.ts";
import { ANONYMOUS, needsNoToken, type Principal } from "../client-handle.ts";
import type { JsonObject } from "../json-rpc.ts";
import type { Authentication, ProtectedResource, RequestAddress } from "./middleware.ts";

export interface Authenticator extends Disposable {
  /** Never rejects. */
  authenticate(
    headers: IncomingHttpHeaders,
    address: RequestAddress,
  ): Authentication | Promise<Authentication>;
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
  /** null: clients cannot sign in, but only send a token of the configuration. */
  readonly resource: ProtectedResource | null;
  /** null: no issuer signs tokens. */
  readonly signed: SignedTokens | null;
  /** The configured users; null: everybody is let in. */
  readonly users: LocalUsers | null;
}

interface SignedTokens {
  readonly keys: KeyState;
  /**
   * The last keys of the issuer. The authenticator of the next configuration begins with them, so that an
   * edit also works while the issuer does not answer.
   */
  readonly lastKeys: LastKeys | null;
  /** The people of the newest tokens, as these describe them; the last of each. */
  readonly people: readonly Principal[];
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
  /** By name, the users whose token is known. */
  readonly entries: ReadonlyMap<string, UserEntry>;
  /** All names, also of users whose token is not known now. */
  readonly names: ReadonlySet<string>;
}

/** A user of the file. Digests of tokens identify it. */
export interface UserEntry {
  readonly principal: Principal;
  readonly sha256: string;
  /** The token before; null: the file has none. */
  readonly old: { readonly sha256: string; readonly endsAtMs: number } | null;
  /** Digests of all tokens that the user has had since the daemon started, or since the user was added. */
  readonly sha256s: ReadonlySet<string>;
}

const WELCOME: Authentication = { ok: true, principal: ANONYMOUS };

export const ANYBODY: Authenticator = {
  authenticate: () => WELCOME,
  refresh: (principal) => (needsNoToken(principal) ? principal : ANONYMOUS),
  isWithdrawn: () => false,
  missing: [],
  resource: null,
  signed: null,
  users: null,
  [Symbol.dispose]() {},
};

/**
 * Remembers a digest of the token with which each principal authenticated, as long as the principal's object exists.
 */
export class TokensUsed {
  readonly #key = randomBytes(32);
  readonly #digests = new WeakMap<Principal, Buffer>();
  readonly #ofUsers = new Map<string, Set<string>>();

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

  /** Forgets the tokens of all other users. */
  keepUsers(names: ReadonlySet<string>): void {
    for (const name of this.#ofUsers.keys()) if (!names.has(name)) this.#ofUsers.delete(name);
  }

  /** Adds to the digests of the user's tokens, and returns all. */
  addOfUser(name: string, sha256s: readonly string[]): ReadonlySet<string> {
    const all = this.#ofUsers.get(name) ?? new Set();
    for (const sha256 of sha256s) all.add(sha256);
    this.#ofUsers.set(name, all);
    return all;
  }
}

interface KnownToken {
  readonly digest: Buffer;
  readonly principal: Principal;
  /** Unix ms; null: it has no end. */
  readonly endsAtMs: number | null;
}

/** `redact` gets each token, so that no log line shows one. `used` is shared by all configurations. */
export function readLocalUsers(
  users: readonly AuthUser[],
  environment: Readonly<Record<string, string | undefined>>,
  redact: (secret: string) => void,
  used: TokensUsed,
  wallMs: () => number,
): LocalUsers {
  const known: KnownToken[] = [];
  const entries = new Map<string, UserEntry>();
  const names = new Set(users.map(({ name }) => name));
  used.keepUsers(names);
  const missing = new Set<string>();
  const secretOf = (token: AuthUser["token"]): string | null => {
    const secret = resolveReference(token, environment);
    const value = secret.ok ? secret.value : "";
    if (value === "") missing.add(referenceKey(token));
    else redact(value);
    return value === "" ? null : value;
  };
  for (const { name, token, roles, oldToken = null, oldUntil = null } of users) {
    const value = secretOf(token);
    const account = value === null ? {} : { account: accountOf(name, sha256Of(value)) };
    const principal: Principal = { kind: "user", name, roles, user: name, ...account };
    const earlier = oldToken === null ? null : secretOf(oldToken);
    const add = (secret: string, endsAtMs: number | null, by: Principal): void => {
      const digest = used.digestOf(Buffer.from(secret, "utf8"));
      known.push({ digest, principal: by, endsAtMs });
      used.record(by, digest);
    };
    const endsAtMs = Date.parse(oldUntil ?? "");
    if (earlier !== null) add(earlier, endsAtMs, { ...principal });
    if (value === null) continue;
    add(value, null, principal);
    const sha256 = sha256Of(value);
    const old = earlier === null ? null : { sha256: sha256Of(earlier), endsAtMs };
    const sha256s = used.addOfUser(name, old === null ? [sha256] : [sha256, old.sha256]);
    if (!entries.has(name)) entries.set(name, { principal, sha256, old, sha256s });
  }
  const byDigest = (digest: Buffer, atMs: number): Principal | null => {
    let found: Principal | null = null;
    // Compares all users, so that the time reveals nothing. Of two users with one token, the first one counts.
    for (const { digest: own, principal, endsAtMs } of known) {
      const isSame = timingSafeEqual(own, digest);
      if (isSame && (endsAtMs === null || endsAtMs > atMs)) found ??= principal;
    }
    return found;
  };
  /** The user who has the principal's token now; null: no user has it. */
  const currentUser = (principal: Principal): Principal | null => {
    const digest = used.by(principal);
    return digest === null ? (entries.get(principal.name)?.principal ?? null) : byDigest(digest, wallMs());
  };
  return {
    byToken: (token) => byDigest(used.digestOf(token), wallMs()),
    entries,
    names,
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

/** `granted`: the clients to which users gave access; null: the gateway has no authorization server. */
export function authenticateUsers(users: LocalUsers, granted: GrantedAccess | null = null): Authenticator {
  return {
    authenticate(headers, address) {
      const token = bearerToken(headers.authorization);
      if (token === null) return { ok: false, reason: NO_TOKEN };
      const principal = users.byToken(token);
      if (principal !== null) return { ok: true, principal };
      return (
        granted?.authenticate(token, address) ?? { ok: false, reason: UNKNOWN_TOKEN, error: "invalid_token" }
      );
    },
    refresh(principal) {
      if (needsNoToken(principal)) return principal;
      return isLocal(principal) ? users.refresh(principal) : (granted?.refresh(principal) ?? null);
    },
    isWithdrawn(principal) {
      if (principal.kind !== "user") return false;
      if (isLocal(principal)) return users.isWithdrawn(principal);
      return granted === null || granted.refresh(principal) === null;
    },
    missing: users.missing,
    resource: granted?.resource ?? null,
    signed: null,
    users,
    [Symbol.dispose]() {},
  };
}

export interface GrantedAccess {
  readonly resource: ProtectedResource;
  /** null: no grant has this token. */
  authenticate(token: Buffer, address: RequestAddress): Authentication | null;
  /** null: the grant has ended. */
  refresh(principal: Principal): Principal | null;
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
