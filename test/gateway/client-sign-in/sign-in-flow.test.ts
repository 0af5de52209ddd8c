// The whole way of a client that knows nothing but the gateway's address: 401, metadata, registration, a person's consent,
// a token, a call; and scopes that decide what it may.
import assert from "node:assert/strict";
import { get } from "node:http";
import { type TestContext, test } from "node:test";
import {
  Client as Client2,
  StreamableHTTPClientTransport as Http2,
  UnauthorizedError as Unauthorized2,
} from "@modelcontextprotocol/client";
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js";
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { AuthorizationConfig } from "../../../src/config/snapshot.ts";
import { eventually } from "../../support/eventually.ts";
import { freePort } from "../../support/free-port.ts";
import { pluck } from "../../support/pluck.ts";
import { backendConfig } from "../backends/pool/scripted-instance.ts";
import { agree } from "../backends/server-sign-in/authorization-server.ts";
import { policy } from "../middleware/requests.ts";
import { post, signedTokens, startSignedGateway } from "./signed-gateway.ts";
import { startTokenIssuer } from "./token-issuer.ts";
import { startToolServer } from "./tool-server.ts";

/** Whoever has `files:read` may read; writing needs a scope that only a policy names. */
const BY_SCOPE: AuthorizationConfig = {
  defaultEffect: "deny",
  policies: [
    policy("allow", { roles: ["reader"], resources: ["tool:read_*"] }),
    policy("allow", { roles: ["scope:files:write"], resources: ["tool:*"] }),
  ],
};

async function rig(t: TestContext) {
  const port = await freePort();
  const resource = `http://127.0.0.1:${port}/mcp`;
  const [server, tools] = await Promise.all([startTokenIssuer(t, resource), startToolServer(t)]);
  const tokens = signedTokens(server.issuer, {
    requiredScopes: ["mcp"],
    scopes: { "files:read": ["reader"] },
  });
  const { gateway, url } = await startSignedGateway(t, {
    port,
    incomingAuth: { type: "oidc", users: [], tokens },
    authorization: BY_SCOPE,
    backends: [backendConfig("files", { connection: tools.connection })],
  });
  await eventually(() => gateway.entries().tools.length === 2);
  return { server, tools, url, resource };
}

/** What a program keeps for the SDK, and the person who uses it, who agrees at the issuer. */
function createProvider(
  issuer: string,
): OAuthClientProvider & { code: string | null; back: URLSearchParams } {
  const kept: { client?: never; tokens?: never; verifier: string } = { verifier: "" };
  return {
    code: null,
    back: new URLSearchParams(),
    redirectUrl: "http://localhost:1/callback",
    clientMetadata: {
      client_name: "a test",
      redirect_uris: ["http://localhost:1/callback"],
      grant_types: ["authorization_code"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
      application_type: "native",
    } as OAuthClientProvider["clientMetadata"],
    clientInformation: () => kept.client,
    saveClientInformation: (client) => void Object.assign(kept, { client }),
    tokens: () => kept.tokens,
    saveTokens: (tokens) => void Object.assign(kept, { tokens }),
    saveCodeVerifier: (verifier) => void Object.assign(kept, { verifier }),
    codeVerifier: () => kept.verifier,
    async redirectToAuthorization(url) {
      this.back = new URL(await agree(url.href, issuer)).searchParams;
      this.code = this.back.get("code");
    },
  };
}

/** The official clients of both versions: the types of each disagree with those of the other. */
const CLIENTS = {
  one: { Client, Http: StreamableHTTPClientTransport, Unauthorized: UnauthorizedError },
  two: { Client: Client2, Http: Http2, Unauthorized: Unauthorized2 },
} as const;

for (const [version, made] of Object.entries(CLIENTS))
  test(`E1 the official client of version ${version} finds its way from a 401 to a call, and its token goes no further`, async (t) => {
    const { Client: Official, Http, Unauthorized } = made as typeof CLIENTS.one;
    const { tools, server, url } = await rig(t);
    const provider = createProvider(server.issuer);
    const transport = () => new Http(new URL(url), { authProvider: provider });
    const open = async (): Promise<Client> => {
      const client = new Official({ name: "test", version: "1" });
      t.after(() => client.close());
      await client.connect(transport() as unknown as Parameters<Client["connect"]>[0]);
      return client;
    };
    await assert.rejects(open(), Unauthorized);
    assert.ok(provider.code !== null, "the person has consented");
    assert.equal(provider.back.get("iss"), server.issuer);
    // Version two checks who answers it.
    await transport().finishAuth(version === "one" ? provider.code : (provider.back as never));
    const client = await open();
    // The client asked for all the scopes that the metadata names: `mcp` and `files:read`.
    assert.deepEqual(pluck((await client.listTools()).tools, "name"), ["read_file"]);
    const called = await client.callTool({ name: "read_file", arguments: {} });
    assert.deepEqual(called.content, [{ type: "text", text: "done: read_file" }]);
    const tokens = await provider.tokens();
    assert.ok(tokens !== undefined);
    for (const { headers, body } of tools.seen) {
      assert.equal(headers.authorization, undefined);
      assert.ok(!`${JSON.stringify(headers)}${body}`.includes(tokens.access_token));
    }
  });

test("E1 scopes decide which entries are listed and callable, and a missing one is named", async (t) => {
  const { server, url, resource } = await rig(t);
  const without = await post(url, await server.token(resource, "files:read"));
  assert.equal(without.status, 403);
  assert.match(without.challenge ?? "", /error="insufficient_scope".*scope="mcp files:read"/);
  const reader = await server.token(resource, "mcp files:read");
  const writer = await server.token(resource, "mcp files:write");
  const ask = async (token: string, method: string, params: object) => {
    const opened = await post(url, token);
    const session = { "mcp-session-id": opened.session ?? "" };
    return post(url, token, { jsonrpc: "2.0", id: 7, method, params }, session);
  };
  const names = async (token: string): Promise<unknown> => {
    const { body } = await ask(token, "tools/list", {});
    const { result } = JSON.parse(/\{.*\}/.exec(body)?.[0] ?? "");
    return result.tools.map(({ name }: { readonly name: string }) => name);
  };
  assert.deepEqual(await names(reader), ["read_file"]);
  assert.deepEqual(await names(writer), ["read_file", "write_file"]);
  assert.match((await ask(reader, "tools/call", { name: "read_file" })).body, /done: read_file/);
  assert.match((await ask(writer, "tools/call", { name: "write_file" })).body, /done: write_file/);
  const lacking = await ask(reader, "tools/call", { name: "write_file" });
  assert.equal(lacking.status, 403);
  assert.match(lacking.challenge ?? "", /error="insufficient_scope"/);
  assert.match(lacking.challenge ?? "", /scope="files:read files:write"/);
  assert.match(lacking.body, /"id":7/);
  // What no scope would open is answered as what does not exist.
  const unknown = await ask(reader, "tools/call", { name: "no_such_tool" });
  assert.equal(unknown.status, 200);
  assert.match(unknown.body, /Unknown tool/);
});

test("E1 the metadata is public, at both of its addresses, and names where to sign in", async (t) => {
  const { server, url } = await rig(t);
  const { origin } = new URL(url);
  for (const path of ["", "/mcp"]) {
    const response = await fetch(`${origin}/.well-known/oauth-protected-resource${path}`);
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), {
      resource: url,
      authorization_servers: [server.issuer],
      bearer_methods_supported: ["header"],
      scopes_supported: ["mcp", "files:read"],
      resource_name: "Mountaineer",
    });
  }
  const posted = await fetch(`${origin}/.well-known/oauth-protected-resource`, { method: "POST" });
  assert.equal(posted.status, 405);
});

test("E1 behind a proxy, requests may name the public host, and tokens are for the public address", async (t) => {
  const port = await freePort();
  const publicUrl = "https://mcp.example.com/mcp";
  const server = await startTokenIssuer(t, publicUrl);
  const incomingAuth = { type: "oidc", users: [], tokens: signedTokens(server.issuer) } as const;
  const { url } = await startSignedGateway(t, { port, incomingAuth, publicUrl });
  const asked = (host: string, path: string) =>
    new Promise<{ readonly status: number; readonly challenge: string; readonly body: string }>(
      (resolve, reject) => {
        const request = get({ port, host: "127.0.0.1", path, headers: { host } }, (response) => {
          const chunks: Uint8Array[] = [];
          response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              challenge: response.headers["www-authenticate"] ?? "",
              body: Buffer.concat(chunks).toString("utf8"),
            }),
          );
        });
        request.on("error", reject);
      },
    );
  const metadata = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
  const challenged = await asked("mcp.example.com", "/mcp");
  assert.equal(challenged.status, 401);
  assert.ok(challenged.challenge.includes(`resource_metadata="${metadata}"`));
  const document = await asked("mcp.example.com", "/.well-known/oauth-protected-resource/mcp");
  assert.equal(JSON.parse(document.body).resource, publicUrl);
  assert.equal((await asked("evil.example", "/mcp")).status, 403);
  assert.equal((await post(url, await server.token(publicUrl))).status, 200);
  assert.equal((await post(url, await server.token(url))).status, 401);
});
