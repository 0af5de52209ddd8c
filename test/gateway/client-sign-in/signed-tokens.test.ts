// Tokens of a real authorization server, and every kind of wrong one, at a gateway that listens.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { type TestContext, test } from "node:test";
import { exportSPKI } from "jose";
import type { SignedTokensConfig } from "../../../src/config/snapshot.ts";
import { ANONYMOUS, OWNER, type Principal } from "../../../src/gateway/client-handle.ts";
import { UNKNOWN_KEY_PAUSE_MS } from "../../../src/gateway/client-sign-in/key-ring.ts";
import { SignedAuthentication } from "../../../src/gateway/client-sign-in/signed-authentication.ts";
import { REFUSED } from "../../../src/gateway/client-sign-in/token-claims.ts";
import {
  ANYBODY,
  type Authenticator,
  authenticateUsers,
  readLocalUsers,
  TokensUsed,
} from "../../../src/gateway/middleware/incoming-auth.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { assertEach } from "../../support/assert-each.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { leastGrowth } from "../../support/heap-growth.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { AT_MCP } from "../middleware/requests.ts";
import { post, signedTokens, startSignedGateway } from "./signed-gateway.ts";
import { newKey, startTokenIssuer } from "./token-issuer.ts";

async function rig(t: TestContext, change: Partial<SignedTokensConfig> = {}, isUp = true) {
  const port = await freePort();
  const resource = `http://127.0.0.1:${port}/mcp`;
  const server = await startTokenIssuer(t, resource, { isUp });
  const tokens = signedTokens(server.issuer, change);
  const users = [
    { name: "anna", token: { kind: "environment", variable: "ANNA_TOKEN" }, roles: [] },
  ] as const;
  const { gateway, url } = await startSignedGateway(t, {
    port,
    incomingAuth: { type: "oidc", users, tokens },
  });
  return { server, gateway, url, resource };
}

const seconds = (fromNow: number): number => Math.floor(Date.now() / 1000) + fromNow;
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

test("E1 a token of the issuer is accepted, and one of the file next to it, and nothing else", async (t) => {
  const { server, url, resource } = await rig(t);
  assert.equal((await post(url, await server.token(resource))).status, 200);
  assert.equal((await post(url, "annas-own-token")).status, 200);
  const none = await post(url, null);
  assert.equal(none.status, 401);
  assert.match(none.challenge ?? "", /^Bearer resource_metadata="http:\/\/127\.0\.0\.1:\d+\/\.well-known\//);
  assert.doesNotMatch(none.challenge ?? "", /error=/);
  assert.equal((await post(url, "opaque")).status, 401);
  assert.equal((await post(`${url}?access_token=${await server.token(resource)}`, null)).status, 401);
});

test("E1 a fault of a token is described in a few words that repeat nothing of it", async (t) => {
  const { server, url, resource } = await rig(t, { requiredClaims: { team: ["blue"] } });
  const good = { team: "blue" };
  assert.equal((await post(url, await server.forge(good))).status, 200);
  const stranger = await newKey(server.key.kid);
  const spki = await exportSPKI(server.key.publicKey);
  const symmetric = `${base64({ alg: "HS256", kid: server.key.kid })}.${base64({ iss: server.issuer, aud: resource, sub: "x", exp: seconds(60), ...good })}`;
  const hmac = createHmac("sha256", spki).update(symmetric).digest("base64url");
  const [, body] = (await server.forge(good)).split(".");
  const whole = await server.forge(good);
  const wrong: readonly (readonly [string, string, RegExp])[] = [
    ["expired", await server.forge({ ...good, exp: seconds(-120) }), /has expired/],
    ["not yet valid", await server.forge({ ...good, nbf: seconds(120) }), /not valid yet/],
    ["without an end", await server.forge({ ...good, exp: undefined }), /when it expires/],
    ["for another", await server.forge({ ...good, aud: "https://other.example/mcp" }), /another audience/],
    ["for nobody", await server.forge({ ...good, aud: undefined }), /another audience/],
    ["of another issuer", await server.forge({ ...good, iss: "https://evil.example" }), /wrong issuer/],
    ["by no algorithm", `${base64({ alg: "none" })}.${body}.`, /not accepted/],
    ["by an HMAC of the public key", `${symmetric}.${hmac}`, /signature algorithm is not accepted/],
    ["by a stranger's key of the same name", await server.forge(good, stranger), /signature is wrong/],
    [
      "changed",
      `${whole.split(".")[0]}.${base64({ iss: server.issuer, aud: resource, sub: "admin", exp: seconds(60), ...good })}.${whole.split(".")[2]}`,
      /signature is wrong/,
    ],
    ["without a claim", await server.forge({}), /lacks a claim/],
    ["bound to a key", await server.forge({ ...good, cnf: { jkt: "x" } }), /bound to a key/],
    ["no token", "a.b.c", /not accepted/],
    ["huge", `${base64({ alg: "RS256" })}.${"A".repeat(12_000)}.AA`, /not accepted/],
  ];
  for (const [what, token, reason] of wrong) {
    const { status, challenge, body: told } = await post(url, token);
    assert.equal(status, 401, what);
    assert.match(told, reason, what);
    assert.match(challenge ?? "", /error="invalid_token"/, what);
    assert.ok(!told.includes(token.slice(0, 40)), what);
  }
});

test("E1 clocks may differ by the leeway, both ways, and not by more", async (t) => {
  const { server, url } = await rig(t, { leewayMs: 60_000 });
  assert.equal((await post(url, await server.forge({ exp: seconds(-45) }))).status, 200);
  assert.equal((await post(url, await server.forge({ nbf: seconds(45) }))).status, 200);
  assert.equal((await post(url, await server.forge({ exp: seconds(-75) }))).status, 401);
  assert.equal((await post(url, await server.forge({ nbf: seconds(75) }))).status, 401);
});

test("E1 an issuer that is down at the start delays nothing, is reported, and is found when it is there", async (t) => {
  const { server, gateway, url, resource } = await rig(t, {}, false);
  const told = await eventually(() =>
    gateway.view().conditions.find(({ code }) => code === "auth_keys_unavailable"),
  );
  assert.equal(told.severity, "error");
  assert.match(told.title, /refuses connections/);
  const early = await server.forge({});
  const refused = await post(url, early);
  assert.equal(refused.status, 503);
  assert.match(refused.body, /keys cannot be read/);
  assert.equal((await post(url, "annas-own-token")).status, 200);
  await server.up();
  await eventually(async () => (await post(url, early)).status === 200);
  assert.equal((await post(url, await server.token(resource))).status, 200);
  assert.deepEqual(gateway.view().conditions, []);
});

test("E1 five thousand different wrong tokens leave nothing behind, and cause no further requests to the issuer", async (t) => {
  const resource = "http://127.0.0.1:9000/mcp";
  const { server, come } = await authenticatorOf(t, resource);
  const good = await server.token(resource);
  await eventually(async () => (await come(good)).ok);
  const [head, body] = good.split(".");
  const strange = base64({ alg: "RS256", kid: "strange" });
  const asked = server.count("/jwks");
  let batch = 0;
  const grown = await leastGrowth(async () => {
    for (const last = batch + 10; batch < last; batch++) {
      const wrong = Array.from({ length: 100 }, (_, index) =>
        come(`${index % 2 === 0 ? head : strange}.${body}.${base64({ batch, index })}`),
      );
      assert.ok((await Promise.all(wrong)).every(({ ok }) => !ok));
    }
  });
  // Ten batches, each of 100 KB of tokens.
  assert.ok(grown < 512 * 1024, `${grown} bytes more`);
  assert.ok((await come(good)).ok);
  assert.equal(server.count("/jwks"), asked);
});

test("E1 a key that is rotated away no longer opens anything, and the new one does", async (t) => {
  const { server, clock, come } = await authenticatorOf(t, "http://127.0.0.1:9000/mcp");
  const before = await server.forge({});
  await eventually(async () => (await come(before)).ok);
  await server.rotate();
  const after = await server.forge({});
  assert.deepEqual((await come(after)).ok, false, "the issuer was asked just before");
  await clock.advance(UNKNOWN_KEY_PAUSE_MS);
  const all = await Promise.all(Array.from({ length: 50 }, () => come(after)));
  assert.ok(all.every(({ ok }) => ok));
  assert.equal(server.count("/jwks"), 2);
  assert.equal((await come(before)).ok, false, "though it was remembered");
});

test("E1 tokens are checked with the last keys while the issuer is down, for as long as configured", async (t) => {
  const { server, clock, come } = await authenticatorOf(t, "http://127.0.0.1:9000/mcp", {
    keysMaxAgeMs: 120_000,
  });
  const [known, fresh] = await Promise.all([server.forge({}), server.forge({ sub: "new" })]);
  await eventually(async () => (await come(known)).ok);
  await server.down();
  await clock.advance(60_000);
  assert.ok((await come(known)).ok);
  assert.ok((await come(fresh)).ok);
  await clock.advance(61_000);
  for (const token of [known, fresh]) {
    const late = await come(token);
    assert.ok(!late.ok && late.status === 503);
  }
});

test("E1 E4 more than 256 tokens at once are not checked: the next caller is asked to retry", async (t) => {
  const { come } = await authenticatorOf(t, "http://127.0.0.1:9000/mcp");
  const answers = await Promise.all(Array.from({ length: 257 }, (_, index) => come(`a.b.${index}`)));
  const statuses = answers.map((answer) => (answer.ok ? 200 : (answer.status ?? 401)));
  assert.deepEqual([statuses.indexOf(503), statuses.length], [256, 257]);
  assert.equal((await come("a.b.257")).ok, false);
});

test("E1 rights of a token end with it, though it is remembered", async (t) => {
  const { server, clock, come, authenticator } = await authenticatorOf(t, "http://127.0.0.1:9000/mcp");
  const token = await server.forge({});
  const answer = await eventually(async () => {
    const found = await come(token);
    return found.ok && found;
  });
  assert.equal(await come(token), answer, "it is not checked again");
  assert.equal(authenticator.refresh(answer.principal), answer.principal);
  clock.jumpWall(600_000 + 31_000);
  assert.equal(authenticator.refresh(answer.principal), null);
  const late = await come(token);
  assert.ok(!late.ok && late.reason === REFUSED.expired);
});

test("E1 an edit of the configuration withdraws the tokens that it would not accept, and no others", async (t) => {
  const { server, clock, come, authenticator, next } = await authenticatorOf(t, "http://127.0.0.1:9000/mcp");
  const token = await server.forge({ scope: "files:read" });
  const { principal } = await eventually(async () => {
    const found = await come(token);
    return found.ok && found;
  });
  const same = next({ scopes: { "files:read": ["reader"] } });
  assert.deepEqual(same.refresh(principal)?.roles, ["scope:files:read", "reader"]);
  assert.equal(same.refresh(principal), same.refresh(principal));
  const others = [
    next({ requiredScopes: ["files:write"] }),
    next({ requiredClaims: { team: ["a"] } }),
    next({ audience: ["https://elsewhere.example/mcp"] }),
    next({ issuer: "https://other.example" }),
    next({ keys: { kind: "file", path: "/other/keys" } }),
    authenticateUsers(readLocalUsers([], {}, () => {}, new TokensUsed(), Date.now)),
  ];
  for (const other of others)
    assert.deepEqual([other.refresh(principal), other.isWithdrawn(principal)], [null, true]);
  assertEach([authenticator, same, ANYBODY], (one) => one.isWithdrawn(principal), [false, false, false]);
  clock.jumpWall(600_000 + 31_000);
  assert.deepEqual([same.refresh(principal), same.isWithdrawn(principal)], [null, false]);
  // Its calls may go on after it has expired, and not after such an edit.
  for (const other of others) assert.equal(other.isWithdrawn(principal), true);
});

test("E1 a principal without a signed token of this process keeps the rights of its kind", async (t) => {
  const { server, authenticator } = await authenticatorOf(t, "http://127.0.0.1:9000/mcp");
  const from = (issuer: string): Principal => ({
    kind: "user",
    id: JSON.stringify([issuer, "ann"]),
    name: "ann",
    roles: ["admin"],
  });
  for (const [what, principal, isKept, isWithdrawn] of [
    ["the owner", OWNER, true, false],
    ["anybody, from before tokens were required", ANONYMOUS, false, false],
    ["who signed in at the daemon before", from(server.issuer), false, false],
    ["another issuer's", from("https://other.example"), false, true],
    ["a user of the file that is not in it", { kind: "user", name: "ann", roles: [] }, false, true],
  ] as const) {
    assert.equal(authenticator.refresh(principal), isKept ? principal : null, what);
    assert.equal(authenticator.isWithdrawn(principal), isWithdrawn, what);
  }
});

test("E1 no keys are read for a gateway that does not listen", async (t) => {
  const { server, clock, next } = await authenticatorOf(t, "http://127.0.0.1:9000/mcp");
  await eventually(() => server.count("/jwks"));
  const before = clock.pendingTimers;
  next({});
  assert.equal(clock.pendingTimers, before);
});

async function authenticatorOf(t: TestContext, resource: string, change: Partial<SignedTokensConfig> = {}) {
  const server = await startTokenIssuer(t, resource);
  const clock = createManualClock(Date.now());
  const proofs = new WeakMap();
  const authenticatorWith = (changed: Partial<SignedTokensConfig>, listens: boolean): Authenticator => {
    const made = new SignedAuthentication({
      tokens: signedTokens(server.issuer, changed),
      server: { host: "127.0.0.1", port: 9000, publicUrl: null },
      users: readLocalUsers([], {}, () => {}, new TokensUsed(), Date.now),
      proofs,
      clock,
      logger: noopLogger,
      listens,
    });
    t.after(() => made[Symbol.dispose]());
    return made;
  };
  const authenticator = authenticatorWith(change, true);
  /** That of another configuration, which takes over. */
  const next = (changed: Partial<SignedTokensConfig>) => authenticatorWith(changed, false);
  const come = async (token: string) =>
    authenticator.authenticate({ authorization: `Bearer ${token}` }, AT_MCP);
  return { server, clock, authenticator, come, next };
}

test("E1 a session belongs to issuer and subject: it accepts a fresh token of theirs, and no other", async (t) => {
  const { server, url } = await rig(t, { nameClaim: "email" });
  const ping = { jsonrpc: "2.0", id: 2, method: "ping" };
  const opened = await post(url, await server.forge({ sub: "ann", email: "ann@example.com" }));
  const session = { "mcp-session-id": opened.session ?? "" };
  const renewed = await server.forge({ sub: "ann", email: "ann@new.example", jti: "2" });
  assert.equal((await post(url, renewed, ping, session)).status, 200);
  // The same name is not the same person.
  const other = await server.forge({ sub: "eve", email: "ann@new.example" });
  assert.equal((await post(url, other, ping, session)).status, 404);
  assert.equal((await post(url, "annas-own-token", ping, session)).status, 404);
});
