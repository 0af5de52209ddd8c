import assert from "node:assert/strict";
import { test } from "node:test";
import { accepted, refused } from "../support.ts";

const BASE = '[backends.a]\nurl = "https://mcp.example/mcp"\n';

test("E1 `[backends.NAME.auth]` is read with its defaults, and with everything given", async () => {
  const { config } = await accepted(`${BASE}[backends.a.auth]\n`);
  const [backend] = config.backends;
  assert.ok(backend?.connection.type === "streamable-http");
  assert.deepEqual(backend.connection.auth, {
    type: "oauth",
    clientId: null,
    clientSecret: null,
    privateKey: null,
    clientMetadataUrl: null,
    clientName: "Mountaineer",
    scopes: null,
    issuer: null,
    redirectPort: null,
  });
  const machine = `type = "client-credentials"\nclient_id = "m"\nprivate_key = "secret:key"\nscopes = ["a", "b:c"]\nissuer = "https://login.example"\n`;
  const other = await accepted(`${BASE}[backends.a.auth]\n${machine}`);
  const connection = other.config.backends[0]?.connection;
  assert.ok(connection?.type === "streamable-http");
  assert.deepEqual(connection.auth?.privateKey, { kind: "stored", name: "key" });
  assert.deepEqual(connection.auth?.scopes, ["a", "b:c"]);
});

for (const [keys, path, words] of [
  ['client_secret = "hunter2"', "client_secret", /secret:NAME/],
  ['client_secret = "${S}"', "client_id", /client_secret/],
  ['private_key = "${K}"', "private_key", /client-credentials/],
  ['client_id = "a"\nclient_metadata_url = "https://x.example/c.json"', "client_metadata_url", /client_id/],
  ['client_metadata_url = "http://x.example/c.json"', "client_metadata_url", /https/],
  ['client_metadata_url = "https://x.example/"', "client_metadata_url", /path/],
  ['type = "client-credentials"', "client_id", /client_id|signs in with/],
  ['type = "client-credentials"\nclient_id = "a"', "client_secret", /private_key/],
  ['type = "client-credentials"\nclient_id = "a"\nclient_secret = "${S}"', "issuer", /gets the secret/],
  [
    'type = "client-credentials"\nclient_id = "a"\nclient_secret = "${S}"\nredirect_port = 8765',
    "redirect_port",
    /no person/,
  ],
  ['scopes = ["two words"]', "scopes", /scope/],
  ["redirect_port = 0", "redirect_port", /65535/],
  ['typ = "oauth"', "typ", /type/],
] as const) {
  test(`E1 a mistake in \`auth\` is told with its place: ${JSON.stringify(keys)}`, async () => {
    const mistakes = await refused(`${BASE}[backends.a.auth]\n${keys}\n`);
    const text = JSON.stringify(mistakes);
    assert.ok(text.includes(`backends.a.auth.${path}`), text);
    assert.match(text, words);
    assert.ok(!text.includes("hunter2"));
  });
}

test("E1 `auth` goes with an address, and not beside a header of the same purpose", async () => {
  const program = JSON.stringify(await refused('[backends.a]\ncommand = "x"\nauth = {}\n'));
  assert.match(program, /it goes with `url`/);
  const both = `${BASE}headers = { authorization = "Bearer \${T}" }\nauth = {}\n`;
  assert.match(JSON.stringify(await refused(both)), /one way to sign in/);
});
