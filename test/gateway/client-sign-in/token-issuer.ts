// An authorization server whose access tokens are signed, and tokens in the shape of its own that say whatever a test wants.
import type { TestContext } from "node:test";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { MACHINE_CLIENT, startAuthorizationServer } from "../backends/server-sign-in/authorization-server.ts";

export type SigningKey = Awaited<ReturnType<typeof newKey>>;

export async function newKey(kid: string, algorithm = "RS256") {
  return { kid, ...(await generateKeyPair(algorithm, { extractable: true })) };
}

/** Making one costs more than most tests: all servers begin with the same. */
let madeKey: Promise<SigningKey> | undefined;

const published = async ({ kid, privateKey }: SigningKey): Promise<object> => ({
  ...(await exportJWK(privateKey)),
  ...{ kid, use: "sig", alg: "RS256" },
});

/** `resource`: for which it is, unless a token says otherwise. */
export async function startTokenIssuer(t: TestContext, resource: string, { isUp = true } = {}) {
  madeKey ??= newKey("first");
  let key = await madeKey;
  const server = await startAuthorizationServer(t, { isUp, signsWith: await published(key) });
  return {
    ...server,
    get key() {
      return key;
    },
    async rotate(): Promise<void> {
      key = await newKey("next");
      server.signWith(await published(key));
    },
    /** By the client credentials flow. */
    async token(of: string, scope = "mcp files:read"): Promise<string> {
      const response = await fetch(`${server.issuer}/token`, {
        method: "POST",
        headers: { authorization: `Basic ${btoa(`${MACHINE_CLIENT.id}:${MACHINE_CLIENT.secret}`)}` },
        body: new URLSearchParams({ grant_type: "client_credentials", resource: of, scope }),
      });
      const answer: unknown = await response.json();
      if (typeof answer === "object" && answer !== null && "access_token" in answer)
        return String(answer.access_token);
      throw new Error(`no token: ${JSON.stringify(answer)}`);
    },
    forge(
      claims: Readonly<Record<string, unknown>>,
      signedBy = key,
      header: Readonly<Record<string, unknown>> = {},
    ): Promise<string> {
      const seconds = Math.floor(Date.now() / 1000);
      const good = { iss: server.issuer, aud: resource, sub: "somebody", scope: "mcp files:read" };
      return new SignJWT({ ...good, iat: seconds, exp: seconds + 600, ...claims })
        .setProtectedHeader({ alg: "RS256", kid: signedBy.kid, typ: "at+jwt", ...header })
        .sign(signedBy.privateKey);
    },
  };
}
