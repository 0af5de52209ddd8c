// Authentication by tokens that an authorization server has signed, and by tokens of the configuration.
import type { IncomingAuthConfig, SignedTokensConfig } from "../../config/snapshot.ts";
import { dropOldest } from "../../runtime/bounded-map.ts";
import { errorText } from "../../runtime/errors.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { needsNoToken, type Principal, principalKey } from "../client-handle.ts";
import {
  ANYBODY,
  type Authenticator,
  authenticateUsers,
  bearerToken,
  isLocal,
  type KeySet,
  type LastKeys,
  type LocalUsers,
  NO_TOKEN,
  readLocalUsers,
  TokensUsed,
} from "../middleware/incoming-auth.ts";
import type {
  Authentication,
  ProtectedResource,
  RefusedAuthentication,
  RequestAddress,
} from "../middleware/middleware.ts";
import { createGrantedAccess } from "./granted-access.ts";
import type { Grants } from "./grants.ts";
import { KeyRing } from "./key-ring.ts";
import { createKeySource } from "./key-source.ts";
import { type Address, acceptedAudience, knownScopes, signedResource } from "./protected-resource.ts";
import { type Checked, createTokenCheck, TokenMemory, tokenDigest } from "./token-check.ts";
import {
  type ExpectedOfToken,
  principalOf,
  REFUSED,
  refusalOf,
  scopesOf,
  secondsAsMs,
  type TokenParts,
} from "./token-claims.ts";

/** Maximum number of concurrent checks; further requests get status 503. */
const MOST_CHECKS = 256;
/** People who are remembered for reports. */
const MOST_PEOPLE = 200;
const NO_KEYS = "the issuer's keys cannot be read, so that no token can be checked";
const BUSY = "too many tokens are being checked at once";

interface SignedAuthenticationOptions extends RuntimeTools {
  readonly tokens: SignedTokensConfig;
  readonly server: Address;
  readonly users: LocalUsers;
  /** False: no requests will come, so no keys are read. */
  readonly listens: boolean;
  /** The keys of the previous configuration; used if they are from the same issuer. */
  readonly last?: LastKeys | null;
  /** Shared by all configurations. */
  readonly proofs: WeakMap<Principal, SignedProof>;
}

type Admitted = Extract<Checked, { readonly kind: "valid" }>;

/** The stored facts about an accepted token. */
interface SignedProof {
  /** Identifies the issuer, and the place of the issuer's keys. */
  readonly from: string;
  readonly parts: TokenParts;
  readonly scopes: readonly string[];
  /** The group at whose address the client used the token; null: another address. */
  readonly group: string | null;
}

/** Starts to read the issuer's keys without waiting for them. */
export class SignedAuthentication implements Authenticator {
  readonly missing: readonly string[];
  readonly resource: ProtectedResource;
  readonly signed: NonNullable<Authenticator["signed"]>;
  readonly users: LocalUsers;
  readonly #options: SignedAuthenticationOptions;
  readonly #ring: KeyRing;
  readonly #check: ReturnType<typeof createTokenCheck>;
  readonly #memory = new TokenMemory();
  readonly #checks = new Map<string, Promise<Authentication>>();
  /** For each principal that has authenticated: the principal with its roles under this configuration. */
  readonly #current = new WeakMap<Principal, Principal>();
  /** Identifies the issuer and the place of its keys. */
  readonly #from: string;
  #checkedWith: KeySet | null = null;
  readonly #people = new Map<string, Principal>();

  constructor(options: SignedAuthenticationOptions) {
    const { tokens, server, users, clock, logger, listens, proofs, last = null } = options;
    const { issuer, keysMaxAgeMs } = tokens;
    this.#options = options;
    this.missing = users.missing;
    this.users = users;
    this.resource = signedResource(server, tokens);
    const from = JSON.stringify([issuer, tokens.keys]);
    this.#from = from;
    const people = this.#people;
    const ring = new KeyRing({
      source: createKeySource(tokens, clock),
      clock,
      logger,
      issuer,
      maxAgeMs: keysMaxAgeMs,
      last: last?.from === from ? last : null,
    });
    this.#ring = ring;
    this.#check = createTokenCheck({ ring, wallMs: () => clock.wallMs() });
    this.signed = {
      get keys() {
        return ring.state;
      },
      get lastKeys() {
        const { last: own } = ring;
        return own === null ? null : { from, ...own };
      },
      get people() {
        return [...people.values()];
      },
      scopesOf: (principal) => proofs.get(principal)?.scopes ?? null,
    };
    if (listens) ring.start();
  }

  authenticate(
    headers: Parameters<Authenticator["authenticate"]>[0],
    { path }: Pick<RequestAddress, "path">,
  ): ReturnType<Authenticator["authenticate"]> {
    const bytes = bearerToken(headers.authorization);
    if (bytes === null) return this.#challenge({ ok: false, reason: NO_TOKEN });
    const user = this.#options.users.byToken(bytes);
    if (user !== null) return { ok: true, principal: user };
    const token = bytes.toString("latin1");
    const group = /^\/mcp\/(.+)$/.exec(path)?.[1] ?? null;
    // A token for a group's address is valid only there, so each group's address has its own answers.
    const digest = tokenDigest(group === null ? token : `${group} ${token}`);
    this.#forgetWithOldKeys();
    const known = this.#memory.find(digest, this.#options.clock.wallMs());
    if (known !== null) return known;
    const checking = this.#checks.get(digest);
    if (checking !== undefined) return checking;
    if (this.#checks.size >= MOST_CHECKS) return { ok: false, status: 503, reason: BUSY };
    const check = this.#checked(token, group, digest).finally(() => this.#checks.delete(digest));
    this.#checks.set(digest, check);
    return check;
  }

  refresh(principal: Principal): Principal | null {
    if (principal.kind !== "user") return needsNoToken(principal) ? principal : null;
    const { users, proofs, tokens } = this.#options;
    if (isLocal(principal)) return users.refresh(principal);
    const proof = proofs.get(principal);
    if (proof === undefined || this.#fault(proof) !== null) return null;
    const current = this.#current.get(principal) ?? principalOf(proof.parts.claims, tokens);
    this.#current.set(principal, current);
    return current;
  }

  isWithdrawn(principal: Principal): boolean {
    if (principal.kind !== "user") return false;
    if (isLocal(principal)) return this.#options.users.isWithdrawn(principal);
    const proof = this.#options.proofs.get(principal);
    if (proof !== undefined) return this.#fault(proof) === "withdrawn";
    // This process has not seen the principal's token, because the principal authenticated at a previous daemon.
    return !isOfIssuer(principal, this.#options.tokens.issuer);
  }

  /**
   * Returns why an accepted token is no longer valid; null if it is valid. Clients with an expired token get a new one
   * automatically.
   */
  #fault({ from, parts, scopes, group }: SignedProof): "expired" | "withdrawn" | null {
    const { tokens, clock } = this.#options;
    if (from !== this.#from || !tokens.requiredScopes.every((scope) => scopes.includes(scope))) {
      return "withdrawn";
    }
    // First checks the token as of its last valid moment, so that a refusal cannot be due to its expiry.
    const lastMs = (secondsAsMs(parts.claims["exp"]) ?? 0) + tokens.leewayMs - 1;
    const expected = this.#expectedAt(group);
    if (refusalOf(parts, expected, lastMs) !== null) return "withdrawn";
    return refusalOf(parts, expected, clock.wallMs()) === null ? null : "expired";
  }

  #expectedAt(group: string | null): ExpectedOfToken {
    const { tokens, server } = this.#options;
    return { ...tokens, audience: acceptedAudience(server, tokens.audience, group) };
  }

  [Symbol.dispose](): void {
    this.#ring[Symbol.dispose]();
  }

  async #checked(token: string, group: string | null, digest: string): Promise<Authentication> {
    try {
      const checked = await this.#check(token, this.#expectedAt(group));
      if (checked.kind === "no_keys") return { ok: false, status: 503, reason: NO_KEYS };
      if (checked.kind === "refused") return this.#invalid(checked.reason);
      return this.#admitted(checked, group, digest);
    } catch (error) {
      this.#options.logger.error("a token was not checked", { error: errorText(error) });
      return this.#invalid(REFUSED.unreadable);
    }
  }

  /**
   * Returns and remembers the authentication for a token with a valid signature. A required scope may still be
   * missing.
   */
  #admitted({ parts, set }: Admitted, group: string | null, digest: string): Authentication {
    const { tokens, proofs } = this.#options;
    const { claims } = parts;
    const scopes = scopesOf(claims);
    const principal = principalOf(claims, tokens);
    const expiresAtMs = (secondsAsMs(claims["exp"]) ?? 0) + tokens.leewayMs;
    const answer: Authentication = tokens.requiredScopes.every((scope) => scopes.includes(scope))
      ? { ok: true, principal }
      : missingScope(tokens, scopes);
    this.#current.set(principal, principal);
    this.#people.delete(principalKey(principal));
    this.#people.set(principalKey(principal), principal);
    dropOldest(this.#people, MOST_PEOPLE);
    proofs.set(principal, { from: this.#from, parts, scopes, group });
    this.#forgetWithOldKeys();
    if (set === this.#checkedWith) this.#memory.remember(digest, answer, expiresAtMs);
    return answer;
  }

  #invalid(reason: string): RefusedAuthentication {
    return this.#challenge({ ok: false, reason, error: "invalid_token" });
  }

  /**
   * Adds all scopes to a refusal: a client that asks for fewer would never notice what it misses, since lists
   * show only permitted entries.
   */
  #challenge(refused: RefusedAuthentication): RefusedAuthentication {
    const scopes = knownScopes(this.#options.tokens);
    return scopes.length === 0 ? refused : { ...refused, scope: scopes.join(" ") };
  }

  /** Forgets remembered tokens when the keys change: the issuer may have withdrawn the key of a token. */
  #forgetWithOldKeys(): void {
    const { current } = this.#ring;
    if (current === this.#checkedWith) return;
    this.#checkedWith = current;
    this.#memory.clear();
  }
}

/** `principalOf` writes the ids in this form. */
function isOfIssuer({ id = "" }: Principal, issuer: string): boolean {
  return id.startsWith(`[${JSON.stringify(issuer)},`);
}

/**
 * The refusal of a token that lacks required scopes. It names the required scopes and the token's own scopes, so that
 * the client's next token has both.
 */
function missingScope({ requiredScopes }: SignedTokensConfig, own: readonly string[]): RefusedAuthentication {
  const scope = [...new Set([...requiredScopes, ...own])].join(" ");
  return { ok: false, status: 403, reason: REFUSED.scope, error: "insufficient_scope", scope };
}

/**
 * The tokens with which principals authenticated. They outlive configurations, and each new configuration
 * decides whether they are still valid.
 */
export type Proofs = ReturnType<typeof createProofs>;

export function createProofs() {
  return { local: new TokensUsed(), signed: new WeakMap() };
}

interface AuthenticationOptions
  extends Pick<SignedAuthenticationOptions, "server" | "listens" | keyof RuntimeTools> {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Called with each token of the configuration, so that logs never show a token. */
  readonly redact: (secret: string) => void;
  /** The authenticator of the previous configuration. */
  readonly before: Authenticator | null;
  readonly proofs: Proofs;
  readonly grants?: Grants | undefined;
}

export function createAuthentication(
  config: IncomingAuthConfig,
  { environment, redact, before, proofs, grants, ...rest }: AuthenticationOptions,
): Authenticator {
  if (config.type === "anonymous") return ANYBODY;
  const wallMs = (): number => rest.clock.wallMs();
  const users = readLocalUsers(config.users, environment, redact, proofs.local, wallMs);
  if (config.type === "local") {
    const { publicUrl } = rest.server;
    const isOpen = config.oauth === true && grants !== undefined;
    return authenticateUsers(
      users,
      isOpen ? createGrantedAccess({ users, grants, publicUrl, wallMs }) : null,
    );
  }
  return new SignedAuthentication({
    ...rest,
    tokens: config.tokens,
    users,
    proofs: proofs.signed,
    last: before?.signed?.lastKeys ?? null,
  });
}
