// A real authorization server on loopback (oidc-provider), which can lose its keys, its network and its life.
import { createServer, type Server } from "node:http";
import type { TestContext } from "node:test";
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import { Provider } from "oidc-provider";
import { freePort } from "../../support/free-port.ts";

export const MACHINE = { id: "machine", secret: "a-secret-of-the-machine" } as const;
const SCOPES = "mcp files:read files:write offline_access openid";

export interface SigningKey {
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

export async function newKey(kid: string, algorithm = "RS256"): Promise<SigningKey> {
  return { kid, ...(await generateKeyPair(algorithm, { extractable: true })) };
}

/** Making one costs more than most tests: all servers begin with the same. */
let madeKey: Promise<SigningKey> | undefined;
function firstKey(): Promise<SigningKey> {
  madeKey ??= newKey("first");
  return madeKey;
}

export interface AuthorizationServer {
  readonly issuer: string;
  /** Its requests so far, by path. */
  readonly asked: ReadonlyMap<string, number>;
  key: SigningKey;
  /** By the client credentials flow. */
  token(resource: string, scope?: string): Promise<string>;
  /** A token that says whatever a test wants, in the shape of a good one, signed by `key`. */
  forge(
    claims: Readonly<Record<string, unknown>>,
    signedBy?: SigningKey,
    header?: Readonly<Record<string, unknown>>,
  ): Promise<string>;
  /** From here on it signs with another key, and publishes that alone. */
  rotate(): Promise<void>;
  down(): Promise<void>;
  up(): Promise<void>;
}

/** `up` at once unless it is said otherwise. */
export async function startAuthorizationServer(
  t: TestContext,
  resource: string,
  { isUp = true } = {},
): Promise<AuthorizationServer> {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const asked = new Map<string, number>();
  let server: Server | null = null;
  const up = async (): Promise<void> => {
    const provider = await createProvider(issuer, self.key);
    const answer = provider.callback();
    const listening = createServer((request, response) => {
      const path = request.url?.split("?")[0] ?? "";
      asked.set(path, (asked.get(path) ?? 0) + 1);
      answer(request, response);
    });
    await new Promise<void>((resolve) => listening.listen(port, "127.0.0.1", resolve));
    server = listening;
  };
  const down = async (): Promise<void> => {
    const closing = server;
    server = null;
    closing?.closeAllConnections();
    await new Promise<void>((resolve) => (closing === null ? resolve() : closing.close(() => resolve())));
  };
  const self: AuthorizationServer = {
    issuer,
    asked,
    key: await firstKey(),
    up,
    down,
    async rotate() {
      self.key = await newKey(`key-${asked.size}-${Math.random()}`);
      await down();
      await up();
    },
    async token(of, scope = "mcp files:read") {
      const response = await fetch(`${issuer}/token`, {
        method: "POST",
        headers: { authorization: `Basic ${btoa(`${MACHINE.id}:${MACHINE.secret}`)}` },
        body: new URLSearchParams({ grant_type: "client_credentials", resource: of, scope }),
      });
      const answer: unknown = await response.json();
      if (typeof answer === "object" && answer !== null && "access_token" in answer)
        return String(answer.access_token);
      throw new Error(`no token: ${JSON.stringify(answer)}`);
    },
    forge(claims, signedBy = self.key, header = {}) {
      const seconds = Math.floor(Date.now() / 1000);
      return new SignJWT({
        iss: issuer,
        aud: resource,
        sub: "somebody",
        scope: "mcp files:read",
        iat: seconds,
        exp: seconds + 600,
        ...claims,
      })
        .setProtectedHeader({ alg: "RS256", kid: signedBy.kid, typ: "at+jwt", ...header })
        .sign(signedBy.privateKey);
    },
  };
  t.after(down);
  if (isUp) await up();
  return self;
}

async function createProvider(issuer: string, key: SigningKey): Promise<Provider> {
  const jwk = await exportJWK(key.privateKey);
  return new Provider(issuer, {
    clients: [
      {
        client_id: MACHINE.id,
        client_secret: MACHINE.secret,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
        scope: SCOPES,
      },
    ],
    jwks: { keys: [{ ...jwk, kid: key.kid, use: "sig", alg: "RS256" }] },
    cookies: { keys: ["of a test"] },
    scopes: SCOPES.split(" "),
    clientDefaults: { token_endpoint_auth_method: "client_secret_basic" },
    findAccount: (_: unknown, id: string) => ({ accountId: id, claims: () => ({ sub: id }) }),
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: (_: unknown, audience: string) => ({
          scope: SCOPES,
          audience,
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
  });
}
