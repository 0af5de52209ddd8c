import assert from "node:assert/strict";
import { test } from "node:test";
import {
  allowedAddress,
  isAboutServer,
  isSafeForTokens,
  issuerMetadataAddresses,
  resourceMetadataAddresses,
  resourceOf,
} from "../../../../src/gateway/backends/sign-in/bounded-fetch.ts";
import { bearerChallenge } from "../../../../src/gateway/backends/sign-in/challenge.ts";

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

test("E1 a challenge of any length ends, and keeps little", () => {
  const many = `Bearer scope="${Array.from({ length: 5_000 }, (_, at) => `s${at}`).join(" ")}"`;
  assert.ok((bearerChallenge(many)?.scopes?.length ?? 0) <= 64);
  assert.doesNotThrow(() => bearerChallenge(`Bearer ${'a="'.repeat(50_000)}`));
  assert.doesNotThrow(() => bearerChallenge("x ".repeat(50_000)));
});

test("E1 a server leads to https addresses alone, and to this machine only from this machine", () => {
  const remote = new URL("https://mcp.example/mcp");
  const local = new URL("http://127.0.0.1:3000/mcp");
  for (const [address, ofRemote, ofLocal] of [
    ["https://login.example/", true, true],
    ["http://login.example/", false, false],
    ["https://127.0.0.1/", false, true],
    ["http://localhost:9000/", false, true],
    ["http://[::1]:9000/", false, true],
    ["https://user:pw@login.example/", false, false],
    ["file:///etc/passwd", false, false],
    ["javascript:alert(1)", false, false],
    ["not an address", false, false],
    [`https://login.example/${"x".repeat(5_000)}`, false, false],
  ] as const) {
    assert.equal(allowedAddress(address, remote) !== null, ofRemote, `${address} of a remote server`);
    assert.equal(allowedAddress(address, local) !== null, ofLocal, `${address} of a local server`);
  }
  assert.ok(isSafeForTokens(remote) && isSafeForTokens(local));
  assert.ok(!isSafeForTokens(new URL("http://nas.example/mcp")));
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

test("E1 metadata is looked for where MCP says, in its order", () => {
  assert.deepEqual(resourceMetadataAddresses(new URL("https://mcp.example/public/mcp")), [
    "https://mcp.example/.well-known/oauth-protected-resource/public/mcp",
    "https://mcp.example/.well-known/oauth-protected-resource",
  ]);
  assert.deepEqual(resourceMetadataAddresses(new URL("https://mcp.example/")), [
    "https://mcp.example/.well-known/oauth-protected-resource",
  ]);
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
