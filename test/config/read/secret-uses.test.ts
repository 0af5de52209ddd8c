import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConfigs, isEmptyDiff } from "../../../src/config/diff.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { secretUses, storedSecretNames, withRevisions } from "../../../src/config/read/secret-uses.ts";
import type { ConfigSnapshot } from "../../../src/config/snapshot.ts";
import { referenceText } from "../../../src/secrets/reference.ts";
import { assertEach } from "../../support/assert-each.ts";

const PLACE = { home: "/h/m", userHome: "/h", userName: "ann", defaultMountRoot: "/h/m/volumes" };

async function snapshotOf(text: string): Promise<ConfigSnapshot> {
  const loaded = await parseConfig(Buffer.from(text), "/h/m/config.toml", PLACE);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.snapshot;
}

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
`;

test("each reference is told with what uses it", async () => {
  const { config } = await snapshotOf(TEXT);
  assertEach(secretUses(config), ({ reference, usedBy }) => `${referenceText(reference)} ${usedBy}`, [
    "secret:nas share CORE",
    "secret:files backend files (env TOKEN)",
    "secret:nas backend files (env MIXED)",
    "${HOME} backend files (env MIXED)",
    "secret:web backend web (headers Authorization)",
    "secret:ann user ann",
  ]);
  assert.deepEqual(storedSecretNames(config), ["nas", "files", "web", "ann"]);
});

test("another revision of a secret is a change of what refers to it, and of nothing else", async () => {
  const snapshot = await snapshotOf(TEXT);
  const revisions = new Map([["nas", 1]]);
  const revisionOf = (name: string): number => revisions.get(name) ?? 1;
  const first = withRevisions(snapshot, revisionOf);
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

test("a configuration without stored secrets stays the very same", async () => {
  const snapshot = await snapshotOf('[backends.a]\ncommand = "a"\nenv = { X = "${HOME}" }\n');
  assert.equal(
    withRevisions(snapshot, () => 1),
    snapshot,
  );
});
