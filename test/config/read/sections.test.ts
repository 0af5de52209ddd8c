import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../../../src/config/limits.ts";
import { findPlace } from "../../../src/config/locate.ts";
import { backendReach } from "../../../src/config/reach.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { secretUses } from "../../../src/config/read/secret-uses.ts";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, bytes, PLACE, refused, where } from "../support.ts";

test("E5 telemetry is off unless somebody wants something of it", async () => {
  for (const text of ["", "[telemetry]\n", "[telemetry]\nsample = 0.5\n"]) {
    assert.equal((await accepted(text)).config.telemetry, null, text);
  }
});

test("E5 what can be said of telemetry comes out in the engine's spelling, with its secrets by reference", async () => {
  const { config } = await accepted(`[telemetry]
endpoint = "http://127.0.0.1:4318/"
sample = 0.1
interval = 5
prometheus = true
metrics_token = "secret:metrics"
[telemetry.headers]
Authorization = "\${OTLP_KEY}"
`);
  assert.deepEqual(config.telemetry, {
    endpoint: "http://127.0.0.1:4318",
    protocol: "http/protobuf",
    headers: { Authorization: { kind: "environment", variable: "OTLP_KEY" } },
    traces: true,
    metrics: true,
    sample: 0.1,
    intervalMs: 5_000,
    serviceName: "mountaineer",
    prometheus: true,
    metricsToken: { kind: "stored", name: "metrics" },
  });
  const json = await accepted('[telemetry]\nendpoint = "http://127.0.0.1:4318"\nprotocol = "http/json"\n');
  assert.equal(json.config.telemetry?.protocol, "http/json");
  const grpc = await refused('[telemetry]\nprotocol = "grpc"\n');
  assert.match(describeMistakes(grpc), /telemetry\.protocol.*http\/protobuf/s);
  assertEach(secretUses(config), ({ usedBy }) => usedBy, [
    "telemetry (headers Authorization)",
    "telemetry (metrics_token)",
  ]);
});

test("E5 metrics that others can reach take a token", async () => {
  const prometheus = "[telemetry]\nprometheus = true\n";
  await accepted(prometheus);
  const auth = '[incoming_auth]\ntype = "local"\ntoken = "${T}"\n';
  for (const server of ['host = "192.168.1.4"', 'public_url = "https://mcp.example.com/mcp"']) {
    const text = `[server]\n${server}\n${auth}${prometheus}`;
    assert.match(describeMistakes(await refused(text)), /telemetry\.metrics_token/, server);
    await accepted(`${text}metrics_token = "secret:metrics"\n`);
  }
  assert.match(
    describeMistakes(await refused('[telemetry]\nendpoint = "otel:4318"\n')),
    /telemetry\.endpoint/,
  );
  const literal = await refused('[telemetry.headers]\nAuthorization = "Bearer abc"\n');
  assert.ok(!describeMistakes(literal).includes("abc"));
});

// What `[limits]` may say, and what it means.

test("E4 limits have defaults, the same with an empty section", async () => {
  for (const text of ["", "[limits]\n"]) {
    const { config } = await accepted(text);
    assert.deepEqual(config.limits, DEFAULT_LIMITS);
  }
});

test("E4 a rate brings its burst, 0 is none, and fractions are allowed", async () => {
  const { config } = await accepted("[limits]\ncalls_per_second = 0.5\nresult_mb = 0.25\nsessions = 3\n");
  const { overrides, ...limits } = config.limits;
  assert.deepEqual(overrides, []);
  assert.deepEqual(limits, {
    callsPerSecond: 0.5,
    burst: 3,
    callsInFlight: 512,
    sessions: 3,
    resultBytes: 256 * 1024,
  });
  const { config: none } = await accepted("[limits]\ncalls_per_second = 0\nresult_mb = 0\n");
  assert.deepEqual([none.limits.callsPerSecond, none.limits.resultBytes], [null, null]);
});

test("E4 an override has what it says, and the rest of [limits]", async () => {
  const { config } = await accepted(`[limits]
calls_per_second = 10
burst = 20
calls_in_flight = 5
[[limits.overrides]]
users = ["ci-*"]
calls_per_second = 100
[[limits.overrides]]
roles = ["batch"]
calls_in_flight = 50
result_mb = 0
`);
  const [ci, batch] = config.limits.overrides;
  assert.deepEqual(ci, {
    users: ["ci-*"],
    roles: null,
    limits: {
      callsPerSecond: 100,
      burst: 500,
      callsInFlight: 5,
      sessions: 500,
      resultBytes: 16 * 1024 * 1024,
    },
  });
  assert.deepEqual(batch, {
    users: null,
    roles: ["batch"],
    limits: { callsPerSecond: 10, burst: 20, callsInFlight: 50, sessions: 500, resultBytes: null },
  });
});

test("E4 mistakes name the key, and a block that hides those below it is warned of", async () => {
  const mistakes = await refused("[limits]\ncalls_in_flight = 0\nsessions = 2.5\ncalls = 3\n");
  assert.deepEqual(mistakes.map(where).length, 3);
  const { warnings } = await accepted(
    "[[limits.overrides]]\nsessions = 3\n[[limits.overrides]]\nusers = ['ann']\n",
  );
  assertEach(warnings, ({ path }) => path, ["limits.overrides[0]"]);
});

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

// What a backend's sandbox may say, and what it means.

const BACKEND = '[backends.files]\ncommand = "npx"\n';
const KIND = `${BACKEND}[backends.files.sandbox]\nkind = "bubblewrap"\n`;

test("E2 a sandbox shows nothing but what is named, from TOML and YAML", async () => {
  const toml = await accepted(`${KIND}read = ["~/Documents/", "/srv"]\nwrite = ["~/.npm"]\nnetwork = true\n`);
  const expected = {
    kind: "bubblewrap",
    read: ["/home/ann/Documents", "/srv"],
    write: ["/home/ann/.npm"],
    network: true,
  };
  const sandboxOf = ({ config }: typeof toml) => {
    const connection = config.backends[0]?.connection;
    return connection?.type === "stdio" ? connection.sandbox : null;
  };
  assert.deepEqual(sandboxOf(toml), expected);
  const yaml =
    "backends:\n  files:\n    command: npx\n    sandbox: { kind: bubblewrap, read: [~/Documents/, /srv], write: [~/.npm], network: true }\n";
  assert.deepEqual(sandboxOf(await accepted(yaml, "config.yaml")), expected);
  assert.deepEqual(sandboxOf(await accepted(KIND)), {
    kind: "bubblewrap",
    read: [],
    write: [],
    network: false,
  });
});

test("E2 what is in a sandbox reaches nothing that is guarded", async () => {
  const { config, warnings } = await accepted(KIND.replace('"npx"\n', '"npx"\nargs = ["/home/ann"]\n'));
  const [backend] = config.backends;
  assert.ok(backend !== undefined);
  const places = { homes: [PLACE.home], configs: [`${PLACE.home}/config.toml`], userHome: PLACE.userHome };
  assert.deepEqual(backendReach(backend, places), []);
  assert.deepEqual(warnings, []);
});

const MISTAKES: readonly (readonly [text: string, at: string, words: RegExp])[] = [
  [`${BACKEND}[backends.files.sandbox]\nread = []\n`, "3:2 backends.files.sandbox.kind", /bubblewrap/],
  [KIND.replace("bubblewrap", "docker"), "4:8 backends.files.sandbox.kind", /one of "bubblewrap"/],
  [`${KIND}read = ["Documents"]\n`, "5:9 backends.files.sandbox.read[0]", /an absolute path/],
  [`${KIND}read = ["~/.mountaineer"]\n`, "5:9 backends.files.sandbox.read[0]", /Mountaineer's own folder/],
  [
    `${KIND}write = ["/srv", "~/.mountaineer/volumes"]\n`,
    "5:18 backends.files.sandbox.write[1]",
    /no sandbox shows/,
  ],
  [KIND.replace('"npx"\n', '"npx"\ncwd = "/srv"\n'), "3:7 backends.files.cwd", /name it in `sandbox\.read`/],
  [
    KIND.replace('command = "npx"', 'url = "https://example.org/mcp"'),
    "3:2 backends.files.sandbox",
    /a server that is elsewhere runs nothing here/,
  ],
  [`${KIND}folders = ["/srv"]\n`, "5:1 backends.files.sandbox.folders", /read|write|known/],
];

test("E2 each mistake in a sandbox is told with its place", async () => {
  for (const [text, at, words] of MISTAKES) {
    const [mistake, ...others] = await refused(text);
    assert.ok(mistake !== undefined, text);
    assert.deepEqual(others, [], text);
    assert.equal(where(mistake), at, text);
    assert.match(`${mistake.found} ${mistake.expected} ${mistake.hint}`, words, text);
  }
});

test("E2 a folder that the sandbox shows may be the working folder", async () => {
  for (const cwd of ["/srv/files", "/usr/share", "/tmp", "/home/ann"]) {
    await accepted(`${KIND.replace('"npx"\n', `"npx"\ncwd = "${cwd}"\n`)}read = ["/srv"]\n`);
  }
});

test("E2 macOS refuses it, and says why", async () => {
  const place = findPlace({ HOME: "/Users/ann" }, "darwin");
  const loaded = await parseConfig(bytes(KIND), "config.toml", place);
  assert.ok(!loaded.ok);
  const [mistake] = loaded.mistakes;
  assert.equal(mistake?.found, "`sandbox` on macOS");
  assert.match(mistake.hint ?? "", /namespaces/);
});
