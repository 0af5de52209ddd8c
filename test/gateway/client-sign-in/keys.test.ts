// What an authorization server may answer, and what keys may be: on real sockets.
import assert from "node:assert/strict";
import dns from "node:dns";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { exportJWK, exportPKCS8, exportSPKI, SignJWT } from "jose";
import type { SignedTokensConfig, SigningKeysSource } from "../../../src/config/snapshot.ts";
import { UNKNOWN_KEY_PAUSE_MS } from "../../../src/gateway/client-sign-in/key-ring.ts";
import {
  createKeySource,
  fetchDocument,
  metadataAddresses,
} from "../../../src/gateway/client-sign-in/key-source.ts";
import { SignedAuthentication } from "../../../src/gateway/client-sign-in/signed-authentication.ts";
import { REFUSED } from "../../../src/gateway/client-sign-in/token-claims.ts";
import { type LastKeys, readLocalUsers, TokensUsed } from "../../../src/gateway/middleware/incoming-auth.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { type Clock, systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { onLoopback } from "../../support/on-loopback.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { AT_MCP } from "../middleware/requests.ts";
import { signedTokens } from "./signed-gateway.ts";
import { newKey, type SigningKey } from "./token-issuer.ts";

const signal = new AbortController().signal;

async function served(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  const port = await onLoopback(t, server);
  return `http://127.0.0.1:${port}`;
}

const load = (keys: SigningKeysSource, issuer = "https://issuer.example") =>
  createKeySource(signedTokens(issuer, { keys }), systemClock)(signal);

test("E1 a document is JSON of a bounded size, and nothing leads elsewhere", async (t) => {
  const isLargeOver = Promise.withResolvers<void>();
  const answers: Readonly<Record<string, RequestListener>> = {
    "/good": (_, response) => response.setHeader("cache-control", "public, max-age=90").end('{"a":1}'),
    "/moved": (_, response) => response.writeHead(302, { location: "/good" }).end(),
    "/missing": (_, response) => response.writeHead(404).end("{}"),
    "/list": (_, response) => response.end("[]"),
    "/large": (_, response) => {
      response.once("close", isLargeOver.resolve).write(`{"a":"${"x".repeat(300_000)}"}`);
    },
    "/torn": (_, response) => {
      response.writeHead(200, { "content-length": 100 }).write("{");
      setImmediate(() => response.destroy());
    },
  };
  const at = await served(t, (request, response) => answers[request.url ?? ""]?.(request, response));
  const fetched = (path: string) => fetchDocument(`${at}${path}`, { clock: systemClock, signal });
  assert.deepEqual(await fetched("/good"), { ok: true, document: { a: 1 }, maxAgeMs: 90_000 });
  for (const [path, reason] of [
    ["/moved", /redirects elsewhere \(302\)/],
    ["/missing", /answers 404/],
    ["/list", /not with a JSON object/],
    ["/large", /more than 256 KiB/],
    ["/torn", /broke off|cannot be reached/],
  ] as const) {
    const answer = await fetched(path);
    assert.ok(!answer.ok, path);
    assert.match(answer.reason, reason);
  }
  // The rest of what is too much is not read.
  await isLargeOver.promise;
  const nobody = await fetchDocument("http://127.0.0.1:1/", { clock: systemClock, signal });
  assert.ok(!nobody.ok && /refuses connections/.test(nobody.reason));
  t.mock.method(dns, "lookup", (_: string, __: object, done: (error: Error) => void) =>
    process.nextTick(done, Object.assign(new Error("no network"), { code: "EAI_AGAIN" })),
  );
  const offline = await fetchDocument("http://issuer.invalid/", { clock: systemClock, signal });
  assert.ok(!offline.ok && /unknown host name/.test(offline.reason));
});

test("E1 a server that does not answer is waited for until the deadline", async (t) => {
  const at = await served(t, () => {});
  const clock = createManualClock();
  const late = fetchDocument(at, { clock, signal });
  await clock.advance(10_000);
  assert.deepEqual(await late, { ok: false, reason: "did not answer within 10 s" });
  const abort = new AbortController();
  const left = fetchDocument(at, { clock, signal: abort.signal });
  abort.abort();
  assert.ok(!(await left).ok);
  assert.equal(clock.pendingTimers, 0);
});

test("E1 an issuer's metadata is its own, and names keys that are safe to fetch", async (t) => {
  const { publicKey } = await newKey("k");
  const keys = [{ ...(await exportJWK(publicKey)), kid: "k" }];
  const metadata = new Map<string, unknown>();
  const at = await served(t, (request, response) => {
    const found = metadata.get(request.url ?? "");
    response.writeHead(found === undefined ? 404 : 200).end(JSON.stringify(found ?? {}));
  });
  metadata.set("/jwks", { keys });
  const discover = () => load({ kind: "discovery" }, `${at}/tenant`);
  const nothing = await discover();
  assert.ok(!nothing.ok && /openid-configuration answers 404/.test(nothing.reason));
  const [oidc, oauth] = metadataAddresses(`${at}/tenant`).map((address) => address.slice(at.length));
  assert.deepEqual(
    [oidc, oauth],
    ["/tenant/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/tenant"],
  );
  metadata.set(oauth ?? "", { issuer: `${at}/tenant`, jwks_uri: `${at}/jwks` });
  assert.ok((await discover()).ok, "RFC 8414 alone does");
  metadata.set(oidc ?? "", { issuer: `${at}/other`, jwks_uri: `${at}/jwks` });
  const foreign = await discover();
  assert.ok(!foreign.ok && /another issuer/.test(foreign.reason));
  const withUser = (user: string): string => `${at}/jwks`.replace("//", `//${user}@`);
  for (const address of ["http://keys.example/jwks", withUser(":secret"), withUser("name")]) {
    metadata.set(oidc ?? "", { issuer: `${at}/tenant`, jwks_uri: address });
    const unsafe = await discover();
    assert.ok(!unsafe.ok && /safe to use/.test(unsafe.reason), address);
  }
});

test("E1 keys of a file are a JWKS or a public key, and never a secret", async (t) => {
  const folder = await temporaryFolder(t);
  const { publicKey, privateKey } = await newKey("k");
  const jwk = await exportJWK(publicKey);
  const fileOf = async (name: string, text: string) => {
    await writeFile(join(folder, name), text);
    return load({ kind: "file", path: join(folder, name) });
  };
  const set = await fileOf("set.json", JSON.stringify({ keys: [jwk, { kty: "oct", k: "c2VjcmV0" }] }));
  assert.ok(set.ok && set.keys.length === 1 && set.keys[0]?.["kty"] === "RSA");
  const pem = await fileOf("key.pem", await exportSPKI(publicKey));
  assert.ok(pem.ok && pem.keys[0]?.["n"] === jwk.n);
  for (const [name, text, reason] of [
    ["private.pem", await exportPKCS8(privateKey), /private key/],
    ["private.json", JSON.stringify({ keys: [await exportJWK(privateKey)] }), /no public key/],
    ["empty.json", '{"keys":[]}', /no public key/],
    ["other.json", '{"key":1}', /not a JWKS/],
    ["many.json", JSON.stringify({ keys: Array.from({ length: 101 }, () => jwk) }), /more than 100 keys/],
    ["large.json", " ".repeat(300_000), /larger than any key set/],
    ["text.pem", "hello", /no usable keys/],
  ] as const) {
    const loaded = await fileOf(name, text);
    assert.ok(!loaded.ok, name);
    assert.match(loaded.reason, reason, name);
  }
  assert.ok(!(await load({ kind: "file", path: join(folder, "absent") })).ok);
});

// Keys without names, several of them, and algorithms that are not wanted: with real signatures.

const ISSUER = "https://issuer.example";
const RESOURCE = "http://127.0.0.1:9000/mcp";

function authenticationBy(
  t: TestContext,
  path: string,
  change: Partial<SignedTokensConfig> = {},
  clock: Clock = systemClock,
  more: { readonly last?: LastKeys | null; readonly listens?: boolean } = {},
) {
  const authenticator = new SignedAuthentication({
    tokens: signedTokens(ISSUER, { keys: { kind: "file", path }, ...change }),
    server: { host: "127.0.0.1", port: 9000, publicUrl: null },
    users: readLocalUsers([], {}, () => {}, new TokensUsed(), Date.now),
    proofs: new WeakMap(),
    clock,
    logger: noopLogger,
    listens: true,
    ...more,
  });
  t.after(() => authenticator[Symbol.dispose]());
  return authenticator;
}

async function comeWith(t: TestContext, text: string, change: Partial<SignedTokensConfig> = {}) {
  const path = join(await temporaryFolder(t), "keys");
  await writeFile(path, text);
  const authenticator = authenticationBy(t, path, change);
  return async (token: string): Promise<string> => {
    const answer = await authenticator.authenticate({ authorization: `Bearer ${token}` }, AT_MCP);
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

test("E1 unreadable keys are retried at increasing intervals, and once they were read, soon again", async (t) => {
  const path = join(await temporaryFolder(t), "keys");
  const clock = createManualClock();
  const pem = await exportSPKI((await newKey("own")).publicKey);
  const { signed } = authenticationBy(t, path, {}, clock);
  for (const [text, afterMs, kind] of [
    ["", 0, "none"],
    ["", 1_000, "none"],
    [pem, 2_000, "good"],
    ["", 600_000, "aging"],
    [pem, 1_000, "good"],
  ] as const) {
    await writeFile(path, text);
    await clock.advance(afterMs);
    // While keys are read, no timer waits.
    await eventually(() => clock.pendingTimers === 1);
    assert.equal(signed.keys?.kind, kind, `${afterMs} ms later`);
  }
});

test("E1 an edit keeps the previous keys only if issuer and location of the keys are the same", async (t) => {
  const folder = await temporaryFolder(t);
  const [path, elsewhere] = [join(folder, "keys"), join(folder, "others")];
  const own = await newKey("own");
  await writeFile(path, await exportSPKI(own.publicKey));
  const before = authenticationBy(t, path);
  const last = await eventually(() => before.signed.lastKeys);
  const authorization = `Bearer ${await signed(own, "RS256")}`;
  for (const [place, isOk] of [
    [path, true],
    [elsewhere, false],
  ] as const) {
    // It reads no keys of its own.
    const after = authenticationBy(t, place, {}, systemClock, { last, listens: false });
    assert.equal((await after.authenticate({ authorization }, AT_MCP)).ok, isOk, place);
  }
});

test("E1 one public key in PEM is for tokens with any key name, and for no other key's", async (t) => {
  const [own, other] = await Promise.all([newKey("own"), newKey("other")]);
  const come = await comeWith(t, await exportSPKI(own.publicKey));
  assert.equal(await come(await signed(own, "RS256")), "ok");
  assert.equal(await come(await signed(own, "RS256", "any-name")), "ok");
  assert.equal(await come(await signed(other, "RS256")), REFUSED.signature);
});

test("E1 a wrong signature has the keys read again only if neither key nor token has a name", async (t) => {
  const [before, after] = await Promise.all([newKey("own"), newKey("own")]);
  const setOf = async ({ publicKey }: SigningKey): Promise<string> =>
    JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "own" }] });
  const pemOf = ({ publicKey }: SigningKey): Promise<string> => exportSPKI(publicKey);
  for (const [textOf, kid, expected] of [
    [pemOf, undefined, null],
    [setOf, "own", REFUSED.signature],
  ] as const) {
    const path = join(await temporaryFolder(t), "keys");
    await writeFile(path, await textOf(before));
    const clock = createManualClock(Date.now());
    const authenticator = authenticationBy(t, path, {}, clock);
    await eventually(() => authenticator.signed.lastKeys);
    await writeFile(path, await textOf(after));
    await clock.advance(UNKNOWN_KEY_PAUSE_MS);
    const authorization = `Bearer ${await signed(after, "RS256", kid)}`;
    const answer = await authenticator.authenticate({ authorization }, AT_MCP);
    assert.equal(answer.ok ? null : answer.reason, expected);
  }
});

test("E1 of several keys without names, each is tried", async (t) => {
  const [first, second, other] = await Promise.all([newKey("1"), newKey("2"), newKey("3")]);
  const keys = await Promise.all([first, second].map(({ publicKey }) => exportJWK(publicKey)));
  const come = await comeWith(t, JSON.stringify({ keys }));
  for (const key of [first, second]) assert.equal(await come(await signed(key, "RS256")), "ok");
  assert.equal(await come(await signed(other, "RS256")), REFUSED.signature);
  assert.equal(await come(await signed(first, "RS256", "named")), REFUSED.key);
});

test("E1 a key is used for its own kind of signature, and only where that is allowed", async (t) => {
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
