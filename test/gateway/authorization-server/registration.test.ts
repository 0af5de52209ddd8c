// What clients say of themselves: registrations as clients of today send them, addresses for answers, and documents on the web.
import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { createServer } from "node:https";
import { type TestContext, test } from "node:test";
import { OAuthError } from "../../../src/gateway/authorization-server/answer.ts";
import {
  fetchClient,
  isDocumentUrl,
  isPublicAddress,
} from "../../../src/gateway/authorization-server/client-document.ts";
import {
  openClientId,
  readMetadata,
  registeredClient,
} from "../../../src/gateway/authorization-server/client-record.ts";
import {
  answersTo,
  isRedirectUri,
  isRegistered,
  unknownScheme,
} from "../../../src/gateway/authorization-server/redirect-uri.ts";
import { onLoopback } from "../../support/on-loopback.ts";
import { trustedCertificate } from "../../support/web-proxy.ts";

const KEY = Buffer.alloc(32, 1);
const BOTH = ["authorization_code", "refresh_token"];

/** As the clients of November 2026 send them. */
const BODIES = {
  "VS Code": {
    client_name: "Visual Studio Code",
    client_uri: "https://code.visualstudio.com",
    grant_types: [...BOTH, "urn:ietf:params:oauth:grant-type:device_code"],
    response_types: ["code"],
    redirect_uris: [
      "https://insiders.vscode.dev/redirect",
      "https://vscode.dev/redirect",
      "http://127.0.0.1/",
      "http://127.0.0.1:33418/",
    ],
    token_endpoint_auth_method: "none",
    application_type: "native",
  },
  Cursor: {
    client_name: "Cursor",
    redirect_uris: ["cursor://anysphere.cursor-mcp/oauth/callback"],
    grant_types: BOTH,
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  },
  "Claude Code": {
    client_name: "Claude Code (mountaineer)",
    redirect_uris: ["http://localhost:54545/callback"],
    grant_types: BOTH,
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  },
  "claude.ai": {
    client_name: "Claude",
    client_uri: "https://claude.ai",
    redirect_uris: ["https://claude.ai/api/mcp/auth_callback"],
    grant_types: BOTH,
    response_types: ["code"],
    scope: "claudeai",
    token_endpoint_auth_method: "client_secret_post",
  },
  ChatGPT: {
    client_name: "ChatGPT",
    redirect_uris: [
      "https://chatgpt.com/connector/oauth/abc123",
      "https://chatgpt.com/connector_platform_oauth_redirect",
    ],
    grant_types: BOTH,
    response_types: ["code"],
    token_endpoint_auth_method: "client_secret_basic",
  },
  Codex: { client_name: "Codex", redirect_uris: ["http://127.0.0.1:1455/callback"], scope: "" },
} as const;

test("E1 clients of today register as they do it, and none of it is stored: the id is the record", () => {
  for (const [name, body] of Object.entries(BODIES)) {
    const made = registeredClient(KEY, body, 0);
    assert.ok("client_id" in made, `${name}: ${JSON.stringify(made)}`);
    assert.deepEqual(
      [made["client_name"], made["redirect_uris"], made["token_endpoint_auth_method"], made["client_secret"]],
      [body.client_name, body.redirect_uris, "none", undefined],
    );
    const id = String(made["client_id"]);
    assert.deepEqual(openClientId(KEY, id)?.redirectUris, body.redirect_uris);
    for (const forged of [`${id}x`, id.slice(1), id.replace(".", ".A"), "client", ""])
      assert.equal(openClientId(KEY, forged), null);
    assert.equal(openClientId(Buffer.alloc(32, 2), id), null, "another home's");
  }
  const anyPort = [...BODIES["VS Code"].redirect_uris];
  assert.ok(isRegistered("http://127.0.0.1:50000/", anyPort));
  assert.ok(!isRegistered("http://127.0.0.1:50000/other", anyPort));
  assert.ok(!isRegistered("http://localhost:50000/", anyPort));
});

test("E1 an answer goes to https, to this computer or to a client's own scheme, and nowhere else", () => {
  const rows: Readonly<Record<string, readonly string[]>> = {
    "https://app.example": ["https://app.example/cb", "https://app.example/cb?a=b", "https://app.example/"],
    "https://app.example:8443": ["https://app.example:8443/cb"],
    "a program on the computer where the browser is": [
      "http://127.0.0.1/",
      "http://localhost:1/cb",
      "http://[::1]:4000/x",
    ],
    "the app that opens cursor: links": ["cursor://x/y"],
    "the app that opens com.example.app: links": ["com.example.app:/cb"],
    "the app that opens elsewhere: links": ["elsewhere:/cb"],
  };
  for (const [where, uris] of Object.entries(rows))
    for (const uri of uris) {
      assert.deepEqual([isRedirectUri(uri), answersTo(uri)], [true, where], uri);
      assert.equal(unknownScheme(uri), uri.startsWith("elsewhere") ? "elsewhere" : null);
    }
  assert.ok(isRedirectUri("http://localhost:*/cb") && !isRedirectUri("https://app.example:*/cb"));
  assert.ok(isRegistered("http://localhost:81/cb", ["http://localhost:*/cb"]));
  assert.ok(!isRegistered("http://localhost:*/cb", ["http://localhost:*/cb"]), "the answer has a port");
  for (const uri of [
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\tscript:alert(1)",
    " javascript:alert(1)",
    "data:text/html,x",
    "file:///etc/passwd",
    "blob:https://app.example/1",
    "vbscript:x",
    "http://app.example/cb",
    "http://127.0.0.1.evil.example/",
    "http://127.0.0.1@evil.example/",
    "http://2130706433/",
    "http://0x7f.1/",
    "https://app.example/cb#x",
    "https://user@app.example/cb",
    "https://app.example\\@evil.example/cb",
    "https://app.exаmple/cb",
    "https:app.example/cb",
    "ws://app.example/",
    "about:blank",
    "/cb",
    "",
    `https://app.example/${"x".repeat(1_024)}`,
    7,
    null,
  ])
    assert.equal(isRedirectUri(uri), false, String(uri));
  for (const [uri, registered] of [
    ["https://app.example/cb/", "https://app.example/cb"],
    ["https://APP.example/cb", "https://app.example/cb"],
    ["https://app.example/cb?x", "https://app.example/cb"],
    ["https://app.example/a/../cb", "https://app.example/cb"],
    ["http://localhost:1/cb?x", "http://localhost:2/cb"],
    ["cursor://x/other", "cursor://x/y"],
  ] as const)
    assert.equal(isRegistered(uri, [registered]), false, uri);
});

test("E4 what a client says of itself is bounded, and shown without what a reader would not see", () => {
  const uri = "https://app.example/cb";
  const refused: readonly unknown[] = [
    ...[null, [], "x", {}, { redirect_uris: [] }, { redirect_uris: uri }, { redirect_uris: [uri, "data:x"] }],
    { redirect_uris: Array.from({ length: 11 }, () => uri) },
    { redirect_uris: [uri], grant_types: ["client_credentials"] },
    { redirect_uris: [uri], response_types: ["token"] },
  ];
  for (const body of refused) assert.throws(() => readMetadata(body), OAuthError, JSON.stringify(body));
  const long = Array.from({ length: 5 }, (_, index) => `https://app.example/${index}${"x".repeat(900)}`);
  assert.throws(() => registeredClient(KEY, { redirect_uris: long }, 0), /too long/);
  const shown = (name: unknown) => readMetadata({ client_name: name, redirect_uris: [uri] }).name;
  assert.equal(shown("x".repeat(500)).length, 80);
  for (const none of [undefined, "", "  ", 7]) assert.equal(shown(none), "a program without a name");
  assert.doesNotMatch(shown("Claude\u202e\u200b\u0007\n"), /\p{Cc}|\p{Cf}/u);
});

test("E1 only public addresses are public", () => {
  const isPublic = ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::1"];
  const isNot = [
    ...["0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.0.0.8"],
    ...["192.168.1.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1"],
    ...[
      "fc00::1",
      "::ffff:10.0.0.1",
      "::ffff:8.8.8.8",
      "64:ff9b::a00:1",
      "2002:a00:1::",
      "2001::1",
      "2001:db8::1",
    ],
    ...["ff02::1", "", "example.com", "1.2.3", "0x7f000001"],
  ];
  assert.deepEqual(
    isPublic.filter((address) => !isPublicAddress(address)),
    [],
  );
  assert.deepEqual(isNot.filter(isPublicAddress), []);
});

test("E1 a client's id may be the address of a document, if it has only one reading", () => {
  for (const id of [
    "https://app.example/client",
    "https://app.example/a/client.json?v=1",
    "https://app.example:8443/c",
  ])
    assert.ok(isDocumentUrl(id), id);
  for (const id of [
    ...[
      "http://app.example/client",
      "https://app.example",
      "https://app.example/",
      "https://app.example/c#x",
    ],
    ...[
      "https://u@app.example/c",
      "https://app.example/a/../c",
      "https://app.example/%2e%2e/c",
      "https://APP.example/c",
    ],
    ...[
      "https://127.0.0.1/c",
      "https://[::1]/c",
      "https://2130706433/c",
      "https://localhost/c",
      "https:/app.example/c",
    ],
    ...["https://app.example\\c", "https://app.example/ c", `https://app.example/${"x".repeat(1_024)}`],
  ])
    assert.equal(isDocumentUrl(id), false, id);
});

async function documentServer(t: TestContext, listener: RequestListener) {
  const { cert, key } = trustedCertificate(t, "app.example");
  return { tls: { port: await onLoopback(t, createServer({ cert, key }, listener)) } };
}
const lookupOf = (...addresses: readonly string[]) =>
  ((_host: string, _options: object, done: (error: null, found: readonly object[]) => void) =>
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    )) as unknown as typeof import("node:dns").lookup;

const ID = "https://app.example/client.json";

test("E1 a client's document is read once it is at its own id, small and said to be it", async (t) => {
  let answer: (response: Parameters<RequestListener>[1]) => void = () => {};
  const { tls } = await documentServer(t, (_, response) => answer(response));
  const means = { lookup: lookupOf("127.0.0.1"), isAllowed: () => true, tls };
  const body = (value: object, status = 200, headers = {}) => {
    answer = (response) => response.writeHead(status, headers).end(JSON.stringify(value));
    return fetchClient(ID, means);
  };
  const good = { client_id: ID, client_name: "App", redirect_uris: ["https://app.example/cb"] };
  assert.deepEqual(await body(good), {
    ...{ id: ID, name: "App", redirectUris: good.redirect_uris, publishedBy: "app.example" },
  });
  for (const [value, status, why] of [
    [{ ...good, client_id: "https://other.example/c" }, 200, /another client_id/],
    [{ ...good, client_secret: "x" }, 200, /secret/],
    [{ ...good, token_endpoint_auth_method: "private_key_jwt", jwks_uri: ID }, 200, /other.*than `none`/],
    [{ ...good, redirect_uris: ["data:x"] }, 200, /redirect_uris/],
    [{ ...good, more: "x".repeat(65_536) }, 200, /too large/],
    [good, 302, /status 200/],
    [good, 500, /status 200/],
  ] as const)
    await assert.rejects(body(value, status, { location: "https://other.example/" }), why);
});

test("E1 no document leads the gateway into a private network, whatever the name resolves to when", async (t) => {
  let asked = 0;
  const { tls } = await documentServer(t, (_, response) => {
    asked += 1;
    response.end("{}");
  });
  const fetchWith = (lookup: typeof import("node:dns").lookup) =>
    fetchClient(ID, { lookup, isAllowed: isPublicAddress, tls });
  for (const addresses of [["127.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], []])
    await assert.rejects(fetchWith(lookupOf(...addresses)), /private network/, addresses.join());
  // A resolver that answers differently the second time (rebinding): there is no second time.
  let calls = 0;
  const turning = ((...given: Parameters<ReturnType<typeof lookupOf>>) => {
    calls += 1;
    return lookupOf(calls === 1 ? "127.0.0.1" : "1.1.1.1")(...given);
  }) as typeof import("node:dns").lookup;
  await assert.rejects(fetchWith(turning));
  assert.deepEqual([calls, asked], [1, 0]);
});
