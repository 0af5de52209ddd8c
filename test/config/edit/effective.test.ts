import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConfigs, isEmptyDiff } from "../../../src/config/diff.ts";
import { effectiveData, effectiveText, getConfigValue } from "../../../src/config/edit/effective.ts";
import { parseConfigKey } from "../../../src/config/edit/key-path.ts";
import { ANY_INDEX, ANY_NAME, SECTIONS } from "../../../src/config/schema/schema.ts";
import type { BackendConfig, MountaineerConfig } from "../../../src/config/snapshot.ts";
import { accepted, bytes, PLACE } from "../support.ts";

const TEXT = `[global]
check_interval_secs = 0.5
[[shares]]
name = "CORE"
thunderbolt_host = "10.0.0.1"
fallback_host = "nas"
username = "bob"
password = "\${PW}"
`;

function source(text: string) {
  return { bytes: bytes(text), format: "toml", homeContext: PLACE } as const;
}

async function get(key: string, text = TEXT) {
  return getConfigValue(source(text), parseConfigKey(key));
}

test("a value is the file's, else the default, and its source is reported", async () => {
  assert.deepEqual(await get("global.check_interval_secs"), { source: "file", value: 0.5 });
  assert.deepEqual(await get("sync.poll_interval"), { source: "default", value: 2 });
  assert.deepEqual(await get("lsof-recheck"), { source: "default", value: true });
  assert.deepEqual(await get("global.mount_root"), { source: "default", value: PLACE.defaultMountRoot });
  assert.deepEqual(await get("shares.core.username"), { source: "file", value: "bob" });
  assert.deepEqual(await get("shares.CORE.share_name"), { source: "default", value: "CORE" });
  assert.deepEqual(await get("shares[0].password"), { source: "file", value: "${PW}" });
  assert.deepEqual(await get("server.port"), { source: "default", value: 9000 });
  assert.equal((await get("shares.CORE.fallback_interface")).source, "absent");
  await assert.rejects(get("shares.COR.driver"), { code: "share_unknown" });
  await assert.rejects(get("sync.enabled", "[sync\n"), { code: "config_invalid" });
});

test("a password in the file is not shown", async () => {
  assert.deepEqual(await get("shares.CORE.password", TEXT.replace("${PW}", "hunter2")), {
    source: "file",
    value: "(hidden)",
  });
});

test("the effective configuration has the same meaning, with its defaults marked", async () => {
  for (const text of ["", TEXT, `${TEXT}[server]\nport = 1\n`, `${TEXT}[sync]\ndetection = 'hash'\n`]) {
    const shown = await effectiveText(source(text));
    const { config } = await accepted(shown);
    const before = (await accepted(text)).config;
    assert.deepEqual(config, before);
    assert.deepEqual(await effectiveData(source(shown)), await effectiveData(source(text)));
  }
  const shown = await effectiveText(source(TEXT));
  assert.ok(shown.includes("check_interval_secs = 0.5\n"));
  assert.ok(shown.includes("network_debounce_ms = 500  # default\n"));
  assert.ok(shown.includes("[sync]\nenabled = true  # default\n"));
  assert.ok(!shown.includes("[server]"));
  assert.ok(shown.includes("# fallback_interface: the interface whose subnet holds the host\n"));
  const data = await effectiveData(source(TEXT));
  assert.deepEqual(Object.keys(data).sort(), ["global", "shares", "sync"]);
});

const GATEWAY = `[backends.files]
command = "npx"
args = ["-y"]
[backends.files.env]
API_KEY = "hunter2"
MODE = "fast"
WHOLE = "\${X}"
HALF_TOKEN = "hunter2\${X}"
PAIR = "\${A}:\${B}"
[backends.files.tool_overrides."a b"]
name = "c"
[backends.web]
url = "https://x/mcp"
headers = { Authorization = "Bearer \${WEB}", X-Key = "hunter2" }
[backends.bare]
url = "https://x/mcp?api_key=hunter2"
[incoming_auth]
type = "local"
token = "\${T}"
[[incoming_auth.users]]
name = "ann"
token = "\${ANN}"
[[authorization.policies]]
effect = "allow"
[audit]
`;

test("a backend's effective values: the file's, else defaults, and those that follow from others", async () => {
  const rows: [string, unknown][] = [
    ["backends.files.command", { source: "file", value: "npx" }],
    ["backends.files.type", { source: "default", value: "stdio" }],
    ["backends.web.type", { source: "default", value: "streamable-http" }],
    ["backends.files.cwd", { source: "default", value: PLACE.userHome }],
    ["backends.files.timeouts.cap_fetch", { source: "default", value: 10 }],
    [
      "backends.files.timeouts.call",
      { source: "absent", rule: "300 for tool calls, 60 for reads, prompts and completions" },
    ],
    ["backends.files.args", { source: "file", value: ["-y"] }],
    ["backends.files.filters.tools.deny", { source: "default", value: [] }],
    ["backends.files.filters.tools.allow", { source: "absent", rule: "all" }],
    ['backends.files.tool_overrides."a b".name', { source: "file", value: "c" }],
    ["backends.files.env.NONE", { source: "absent", rule: "not set" }],
    ["backends.files.env.constructor", { source: "absent", rule: "not set" }],
    ["server.drain_timeout", { source: "default", value: 30 }],
    ["conflict_resolution.strategy", { source: "default", value: "first-wins" }],
    ["audit.path", { source: "default", value: `${PLACE.home}/audit.jsonl` }],
    ["incoming_auth.users.ann.token", { source: "file", value: "${ANN}" }],
    ["incoming_auth.users[0].roles", { source: "default", value: [] }],
    ["authorization.policies[0].effect", { source: "file", value: "allow" }],
  ];
  for (const [key, value] of rows) assert.deepEqual(await get(key, GATEWAY), value, key);
});

test("a text of env, headers and tokens is shown if it only has references, or does not look like a secret", async () => {
  const rows: [string, string][] = [
    ["backends.files.env.API_KEY", "(hidden)"],
    ["backends.files.env.MODE", "fast"],
    ["backends.files.env.WHOLE", "${X}"],
    ["backends.files.env.HALF_TOKEN", "(hidden)${X}"],
    ["backends.files.env.PAIR", "${A}:${B}"],
    ["backends.web.headers.Authorization", "Bearer ${WEB}"],
    ["backends.web.headers.X-Key", "(hidden)"],
    ["backends.web.url", "https://x/mcp"],
    ["backends.bare.url", "https://x/mcp?api_key=(hidden)"],
    ["incoming_auth.token", "${T}"],
  ];
  for (const [key, value] of rows) assert.deepEqual(await get(key, GATEWAY), { source: "file", value }, key);
  assert.doesNotMatch(await effectiveText(source(GATEWAY)), /hunter2/);
  assert.doesNotMatch(JSON.stringify(await effectiveData(source(GATEWAY))), /hunter2/);
  const literal = await get("incoming_auth.token", GATEWAY.replace("${T}", "hunter2"));
  assert.deepEqual(literal, { source: "file", value: "(hidden)" });
});

test("E5 a secret in a program's name or arguments, or in any address, is not shown", async () => {
  const text = `[backends.files]
command = "env TOKEN=hunter2-token serve"
args = ["-y", "--api-key", "hunter2"]
[backends.web]
url = "https://x/mcp"
auth = { issuer = "https://x/?api_key=hunter2" }
[telemetry]
endpoint = "https://x/?api_key=hunter2"
[incoming_auth]
type = "jwt"
issuer = "https://x"
jwks = "https://x/keys?token=hunter2"
`;
  await accepted(text);
  const shown = await effectiveText(source(text));
  assert.doesNotMatch(shown, /hunter2/);
  assert.match(shown, /args = \["-y", "--api-key", "\(hidden\)"\]/);
});

test("the effective gateway settings form a configuration of the same meaning; absent keys are not shown", async () => {
  const text = GATEWAY.replaceAll("hunter2", "").replace("?api_key=", "");
  const shown = await effectiveText(source(text));
  const [after, before] = [(await accepted(shown)).config, (await accepted(text)).config];
  assert.ok(isEmptyDiff(diffConfigs(before, after)));
  assert.deepEqual(unmarked(after), unmarked(before));
  const data = await effectiveData(source(text));
  assert.deepEqual(await effectiveData(source(shown)), data);
  assert.deepEqual(Object.keys(data["backends"] ?? {}), ["files", "web", "bare"]);
  assert.ok(shown.includes('[backends.files.tool_overrides."a b"]\nname = "c"\n'));
  assert.ok(shown.indexOf("[backends.files.timeouts]") < shown.indexOf("[backends.web]"));
  assert.doesNotMatch(await effectiveText(source(TEXT)), /backends|conflict|auth|audit/);
});

/** A default that is written out is a backend's own. */
function unmarked(config: MountaineerConfig) {
  return { ...config, backends: config.backends.map(({ given: _, ...backend }) => backend) };
}

test("a backend's values from [backend_defaults] are marked as that, where they apply", async () => {
  const text = `[backend_defaults]
env = { A = "\${HOME}", B = "\${HOME}" }
start = "on-demand"
timeouts = { call = 5 }
[backends.files]
command = "serve"
env = { B = "\${TMPDIR}" }
[backends.web]
url = "https://x/mcp"
[backends.many]
[[backends.many.routes]]
command = "near"
[[backends.many.routes]]
url = "https://y/mcp"
`;
  const section = (value: unknown) => ({ source: "section", from: "[backend_defaults]", value });
  for (const [key, value] of [
    ["backends.files.start", section("on-demand")],
    ["backends.files.env.A", section("${HOME}")],
    ["backends.files.env.B", { source: "file", value: "${TMPDIR}" }],
    ["backends.web.start", { source: "default", value: "always" }],
    ["backends.web.timeouts.call", section(5)],
    ["backends.many.start", section("on-demand")],
  ] as const)
    assert.deepEqual(await get(key, text), value, key);
  const shown = await effectiveText(source(text));
  assert.match(
    shown,
    /\[backends\.files\.env\]\nB = "\$\{TMPDIR\}"\nA = "\$\{HOME\}" {2}# from \[backend_defaults\]\n/,
  );
  assert.match(shown, /\[backends\.many\.routes\.env\]\nA = "\$\{HOME\}" /);
  assert.doesNotMatch(shown, /\[backends\.(?:web|many)\.env\]/);
  const alone = text.slice(0, text.indexOf("[backends.many]"));
  const again = (await accepted(await effectiveText(source(alone)))).config;
  assert.deepEqual(
    unmarked(again).backends.map(plainly),
    unmarked((await accepted(alone)).config).backends.map(plainly),
  );
});

function plainly({ defaultEnv: _, ...backend }: Omit<BackendConfig, "given">) {
  return backend;
}

test("E5 no key that takes a reference shows the value in its place", async () => {
  let keys = 0;
  for (const section of SECTIONS) {
    if (section.isOpen) continue;
    for (const key of section.keys.filter((one) => section.keyDoc(one).type === "reference")) {
      keys += 1;
      const literal: unknown = { [key]: "plain-secret" };
      const file = section.pattern.reduceRight((inner: unknown, segment) => {
        if (segment === ANY_INDEX) return [inner];
        return { [segment === ANY_NAME ? "one" : segment]: inner };
      }, literal);
      // JSON is YAML.
      const text = { bytes: bytes(JSON.stringify(file)), format: "yaml", homeContext: PLACE } as const;
      const shown = await effectiveText(text);
      assert.match(shown, new RegExp(`${key} = "\\(hidden\\)"`), `${section.name}.${key}`);
      assert.doesNotMatch(shown, /plain-secret/);
    }
  }
  assert.ok(keys >= 6, `${keys} keys`);
});

test("a share's values from its NAS are marked as that, and the output is a configuration", async () => {
  const text = `[nas.home]
thunderbolt_host = "10.10.10.1"
password = "secret:home"
[[shares]]
name = "CORE"
nas = "home"
[[shares]]
name = "MEDIA"
fallback_host = "nas.local"
`;
  const host = { source: "section", from: "[nas.home]", value: "10.10.10.1" };
  assert.deepEqual(await get("shares.CORE.thunderbolt_host", text), host);
  assert.deepEqual(await get("shares.CORE.username", text), { source: "default", value: "ann" });
  assert.equal((await get("shares.MEDIA.thunderbolt_host", text)).source, "absent");
  const shown = await effectiveText(source(text));
  assert.match(shown, /^# password = "secret:home" {2}# from \[nas\.home\]$/m);
  assert.deepEqual((await accepted(shown)).config.shares, (await accepted(text)).config.shares);
});
