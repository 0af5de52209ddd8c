import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { SIGNING_ALGORITHMS } from "../../../src/config/values/sign-in-values.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, refused } from "../support.ts";

const OIDC = '[incoming_auth]\ntype = "oidc"\nissuer = "https://login.example.com"\n';
const JWT = '[incoming_auth]\ntype = "jwt"\nissuer = "https://login.example.com"\n';

describe("signed tokens in the configuration", () => {
  test("E1 an issuer is enough, and the defaults are safe", async () => {
    const { config } = await accepted(OIDC);
    assert.deepEqual(config.incomingAuth, {
      type: "oidc",
      users: [],
      tokens: {
        issuer: "https://login.example.com",
        audience: null,
        keys: { kind: "discovery" },
        algorithms: SIGNING_ALGORITHMS,
        leewayMs: 30_000,
        requiredScopes: [],
        requiredClaims: {},
        rolesClaim: null,
        nameClaim: null,
        scopes: {},
        keysMaxAgeMs: 86_400_000,
      },
    });
    assert.ok(!SIGNING_ALGORITHMS.some((name) => /^HS|none/.test(name)));
  });

  test("E1 everything else that can be said comes out in the engine's spelling", async () => {
    const { config } = await accepted(`[server]
public_url = "https://mcp.example.com/mcp/"
${JWT}token = "secret:gateway-token"
audience = ["api"]
jwks = "~/keys.json"
algorithms = ["ES256"]
leeway = 1.5
required_scopes = ["mcp"]
roles_claim = "realm_access.roles"
name_claim = "email"
keys_max_age = 3600
[incoming_auth.scopes]
"files:read" = ["reader"]
[incoming_auth.required_claims]
hd = ["example.com"]
`);
    assert.equal(config.server?.publicUrl, "https://mcp.example.com/mcp");
    assert.ok("tokens" in config.incomingAuth);
    const { tokens, users } = config.incomingAuth;
    assertEach(users, ({ name }) => name, ["local"]);
    assert.equal(tokens.keys.kind === "file" && tokens.keys.path.endsWith("/keys.json"), true);
    assert.deepEqual(tokens.scopes, { "files:read": ["reader"] });
    assert.deepEqual(tokens.requiredClaims, { hd: ["example.com"] });
    assert.deepEqual([tokens.leewayMs, tokens.keysMaxAgeMs], [1_500, 3_600_000]);
  });

  const mistakes: readonly (readonly [string, string, RegExp])[] = [
    ["no issuer", '[incoming_auth]\ntype = "oidc"\n', /incoming_auth\.issuer.*authorization server/s],
    ["no keys", JWT, /incoming_auth\.jwks.*where the issuer's keys are.*oidc/s],
    ["keys that are found anyway", `${OIDC}jwks = "https://x.example/jwks"\n`, /no `jwks`/],
    ["an issuer in the clear", OIDC.replace("https", "http"), /incoming_auth\.issuer/],
    ["an issuer with a query", OIDC.replace(".com", ".com?a=1"), /incoming_auth\.issuer/],
    ["keys in the clear", `${JWT}jwks = "http://x.example/jwks"\n`, /incoming_auth\.jwks/],
    ["keys at a relative path", `${JWT}jwks = "keys.json"\n`, /incoming_auth\.jwks/],
    ["keys on a share", `${JWT}jwks = "~/Shares/CORE/keys.json"\n`, /not on a share/],
    ["a shared secret", `${OIDC}algorithms = ["HS256"]\n`, /shared secret/],
    ["no signature", `${OIDC}algorithms = ["none"]\n`, /no signature/],
    ["no algorithm at all", `${OIDC}algorithms = []\n`, /incoming_auth\.algorithms/],
    [
      "keys of another type",
      '[incoming_auth]\ntype = "local"\ntoken = "${T}"\nissuer = "https://a.example"\n',
      /`issuer` with type `local`/,
    ],
    ["an address that is any", `[server]\nhost = "0.0.0.0"\n${OIDC}`, /public_url/],
    ["a scope with a space", `${OIDC}required_scopes = ["a b"]\n`, /required_scopes/],
  ];
  for (const [what, text, expected] of mistakes) {
    test(`E1 refused with its place: ${what}`, async () => {
      assert.match(describeMistakes(await refused(text)), expected);
    });
  }

  test("E1 an issuer on this machine may speak plainly, and any address may be bound with it", async () => {
    await accepted(OIDC.replace("https://login.example.com", "http://127.0.0.1:8080/realm"));
    await accepted(`[server]\nhost = "192.168.1.4"\n${OIDC}`);
    await accepted(`[server]\nhost = "0.0.0.0"\npublic_url = "https://mcp.example.com/mcp"\n${OIDC}`);
  });
});
