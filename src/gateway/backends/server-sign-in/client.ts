// How the gateway identifies itself to an authorization server: by a configured id, a metadata document or a
// registration.
import { createPrivateKey, type KeyObject } from "node:crypto";
import { choice, nullable, number, object, reader, type TypeOf, text } from "../../../runtime/shape.ts";
import type { ResolvedAuth } from "../transports/transport-authorization.ts";
import { failed } from "./bounded-fetch.ts";
import {
  type AuthorizationServer,
  type ClientAuth,
  type OAuthLibrary,
  type OAuthTools,
  signInFailure,
} from "./oauth-library.ts";

/**
 * The client's identity as it is stored with the grant. The secret of a configured client stays in the configuration.
 */
export const clientShape = object({
  source: choice("configured", "document", "registered"),
  id: text,
  secret: nullable(text),
  method: choice("none", "client_secret_basic", "client_secret_post"),
  /** Wall ms; null: the secret does not expire. */
  secretEndsAtMs: nullable(number),
});
export type ClientIdentity = Readonly<TypeOf<typeof clientShape>>;
type ClientAuthMethod = ClientIdentity["method"];
const methodNamed = reader(clientShape.fields.method);

const DEFAULT_NAME = "Mountaineer";

/**
 * Returns null if no client is configured, or if only a metadata document is configured and the server does not support
 * them.
 */
export function configuredClient(
  auth: ResolvedAuth | null,
  server: AuthorizationServer,
): ClientIdentity | null {
  if (auth === null) return null;
  const { clientId, clientSecret, clientMetadataUrl } = auth;
  const given = { secret: null, secretEndsAtMs: null } as const;
  if (clientId !== null) {
    const method = clientSecret === null ? "none" : secretMethod(server);
    return { ...given, source: "configured", id: clientId, method };
  }
  if (clientMetadataUrl === null || server["client_id_metadata_document_supported"] !== true) return null;
  return { ...given, source: "document", id: clientMetadataUrl, method: "none" };
}

interface Registration {
  readonly name: string | null;
  readonly redirectUri: string;
}

const BY_HAND = "register Mountaineer there by hand, and give `client_id` in `[backends.NAME.auth]`";

/** RFC 7591. Rejects with `sign_in_failed`. */
export async function registerClient(
  tools: OAuthTools,
  server: AuthorizationServer,
  { name, redirectUri }: Registration,
): Promise<ClientIdentity> {
  if (server.registration_endpoint === undefined) {
    throw failed("never", `${server.issuer} does not register clients automatically`, BY_HAND);
  }
  const supported = server.token_endpoint_auth_methods_supported;
  const requested = supported === undefined || supported.includes("none") ? "none" : secretMethod(server);
  const metadata = {
    client_name: name ?? DEFAULT_NAME,
    redirect_uris: [redirectUri],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: requested,
    // No scopes are registered, so the client may ask for more later. The type is not `web`, because web clients may
    // not redirect to a port of this machine.
    application_type: "native",
  };
  const { oauth, options } = tools;
  const answer = await oauth
    .dynamicClientRegistrationRequest(server, metadata, options)
    .then((response) => oauth.processDynamicClientRegistrationResponse(response))
    .catch(signInFailure(tools, `${server.issuer} does not register this client`, BY_HAND));
  return registered(answer, server, requested);
}

function registered(
  answer: { readonly [key: string]: unknown; readonly client_id: string },
  server: AuthorizationServer,
  requested: ClientAuthMethod,
): ClientIdentity {
  const { client_id: id, client_secret: secret, client_secret_expires_at: endsAt } = answer;
  const issued = typeof secret === "string" && secret !== "" ? secret : null;
  const given = answer["token_endpoint_auth_method"];
  const usual = issued === null ? "none" : secretMethod(server, requested);
  const method = given === undefined ? usual : methodNamed(given);
  if (method === null || (method !== "none" && issued === null)) {
    throw failed("never", `${server.issuer} requires a client authentication method that is not supported`);
  }
  const secretEndsAtMs = issued !== null && typeof endsAt === "number" && endsAt > 0 ? endsAt * 1000 : null;
  return { source: "registered", id, secret: issued, secretEndsAtMs, method };
}

/** `otherwise`: where the server supports neither method. */
function secretMethod(
  { token_endpoint_auth_methods_supported: supported }: AuthorizationServer,
  otherwise: ClientAuthMethod = "client_secret_post",
): ClientAuthMethod {
  if (supported === undefined || supported.includes("client_secret_basic")) return "client_secret_basic";
  return supported.includes("client_secret_post") ? "client_secret_post" : otherwise;
}

/** Throws `sign_in_failed` if the secret is missing. */
export function clientAuth(
  oauth: OAuthLibrary,
  client: Pick<ClientIdentity, "source" | "secret" | "method">,
  auth: ResolvedAuth | null,
): ClientAuth {
  if (client.method === "none") return oauth.None();
  const secret = client.source === "configured" ? (auth?.clientSecret ?? null) : client.secret;
  if (secret === null) throw failed("never", "the client's secret is no longer configured");
  return client.method === "client_secret_post" ? oauth.ClientSecretPost(secret) : basic(secret);
}

/** Form-encodes id and secret, as RFC 6749 requires. */
function basic(secret: string): ClientAuth {
  return (_server, { client_id: id }, _body, headers) => {
    const pair = `${formEncoded(id)}:${formEncoded(secret)}`;
    headers.set("authorization", `Basic ${Buffer.from(pair, "utf8").toString("base64")}`);
  };
}

function formEncoded(text: string): string {
  return new URLSearchParams({ _: text }).toString().slice("_=".length);
}

/** Signs with the key if one is configured, else uses the secret. Rejects with `sign_in_failed`. */
export async function machineAuth(
  oauth: OAuthLibrary,
  server: AuthorizationServer,
  auth: ResolvedAuth,
): Promise<ClientAuth> {
  if (auth.privateKey !== null) return oauth.PrivateKeyJwt(await signingKey(auth.privateKey));
  const method = auth.clientSecret === null ? "none" : secretMethod(server);
  return clientAuth(oauth, { source: "configured", secret: null, method }, auth);
}

async function signingKey(text: string) {
  const key = privateKey(text);
  const bytes = key.export({ format: "der", type: "pkcs8" });
  try {
    return await crypto.subtle.importKey("pkcs8", bytes, algorithmOf(key), false, ["sign"]);
  } catch (error) {
    throw failed("never", "`private_key` is of a kind that cannot sign here", KEY_HINT, error);
  }
}

const KEY_HINT = "use an EC key (P-256, P-384 or P-521), an Ed25519 key or an RSA key, as PKCS #8";

function privateKey(text: string): KeyObject {
  try {
    if (text.includes("-----BEGIN")) return createPrivateKey(text.replaceAll("\\n", "\n"));
    return createPrivateKey({ key: Buffer.from(text, "base64"), format: "der", type: "pkcs8" });
  } catch {
    // The original error might quote the key.
    throw failed("never", "`private_key` cannot be read", KEY_HINT);
  }
}

function algorithmOf(key: KeyObject) {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ed25519") return { name: "Ed25519" };
  if (type === "rsa") return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const curve = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" }[details?.namedCurve ?? ""];
  if (type === "ec" && curve !== undefined) return { name: "ECDSA", namedCurve: curve };
  throw failed("never", "`private_key` is of a kind that cannot sign here", KEY_HINT);
}
