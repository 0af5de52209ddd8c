// Normalizes the values of `[incoming_auth]` for the engine.
import type { ConfigPlace } from "../locate.ts";
import { incomingAuthKeys } from "../schema/incoming-auth-schema.ts";
import type { ConfigFile } from "../schema/schema.ts";
import { settled } from "../schema/settled.ts";
import type { AuthUser, IncomingAuthConfig, SignedTokensConfig, SigningKeysPlace } from "../snapshot.ts";
import { expandPath } from "../values/paths.ts";
import { isKeysAddress, SIGNING_ALGORITHMS } from "../values/sign-in-values.ts";

type IncomingAuthFile = ConfigFile["incoming_auth"];

/** The user that a token alone in `[incoming_auth]` stands for. */
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
  const {
    issuer,
    algorithms,
    type: _type,
    token: _token,
    jwks: _jwks,
    ...given
  } = settled(incomingAuthKeys, file, "");
  return {
    ...given,
    // Never empty: the rules refuse a file without an issuer.
    issuer: issuer ?? "",
    keys: keysPlace(file, place),
    algorithms: algorithms ?? SIGNING_ALGORITHMS,
    requiredClaims: file.required_claims,
    scopes: file.scopes,
  };
}

function keysPlace({ type, jwks = "" }: IncomingAuthFile, place: ConfigPlace): SigningKeysPlace {
  if (type === "oidc") return { kind: "discovery" };
  if (isKeysAddress(jwks)) return { kind: "address", url: jwks };
  return { kind: "file", path: expandPath(jwks, place.userHome) };
}
