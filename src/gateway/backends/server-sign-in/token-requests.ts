// Requests for tokens to an authorization server, and their answers.
import { isSafeForTokens } from "../../../config/values/sign-in-values.ts";
import { printable } from "../../../runtime/text/plain-text.ts";
import type { ResolvedAuth } from "../transports/transport-authorization.ts";
import { failed } from "./bounded-fetch.ts";
import { type ClientIdentity, clientAuth, machineAuth } from "./client.ts";
import type { SignInServer } from "./discovery.ts";
import type { Grant } from "./grant-store.ts";
import {
  type AuthorizationServer,
  asSignInFailure,
  type OAuthLibrary,
  type OAuthTools,
  refusesResource,
  signInFailure,
} from "./oauth-library.ts";

export interface Tokens {
  readonly accessToken: string;
  /** Wall ms; null: unknown. */
  readonly expiresAtMs: number | null;
  readonly refreshToken: string | null;
}

type TokenAnswer = Awaited<ReturnType<OAuthLibrary["processRefreshTokenResponse"]>>;

const LONGEST_TOKEN = 64 * 1024;
const LONGEST_NAME = 200;
/** Characters that a header can carry. */
const TOKEN = /^[\x21-\x7e]+$/;

function tokensOf(answer: TokenAnswer, { clock }: OAuthTools, issuer: string): Tokens {
  const { access_token: accessToken, refresh_token, expires_in, token_type } = answer;
  if (token_type !== "bearer") throw failed("never", `${issuer} gives tokens of another type than Bearer`);
  if (accessToken.length > LONGEST_TOKEN || !TOKEN.test(accessToken)) {
    throw failed("never", `${issuer} gave a token that cannot be sent`);
  }
  return {
    accessToken,
    expiresAtMs: expires_in === undefined ? null : clock.wallMs() + expires_in * 1000,
    refreshToken: refresh_token ?? null,
  };
}

/**
 * Rejects with `sign_in_failed`, or with an error of the OAuth library, which shows whether the grant was refused or
 * the server was unreachable.
 */
export async function renewTokens(
  grant: Grant,
  auth: ResolvedAuth | null,
  tools: OAuthTools,
): Promise<Tokens> {
  const { oauth, options } = tools;
  const { issuer, client: identity, refreshToken, resource } = grant;
  const server: AuthorizationServer = { issuer, token_endpoint: grant.tokenEndpoint };
  const client = { client_id: identity.id };
  const proof = clientAuth(oauth, identity, auth);
  const renew = async (target: string | null) => {
    const more = { ...options, additionalParameters: about(target) };
    const response = await oauth.refreshTokenGrantRequest(server, client, proof, refreshToken ?? "", more);
    return oauth.processRefreshTokenResponse(server, client, response);
  };
  const answer = await renew(resource).catch((error: unknown) => {
    // Some servers take it at the login only; the login stays for that resource.
    if (resource === null || !refusesResource(oauth, error)) throw error;
    return renew(null);
  });
  return tokensOf(answer, tools, issuer);
}

/** Gets tokens with client credentials. Rejects like `renewTokens`. */
export async function machineTokens(
  target: SignInServer,
  auth: ResolvedAuth,
  scopes: readonly string[] | null,
  tools: OAuthTools,
): Promise<Tokens> {
  const { oauth, options } = tools;
  const { server, resource } = target;
  const client = { client_id: auth.clientId ?? "" };
  const parameters = {
    ...about(resource),
    ...(scopes !== null && scopes.length > 0 && { scope: scopes.join(" ") }),
  };
  const response = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    await machineAuth(oauth, server, auth),
    parameters,
    options,
  );
  const answer = await oauth.processClientCredentialsResponse(server, client, response);
  return tokensOf(answer, tools, server.issuer);
}

export interface CodeRequest {
  readonly target: SignInServer;
  readonly client: ClientIdentity;
  readonly auth: ResolvedAuth | null;
  readonly redirectUri: string;
  readonly state: string;
  readonly verifier: string;
  readonly scopes: readonly string[] | null;
}

/** Rejects with `sign_in_failed` if the server does not support PKCE. */
export async function codeRequestAddress(
  request: CodeRequest,
  { oauth }: Pick<OAuthTools, "oauth">,
): Promise<string> {
  const { server, resource } = request.target;
  if (server.authorization_endpoint === undefined) {
    throw failed("never", `${server.issuer} has no page to sign in at`);
  }
  if (server.code_challenge_methods_supported?.includes("S256") !== true) {
    throw failed(
      "never",
      `${server.issuer} does not support PKCE with S256, without which a code could be stolen`,
    );
  }
  const url = new URL(server.authorization_endpoint);
  // The address must lead neither to a file nor to a script, because a browser on this machine opens it.
  if (!isSafeForTokens(url)) {
    throw failed("never", `${server.issuer} wants people to sign in at an address that is not https`);
  }
  const parameters = {
    response_type: "code",
    client_id: request.client.id,
    redirect_uri: request.redirectUri,
    state: request.state,
    code_challenge: await oauth.calculatePKCECodeChallenge(request.verifier),
    code_challenge_method: "S256",
    ...about(resource),
    ...scopeParameters(request.scopes),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/** What the token is for (RFC 8707); null: this server refuses to be told. */
function about(resource: string | null): Record<string, string> {
  return resource === null ? {} : { resource };
}

/** Servers give offline access only after a prompt. */
function scopeParameters(scopes: readonly string[] | null): Record<string, string> {
  if (scopes === null || scopes.length === 0) return {};
  const prompt = scopes.includes("offline_access") ? { prompt: "consent" } : {};
  return { scope: scopes.join(" "), ...prompt };
}

/** `answer`: the address to which the browser was sent. Rejects with `sign_in_failed`. */
export async function tokensForCode(
  request: CodeRequest,
  answer: URL,
  tools: OAuthTools,
): Promise<Tokens & { readonly accountName: string | null }> {
  const { oauth, options } = tools;
  const { server, resource } = request.target;
  const client = { client_id: request.client.id };
  try {
    const parameters = oauth.validateAuthResponse(server, client, answer, request.state);
    const response = await oauth.authorizationCodeGrantRequest(
      server,
      client,
      clientAuth(oauth, request.client, request.auth),
      parameters,
      request.redirectUri,
      request.verifier,
      { ...options, additionalParameters: about(resource) },
    );
    const tokens = await oauth.processAuthorizationCodeResponse(server, client, response);
    const claims = oauth.getValidatedIdTokenClaims(tokens);
    const name = claims?.["email"] ?? claims?.["preferred_username"] ?? claims?.["name"] ?? claims?.sub;
    const accountName = typeof name === "string" ? printable(name.slice(0, LONGEST_NAME)) : null;
    return { ...tokensOf(tokens, tools, server.issuer), accountName };
  } catch (error) {
    throw asSignInFailure(oauth, error, server.issuer);
  }
}

/** RFC 7009. Rejects with `sign_in_failed`. */
export async function revokeGrant(grant: Grant, auth: ResolvedAuth | null, tools: OAuthTools): Promise<void> {
  const { oauth, options } = tools;
  const { issuer, client: identity, revocationEndpoint } = grant;
  if (revocationEndpoint === null) return;
  const server: AuthorizationServer = { issuer, revocation_endpoint: revocationEndpoint };
  const proof = clientAuth(oauth, identity, auth);
  const token = grant.refreshToken ?? grant.accessToken;
  await oauth
    .revocationRequest(server, { client_id: identity.id }, proof, token, options)
    .then((response) => oauth.processRevocationResponse(response))
    .catch(signInFailure(tools, issuer));
}
