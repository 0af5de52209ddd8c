// Normalizes the values of `[incoming_auth]` for the engine.
import type { ConfigPlace } from "../locate.ts";
import { expandPath } from "../paths.ts";
import type { ConfigFile } from "../schema/schema.ts";
import { isKeysAddress, SIGNING_ALGORITHMS } from "../sign-in-values.ts";
import type { AuthUser, IncomingAuthConfig, SignedTokensConfig, SigningKeysPlace } from "../snapshot.ts";

type IncomingAuthFile = ConfigFile["incoming_auth"];

/** Whom a token alone in `[incoming_auth]` stands for. */
const LOCAL_USER = { name: "local", roles: ["local"] } as const;

export function incomingAuthConfig(file: IncomingAuthFile, place: ConfigPlace): IncomingAuthConfig {
  const { type, token } = file;
  if (type === "anonymous") return { type };
  const users: AuthUser[] = file.users.map((user) => ({
    name: user.name,
    token: user.token,
    roles: user.roles,
  }));
  if (token !== undefined) users.unshift({ ...LOCAL_USER, token });
  return type === "local" ? { type, users } : { type, users, tokens: signedTokens(file, place) };
}

function signedTokens(file: IncomingAuthFile, place: ConfigPlace): SignedTokensConfig {
  return {
    // The rules refuse a file without one.
    issuer: file.issuer ?? "",
    audience: file.audience ?? null,
    keys: keysPlace(file, place),
    algorithms: file.algorithms ?? SIGNING_ALGORITHMS,
    leewayMs: Math.round(file.leeway * 1000),
    requiredScopes: file.required_scopes,
    requiredClaims: file.required_claims,
    rolesClaim: file.roles_claim ?? null,
    nameClaim: file.name_claim ?? null,
    scopes: file.scopes,
    keysMaxAgeMs: Math.round(file.keys_max_age * 1000),
  };
}

function keysPlace({ type, jwks = "" }: IncomingAuthFile, place: ConfigPlace): SigningKeysPlace {
  if (type === "oidc") return { kind: "discovery" };
  if (isKeysAddress(jwks)) return { kind: "address", url: jwks };
  return { kind: "file", path: expandPath(jwks, place.userHome) };
}
