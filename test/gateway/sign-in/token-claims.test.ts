import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  principalOf,
  REFUSED,
  readToken,
  refusalOf,
  rolesOfScopes,
  scopesOf,
} from "../../../src/gateway/sign-in/token-claims.ts";

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

describe("a token", () => {
  test("E1 is three parts, of which two are JSON objects", () => {
    const token = `${base64({ alg: "ES256", kid: "k" })}.${base64({ sub: "a" })}.AA`;
    assert.deepEqual(readToken(token), { algorithm: "ES256", keyId: "k", claims: { sub: "a" } });
    const wrong = [
      "",
      "a",
      "a.b.c",
      `${base64([])}.${base64({})}.A`,
      `${base64({})}.${base64({})}.A`,
      `${token}.x`,
    ];
    for (const text of wrong) assert.equal(readToken(text), null, text);
  });

  test("E1 is refused for what it says, before any key is looked for", () => {
    assert.equal(refusal({}), null);
    assert.equal(refusal({ aud: ["https://other.example", EXPECTED.audience[0]] }), null);
    assert.equal(refusal({ iss: `${EXPECTED.issuer}/` }), REFUSED.issuer);
    assert.equal(refusal({ aud: [] }), REFUSED.audience);
    assert.equal(refusal({ aud: { 0: EXPECTED.audience[0] } }), REFUSED.audience);
    assert.equal(refusal({ exp: "soon" }), REFUSED.noExpiry);
    assert.equal(refusal({ exp: seconds(-30) }), REFUSED.expired);
    assert.equal(refusal({ exp: seconds(-29) }), null);
    assert.equal(refusal({ nbf: seconds(31) }), REFUSED.early);
    assert.equal(refusal({ nbf: seconds(30) }), null);
    assert.equal(refusal({ nbf: "now" }), REFUSED.early);
    assert.equal(refusal({ sub: undefined }), REFUSED.noSubject);
    assert.equal(refusal({ sub: undefined, client_id: "program" }), null);
  });

  test("E1 has the claims that are required, with one of their values", () => {
    assert.equal(refusal({}, { hd: ["a.example"] }), REFUSED.claim);
    assert.equal(refusal({ hd: "a.example" }, { hd: ["b.example", "a.example"] }), null);
    assert.equal(refusal({ hd: ["x", "a.example"] }, { hd: ["a.example"] }), null);
    assert.equal(refusal({ email_verified: true }, { email_verified: ["true"] }), null);
    assert.equal(refusal({ email_verified: false }, { email_verified: ["true"] }), REFUSED.claim);
    assert.equal(refusal({ org: { id: "7" } }, { "org.id": ["*"] }), null);
    assert.equal(refusal({ org: {} }, { "org.id": ["*"] }), REFUSED.claim);
    assert.equal(refusal({}, { "constructor.name": ["*"] }), REFUSED.claim);
  });
});

describe("a principal", () => {
  const SETTINGS = { rolesClaim: "realm.roles", nameClaim: "email", scopes: { "files:read": ["reader"] } };

  test("E1 is who issuer and subject say, whatever it is called", () => {
    const ann = principalOf({ ...GOOD, email: "ann@x.example" }, SETTINGS);
    assert.equal(ann.name, "ann@x.example");
    assert.equal(ann.id, principalOf(GOOD, SETTINGS).id);
    assert.notEqual(ann.id, principalOf({ ...GOOD, sub: "eve", email: "ann@x.example" }, SETTINGS).id);
    assert.notEqual(ann.id, principalOf({ ...GOOD, iss: "https://other.example" }, SETTINGS).id);
    // A program that calls itself like a person is not that person.
    const program = principalOf({ ...GOOD, sub: undefined, client_id: "ann" }, SETTINGS);
    assert.notEqual(program.id, ann.id);
    assert.ok(!principalOf({ ...GOOD, email: "a\u001b[2J\n" }, SETTINGS).name.includes("\u001b"));
  });

  test("E1 has a role for each scope, those that scopes give, and those of the claim", () => {
    const claims = {
      ...GOOD,
      scope: "files:read mcp",
      scp: ["extra"],
      realm: { roles: ["admin", "scope:files:write", 7] },
    };
    assert.deepEqual(scopesOf(claims), ["files:read", "mcp", "extra"]);
    assert.deepEqual(scopesOf({ scope: 'a"b \u00e9 good \n' }), ["good"]);
    assert.deepEqual(principalOf(claims, SETTINGS).roles, [
      "scope:files:read",
      "reader",
      "scope:mcp",
      "scope:extra",
      "admin",
    ]);
    assert.deepEqual(rolesOfScopes(["constructor"], {}), ["scope:constructor"]);
    const many = { ...GOOD, scope: Array.from({ length: 5_000 }, (_, index) => `s${index}`).join(" ") };
    assert.equal(principalOf(many, SETTINGS).roles.length, 500);
  });
});
