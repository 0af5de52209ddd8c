// Keys without names, several of them, and algorithms that are not wanted: with real signatures.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { exportJWK, exportSPKI, SignJWT } from "jose";
import type { SignedTokensConfig } from "../../../src/config/snapshot.ts";
import { readLocalUsers, TokensUsed } from "../../../src/gateway/middleware/incoming-auth.ts";
import { createSignedAuthentication } from "../../../src/gateway/sign-in/signed-authentication.ts";
import { REFUSED } from "../../../src/gateway/sign-in/token-claims.ts";
import { silentLogger } from "../../../src/runtime/log/log.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { newKey, type SigningKey } from "./authorization-server.ts";
import { signedTokens } from "./signed-gateway.ts";

const ISSUER = "https://issuer.example";
const RESOURCE = "http://127.0.0.1:9000/mcp";

async function comeWith(t: TestContext, text: string, change: Partial<SignedTokensConfig> = {}) {
  const path = join(await temporaryFolder(t), "keys");
  await writeFile(path, text);
  const authenticator = createSignedAuthentication({
    tokens: signedTokens(ISSUER, { keys: { kind: "file", path }, ...change }),
    server: { host: "127.0.0.1", port: 9000, publicUrl: null },
    users: readLocalUsers([], {}, () => {}, new TokensUsed()),
    proofs: new WeakMap(),
    clock: systemClock,
    logger: silentLogger,
    listens: true,
  });
  t.after(() => authenticator[Symbol.dispose]());
  return async (token: string): Promise<string> => {
    const answer = await authenticator.authenticate({ authorization: `Bearer ${token}` });
    return answer.ok ? "ok" : answer.reason;
  };
}

const signed = ({ privateKey }: SigningKey, alg: string, kid?: string): Promise<string> =>
  new SignJWT({})
    .setProtectedHeader({ alg, ...(kid !== undefined && { kid }) })
    .setIssuer(ISSUER)
    .setAudience(RESOURCE)
    .setSubject("ann")
    .setExpirationTime("5m")
    .sign(privateKey);

test("E1 one public key in PEM is for tokens of whatever key name, and for no other key's", async (t) => {
  const [own, other] = await Promise.all([newKey("own"), newKey("other")]);
  const come = await comeWith(t, await exportSPKI(own.publicKey));
  assert.equal(await come(await signed(own, "RS256")), "ok");
  assert.equal(await come(await signed(own, "RS256", "any-name")), "ok");
  assert.equal(await come(await signed(other, "RS256")), REFUSED.signature);
});

test("E1 of several keys without names, each is tried", async (t) => {
  const [first, second, other] = await Promise.all([newKey("1"), newKey("2"), newKey("3")]);
  const keys = await Promise.all([first, second].map(({ publicKey }) => exportJWK(publicKey)));
  const come = await comeWith(t, JSON.stringify({ keys }));
  for (const key of [first, second]) assert.equal(await come(await signed(key, "RS256")), "ok");
  assert.equal(await come(await signed(other, "RS256")), REFUSED.signature);
  assert.equal(await come(await signed(first, "RS256", "named")), REFUSED.key);
});

test("E1 a key is used for its own kind of signature, and only where that is wanted", async (t) => {
  const [rsa, curve, edwards] = await Promise.all([newKey("r"), newKey("c", "ES256"), newKey("e", "EdDSA")]);
  const keys = await Promise.all(
    [rsa, curve, edwards].map(async ({ publicKey, kid }) => ({ ...(await exportJWK(publicKey)), kid })),
  );
  const text = JSON.stringify({ keys: [...keys, { kty: "unheard of", kid: "u" }] });
  const any = await comeWith(t, text);
  assert.equal(await any(await signed(rsa, "RS256", "r")), "ok");
  assert.equal(await any(await signed(curve, "ES256", "c")), "ok");
  assert.equal(await any(await signed(edwards, "EdDSA", "e")), "ok");
  // The name of a key of another kind.
  assert.equal(await any(await signed(curve, "ES256", "r")), REFUSED.key);
  const few = await comeWith(t, text, { algorithms: ["ES256"] });
  assert.equal(await few(await signed(curve, "ES256", "c")), "ok");
  assert.equal(await few(await signed(rsa, "RS256", "r")), REFUSED.algorithm);
});
