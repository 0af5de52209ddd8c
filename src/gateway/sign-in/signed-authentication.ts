// Authentication by tokens that an authorization server signs, beside those of the configuration.
import type { IncomingAuthConfig, ServerConfig, SignedTokensConfig } from "../../config/snapshot.ts";
import { isLoopback } from "../../config/values/host.ts";
import { errorText } from "../../runtime/errors.ts";
import { needsNoToken, type Principal } from "../client-port.ts";
import type { GatewayTools } from "../gateway-tools.ts";
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
import type { Authentication, ProtectedResource, RefusedAuthentication } from "../middleware/middleware.ts";
import { KeyRing } from "./key-ring.ts";
import { createKeySource } from "./key-source.ts";
import { type Checked, createTokenCheck, TokenMemory, tokenDigest } from "./token-check.ts";
import {
  type ExpectedOfToken,
  LONGEST_TOKEN,
  principalOf,
  REFUSED,
  refusalOf,
  scopesOf,
  secondsAsMs,
  type TokenParts,
} from "./token-claims.ts";

/** Tokens that are being checked at once; more are asked to come again. */
const MOST_CHECKS = 256;
const NO_KEYS = "the issuer's keys cannot be read, so that no token can be checked";
const BUSY = "too many tokens are being checked at once";

interface SignedAuthenticationOptions extends GatewayTools {
  readonly tokens: SignedTokensConfig;
  readonly server: Pick<ServerConfig, "host" | "port" | "publicUrl">;
  readonly users: LocalUsers;
  /** False: nobody will come, and nothing is read. */
  readonly listens: boolean;
  /** The keys that its predecessor had; used if they are from the same issuer. */
  readonly last?: LastKeys | null;
  /** One and the same for all configurations. */
  readonly proofs: SignedProofs;
}

type Admitted = Extract<Checked, { readonly kind: "valid" }>;

/** A token whose signature was right. */
interface SignedProof {
  /** As `LastKeys` has it. */
  readonly from: string;
  readonly parts: TokenParts;
  readonly scopes: readonly string[];
}

/** What each principal came with, for as long as anybody goes by that principal. */
export type SignedProofs = WeakMap<Principal, SignedProof>;

/** Begins to read the issuer's keys, and holds up nothing. */
export function createSignedAuthentication(options: SignedAuthenticationOptions): Authenticator {
  return new SignedAuthentication(options);
}

class SignedAuthentication implements Authenticator {
  readonly missing: readonly string[];
  readonly signed: NonNullable<Authenticator["signed"]>;
  readonly #options: SignedAuthenticationOptions;
  readonly #ring: KeyRing;
  readonly #check: ReturnType<typeof createTokenCheck>;
  readonly #memory = new TokenMemory();
  readonly #checks = new Map<string, Promise<Authentication>>();
  /** Principals by those of before: other roles, the same person. */
  readonly #current = new WeakMap<Principal, Principal>();
  readonly #expected: ExpectedOfToken;
  /** The issuer, and where its keys are. */
  readonly #from: string;
  #checkedWith: KeySet | null = null;

  constructor(options: SignedAuthenticationOptions) {
    const { tokens, server, users, clock, logger, listens, proofs } = options;
    const { issuer, algorithms, leewayMs, requiredClaims, keysMaxAgeMs } = tokens;
    this.#options = options;
    this.missing = users.missing;
    const from = JSON.stringify([issuer, tokens.keys]);
    this.#from = from;
    const { last = null } = options;
    const ring = new KeyRing({
      source: createKeySource(tokens, clock),
      clock,
      logger,
      issuer,
      maxAgeMs: keysMaxAgeMs,
      last: last?.from === from ? last : null,
    });
    this.#ring = ring;
    const audience = acceptedAudience(server, tokens.audience);
    const expected = { issuer, algorithms, leewayMs, requiredClaims, audience };
    this.#expected = expected;
    this.#check = createTokenCheck({ ring, expected, wallMs: () => clock.wallMs() });
    this.signed = {
      resource: createProtectedResource(server, tokens),
      get keys() {
        return ring.state;
      },
      get lastKeys() {
        const { last: own } = ring;
        return own === null ? null : { from, ...own };
      },
      scopesOf: (principal) => proofs.get(principal)?.scopes ?? null,
    };
    if (listens) ring.start();
  }

  authenticate(
    headers: Parameters<Authenticator["authenticate"]>[0],
  ): ReturnType<Authenticator["authenticate"]> {
    const bytes = bearerToken(headers.authorization);
    if (bytes === null) return this.#challenge({ ok: false, reason: NO_TOKEN });
    const user = this.#options.users.byToken(bytes);
    if (user !== null) return { ok: true, principal: user };
    if (bytes.length > LONGEST_TOKEN) return this.#invalid(REFUSED.large);
    const token = bytes.toString("latin1");
    const digest = tokenDigest(token);
    this.#forgetWithOldKeys();
    const known = this.#memory.find(digest, this.#options.clock.wallMs());
    if (known !== null) return known;
    const checking = this.#checks.get(digest);
    if (checking !== undefined) return checking;
    if (this.#checks.size >= MOST_CHECKS) return { ok: false, status: 503, reason: BUSY };
    const check = this.#checked(token, digest).finally(() => this.#checks.delete(digest));
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
    // Its token was never here, or before a restart.
    return !isOfIssuer(principal, this.#options.tokens.issuer);
  }

  /** What is wrong by now with a token that was right; null: nothing. Its client comes with a new one when it expires. */
  #fault({ from, parts, scopes }: SignedProof): "expired" | "withdrawn" | null {
    const { tokens, clock } = this.#options;
    if (from !== this.#from || !tokens.requiredScopes.every((scope) => scopes.includes(scope))) {
      return "withdrawn";
    }
    // In its last moment: that its time is over must not hide what else is wrong with it.
    const lastMs = (secondsAsMs(parts.claims["exp"]) ?? 0) + tokens.leewayMs - 1;
    if (refusalOf(parts, this.#expected, lastMs) !== null) return "withdrawn";
    return refusalOf(parts, this.#expected, clock.wallMs()) === null ? null : "expired";
  }

  [Symbol.dispose](): void {
    this.#ring[Symbol.dispose]();
  }

  async #checked(token: string, digest: string): Promise<Authentication> {
    try {
      const checked = await this.#check(token);
      if (checked.kind === "no_keys") return { ok: false, status: 503, reason: NO_KEYS };
      if (checked.kind === "refused") return this.#invalid(checked.reason);
      return this.#admitted(checked, digest);
    } catch (error) {
      this.#options.logger.error("a token was not checked", { error: errorText(error) });
      return this.#invalid(REFUSED.unreadable);
    }
  }

  /** It is one of the issuer's, and for us. */
  #admitted({ parts, set }: Admitted, digest: string): Authentication {
    const { tokens, proofs } = this.#options;
    const { claims } = parts;
    const scopes = scopesOf(claims);
    const principal = principalOf(claims, tokens);
    const expiresAtMs = (secondsAsMs(claims["exp"]) ?? 0) + tokens.leewayMs;
    const answer: Authentication = tokens.requiredScopes.every((scope) => scopes.includes(scope))
      ? { ok: true, principal }
      : lacking(tokens, scopes);
    this.#current.set(principal, principal);
    proofs.set(principal, { from: this.#from, parts, scopes });
    this.#forgetWithOldKeys();
    if (set === this.#checkedWith) this.#memory.remember(digest, answer, expiresAtMs);
    return answer;
  }

  #invalid(reason: string): RefusedAuthentication {
    return this.#challenge({ ok: false, reason, error: "invalid_token" });
  }

  /** All that there are: lists show only what a token may, so that a client with fewer would never miss anything. */
  #challenge(refused: RefusedAuthentication): RefusedAuthentication {
    const scopes = knownScopes(this.#options.tokens);
    return scopes.length === 0 ? refused : { ...refused, scope: scopes.join(" ") };
  }

  /** A key that its issuer has withdrawn opens nothing any more. */
  #forgetWithOldKeys(): void {
    const { current } = this.#ring;
    if (current === this.#checkedWith) return;
    this.#checkedWith = current;
    this.#memory.clear();
  }
}

/** As `principalOf` spells an id. */
function isOfIssuer({ id = "" }: Principal, issuer: string): boolean {
  return id.startsWith(`[${JSON.stringify(issuer)},`);
}

/** With the scopes that it has already: a client that asks for the others alone would lose these. */
function lacking({ requiredScopes }: SignedTokensConfig, own: readonly string[]): RefusedAuthentication {
  const scope = [...new Set([...requiredScopes, ...own])].join(" ");
  return { ok: false, status: 403, reason: REFUSED.scope, error: "insufficient_scope", scope };
}

// Picks how clients are authenticated, by the configuration.

/** What everybody came with, kept over all configurations: each tells whether it still lets in. */
export type Proofs = ReturnType<typeof createProofs>;

export function createProofs() {
  return { local: new TokensUsed(), signed: new WeakMap() };
}

interface AuthenticationOptions extends GatewayTools {
  readonly server: Pick<ServerConfig, "host" | "port" | "publicUrl">;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Gets each token of the configuration, so that no log line ever shows one. */
  readonly redact: (secret: string) => void;
  readonly listens: boolean;
  /** What it takes over from; null: nothing. */
  readonly before: Authenticator | null;
  readonly proofs: Proofs;
}

export function createAuthentication(
  config: IncomingAuthConfig,
  { environment, redact, before, proofs, ...rest }: AuthenticationOptions,
): Authenticator {
  if (config.type === "anonymous") return ANYBODY;
  const users = readLocalUsers(config.users, environment, redact, proofs.local);
  if (config.type === "local") return authenticateUsers(users);
  return createSignedAuthentication({
    ...rest,
    tokens: config.tokens,
    users,
    proofs: proofs.signed,
    last: before?.signed?.lastKeys ?? null,
  });
}

// The gateway as an OAuth protected resource: its name, its metadata (RFC 9728), and whom tokens have to be for.

const WELL_KNOWN = "/.well-known/oauth-protected-resource";
const MCP_PATH = "/mcp";
/** Beside it, for clients of the older transport: they want the metadata to name the address that they have. */
const SSE_PATH = "/sse";
const LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"] as const;

type Address = Pick<ServerConfig, "host" | "port" | "publicUrl">;

/** Without a public address it goes by the name that the request used, which admission has found to be ours. */
export function createProtectedResource(
  { publicUrl }: Address,
  tokens: Pick<SignedTokensConfig, "issuer" | "scopes" | "requiredScopes">,
): ProtectedResource {
  const own = publicUrl === null ? null : new URL(publicUrl);
  const path = publicUrl === null ? MCP_PATH : pathOf(publicUrl);
  const olderPath = beside(path);
  const olderPaths = new Set([`${WELL_KNOWN}${SSE_PATH}`, `${WELL_KNOWN}${olderPath}`]);
  const supported = knownScopes(tokens);
  const originOf = (host: string): string => own?.origin ?? `http://${host}`;
  return {
    paths: new Set([WELL_KNOWN, `${WELL_KNOWN}${MCP_PATH}`, `${WELL_KNOWN}${path}`, ...olderPaths]),
    metadata: (host, asked) => ({
      resource: olderPaths.has(asked)
        ? `${originOf(host)}${olderPath}`
        : (publicUrl ?? `http://${host}${MCP_PATH}`),
      authorization_servers: [tokens.issuer],
      bearer_methods_supported: ["header"],
      ...(supported.length > 0 && { scopes_supported: supported }),
      resource_name: "Mountaineer",
    }),
    metadataUrl: (host, isOlder) => `${originOf(host)}${WELL_KNOWN}${isOlder ? olderPath : path}`,
  };
}

/** The older transport's path, where streamable HTTP has this one. */
function beside(path: string): string {
  return `${path.replace(/\/[^/]*$/, "")}${SSE_PATH}`;
}

/** Those that the configuration names: required ones first. */
function knownScopes({
  scopes,
  requiredScopes,
}: Pick<SignedTokensConfig, "scopes" | "requiredScopes">): readonly string[] {
  return [...new Set([...requiredScopes, ...Object.keys(scopes)])];
}

/** Whom tokens may be for: as configured, else the gateway under each of its own names. */
export function acceptedAudience(
  { host, port, publicUrl }: Address,
  audience: SignedTokensConfig["audience"],
): readonly string[] {
  if (audience !== null) return audience;
  if (publicUrl !== null) return withSlash([publicUrl, new URL(beside(pathOf(publicUrl)), publicUrl).href]);
  const name = host.includes(":") ? `[${host}]` : host;
  const names = isLoopback(host) ? new Set([...LOOPBACK_NAMES, name]) : [name];
  const origins = [...names].map((one) => `http://${one}:${port}`);
  return withSlash(origins.flatMap((origin) => [origin + MCP_PATH, origin + SSE_PATH]));
}

function pathOf(url: string): string {
  return new URL(url).pathname.replace(/\/$/, "");
}

function withSlash(addresses: readonly string[]): string[] {
  return addresses.flatMap((address) => [address, `${address}/`]);
}
