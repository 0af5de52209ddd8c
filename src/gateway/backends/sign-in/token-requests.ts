// Requests to a token endpoint, and what they are answered with.
import type { Clock } from "../../../runtime/time/clock.ts";
import type { ResolvedAuth } from "../links/link-authorization.ts";
import { type BoundedFetch, failed, isSafeForTokens } from "./bounded-fetch.ts";
import { scopeList } from "./challenge.ts";
import { type ClientIdentity, clientAuth, machineAuth } from "./client.ts";
import type { SignInPlace } from "./discovery.ts";
import type { Grant } from "./grant-store.ts";
import {
  type AuthorizationServer,
  asSignInFailure,
  type OAuthLibrary,
  requestOptions,
} from "./oauth-library.ts";

export interface Tokens {
  readonly accessToken: string;
  /** Wall ms; null: the server does not say. */
  readonly expiresAtMs: number | null;
  /** Null: none was given. */
  readonly refreshToken: string | null;
  /** Null: as asked for. */
  readonly scopes: readonly string[] | null;
}

export interface TokenTools {
  readonly oauth: OAuthLibrary;
  readonly boundedFetch: BoundedFetch;
  readonly clock: Clock;
}

type TokenAnswer = Awaited<ReturnType<OAuthLibrary["processRefreshTokenResponse"]>>;

const LONGEST_TOKEN = 64 * 1024;
/** What can stand in a header. */
const TOKEN = /^[\x21-\x7e]+$/;

function tokensOf(answer: TokenAnswer, { clock }: TokenTools, issuer: string): Tokens {
  const { access_token: accessToken, refresh_token, expires_in, scope, token_type } = answer;
  if (token_type !== "bearer") throw failed("never", `${issuer} gives tokens of another type than Bearer`);
  if (accessToken.length > LONGEST_TOKEN || !TOKEN.test(accessToken)) {
    throw failed("never", `${issuer} gave a token that cannot be sent`);
  }
  return {
    accessToken,
    expiresAtMs: expires_in === undefined ? null : clock.wallMs() + expires_in * 1000,
    refreshToken: refresh_token ?? null,
    scopes: scope === undefined ? null : scopeList(scope),
  };
}

/**
 * Renews the tokens of a grant. Rejects with what the OAuth library says, so that a refused grant can be told from a
 * server that is away, and with `sign_in_failed`.
 */
export async function renewTokens(
  grant: Grant,
  auth: ResolvedAuth | null,
  tools: TokenTools,
): Promise<Tokens> {
  const { oauth, boundedFetch } = tools;
  const { issuer, client: identity, refreshToken, resource } = grant;
  const server: AuthorizationServer = { issuer, token_endpoint: grant.tokenEndpoint };
  const client = { client_id: identity.id };
  const response = await oauth.refreshTokenGrantRequest(
    server,
    client,
    clientAuth(oauth, identity, auth),
    refreshToken ?? "",
    { ...requestOptions(oauth, boundedFetch), additionalParameters: { resource } },
  );
  return tokensOf(await oauth.processRefreshTokenResponse(server, client, response), tools, issuer);
}

/** For the gateway itself. Rejects like `renewTokens`. */
export async function machineTokens(
  place: SignInPlace,
  auth: ResolvedAuth,
  scopes: readonly string[] | null,
  tools: TokenTools,
): Promise<Tokens> {
  const { oauth, boundedFetch } = tools;
  const { server, resource } = place;
  const client = { client_id: auth.clientId ?? "" };
  const parameters = {
    resource,
    ...(scopes === null || scopes.length === 0 ? {} : { scope: scopes.join(" ") }),
  };
  const response = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    await machineAuth(oauth, server, auth),
    parameters,
    requestOptions(oauth, boundedFetch),
  );
  return tokensOf(
    await oauth.processClientCredentialsResponse(server, client, response),
    tools,
    server.issuer,
  );
}

/** A sign-in in a browser that was begun. */
export interface CodeRequest {
  readonly place: SignInPlace;
  readonly client: ClientIdentity;
  readonly auth: ResolvedAuth | null;
  readonly redirectUri: string;
  readonly state: string;
  readonly verifier: string;
  /** Null: none are named. */
  readonly scopes: readonly string[] | null;
}

/** Where the browser goes. Rejects with `sign_in_failed` where the server cannot protect the code. */
export async function codeRequestAddress(
  request: CodeRequest,
  { oauth }: Pick<TokenTools, "oauth">,
): Promise<string> {
  const { server, resource } = request.place;
  if (server.authorization_endpoint === undefined) {
    throw failed("never", `${server.issuer} has no page to sign in at`, "try `--device`");
  }
  if (server.code_challenge_methods_supported?.includes("S256") !== true) {
    throw failed(
      "never",
      `${server.issuer} does not support PKCE with S256, without which a code could be stolen`,
    );
  }
  const url = new URL(server.authorization_endpoint);
  // A browser of this machine opens it: no file, and no script.
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
    resource,
    ...scopeParameters(request.scopes),
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

/** Offline access is only given where the person is asked for it. */
function scopeParameters(scopes: readonly string[] | null): Record<string, string> {
  if (scopes === null || scopes.length === 0) return {};
  const prompt = scopes.includes("offline_access") ? { prompt: "consent" } : {};
  return { scope: scopes.join(" "), ...prompt };
}

/** Changes the code that came back for tokens. `answer`: the address to which the browser was sent. Rejects with `sign_in_failed`. */
export async function tokensForCode(request: CodeRequest, answer: URL, tools: TokenTools): Promise<Tokens> {
  const { oauth, boundedFetch } = tools;
  const { server, resource } = request.place;
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
      { ...requestOptions(oauth, boundedFetch), additionalParameters: { resource } },
    );
    return tokensOf(
      await oauth.processAuthorizationCodeResponse(server, client, response),
      tools,
      server.issuer,
    );
  } catch (error) {
    throw asSignInFailure(oauth, error, server.issuer);
  }
}

const POLL_MS = 5_000;
/** Whatever the server says. */
const SOONEST_POLL_MS = 1_000;

/** Begins a sign-in with a device code (RFC 8628). Rejects with `sign_in_failed`. */
export async function beginDeviceRequest(
  request: Pick<CodeRequest, "place" | "client" | "auth" | "scopes">,
  tools: TokenTools,
) {
  const { oauth, boundedFetch, clock } = tools;
  const { server, resource } = request.place;
  const client = { client_id: request.client.id };
  if (server.device_authorization_endpoint === undefined) {
    throw failed("never", `${server.issuer} has no sign-in by device code`, "sign in without `--device`");
  }
  const proof = clientAuth(oauth, request.client, request.auth);
  const options = requestOptions(oauth, boundedFetch);
  const scope = request.scopes === null ? {} : { scope: request.scopes.join(" ") };
  const begun = await (async () => {
    try {
      const parameters = { resource, ...scope };
      const response = await oauth.deviceAuthorizationRequest(server, client, proof, parameters, options);
      return await oauth.processDeviceAuthorizationResponse(server, client, response);
    } catch (error) {
      throw asSignInFailure(oauth, error, server.issuer);
    }
  })();
  const {
    device_code: code,
    user_code,
    verification_uri,
    verification_uri_complete,
    expires_in,
    interval,
  } = begun;
  return {
    userCode: user_code,
    address: verification_uri,
    /** With the code in it; null: the server gives none. */
    completeAddress: verification_uri_complete ?? null,
    endsInMs: expires_in * 1000,
    /** Resolves once the person has agreed. Rejects with `sign_in_failed` and `aborted`. */
    async tokens(signal: AbortSignal): Promise<Tokens> {
      const untilMs = clock.monotonicMs() + expires_in * 1000;
      let waitMs = interval === undefined ? POLL_MS : Math.max(SOONEST_POLL_MS, interval * 1000);
      while (clock.monotonicMs() + waitMs < untilMs) {
        await clock.sleep(waitMs, signal);
        const additionalParameters = { resource };
        try {
          const response = await oauth.deviceCodeGrantRequest(server, client, proof, code, {
            ...options,
            additionalParameters,
          });
          return tokensOf(
            await oauth.processDeviceCodeResponse(server, client, response),
            tools,
            server.issuer,
          );
        } catch (error) {
          const told = error instanceof oauth.ResponseBodyError ? error.error : null;
          if (told === "slow_down") waitMs += POLL_MS;
          else if (told !== "authorization_pending") throw asSignInFailure(oauth, error, server.issuer);
        }
      }
      throw failed("never", "nobody agreed in time", "run the command again for a new code");
    },
  };
}

/** Tells the server that a grant is not used any more (RFC 7009). Rejects with `sign_in_failed`. */
export async function revokeGrant(grant: Grant, auth: ResolvedAuth | null, tools: TokenTools): Promise<void> {
  const { oauth, boundedFetch } = tools;
  const { issuer, client: identity, revocationEndpoint } = grant;
  if (revocationEndpoint === null) return;
  const server: AuthorizationServer = { issuer, revocation_endpoint: revocationEndpoint };
  try {
    const response = await oauth.revocationRequest(
      server,
      { client_id: identity.id },
      clientAuth(oauth, identity, auth),
      grant.refreshToken ?? grant.accessToken,
      requestOptions(oauth, boundedFetch),
    );
    await oauth.processRevocationResponse(response);
  } catch (error) {
    throw asSignInFailure(oauth, error, issuer);
  }
}
