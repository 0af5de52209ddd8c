import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyRing } from "../../../src/gateway/client-sign-in/key-ring.ts";
import type { LoadedKeys } from "../../../src/gateway/client-sign-in/key-source.ts";
import { acceptedAudience, signedResource } from "../../../src/gateway/client-sign-in/protected-resource.ts";
import { TokenMemory } from "../../../src/gateway/client-sign-in/token-check.ts";
import {
  principalOf,
  REFUSED,
  readToken,
  refusalOf,
  rolesOfScopes,
  scopesOf,
} from "../../../src/gateway/client-sign-in/token-claims.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { pluck } from "../../support/pluck.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";

const NOW = Date.UTC(2026, 0, 1);
const seconds = (fromNow: number): number => NOW / 1000 + fromNow;
const base64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const EXPECTED = {
  issuer: "https://issuer.example",
  audience: ["https://gateway.example/mcp"],
  algorithms: ["RS256"],
  leewayMs: 30_000,
  requiredClaims: {},
};
const GOOD = { iss: EXPECTED.issuer, aud: EXPECTED.audience[0], sub: "ann", exp: seconds(60) };
const refusal = (claims: object, required: Readonly<Record<string, readonly string[]>> = {}) =>
  refusalOf(
    { algorithm: "RS256", keyId: null, claims: { ...GOOD, ...claims } },
    { ...EXPECTED, requiredClaims: required },
    NOW,
  );

test("E1 a token is three parts, of which two are JSON objects", () => {
  const token = `${base64({ alg: "ES256", kid: "k" })}.${base64({ sub: "a" })}.AA`;
  assert.deepEqual(readToken(token), { algorithm: "ES256", keyId: "k", claims: { sub: "a" } });
  const wrong = [
    "",
    "a",
    "a.b.c",
    `${base64([])}.${base64({})}.A`,
    `${base64({})}.${base64({})}.A`,
    `${token}.x`,
    token.replace(".", "=."),
    ` ${token}`,
  ];
  for (const text of wrong) assert.equal(readToken(text), null, text);
  const unnamed = readToken(`${base64({ alg: "ES256", kid: 7 })}.${base64({})}.AA`);
  assert.equal(unnamed?.keyId, null);
});

test("E1 a token is refused for its claims, before any key is searched", () => {
  assert.equal(refusal({}), null);
  assert.equal(refusal({ aud: ["https://other.example", EXPECTED.audience[0]] }), null);
  assert.equal(refusal({ iss: `${EXPECTED.issuer}/` }), REFUSED.issuer);
  assert.equal(refusal({ aud: [] }), REFUSED.audience);
  assert.equal(refusal({ aud: { 0: EXPECTED.audience[0] } }), REFUSED.audience);
  // `1e999` in a token is read as infinite.
  for (const exp of ["soon", Number.POSITIVE_INFINITY]) assert.equal(refusal({ exp }), REFUSED.noExpiry);
  assert.equal(refusal({ exp: seconds(-30) }), REFUSED.expired);
  assert.equal(refusal({ exp: seconds(-29) }), null);
  assert.equal(refusal({ nbf: seconds(31) }), REFUSED.early);
  assert.equal(refusal({ nbf: seconds(30) }), null);
  assert.equal(refusal({ nbf: "now" }), REFUSED.early);
  for (const sub of [undefined, ""]) assert.equal(refusal({ sub }), REFUSED.noSubject);
  for (const id of ["", 7]) assert.equal(refusal({ sub: undefined, client_id: id }), REFUSED.noSubject);
  assert.equal(refusal({ sub: undefined, client_id: "program" }), null);
  assert.equal(refusal({ sub: undefined, client_id: "", azp: "program" }), null);
});

test("E1 a token needs the required claims, with one of their values", () => {
  assert.equal(refusal({}, { hd: ["a.example"] }), REFUSED.claim);
  assert.equal(refusal({ hd: "a.example" }, { hd: ["b.example", "a.example"] }), null);
  assert.equal(refusal({ hd: ["x", "a.example"] }, { hd: ["a.example"] }), null);
  assert.equal(refusal({ email_verified: true }, { email_verified: ["true"] }), null);
  assert.equal(refusal({ email_verified: false }, { email_verified: ["true"] }), REFUSED.claim);
  assert.equal(refusal({ org: { id: "7" } }, { "org.id": ["*"] }), null);
  assert.equal(refusal({ org: {} }, { "org.id": ["*"] }), REFUSED.claim);
  assert.equal(refusal({ org: {} }, { org: ["[object Object]"] }), REFUSED.claim);
  assert.equal(refusal({ "https://a.example/org": "7" }, { "https://a.example/org": ["7"] }), null);
  for (const [org, path] of [
    [null, "org"],
    [null, "org.id"],
    ["7", "org.length"],
    [{}, "org.constructor"],
    [{}, "constructor"],
    [{}, "constructor.name"],
  ] as const)
    assert.equal(refusal({ org }, { [path]: ["*"] }), REFUSED.claim, path);
});

const SETTINGS = { rolesClaim: "realm.roles", nameClaim: "email", scopes: { "files:read": ["reader"] } };

test("E1 a principal is identified by issuer and subject, whatever its name", () => {
  const ann = principalOf({ ...GOOD, email: "ann@x.example" }, SETTINGS);
  assert.equal(ann.name, "ann@x.example");
  assert.equal(ann.id, principalOf(GOOD, SETTINGS).id);
  assert.notEqual(ann.id, principalOf({ ...GOOD, sub: "eve", email: "ann@x.example" }, SETTINGS).id);
  assert.notEqual(ann.id, principalOf({ ...GOOD, iss: "https://other.example" }, SETTINGS).id);
  // A program that calls itself like a person is not that person.
  const program = principalOf({ ...GOOD, sub: undefined, client_id: "ann" }, SETTINGS);
  assert.notEqual(program.id, ann.id);
  assert.ok(!principalOf({ ...GOOD, email: "a\u001b[2J\n" }, SETTINGS).name.includes("\u001b"));
  assert.equal(principalOf({ ...GOOD, email: "" }, SETTINGS).name, GOOD.sub);
  assert.equal(principalOf({ ...GOOD, email: "a".repeat(201) }, SETTINGS).name.length, 200);
});

test("E1 a principal has a role for each scope, the roles that scopes give, and those of the claim", () => {
  const claims = {
    ...GOOD,
    scope: "files:read mcp",
    scp: ["extra"],
    realm: { roles: ["admin", "scope:files:write", 7] },
  };
  assert.deepEqual(scopesOf(claims), ["files:read", "mcp", "extra"]);
  assert.deepEqual(scopesOf({ scope: 'a"b \u00e9 good \n', scp: "good" }), ["good"]);
  assert.deepEqual(principalOf(claims, SETTINGS).roles, [
    "scope:files:read",
    "reader",
    "scope:mcp",
    "scope:extra",
    "admin",
  ]);
  assert.deepEqual(rolesOfScopes(["constructor"], {}), ["scope:constructor"]);
  const long = { ...GOOD, realm: { roles: ["r".repeat(256), "r".repeat(257)] } };
  assert.deepEqual(principalOf(long, SETTINGS).roles, ["r".repeat(256)]);
  const many = { ...GOOD, scope: Array.from({ length: 5_000 }, (_, index) => `s${index}`).join(" ") };
  assert.equal(principalOf(many, SETTINGS).roles.length, 500);
});

const ISSUER = {
  issuer: "https://issuer.example",
  scopes: { "files:read": ["reader"] },
  requiredScopes: ["mcp"],
};
const LOCAL = { host: "127.0.0.1", port: 9000, publicUrl: null };
const PUBLIC = { ...LOCAL, publicUrl: "https://mcp.example.com/tools/mcp" };

const DOCUMENTS = "/.well-known/oauth-protected-resource";
const askedAt = (host: string, path: string) => ({ host, path, isDirect: true, scheme: null });

test("E1 each address has a document about itself, as the client addressed it, and where to sign in", () => {
  const resource = signedResource(LOCAL, ISSUER);
  assert.deepEqual(resource.document(askedAt("localhost:9000", DOCUMENTS)), {
    resource: "http://localhost:9000/mcp",
    authorization_servers: ["https://issuer.example"],
    bearer_methods_supported: ["header"],
    scopes_supported: ["mcp", "files:read"],
    resource_name: "Mountaineer",
  });
  for (const path of ["/mcp", "/mcp/work", "/sse"]) {
    const url = resource.metadataUrl(askedAt("[::1]:9000", path));
    assert.equal(url, `http://[::1]:9000${DOCUMENTS}${path}`);
    const document = resource.document(askedAt("[::1]:9000", `${DOCUMENTS}${path}`));
    assert.equal(document?.["resource"], `http://[::1]:9000${path}`);
  }
  for (const path of ["/other", "/mcp/", "/mcp/a/b", "x"])
    assert.equal(resource.document(askedAt("[::1]:9000", `${DOCUMENTS}${path}`)), null, path);
});

test("E1 behind a proxy each address has its configured name, whatever a request contains", () => {
  const resource = signedResource(PUBLIC, ISSUER);
  for (const [path, address] of [
    ["/mcp", "/tools/mcp"],
    ["/mcp/work", "/tools/mcp/work"],
    ["/sse", "/tools/sse"],
    ["/messages", "/tools/sse"],
  ] as const) {
    const url = resource.metadataUrl(askedAt("localhost:9000", path)) ?? "";
    assert.equal(url, `https://mcp.example.com${DOCUMENTS}${address}`);
    const document = resource.document(askedAt("localhost:9000", new URL(url).pathname));
    assert.equal(document?.["resource"], `https://mcp.example.com${address}`);
  }
  assert.deepEqual(
    acceptedAudience(PUBLIC, null, "work").filter((audience) => audience.includes("work")),
    ["https://mcp.example.com/tools/mcp/work", "https://mcp.example.com/tools/mcp/work/"],
  );
});

test("E1 tokens are for the gateway, under any of its names and no others", () => {
  const local = acceptedAudience(LOCAL, null);
  for (const name of ["127.0.0.1", "localhost", "[::1]"])
    assert.ok(local.includes(`http://${name}:9000/mcp`));
  assert.ok(!local.some((name) => name.includes(":9001") || name.startsWith("https:")));
  assert.deepEqual(acceptedAudience(PUBLIC, null), [
    "https://mcp.example.com/tools/mcp",
    "https://mcp.example.com/tools/mcp/",
    "https://mcp.example.com/tools/sse",
    "https://mcp.example.com/tools/sse/",
  ]);
  assert.deepEqual(acceptedAudience({ ...LOCAL, host: "192.168.1.4" }, null), [
    "http://192.168.1.4:9000/mcp",
    "http://192.168.1.4:9000/mcp/",
    "http://192.168.1.4:9000/sse",
    "http://192.168.1.4:9000/sse/",
  ]);
  assert.deepEqual(acceptedAudience(PUBLIC, ["api"]), ["api"]);
});

test("E1 the last 4,096 used tokens are remembered, each until it expires", () => {
  const memory = new TokenMemory();
  const answer = { ok: false, reason: REFUSED.scope } as const;
  memory.remember("kept", answer, NOW + 1);
  memory.remember("dropped", answer, NOW + 1);
  assert.equal(memory.find("kept", NOW), answer);
  for (let count = 0; count < 4_095; count++) memory.remember(String(count), answer, NOW + 1);
  assert.deepEqual([memory.find("kept", NOW), memory.find("dropped", NOW)], [answer, null]);
  assert.equal(memory.find("kept", NOW + 1), null);
});

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const named = (kid: string, maxAgeMs: number | null = null): LoadedKeys => ({
  ok: true,
  keys: [{ kty: "RSA", kid }],
  maxAgeMs,
});
const DOWN: LoadedKeys = { ok: false, reason: "https://issuer.example refuses connections" };

function ringOf(first: LoadedKeys, maxAgeMs = 24 * HOUR) {
  const clock = createManualClock();
  const logger = createRecordingLogger();
  const source = { answer: first, asked: 0, until: Promise.resolve(), signal: new AbortController().signal };
  const ring = new KeyRing({
    source: async (signal) => {
      source.asked += 1;
      source.signal = signal;
      await source.until;
      return source.answer;
    },
    clock,
    logger,
    issuer: "https://issuer.example",
    maxAgeMs,
  });
  const kid = (): unknown => ring.current?.keys[0]?.["kid"];
  return { clock, source, ring, kid, logger };
}

test("E1 keys are read before they are needed, and again before they are old", async () => {
  const { clock, source, ring, kid } = ringOf(named("a"));
  assert.equal(ring.current, null);
  ring.start();
  await clock.advance(0);
  assert.equal(kid(), "a");
  const before = ring.current;
  await clock.advance(11 * MINUTE);
  assert.equal(source.asked, 2);
  assert.equal(ring.current, before, "the same keys are the same object");
  source.answer = named("b");
  await clock.advance(11 * MINUTE);
  assert.equal(kid(), "b");
});

test("E1 the issuer decides how long its keys are valid, within bounds", async () => {
  for (const [saidMs, readsInAnHour] of [
    [1, 60],
    [5 * MINUTE, 12],
    [24 * HOUR, 1],
  ] as const) {
    const { clock, source, ring } = ringOf(named("a", saidMs));
    ring.start();
    await clock.advance(HOUR + 1);
    assert.equal(source.asked, readsInAnHour + 1, `${saidMs} ms`);
  }
});

test("E1 an issuer that is down is queried at increasing intervals, at least once a minute", async () => {
  const { clock, source, ring, logger } = ringOf(DOWN);
  const sinceMs = clock.wallMs();
  ring.start();
  await clock.advance(10 * MINUTE);
  assert.ok(source.asked >= 10 && source.asked <= 18, `${source.asked} times`);
  assert.ok("sinceMs" in ring.state && ring.state.sinceMs === sinceMs);
  source.answer = named("a");
  await clock.advance(HOUR);
  assert.deepEqual(pluck(logger.lines, "level"), ["warn", "info"]);
});

test("E1 a slow read is one read, and delays a request only if there are no keys, for 5 s", async () => {
  const { clock, source, ring } = ringOf(named("a"));
  const slow = Promise.withResolvers<void>();
  source.until = slow.promise;
  ring.start();
  ring.start();
  let isOver = false;
  const none = ring.ready().finally(() => {
    isOver = true;
  });
  await clock.advance(4_999);
  assert.equal(isOver, false);
  await clock.advance(1);
  assert.equal(await none, null);
  assert.equal(source.asked, 1);
  slow.resolve();
  await clock.advance(0);
  source.until = Promise.withResolvers<void>().promise;
  await clock.advance(11 * MINUTE);
  assert.equal(source.asked, 2);
  assert.equal(await ring.ready(), ring.current);
});

test("E1 an edit of the configuration keeps the previous keys, with their age", async () => {
  const { clock, ring } = ringOf(named("a"));
  ring.start();
  await clock.advance(0);
  const next = new KeyRing({
    source: async () => DOWN,
    clock,
    logger: noopLogger,
    issuer: "https://issuer.example",
    maxAgeMs: HOUR,
    last: ring.last,
  });
  next.start();
  assert.equal(await next.ready(), ring.current);
  await clock.advance(HOUR);
  assert.notEqual(next.current, null);
  await clock.advance(1);
  assert.equal(next.current, null);
  next[Symbol.dispose]();
});

test("E1 a reader that has ended reads nothing further", async () => {
  const { clock, source, ring, kid } = ringOf(named("a"));
  ring.start();
  await clock.advance(0);
  const slow = Promise.withResolvers<void>();
  source.until = slow.promise;
  source.answer = named("b");
  ring.start();
  ring[Symbol.dispose]();
  assert.ok(source.signal.aborted);
  slow.resolve();
  await clock.advance(HOUR);
  assert.equal(kid(), "a");
  ring.start();
  assert.equal(source.asked, 2);
  assert.equal(clock.pendingTimers, 0);
});
