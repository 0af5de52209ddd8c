// What a report shows of a configuration, and that no secret that was ever written into it is among that.
import assert from "node:assert/strict";
import { test } from "node:test";
import { reportedConfig, unreportedValues } from "../../../src/config/edit/report-config.ts";
import { fc } from "../../support/properties.ts";
import { accepted, bytes } from "../support.ts";

const TEXT = `# the old password: LITERAL
[global]
check_interval_secs = 0.5 # LITERAL
[[shares]]
name = "CORE"
thunderbolt_host = "10.10.10.1"
fallback_host = "nas.example"
password = "secret:nas"
[[incoming_auth.users]]
name = "ann"
token = "\${ANN}"
roles = ["admin"]
[incoming_auth]
type = "local"
[backends.files]
command = "npx"
args = ["-y", "@modelcontextprotocol/server-filesystem", "/srv/files", "--key", "LITERAL", "LITERAL", "--x=LITERAL"]
env = { PLAIN = "LITERAL", TOKEN = "\${TOKEN}", LEVEL = "debug" }
[backends.web]
url = "https://example.org/mcp?api_key=LITERAL"
headers = { X-Plain = "LITERAL", Authorization = "Bearer \${WEB}" }
`;
// Not as TOML would have it, where a table may not come after a member of its own list.
const VALID = TEXT.replace(/\[\[incoming_auth[\s\S]*?roles.*\n/, "").replace(
  'type = "local"\n',
  'type = "local"\ntoken = "${ANN}"\n',
);

test("E5 a report contains each key, references unchanged, and no possible secret", async () => {
  const shown = await reportedConfig(bytes(VALID), "toml");
  assert.equal(
    shown,
    `global.check_interval_secs = 0.5
shares[0].name = "CORE"
shares[0].thunderbolt_host = "10.10.10.1"
shares[0].fallback_host = "nas.example"
shares[0].password = "secret:nas"
incoming_auth.type = "local"
incoming_auth.token = "\${ANN}"
backends.files.command = "npx"
backends.files.args = ["-y", "@modelcontextprotocol/server-filesystem", "/srv/files", "--key", "(hidden)", "(hidden)", "--x=(hidden)"]
backends.files.env.PLAIN = "(hidden)"
backends.files.env.TOKEN = "\${TOKEN}"
backends.files.env.LEVEL = "debug"
backends.web.url = "https://example.org/mcp?(hidden)"
backends.web.headers.X-Plain = "(hidden)"
backends.web.headers.Authorization = "Bearer \${WEB}"`,
  );
});

test("E5 an address is shown without any possible secret in it, whatever its key", async () => {
  const key = "9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c";
  const text = `[telemetry]
endpoint = "https://otlp.example/${key}"
[incoming_auth]
type = "jwt"
issuer = "https://login.example/realms/main"
jwks = "https://login.example/keys?key=${key}"
`;
  await accepted(text);
  assert.equal(
    await reportedConfig(bytes(text), "toml"),
    `telemetry.endpoint = "https://otlp.example/(hidden)"
incoming_auth.type = "jwt"
incoming_auth.issuer = "https://login.example/realms/main"
incoming_auth.jwks = "https://login.example/keys?(hidden)"`,
  );
});

test("E5 of a route a report contains as little as of a backend without routes", async () => {
  const text = `[[backends.far.routes]]
command = "sh -c TOKEN=9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c serve"
args = ["--key", "LITERAL"]
[[backends.far.routes]]
url = "https://far.example/mcp?k=SECOND"
`;
  assert.equal(
    await reportedConfig(bytes(text), "toml"),
    `backends.far.routes[0].command = "(hidden)"
backends.far.routes[0].args = ["--key", "(hidden)"]
backends.far.routes[1].url = "https://far.example/mcp?(hidden)"`,
  );
  const unreported = unreportedValues((await accepted(text)).config.backends);
  for (const value of ["LITERAL", "SECOND"]) assert.ok(unreported.includes(value), `${unreported}`);
});

test("E5 required claims, and allowed arguments of tools, are in no report", async () => {
  const text = `[incoming_auth]
type = "oidc"
issuer = "https://login.example"
[incoming_auth.required_claims]
email = ["ann@example.com"]
[[authorization.policies]]
effect = "allow"
arguments = { path = ["/home/ann/drafts/*"] }
`;
  await accepted(text);
  assert.doesNotMatch(await reportedConfig(bytes(text), "toml"), /ann/);
});

test("E5 a plain secret under the key of a secret is hidden", async () => {
  const text = `[[shares]]
name = "CORE"
fallback_host = "nas"
password = "LITERAL"
[incoming_auth]
type = "local"
token = "LITERAL"
`;
  assert.equal(
    await reportedConfig(bytes(text), "toml"),
    `shares[0].name = "CORE"
shares[0].fallback_host = "nas"
shares[0].password = "(hidden)"
incoming_auth.type = "local"
incoming_auth.token = "(hidden)"`,
  );
});

test("E5 the same from YAML, in whatever layout", async () => {
  const text = `backends:
  files:
    command: server
    args:
      - --api-key
      - LITERAL
      - "--token=LITERAL"
    env:
      PLAIN: LITERAL

      OTHER: >-
        LITERAL
  web: {url: "https://example.org/?k=LITERAL", headers: {X-A: LITERAL}}
`;
  assert.doesNotMatch(await reportedConfig(bytes(text), "yaml"), /LITERAL/);
  const { config } = await accepted(text, "config.yaml");
  assert.deepEqual(new Set(unreportedValues(config.backends)), new Set(["LITERAL", "k=LITERAL", "k"]));
});

/** At least one letter that no word of ours has, so that it is found when it is shown. */
const secret = fc
  .stringMatching(/^[a-zA-Z0-9_+=-]{3,30}ẞ[a-zA-Z0-9]{0,10}$/)
  .map((text) => text.replace("ẞ", "zqxjk"));

const WRITTEN: readonly ((word: string) => string)[] = [
  (word) => `[backends.a]\ncommand = "x"\nargs = ["${word}"]\n`,
  (word) => `[backends.a]\ncommand = "x"\nargs = ["--name", "${word}"]\n`,
  (word) => `[backends.a]\ncommand = "x"\nargs = ["--name=${word}"]\n`,
  (word) => `[backends.a]\ncommand = "x"\nargs = ["-c", "run ${word}"]\n`,
  (word) => `[backends.a]\ncommand = "x ${word}"\n`,
  (word) => `[backends.a]\ncommand = "x"\nenv = { SOME = "${word}" }\n`,
  (word) => `[backends.a]\ncommand = "x"\nenv = { SOME = "a${word}\${B}" }\n`,
  (word) => `[backends.a]\nurl = "https://example.org/?q=${word}"\n`,
  (word) => `[backends.a]\nurl = "https://example.org/?${word}=1"\n`,
  (word) => `[backends.a]\nurl = "https://example.org/"\nheaders = { X-Some = "${word}" }\n`,
  (word) => `# ${word}\n[global]\ncheck_interval_secs = 1 # ${word}\n`,
];

test("E5 the text of an argument, a variable, a header or a query is in no report", async () => {
  await fc.assert(
    fc.asyncProperty(secret, fc.constantFrom(...WRITTEN), async (word, write) => {
      const text = write(word);
      const shown = await reportedConfig(bytes(text), "toml");
      assert.ok(!shown.includes(word), `${text}\n${shown}`);
    }),
    { numRuns: 300 },
  );
});
