import assert from "node:assert/strict";
import { test } from "node:test";
import {
  acceptedAudience,
  createProtectedResource,
} from "../../../src/gateway/sign-in/protected-resource.ts";

const ISSUER = {
  issuer: "https://issuer.example",
  scopes: { "files:read": ["reader"] },
  requiredScopes: ["mcp"],
};
const LOCAL = { host: "127.0.0.1", port: 9000, publicUrl: null };
const PUBLIC = { ...LOCAL, publicUrl: "https://mcp.example.com/tools/mcp" };

test("E1 the metadata names the gateway as the client called it, and where to sign in", () => {
  const resource = createProtectedResource(LOCAL, ISSUER);
  assert.deepEqual(resource.metadata("localhost:9000", "/.well-known/oauth-protected-resource"), {
    resource: "http://localhost:9000/mcp",
    authorization_servers: ["https://issuer.example"],
    bearer_methods_supported: ["header"],
    scopes_supported: ["mcp", "files:read"],
    resource_name: "Mountaineer",
  });
  const path = "/.well-known/oauth-protected-resource";
  assert.deepEqual([...resource.paths], [path, `${path}/mcp`, `${path}/sse`]);
  assert.equal(resource.metadataUrl("[::1]:9000", false), `http://[::1]:9000${path}/mcp`);
});

test("D2 E1 a client of the older transport finds metadata that name the address that it has", () => {
  const path = "/.well-known/oauth-protected-resource";
  const local = createProtectedResource(LOCAL, ISSUER);
  assert.equal(local.metadataUrl("localhost:9000", true), `http://localhost:9000${path}/sse`);
  assert.equal(local.metadata("localhost:9000", `${path}/sse`)["resource"], "http://localhost:9000/sse");
  const behind = createProtectedResource(PUBLIC, ISSUER);
  const url = behind.metadataUrl("localhost:9000", true);
  assert.equal(url, `https://mcp.example.com${path}/tools/sse`);
  assert.ok(behind.paths.has(new URL(url).pathname));
  const { resource } = behind.metadata("localhost:9000", new URL(url).pathname);
  assert.equal(resource, "https://mcp.example.com/tools/sse");
  assert.ok(acceptedAudience(PUBLIC, null).includes("https://mcp.example.com/tools/sse"));
});

test("E1 behind a proxy it has the name that the configuration gives it, whatever a request says", () => {
  const resource = createProtectedResource(PUBLIC, ISSUER);
  const named = resource.metadata("localhost:9000", "/.well-known/oauth-protected-resource");
  assert.equal(named["resource"], "https://mcp.example.com/tools/mcp");
  const url = "https://mcp.example.com/.well-known/oauth-protected-resource/tools/mcp";
  assert.equal(resource.metadataUrl("localhost:9000", false), url);
  assert.ok(resource.paths.has("/.well-known/oauth-protected-resource/tools/mcp"));
});

test("E1 tokens are for the gateway, under each of its own names and under no other", () => {
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
