// What an authorization server may answer, and what keys may be: on real sockets.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { exportJWK, exportPKCS8, exportSPKI } from "jose";
import type { SigningKeysPlace } from "../../../src/config/snapshot.ts";
import {
  createKeySource,
  fetchDocument,
  metadataAddresses,
} from "../../../src/gateway/sign-in/key-source.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { onLoopback } from "../../support/on-loopback.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { newKey } from "./authorization-server.ts";
import { signedTokens } from "./signed-gateway.ts";

const signal = new AbortController().signal;

async function served(t: TestContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  const port = await onLoopback(t, server);
  return `http://127.0.0.1:${port}`;
}

const load = (keys: SigningKeysPlace, issuer = "https://issuer.example") =>
  createKeySource(signedTokens(issuer, { keys }), systemClock)(signal);

test("E1 a document is JSON of a bounded size, and nothing leads elsewhere", async (t) => {
  const answers: Readonly<Record<string, RequestListener>> = {
    "/good": (_, response) => response.setHeader("cache-control", "public, max-age=90").end('{"a":1}'),
    "/moved": (_, response) => response.writeHead(302, { location: "/good" }).end(),
    "/missing": (_, response) => response.writeHead(404).end("{}"),
    "/list": (_, response) => response.end("[]"),
    "/large": (_, response) => response.end(`{"a":"${"x".repeat(300_000)}"}`),
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
    ["/list", /other than a JSON object/],
    ["/large", /more than 256 KiB/],
    ["/torn", /broke off|cannot be reached/],
  ] as const) {
    const answer = await fetched(path);
    assert.ok(!answer.ok, path);
    assert.match(answer.reason, reason);
  }
  const nobody = await fetchDocument("http://127.0.0.1:1/", { clock: systemClock, signal });
  assert.ok(!nobody.ok && /refuses connections/.test(nobody.reason));
});

test("E1 a server that does not answer is waited for so long and no longer", async (t) => {
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
  metadata.set(oidc ?? "", { issuer: `${at}/tenant`, jwks_uri: "http://keys.example/jwks" });
  const unsafe = await discover();
  assert.ok(!unsafe.ok && /safe to use/.test(unsafe.reason));
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
    ["other.json", '{"key":1}', /no JWKS/],
    ["text.pem", "hello", /no usable keys/],
  ] as const) {
    const loaded = await fileOf(name, text);
    assert.ok(!loaded.ok, name);
    assert.match(loaded.reason, reason, name);
  }
  assert.ok(!(await load({ kind: "file", path: join(folder, "absent") })).ok);
});
