// What servers say of a sign-in, the keys that sign, and the grants that are kept.
import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import dns from "node:dns";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { setDefaultCACertificates } from "node:tls";
import { isSafeForTokens } from "../../../../src/config/values/sign-in-values.ts";
import {
  allowedAddress,
  createBoundedFetch,
  isAboutServer,
  issuerMetadataAddresses,
  offLimits,
  resourceMetadataAddresses,
  resourceOf,
  shownAddress,
} from "../../../../src/gateway/backends/server-sign-in/bounded-fetch.ts";
import { bearerChallenge } from "../../../../src/gateway/backends/server-sign-in/challenge.ts";
import { machineAuth } from "../../../../src/gateway/backends/server-sign-in/client.ts";
import {
  type Grant,
  type GrantStore,
  openGrantStore,
} from "../../../../src/gateway/backends/server-sign-in/grant-store.ts";
import { loadOAuth } from "../../../../src/gateway/backends/server-sign-in/oauth-library.ts";
import { codeRequestAddress } from "../../../../src/gateway/backends/server-sign-in/token-requests.ts";
import {
  createGrantSource,
  createMachineSource,
} from "../../../../src/gateway/backends/server-sign-in/token-source.ts";
import { createDial } from "../../../../src/gateway/backends/transports/http/dial.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { systemClock as clock, systemClock } from "../../../../src/runtime/time/clock.ts";
import { onLoopback } from "../../../support/on-loopback.ts";
import { createRecordingLogger } from "../../../support/recording-logger.ts";
import { selfSigned } from "../../../support/self-signed.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { BACKEND, openTestStore, resolvedAuth, startSignInRig } from "./sign-in-rig.ts";

test("E1 a challenge is read as servers write it, among others and badly quoted", () => {
  const cases: [header: string | null, expected: unknown][] = [
    [null, null],
    ["", null],
    ['Basic realm="x"', null],
    ["Bearer", { resourceMetadata: null, scopes: null, error: null }],
    ["bearer realm=x", { resourceMetadata: null, scopes: null, error: null }],
    [
      'Bearer resource_metadata="https://a.example/.well-known/oauth-protected-resource", scope="a b  a"',
      {
        resourceMetadata: "https://a.example/.well-known/oauth-protected-resource",
        scopes: ["a", "b"],
        error: null,
      },
    ],
    [
      'Basic realm="a, Bearer scope=\\"no\\"", Negotiate YWJj==, Bearer error="insufficient_scope",scope=one',
      { resourceMetadata: null, scopes: ["one"], error: "insufficient_scope" },
    ],
    ['Bearer scope="with \\"quotes\\" and\\\\', { resourceMetadata: null, scopes: null, error: null }],
    ['Bearer scope="fine évil"', { resourceMetadata: null, scopes: ["fine"], error: null }],
  ];
  for (const [header, expected] of cases)
    assert.deepEqual(bearerChallenge(header), expected, header ?? "none");
});

test("E1 a challenge of any length ends, within bounded memory", () => {
  const many = `Bearer scope="${Array.from({ length: 5_000 }, (_, at) => `s${at}`).join(" ")}"`;
  assert.ok((bearerChallenge(many)?.scopes?.length ?? 0) <= 64);
  assert.doesNotThrow(() => bearerChallenge(`Bearer ${'a="'.repeat(50_000)}`));
  assert.doesNotThrow(() => bearerChallenge("x ".repeat(50_000)));
});

test("E1 a person is sent only to a page over https, or of this machine", async () => {
  const oauth = await loadOAuth();
  const addressAt = (endpoint: string): Promise<string> => {
    const server = { issuer: "https://a.example", code_challenge_methods_supported: ["S256"] };
    const target = {
      ...{ resource: "https://b.example/mcp", isGuessed: false, scopesSupported: null },
      server: { ...server, authorization_endpoint: endpoint },
    };
    const none = { secret: null, secretEndsAtMs: null };
    const client = { id: "c", source: "configured", method: "none", ...none } as const;
    const code = { target, client, auth: null, redirectUri: "http://127.0.0.1:1/callback" };
    const request = { ...code, state: "s", verifier: oauth.generateRandomCodeVerifier(), scopes: null };
    return codeRequestAddress(request, { oauth });
  };
  assert.match(await addressAt("https://a.example/authorize"), /^https:\/\/a\.example\/authorize\?/);
  assert.match(await addressAt("http://127.0.0.1:8/authorize"), /^http:\/\/127\.0\.0\.1:8\/authorize\?/);
  for (const wrong of ["javascript:alert(1)", "file:///etc/passwd", "http://a.example/authorize"])
    await assert.rejects(addressAt(wrong), { code: "sign_in_failed", message: /not https/ }, wrong);
});

test("E1 a server leads only to https addresses, and to this machine only from this machine", () => {
  const remote = new URL("https://mcp.example/mcp");
  const local = new URL("http://127.0.0.1:3000/mcp");
  for (const [address, ofRemote, ofLocal] of [
    ["https://login.example/", true, true],
    ["http://login.example/", false, false],
    ["https://127.0.0.1/", false, true],
    ["http://localhost:9000/", false, true],
    ["http://[::1]:9000/", false, true],
    ["https://:pw@login.example/", false, false],
    ["https://user@login.example/", false, false],
    ["file:///etc/passwd", false, false],
    ["javascript:alert(1)", false, false],
    ["not an address", false, false],
    [`https://login.example/${"x".repeat(5_000)}`, false, false],
  ] as const) {
    assert.equal(allowedAddress(address, remote) !== null, ofRemote, `${address} of a remote server`);
    assert.equal(allowedAddress(address, local) !== null, ofLocal, `${address} of a local server`);
  }
  assert.equal(shownAddress("https://login.example/a?token=hunter2#b"), "https://login.example/a");
  assert.ok(isSafeForTokens(remote) && isSafeForTokens(local));
  assert.ok(!isSafeForTokens(new URL("http://nas.example/mcp")));
});

test("E1 no name or address that a server gives leads to this machine, or to the metadata of a cloud", async (t) => {
  const asked: unknown[] = [];
  const here = await onLoopback(
    t,
    createServer().on("connection", (socket) => asked.push(socket.destroy())),
  );
  const { signal } = new AbortController();
  const boundedFetch = createBoundedFetch({ server: new URL("https://mcp.example/mcp"), clock, signal });
  for (const host of "0.0.0.0 [::] [::ffff:0.0.0.0] 169.254.169.254 [fe80::1] [fd00:ec2::254]".split(" "))
    await assert.rejects(boundedFetch(`https://${host}:${here}/`, { method: "GET" }), {
      message: /may not lead to this machine/,
      hint: /^if both are yours, give them one host name/,
    });
  // A name is judged by what it resolves to when it is dialled.
  const url = new URL(`http://localhost:${here}`);
  const dial = createDial({ url, proxy: null, hostHeader: undefined, blockList: offLimits() }, clock);
  const outcome = await dial(signal);
  assert.equal("how" in outcome && Object(outcome.error).code, "ERR_IP_BLOCKED");
  assert.deepEqual(asked, []);
  // An issuer with the server's own host name, which a person has configured, may be here.
  const own = createBoundedFetch({ server: new URL("https://0.0.0.0/mcp"), clock, signal });
  await assert.rejects(own(`https://0.0.0.0:${here}/`, { method: "GET" }));
  assert.equal(asked.length, 1);
});

test("E1 a server on this machine, by its certificate, may have its issuer here by another name, and only it", async (t) => {
  const certificate = selfSigned(["mcp.home.lan", "auth.home.lan"]);
  setDefaultCACertificates([certificate.cert]);
  const onRequest = (_request: unknown, response: ServerResponse): void =>
    void response
      .setHeader("content-type", "application/json")
      .end('{"access_token":"a","token_type":"bearer"}');
  const port = await onLoopback(t, createSecureServer(certificate, onRequest));
  const lookup = (_name: string, _how: unknown, done: (...found: unknown[]) => void): void =>
    done(null, [{ address: "127.0.0.1", family: 4 }]);
  t.mock.method(dns, "lookup", lookup);
  const renewed = await startRenewing(t);
  const renewedOf = (host: string) =>
    renewed(
      200,
      {},
      { serverUrl: `https://${host}:${port}/`, tokenEndpoint: `https://auth.home.lan:${port}/` },
    );
  assert.equal((await renewedOf("mcp.home.lan")).outcome.kind, "token");
  const { outcome } = await renewedOf("mcp.evil.lan");
  assert.ok(outcome.kind === "failed" && /may not lead to this machine/.test(outcome.reason));
});

test("E1 answers are bounded, and redirects are not followed", async (t) => {
  const server = createServer(({ url }, response) => {
    if (url === "/moved") response.writeHead(302, { location: "/large" }).end();
    else response.end("x".repeat(600_000));
  });
  const origin = `http://127.0.0.1:${await onLoopback(t, server)}`;
  const { signal } = new AbortController();
  const boundedFetch = createBoundedFetch({ server: new URL(origin), clock, signal });
  for (const [path, message] of [
    ["/large", /answers with more than 524288 bytes/],
    ["/moved", /redirects \(HTTP 302\), which is not followed/],
  ] as const)
    await assert.rejects(boundedFetch(origin + path, { method: "GET" }), { code: "sign_in_failed", message });
});

test("E1 metadata is about a server of its origin, at its path or above", () => {
  const server = new URL("https://mcp.example/team/mcp");
  for (const [resource, isAbout] of [
    ["https://mcp.example/team/mcp", true],
    ["https://mcp.example/team/", true],
    ["https://mcp.example", true],
    ["https://mcp.example/team/mcp/more", false],
    ["https://mcp.example/tea", false],
    ["https://other.example/team/mcp", false],
    ["http://mcp.example/team/mcp", false],
    ["https://mcp.example/team/mcp#part", false],
    ["nothing", false],
  ] as const) {
    assert.equal(isAboutServer(resource, server), isAbout, resource);
  }
  assert.equal(resourceOf(new URL("https://MCP.example/")), "https://mcp.example");
  assert.equal(resourceOf(new URL("https://mcp.example/mcp?tenant=1")), "https://mcp.example/mcp?tenant=1");
});

test("E1 metadata is requested where MCP says, in its order", () => {
  assert.deepEqual(resourceMetadataAddresses(new URL("https://mcp.example/public/mcp")), [
    "https://mcp.example/.well-known/oauth-protected-resource/public/mcp",
    "https://mcp.example/.well-known/oauth-protected-resource",
  ]);
  const root = "https://mcp.example/";
  assert.deepEqual(resourceMetadataAddresses(new URL(root)), [`${root}.well-known/oauth-protected-resource`]);
  assert.deepEqual(issuerMetadataAddresses(new URL("https://login.example/tenant1")), [
    "https://login.example/.well-known/oauth-authorization-server/tenant1",
    "https://login.example/.well-known/openid-configuration/tenant1",
    "https://login.example/tenant1/.well-known/openid-configuration",
  ]);
  assert.deepEqual(issuerMetadataAddresses(new URL("https://login.example")), [
    "https://login.example/.well-known/oauth-authorization-server",
    "https://login.example/.well-known/openid-configuration",
  ]);
});

const pem = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();
const der = (key: KeyObject): string => key.export({ format: "der", type: "pkcs8" }).toString("base64");

async function authBy(privateKey: string): Promise<unknown> {
  const auth = resolvedAuth({ type: "client-credentials", clientId: "machine", privateKey });
  return machineAuth(await loadOAuth(), { issuer: "https://login.example" }, auth);
}

test("E1 a gateway signs in with a key that can sign, in lines or in one word", async () => {
  const keys = [
    generateKeyPairSync("ec", { namedCurve: "P-384" }),
    generateKeyPairSync("ed25519"),
    generateKeyPairSync("rsa", { modulusLength: 2_048 }),
  ];
  for (const { privateKey } of keys) {
    for (const text of [pem(privateKey), pem(privateKey).replaceAll("\n", "\\n"), der(privateKey)])
      assert.equal(typeof (await authBy(text)), "function");
  }
});

test("E1 an invalid key, or one that cannot sign here, is refused without repeating it", async () => {
  const other = [
    generateKeyPairSync("x25519"),
    generateKeyPairSync("ed448"),
    generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
  ];
  for (const { privateKey } of other)
    await assert.rejects(
      authBy(pem(privateKey)),
      /^MountaineerError: `private_key` is of a kind that cannot sign/,
    );
  for (const text of ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----"])
    await assert.rejects(authBy(text), (error: Error) => {
      assert.match(error.message, /`private_key` cannot be read/);
      assert.doesNotMatch(String(error.stack), /hunter2/);
      return true;
    });
});

const SERVER = "https://one.example/mcp";

test("E1 write access to the home cannot lead a sign-in to another server", async (t) => {
  const home = await temporaryFolder(t);
  const grants = openGrantStore({ home, clock, openStore: openTestStore(home) });
  const own = "https://one.example/.well-known/oauth-protected-resource";
  const kept = { status: 401, resourceMetadata: own, scopes: ["a"], error: null } as const;
  await grants.keepChallenge("tickets", SERVER, kept);
  assert.deepEqual(await grants.readChallenge("tickets", SERVER), kept);
  const folder = join(home, "sign-in");
  const [name = ""] = await readdir(folder);
  const text = await readFile(join(folder, name), "utf8");
  const others = "https://evil.example/x https://one.example@evil.example/ file:///etc/passwd x".split(" ");
  for (const other of [...others, `https://one.example/${"x".repeat(2048)}`]) {
    await writeFile(join(folder, name), text.replace(own, other));
    const found = await grants.readChallenge("tickets", SERVER);
    assert.deepEqual(found, { ...kept, resourceMetadata: null }, other);
  }
  assert.equal(await grants.readChallenge("tickets", "https://two.example/mcp"), null);
});

test("E1 a renewed token that cannot be saved is used all the same, and saved as soon as there is space", async (t) => {
  const rig = await startSignInRig(t);
  const { accessToken: old } = await rig.signIn();
  const { signal } = new AbortController();
  let isFull = true;
  const grants: GrantStore = {
    ...rig.grants,
    async write(backend, grant, until) {
      if (isFull && grant.renewingSinceMs === null)
        throw new MountaineerError("secret_unavailable", "no space left on the disk");
      await rig.grants.write(backend, grant, until);
    },
  };
  const logger = createRecordingLogger();
  const url = new URL(rig.server.url);
  const source = createGrantSource({ backend: BACKEND, url, auth: null, clock: systemClock, logger, grants });
  const kept = async () => (await rig.grants.read(BACKEND, signal))?.accessToken;
  const renewed = await source(old, null, signal);
  assert.equal(renewed.kind, "token");
  assert.equal(await kept(), old);
  assert.deepEqual(await source(old, null, signal), renewed);
  assert.equal(await kept(), old);
  isFull = false;
  assert.deepEqual(await source(old, null, signal), renewed);
  assert.notEqual(await kept(), old);
  assert.equal(rig.authorization.count("/token refresh_token"), 1);
  // A person who signs in anew meanwhile comes first.
  const { accessToken: newer } = await rig.signIn();
  const after = await source(null, null, signal);
  assert.equal(after.kind === "token" && after.token.value, newer);
  // Also before the last one could be kept.
  isFull = true;
  assert.equal((await source(newer, null, signal)).kind, "token");
  const { accessToken: newest } = await rig.signIn();
  const found = await source(null, null, signal);
  assert.equal(found.kind === "token" && found.token.value, newest);
});

test("E1 a login that is finally saved does not replace a later one with the same access token", async (t) => {
  const rig = await startSignInRig(t);
  const grant = await rig.signIn();
  const { signal } = new AbortController();
  let isFull = true;
  let last: Grant = grant;
  // A server that gives the same access token again, and with it another refresh token.
  const grants: GrantStore = {
    ...rig.grants,
    async write(backend, given, until) {
      if (given.renewingSinceMs === null) last = { ...given, accessToken: grant.accessToken };
      if (isFull && given.renewingSinceMs === null)
        throw new MountaineerError("secret_unavailable", "no space left on the disk");
      await rig.grants.write(backend, { ...given, accessToken: grant.accessToken }, until);
    },
  };
  const logger = createRecordingLogger();
  const url = new URL(rig.server.url);
  const source = createGrantSource({ backend: BACKEND, url, auth: null, clock: systemClock, logger, grants });
  const kept = async () => (await rig.grants.read(BACKEND, signal))?.refreshToken;
  const first = await source(grant.accessToken, null, signal);
  assert.equal(await kept(), grant.refreshToken);
  isFull = false;
  await source(null, null, signal);
  assert.equal(await kept(), last.refreshToken, "it is kept as soon as there is room");
  assert.ok(first.kind === "token");
  await source(first.token.value, null, signal);
  const newest = last.refreshToken;
  await source(null, null, signal);
  assert.equal(await kept(), newest);
});

type Answering = object | ((form: string) => object);

/** An authorization server, and the MCP server beside it, that answers every token request with this. */
async function startAnswering(t: TestContext, status: number, answer: Answering, knows = true) {
  const server = createServer(async (request, response) => {
    const { url = "" } = request;
    const given = typeof answer === "function" ? answer(await text(request)) : answer;
    const known: Readonly<Record<string, object>> = {
      "/.well-known/oauth-protected-resource": { resource: issuer, authorization_servers: [issuer] },
      "/.well-known/oauth-authorization-server": { issuer, token_endpoint: `${issuer}/token` },
    };
    const [code, body] =
      url === "/token"
        ? ["access_token" in given ? 200 : status, given]
        : [200, knows ? known[url] : undefined];
    response.writeHead(body === undefined ? 404 : code, { "content-type": "application/json" });
    response.end(JSON.stringify(body ?? {}));
  });
  const issuer = `http://127.0.0.1:${await onLoopback(t, server)}`;
  return issuer;
}

async function startRenewing(t: TestContext) {
  const home = await temporaryFolder(t);
  const grants = openGrantStore({ home, clock, openStore: openTestStore(home) });
  const { signal } = new AbortController();
  return async (status: number, answer: Answering, before: Partial<Grant> = {}) => {
    const issuer = await startAnswering(t, status, answer);
    const [serverUrl, tokenEndpoint] = [`${issuer}/mcp`, `${issuer}/token`];
    const secretless = { secret: null, secretEndsAtMs: null };
    const client = { source: "registered", id: "a", method: "none", ...secretless } as const;
    const [refreshToken, accessToken] = ["refresh-s3cret", "access-s3cret"];
    const none = {
      revocationEndpoint: null,
      redirectUri: null,
      scopes: null,
      expiresAtMs: null,
      ended: null,
    };
    const own = { serverUrl, resource: serverUrl, issuer, tokenEndpoint };
    const times = { obtainedAtMs: clock.wallMs(), renewingSinceMs: null };
    const grant = { ...none, ...own, ...times, client, accessToken, refreshToken, ...before };
    await grants.write(BACKEND, grant, signal);
    const [url, logger] = [new URL(grant.serverUrl), createRecordingLogger()];
    const source = createGrantSource({ backend: BACKEND, url, auth: null, clock, logger, grants });
    const renew = () => source(accessToken, null, signal);
    return { renew, outcome: await renew(), kept: await grants.read(BACKEND, signal) };
  };
}

test("E1 a renewal without a new refresh token keeps the old one, and a server's repetition of one is hidden", async (t) => {
  const renewed = await startRenewing(t);
  const token = { access_token: "newer", token_type: "bearer" };
  const given = await renewed(200, token);
  assert.equal(given.outcome.kind, "token");
  assert.deepEqual([given.kept?.accessToken, given.kept?.refreshToken], ["newer", "refresh-s3cret"]);
  const refusing = (form: string) => (form.includes("&resource=") ? { error: "invalid_target" } : token);
  assert.equal(
    (await renewed(400, refusing)).kept?.accessToken,
    "newer",
    "it takes the resource at the login only",
  );
  const error_description = "refresh-s3cret is over";
  const ended = await renewed(400, { error: "invalid_grant", error_description });
  assert.ok(ended.outcome.kind === "ended" && ended.kept !== null);
  assert.match(ended.outcome.reason, /invalid_grant/);
  assert.ok(![ended.outcome.reason, ended.kept.ended].join().includes("s3cret"));
  assert.doesNotMatch(ended.outcome.reason, /interrupted/);
  const cut = await renewed(400, { error: "invalid_grant" }, { renewingSinceMs: 1 });
  assert.match(cut.kept?.ended ?? "", /invalid_grant.*; an earlier renewal was interrupted/);
  for (const told of ["400 temporarily_unavailable", "503 invalid_grant", "403 Forbidden"]) {
    const [status, error] = told.split(" ");
    const { outcome, kept, renew } = await renewed(Number(status), { error });
    assert.deepEqual([outcome.kind, kept?.ended], ["failed", null], "it may pass");
    for (let n = 2; error === "Forbidden" && n <= 300; n++)
      assert.equal((await renew()).kind, n < 300 ? "failed" : "ended");
  }
  const still = await renewed(200, {}, { ended: "it is over", accessToken: "still-good" });
  assert.ok(still.outcome.kind === "token" && !still.outcome.token.isRenewable, "nobody renews it");
});

test("E1 client credentials go only to a server that declares who accepts them, and its answer does not repeat them", async (t) => {
  const answer = { error: "invalid_client", error_description: "ma$chine is wrong" };
  for (const knows of [true, false]) {
    const url = new URL(await startAnswering(t, 400, answer, knows));
    const auth = resolvedAuth({ type: "client-credentials", clientId: "a", clientSecret: "ma$chine" });
    const logger = createRecordingLogger();
    const source = createMachineSource({ backend: BACKEND, url, auth, clock, logger });
    const outcome = await source(null, null, new AbortController().signal);
    assert.ok(outcome.kind === "failed");
    assert.match(outcome.reason, knows ? /invalid_client/ : /does not advertise a sign-in server/);
    assert.ok(!outcome.reason.includes("ma$chine"), outcome.reason);
  }
});
