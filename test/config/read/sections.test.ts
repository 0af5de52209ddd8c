import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { diffConfigs, isEmptyDiff } from "../../../src/config/diff.ts";
import { DEFAULT_LIMITS } from "../../../src/config/limits.ts";
import { type ConfigPlace, findPlace } from "../../../src/config/locate.ts";
import { backendReach } from "../../../src/config/reach.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { secretUses, storedSecretNames, withRevisions } from "../../../src/config/read/secret-uses.ts";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { SIGNING_ALGORITHMS } from "../../../src/config/values/sign-in-values.ts";
import { referenceText } from "../../../src/secrets/reference.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, bytes, PLACE, refused, SHARE, where } from "../support.ts";

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
    "telemetry (metrics_token)",
    "telemetry (headers Authorization)",
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

// What `driver` means on each system.
const MAC: ConfigPlace = { ...PLACE, ...pick(findPlace({ HOME: "/Users/ann" }, "darwin")) };

function pick({ defaultMountRoot, smbDriver }: ConfigPlace): Partial<ConfigPlace> {
  return { defaultMountRoot, ...(smbDriver === undefined ? {} : { smbDriver }) };
}

async function loaded(text: string, place: ConfigPlace) {
  const result = await parseConfig(bytes(text), "config.toml", place);
  assert.ok(result.ok);
  const { config, warnings } = result.snapshot;
  return { driver: config.shares[0]?.driver, warnings: warnings.map(({ path }) => path) };
}

test("`auto` is NetFS on macOS and rclone elsewhere, `local` where the paths are given", async () => {
  const paths = '[[shares]]\nname = "A"\nthunderbolt_path = "/a"\nfallback_path = "/b"\n';
  for (const [text, onMac, elsewhere] of [
    [SHARE, "netfs", "rclone"],
    [`${SHARE}driver = "auto"\n`, "netfs", "rclone"],
    [`${SHARE}driver = "netfs"\n`, "netfs", "netfs"],
    [`${SHARE}driver = "rclone"\n`, "rclone", "rclone"],
    [`${SHARE}driver = "cifs"\n`, "cifs", "cifs"],
    [paths, "local", "local"],
    [`${paths}driver = "local"\n`, "local", "local"],
  ] as const) {
    assert.equal((await loaded(text, MAC)).driver, onMac, text);
    assert.equal((await loaded(text, PLACE)).driver, elsewhere, text);
  }
});

test("a path does not go with a driver that mounts, and its name is said", async () => {
  for (const driver of ["netfs", "rclone", "cifs"]) {
    const [mistake] = await refused(`${SHARE}driver = "${driver}"\nthunderbolt_path = "/a"\n`);
    assert.equal(mistake?.found, `a path with driver \`${driver}\``);
  }
});

test("a user without a password is a guest for rclone, and the Keychain's for NetFS: only the first is told", async () => {
  const text = `${SHARE}username = "ann"\n`;
  assert.deepEqual((await loaded(text, PLACE)).warnings, ["shares[0].username"]);
  assert.deepEqual((await loaded(text, MAC)).warnings, []);
});

const ANY_ADDRESS = '[server]\nhost = "0.0.0.0"\n';
const OIDC = '[incoming_auth]\ntype = "oidc"\nissuer = "https://login.example.com"\n';
const JWT = '[incoming_auth]\ntype = "jwt"\nissuer = "https://login.example.com"\n';
const JWT_WITH_KEYS = `${JWT}jwks = "https://login.example.com/jwks"\n`;

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
    ["any address with oidc", `${ANY_ADDRESS}${OIDC}`, /without a name that tokens could be for/],
    ["any address with jwt", `${ANY_ADDRESS}${JWT_WITH_KEYS}`, /without a name that tokens could be for/],
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
    for (const text of [OIDC, JWT_WITH_KEYS]) {
      await accepted(`${ANY_ADDRESS}public_url = "https://mcp.example.com/mcp"\n${text}`);
      await accepted(`${ANY_ADDRESS}${text}audience = ["api"]\n`);
    }
  });
});

const NAME = 'name = "laptop"\n';
const KEY = 'credentials = "secret:fleet"\n';
const section = (servers: string, rest = ""): string => `[fleet]\n${NAME}servers = ${servers}\n${KEY}${rest}`;

test("G1 without the section this machine is in no fleet", async () => {
  assert.equal((await accepted("")).config.fleet, null);
});

test("G1 what can be said of the fleet comes out in the engine's spelling, its key by reference", async () => {
  const snapshot = await accepted(
    section('["tls://NAS.example", "tls://[2001:db8::1]:4333/"]', 'tls_ca = "~/ca.pem"\n'),
  );
  assert.deepEqual(snapshot.config.fleet, {
    name: "laptop",
    servers: ["tls://NAS.example:4222", "tls://[2001:db8::1]:4333"],
    credentials: { kind: "stored", name: "fleet" },
    tlsCa: "/home/ann/ca.pem",
    operator: null,
    export: null,
    import: null,
    together: null,
    sessions: null,
  });
  assertEach(secretUses(snapshot.config), ({ usedBy }) => usedBy, ["fleet"]);
  const stamped = withRevisions(snapshot, () => 3).config.fleet;
  assert.deepEqual(stamped?.credentials, { kind: "stored", name: "fleet", revision: 3 });
  const yaml = await accepted(
    "fleet:\n  name: laptop\n  servers: ['nats://127.0.0.1:4222']\n  credentials: ${KEY}\n",
    "config.yaml",
  );
  assert.deepEqual(yaml.config.fleet?.servers, ["nats://127.0.0.1:4222"]);
});

test("G1 all of one machine may be said without TLS, nothing beyond it", async () => {
  for (const host of ["127.0.0.1:4222", "localhost", "[::1]:4222", "127.8.8.8"]) {
    await accepted(section(`["nats://${host}"]`));
  }
  for (const host of ["nas.example:4222", "192.168.1.4", "10.0.0.1:4222", "[fe80::1]:4222", "0.0.0.0:4222"]) {
    const [mistake, ...more] = await refused(section(`["nats://${host}"]`));
    assert.ok(mistake !== undefined, host);
    assert.deepEqual([where(mistake), more], ["3:12 fleet.servers[0]", []], host);
    assert.equal(mistake.expected, "`tls://HOST:PORT`, as it is not this machine");
    assert.match(mistake.hint ?? "", /tls_ca/);
  }
});

const WRONG: readonly [servers: string, at: RegExp][] = [
  ["[]", /fleet\.servers/],
  ['["nas.example:4222"]', /fleet\.servers\[0\]/],
  ['["https://nas.example"]', /fleet\.servers\[0\]/],
  ['["tls://"]', /fleet\.servers\[0\]/],
  ['["tls://nas.example:99999"]', /fleet\.servers\[0\]/],
  ['["tls://nas.example/path"]', /fleet\.servers\[0\]/],
  ['["tls://nas.example?x=1"]', /fleet\.servers\[0\]/],
  ['"tls://nas.example"', /fleet\.servers/],
  [`[${'"tls://a", '.repeat(9)}]`, /fleet\.servers\[8\]/],
];

for (const [servers, at] of WRONG) {
  test(`G1 servers = ${servers.slice(0, 40)} is a mistake`, async () => {
    const mistakes = await refused(section(servers));
    assert.match(mistakes[0]?.path ?? "", at);
  });
}

test("G1 no mistake in the section shows a secret", async () => {
  const seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
  for (const text of [
    section('["tls://ann:hunter2@nas.example:4222"]'),
    section('["tls://nas.example"]').replace("secret:fleet", seed),
  ]) {
    const told = describeMistakes(await refused(text));
    assert.ok(!told.includes("hunter2") && !told.includes(seed.slice(0, 12)), told);
  }
});

test("G1 a machine's name is one word, and what is needed is asked for", async () => {
  const servers = 'servers = ["tls://nas.example"]\n';
  for (const name of ["", "a b", "a.b", "a_b", "*", ">", "ä", "x".repeat(33)]) {
    const [mistake] = await refused(`[fleet]\nname = "${name}"\n${servers}${KEY}`);
    assert.equal(mistake?.path, "fleet.name", name);
  }
  await accepted(`[fleet]\nname = "${"x".repeat(32)}"\n${servers}${KEY}`);
  const missing = await refused("[fleet]\n");
  assert.deepEqual(missing.map(({ path }) => path).toSorted(), [
    "fleet.credentials",
    "fleet.name",
    "fleet.servers",
  ]);
});

test("G1 the CA is not read from a share", async () => {
  const [mistake] = await refused(section('["tls://nas.example"]', 'tls_ca = "~/Shares/CORE/ca.pem"\n'));
  assert.equal(mistake?.path, "fleet.tls_ca");
});

test("G1 what is lent and borrowed is named, and only what there is", async () => {
  const servers = '["tls://nas.example"]';
  const backend = '[backends.files]\ncommand = "files"\n';
  const lists =
    'export = ["files"]\nimport = ["desktop", "nas/photos", "*"]\ntogether = ["nas/photos"]\nsessions = ["nas"]\n';
  const { fleet } = (await accepted(section(servers, lists) + backend)).config;
  assert.deepEqual(
    [fleet?.export, fleet?.import, fleet?.together, fleet?.sessions],
    [["files"], ["desktop", "nas/photos", "*"], ["nas/photos"], ["nas"]],
  );
  for (const [imported, together] of [
    ['"nas"', '"nas/files"'],
    ['"nas/files"', '"nas", "*"'],
    ['"*"', '"nas", "nas/files"'],
  ]) {
    await accepted(section(servers, `import = [${imported}]\ntogether = [${together}]\n`));
  }
  const wrong: readonly [line: string, path: string, hint: RegExp | null][] = [
    ['export = ["flies"]', "fleet.export[0]", /files/],
    ['export = ["*", "no such"]', "fleet.export[1]", null],
    ['import = ["laptop"]', "fleet.import[0]", null],
    ['import = ["laptop/files"]', "fleet.import[0]", null],
    ['import = ["desktop/files/more"]', "fleet.import[0]", null],
    ['sessions = ["laptop"]', "fleet.sessions[0]", null],
    ['sessions = ["nas/photos"]', "fleet.sessions[0]", null],
    ['import = ["a b"]', "fleet.import[0]", null],
    ['together = ["laptop"]', "fleet.together[0]", null],
    ['together = ["a/b/c"]', "fleet.together[0]", null],
    ['together = ["nas"]', "fleet.together[0]", /add it to `import`/],
    ['import = ["nas"]\ntogether = ["nass"]', "fleet.together[0]", /did you mean "nas"/],
    ['import = ["desktop", "nas/photos"]\ntogether = ["nas/files"]', "fleet.together[0]", /import/],
    [`import = [${'"nas", '.repeat(101)}]`, "fleet.import[100]", null],
  ];
  for (const [line, path, hint] of wrong) {
    const [mistake] = await refused(section(servers, `${line}\n`) + backend);
    assert.equal(mistake?.path, path, line);
    if (hint !== null) assert.match(mistake?.hint ?? "", hint);
  }
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
`;

test("each reference is told with what uses it", async () => {
  const { config } = await accepted(TEXT);
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
  const snapshot = await accepted(TEXT);
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
  const snapshot = await accepted('[backends.a]\ncommand = "a"\nenv = { X = "${HOME}" }\n');
  assert.equal(
    withRevisions(snapshot, () => 1),
    snapshot,
  );
});
