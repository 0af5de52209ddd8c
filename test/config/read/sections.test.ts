// What of a configuration depends on the system, and where it refers to secrets.
import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConfigs, isEmptyDiff } from "../../../src/config/diff.ts";
import { findHomeContext, type HomeContext } from "../../../src/config/home-context.ts";
import { reachableByBackends } from "../../../src/config/reachable-paths.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { secretUses, storedSecretNames, withRevisions } from "../../../src/config/read/secret-uses.ts";
import { referenceText } from "../../../src/secrets/reference.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, bytes, PLACE, SHARE } from "../support.ts";

const KIND = '[backends.files]\ncommand = "npx"\n[backends.files.sandbox]\nkind = "bubblewrap"\n';

test("E2 a sandboxed server reaches no guarded path", async () => {
  const { config, warnings } = await accepted(KIND.replace('"npx"\n', '"npx"\nargs = ["/home/ann"]\n'));
  const [backend] = config.backends;
  assert.ok(backend !== undefined);
  const places = { homes: [PLACE.home], configs: [`${PLACE.home}/config.toml`], userHome: PLACE.userHome };
  assert.deepEqual(reachableByBackends(backend, places), []);
  assert.deepEqual(warnings, []);
});

test("E2 macOS refuses it, with the reason", async () => {
  const homeContext = findHomeContext({ HOME: "/Users/ann" }, "darwin");
  const loaded = await parseConfig(bytes(KIND), "config.toml", homeContext);
  assert.ok(!loaded.ok);
  const [mistake] = loaded.mistakes;
  assert.equal(mistake?.found, "`sandbox` on macOS");
  assert.match(mistake.hint ?? "", /namespaces/);
});

// What `driver` means on each system.
const MAC: HomeContext = { ...PLACE, ...pick(findHomeContext({ HOME: "/Users/ann" }, "darwin")) };

function pick({ defaultMountRoot, smbDriver }: HomeContext): Partial<HomeContext> {
  return { defaultMountRoot, ...(smbDriver === undefined ? {} : { smbDriver }) };
}

async function loaded(text: string, homeContext: HomeContext) {
  const result = await parseConfig(bytes(text), "config.toml", homeContext);
  assert.ok(result.ok);
  const { config, warnings } = result.snapshot;
  return { driver: config.shares[0]?.driver, warnings: warnings.map(({ path }) => path) };
}

test("SMB is mounted by the system's own way, folders by a link", async () => {
  const paths = '[[shares]]\nname = "A"\nthunderbolt_path = "/a"\nfallback_path = "/b"\n';
  for (const [text, onMac, elsewhere] of [
    [SHARE, "netfs", "fs"],
    [paths, "local", "local"],
    [`${paths}driver = "local"\n`, "local", "local"],
  ] as const) {
    assert.equal((await loaded(text, MAC)).driver, onMac, text);
    assert.equal((await loaded(text, PLACE)).driver, elsewhere, text);
  }
});

test("a user without a password is a guest on Linux, and looked up in the Keychain for NetFS: only the first is reported", async () => {
  const text = `${SHARE}username = "ann"\n`;
  assert.deepEqual((await loaded(text, PLACE)).warnings, ["shares[0].username"]);
  assert.deepEqual((await loaded(text, MAC)).warnings, []);
});

const TEXT = `
[[shares]]
name = "CORE"
thunderbolt_host = "10.0.0.1"
fallback_host = "10.0.1.1"
password = "secret:nas"
[[shares]]
name = "GUEST"
thunderbolt_host = "10.0.0.1"
fallback_host = "10.0.1.1"
[backends.files]
command = "files"
env = { TOKEN = "secret:files", PLAIN = "as it is", MIXED = "a \${secret:nas} b \${HOME}" }
[backends.plain]
command = "plain"
env = { PLAIN = "as it is" }
[backends.web]
url = "https://example.org/mcp"
headers = { Authorization = "Bearer \${secret:web}" }
[incoming_auth]
type = "local"
[[incoming_auth.users]]
name = "ann"
token = "\${secret:ann}"
[telemetry]
metrics_token = "secret:metrics"
prometheus = true
[telemetry.headers]
Authorization = "\${OTLP_KEY}"
[fleet]
name = "laptop"
servers = ["tls://nas.example"]
credentials = "secret:fleet"
`;

test("each reference is listed with its users", async () => {
  const { config } = await accepted(TEXT);
  assertEach(secretUses(config), ({ reference, usedBy }) => `${referenceText(reference)} ${usedBy}`, [
    "secret:nas share CORE",
    "secret:files server files (env TOKEN)",
    "secret:nas server files (env MIXED)",
    "${HOME} server files (env MIXED)",
    "secret:web server web (headers Authorization)",
    "secret:ann user ann",
    "secret:metrics telemetry (metrics_token)",
    "${OTLP_KEY} telemetry (headers Authorization)",
    "secret:fleet fleet",
  ]);
  assert.deepEqual(storedSecretNames(config), ["nas", "files", "web", "ann", "metrics", "fleet"]);
});

test("variables and headers named like a reference's members are not references", async () => {
  const members = 'kind = "stored"\nname = "x"\n';
  const snapshot = await accepted(
    `[backends.a]\ncommand = "a"\n[backends.a.env]\n${members}[backends.b]\nurl = "https://b.example/mcp"\n` +
      `[backends.b.headers]\n${members}env = "secret:own"\n`,
  );
  assert.deepEqual(storedSecretNames(snapshot.config), ["own"]);
  assert.deepEqual(withRevisions(snapshot, () => 3).config.backends[0], snapshot.config.backends[0]);
});

test("a new revision of a secret changes only the entries that refer to it", async () => {
  const snapshot = await accepted(TEXT);
  const revisions = new Map([["nas", 1]]);
  const revisionOf = (name: string): number => revisions.get(name) ?? 1;
  const first = withRevisions(snapshot, revisionOf);
  const fleet = withRevisions(snapshot, () => 3).config.fleet;
  assert.deepEqual(fleet?.credentials, { kind: "stored", name: "fleet", revision: 3 });
  assert.ok(isEmptyDiff(diffConfigs(first.config, withRevisions(snapshot, revisionOf).config)));
  assert.deepEqual(diffConfigs(snapshot.config, first.config).backends.changed, ["files", "web"]);
  revisions.set("nas", 2);
  const { shares, backends, middleware } = diffConfigs(
    first.config,
    withRevisions(snapshot, revisionOf).config,
  );
  assert.deepEqual(shares.changed, ["CORE"]);
  assert.deepEqual(backends.changed, ["files"]);
  assert.deepEqual(middleware, []);
  revisions.set("ann", 5);
  assert.deepEqual(diffConfigs(first.config, withRevisions(snapshot, revisionOf).config).middleware, [
    "incoming_auth",
  ]);
});

test("a configuration without stored secrets is returned unchanged", async () => {
  const snapshot = await accepted('[backends.a]\ncommand = "a"\nenv = { X = "${HOME}" }\n');
  assert.equal(
    withRevisions(snapshot, () => 1),
    snapshot,
  );
});
