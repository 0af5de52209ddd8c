// What the gateway's sections may say, what they mean, and what is wrong with them.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConfigMistake } from "../../../src/config/values/mistakes.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, PLACE, refused, where } from "../support.ts";

const STDIO = `[backends.files]
command = "npx"
args = ["-y", "@modelcontextprotocol/server-filesystem", "/srv"]
`;

async function first(text: string, file?: string): Promise<ConfigMistake> {
  const [mistake, ...others] = await refused(text, file);
  assert.ok(mistake !== undefined);
  assert.deepEqual(others, [], text);
  return mistake;
}

test("a backend needs a command alone; the rest has defaults", async () => {
  const { config } = await accepted('[backends.files]\ncommand = "npx"\n');
  const all = { allow: null, deny: [] };
  assert.deepEqual(config.backends, [
    {
      name: "files",
      enabled: true,
      group: null,
      connection: { type: "stdio", command: "npx", args: [], env: {}, cwd: PLACE.userHome },
      timeouts: { initMs: 15_000, listMs: 10_000, callMs: 60_000 },
      filters: { tools: all, resources: all, prompts: all },
      folders: null,
      toolOverrides: {},
      instances: "shared",
      replace: "overlap",
      pin: null,
      requires: [],
      unavailableAfterMs: 5_000,
      whenUnavailable: "hide",
    },
  ]);
  assert.equal(config.server, null);
});

test("everything a backend can say comes out in the engine's spelling, the same from TOML and YAML", async () => {
  const toml = `[server]
body_limit_mb = 1.5
drain_timeout = 0.25
[backends.files]
type = "stdio"
command = "~/bin/files"
args = ["--root", "$HOME"]
cwd = "~/data/"
enabled = false
group = "work"
instances = "per-client"
replace = "stop-first"
timeouts = { init = 0.5, cap_fetch = 1, call = 2.25 }
[backends.files.env]
TOKEN = "a\${X}b$\${Y}$c"
EMPTY = ""
[backends.files.filters.tools]
allow = ["read_*"]
deny = ["*_all"]
[backends.files.filters.resources]
allow = []
[backends.files.tool_overrides.read_file]
name = "open"
description = "Opens\\na file."
[backends.files.tool_overrides."odd name"]
description = ""
[backends.web]
url = "http://[::1]:8080/mcp?x=1"
headers = { Authorization = "Bearer \${WEB}", x-plain = "yes" }
`;
  const yaml = `server: {body_limit_mb: 1.5, drain_timeout: 0.25}
backends:
  files:
    type: stdio
    command: ~/bin/files
    args: [--root, $HOME]
    cwd: ~/data/
    enabled: false
    group: work
    instances: per-client
    replace: stop-first
    timeouts: {init: 0.5, cap_fetch: 1, call: 2.25}
    env:
      TOKEN: a\${X}b$\${Y}$c
      EMPTY: ""
    headers:
    filters:
      tools: {allow: [read_*], deny: ["*_all"]}
      resources: {allow: []}
      prompts:
    tool_overrides:
      read_file: {name: open, description: "Opens\\na file."}
      odd name: {description: ""}
  web:
    url: http://[::1]:8080/mcp?x=1
    headers: {Authorization: "Bearer \${WEB}", x-plain: yes}
audit:
incoming_auth:
  users:
`;
  const { config } = await accepted(toml);
  assert.deepEqual((await accepted(yaml, "x.yaml")).config, config);
  assert.deepEqual(config.server, {
    host: "127.0.0.1",
    port: 9000,
    publicUrl: null,
    management: { enabled: null, allowCommands: false, allowedHosts: [] },
    bodyLimitBytes: 1_572_864,
    drainTimeoutMs: 250,
  });
  const [files, web] = config.backends;
  assert.deepEqual(files?.connection, {
    type: "stdio",
    command: "/home/ann/bin/files",
    args: ["--root", "$HOME"],
    cwd: "/home/ann/data",
    cwdGiven: true,
    env: { TOKEN: ["a", { kind: "environment", variable: "X" }, "b${Y}$c"], EMPTY: [] },
  });
  assert.deepEqual(files?.timeouts, { initMs: 500, listMs: 1000, callMs: 2250 });
  assert.deepEqual(files?.filters, {
    tools: { allow: ["read_*"], deny: ["*_all"] },
    resources: { allow: [], deny: [] },
    prompts: { allow: null, deny: [] },
  });
  assert.deepEqual(files?.toolOverrides, {
    read_file: { name: "open", description: "Opens\na file." },
    "odd name": { name: null, description: "" },
  });
  assert.equal(files?.group, "work");
  assert.equal(files?.enabled, false);
  assert.deepEqual(web?.connection, {
    type: "streamable-http",
    url: "http://[::1]:8080/mcp?x=1",
    headers: {
      Authorization: ["Bearer ", { kind: "environment", variable: "WEB" }],
      "x-plain": ["yes"],
    },
  });
});

test("backends keep the file's order, whatever their names", async () => {
  const names = ["zeta", "a1", "constructor", "toString", "B", "a-_9"];
  const text = names.map((name) => `[backends.${name}]\ncommand = "x"\n`).join("");
  const { config } = await accepted(text);
  assertEach(config.backends, ({ name }) => name, names);
  const [, , odd] = config.backends;
  assert.equal(odd?.connection.type, "stdio");
});

test("conflicts, users, policies and the audit come out in the engine's spelling", async () => {
  const { config } = await accepted(`${STDIO}[conflict_resolution]
strategy = "priority"
separator = "__"
order = ["files"]
longest_name = 60
[incoming_auth]
type = "local"
token = "\${OWN}"
[[incoming_auth.users]]
name = "ann"
token = "\${ANN}"
roles = ["dev", "ops"]
[authorization]
default_effect = "allow"
[[authorization.policies]]
effect = "deny"
roles = ["d*"]
methods = ["tools/call"]
[[authorization.policies]]
effect = "allow"
resources = ["tool:read_*"]
[audit]
path = "~/audit/calls.jsonl"
max_size_mb = 2
keep = 0
arguments = true
redact = ["x"]
`);
  assert.deepEqual(config.conflictResolution, {
    strategy: "priority",
    separator: "__",
    order: ["files"],
    longestName: 60,
    dotsInNames: false,
  });
  assert.deepEqual(config.incomingAuth, {
    type: "local",
    users: [
      { name: "local", roles: ["local"], token: { kind: "environment", variable: "OWN" } },
      { name: "ann", roles: ["dev", "ops"], token: { kind: "environment", variable: "ANN" } },
    ],
  });
  assert.deepEqual(config.authorization, {
    defaultEffect: "allow",
    destructive: "allow",
    unannotated: "destructive",
    policies: [
      {
        effect: "deny",
        roles: ["d*"],
        resources: null,
        methods: ["tools/call"],
        annotations: null,
        arguments: null,
      },
      {
        effect: "allow",
        roles: null,
        resources: ["tool:read_*"],
        methods: null,
        annotations: null,
        arguments: null,
      },
    ],
  });
  assert.deepEqual(config.audit, {
    path: "/home/ann/audit/calls.jsonl",
    maxSizeBytes: 2 * 1024 * 1024,
    keep: 0,
    includeArguments: true,
    redact: ["x"],
  });
});

test("an absent section is off; one that is there has defaults", async () => {
  const { config } = await accepted("[authorization]\n[audit]\n[incoming_auth]\n");
  assert.deepEqual(config.authorization, {
    defaultEffect: "deny",
    destructive: "allow",
    unannotated: "destructive",
    policies: [],
  });
  assert.equal(config.audit?.path, "/home/ann/.mountaineer/audit.jsonl");
  assert.equal(config.audit?.maxSizeBytes, 10 * 1024 * 1024);
  assert.ok(config.audit?.redact.includes("authorization"));
  assert.equal((await accepted("[audit]\nenabled = false\n")).config.audit, null);
  assert.deepEqual(config.incomingAuth, { type: "anonymous" });
});

test("E3 folders are absolute, each once, and a program without `cwd` is started in the first", async () => {
  const { config } = await accepted(
    '[backends.a]\ncommand = "x"\nfolders = ["~/pub/", "/srv//b", "~/pub"]\n[backends.b]\ncommand = "x"\ncwd = "/opt"\nfolders = []\n',
  );
  const [first, second] = config.backends;
  assert.deepEqual(first?.folders, [`${PLACE.userHome}/pub`, "/srv/b"]);
  assert.ok(first.connection.type === "stdio" && second?.connection.type === "stdio");
  assert.deepEqual(
    [first.connection.cwd, second.connection.cwd, second.folders],
    [`${PLACE.userHome}/pub`, "/opt", []],
  );
});

const ONE = '[backends.a]\ncommand = "x"\n';
const WEB = '[backends.a]\nurl = "http://x"\n';
const LOCAL = '[incoming_auth]\ntype = "local"\n';
const LONG_NAME = "x".repeat(65);

/** The text, where it is wrong (`~`: in backends.a), and what is said. */
const MISTAKES: readonly (readonly [text: string, place: string, says: RegExp])[] = [
  ["[backends.a]\n", "1:2 ~.command", /expected `command` or `url`/],
  ['[backends.a]\ntype = "stdio"\n', "1:2 ~.command", /the program to start.*needs `command`/],
  ['[backends.a]\ntype = "streamable-http"\n', "1:2 ~.url", /the address of the server.*needs `url`/],
  [`${ONE}url = "http://x"\n`, "2:1 ~.command", /`command` beside `url`.*either `command` or `url`/],
  [`${ONE}headers = {}\n`, "3:1 ~.headers", /`headers` beside `command`.*goes with `url`/],
  [`${WEB}type = "streamable-http"\nargs = []\n`, "4:1 ~.args", /`args` with type `streamable-http`/],
  [`${WEB}cwd = "/"\n`, "3:1 ~.cwd", /expected no `cwd`/],
  [
    `${WEB}folders = ["/srv"]\n`,
    "3:1 ~.folders",
    /`folders` beside `url`.*expected no `folders`.*authorization\.policies/,
  ],
  [
    '[backends.a]\nfolders = ["/srv"]\nroutes = [{ command = "x" }, { url = "http://x" }]\n',
    "2:1 ~.folders",
    /`folders` beside `url`/,
  ],
  [`${ONE}folders = ["data"]\n`, "3:12 ~.folders[0]", /an absolute path/],
  [`${WEB}env = { A = "1" }\n`, "3:1 ~.env", /expected no `env`/],
  [`${ONE}typ = "stdio"\n`, "3:1 ~.typ", /did you mean `type`\?/],
  [`${ONE}filtres = {}\n`, "3:1 ~.filtres", /did you mean `filters`\?/],
  [`${ONE}timeouts = { inti = 1 }\n`, "3:14 ~.timeouts.inti", /did you mean `init`\?/],
  [`${ONE}filters.tool.deny = []\n`, "3:9 ~.filters.tool", /did you mean `tools`\?/],
  [
    `${ONE}filters.tools.alow = []\n`,
    "3:15 ~.filters.tools.alow",
    /a key of `\[backends\.NAME\.filters\.tools\]`.*did you mean `allow`\?/,
  ],
  [`${ONE}port = 1\n`, "3:1 ~.port", /`port` belongs in `\[server\]`/],
  [`${ONE}type = "studio"\n`, "3:8 ~.type", /did you mean "stdio"\?/],
  [`${ONE}args = "-y"\n`, "3:8 ~.args", /found a string, expected a list of texts/],
  [`${ONE}args = ["-y", 5]\n`, "3:15 ~.args[1]", /found a number, expected a text in quotes/],
  [`${ONE}timeouts.call = 0\n`, "3:17 ~.timeouts.call", /from 0\.1 to 86400/],
  [`${ONE}timeouts = 5\n`, "3:12 ~.timeouts", /found a number, expected a table/],
  [`${ONE}env = ["A=1"]\n`, "3:7 ~.env", /found an array, expected a table/],
  [`${ONE}env = { "A-B" = "x" }\n`, "3:9 ~.env.A-B", /the name of an environment variable/],
  [`${ONE}env = { A = 5 }\n`, "3:13 ~.env.A", /found a number, expected a text/],
  [`${ONE}env = { A = "\${}" }\n`, "3:13 ~.env.A", /without a name/],
  [`${ONE}env = { A = "\${X" }\n`, "3:13 ~.env.A", /is written as `\$\$\{`/],
  [`${ONE}env = { A = "\\u0000" }\n`, "3:13 ~.env.A", /without control characters/],
  [`${ONE}cwd = "data"\n`, "3:7 ~.cwd", /an absolute path/],
  [`${ONE}group = " x"\n`, "3:9 ~.group", /without spaces around it/],
  [`${ONE}instances = "each"\n`, "3:13 ~.instances", /one of "shared", "per-client"/],
  [`${ONE}tool_overrides = { x = "y" }\n`, "3:24 ~.tool_overrides.x", /found a string, expected a table/],
  [`${ONE}tool_overrides.x.name = "a b"\n`, "3:25 ~.tool_overrides.x.name", /a tool's name: letters, digits/],
  [
    `${ONE}tool_overrides.x.name = "z"\ntool_overrides.y.name = "z"\n`,
    "4:25 ~.tool_overrides.y.name",
    /found "z", the name that "x" gets/,
  ],
  ['[backends.1st]\ncommand = "x"\n', "1:2 backends.1st", /begin it with a letter/],
  ['[backends."a.b"]\ncommand = "x"\n', '1:2 backends."a.b"', /a name of letters, digits/],
  [`[backends.${LONG_NAME}]\ncommand = "x"\n`, `1:2 backends."${"x".repeat(60)}…"`, /shorten it/],
  ['[[backends]]\ncommand = "x"\n', "1:3 backends", /expected a table of backends.*\[backends\.NAME\]/],
  ['backends = "x"\n', "1:1 backends", /expected a table of backends/],
  ['[backends]\ncommand = "x"\n', "2:11 backends.command", /a table with the keys of `\[backends\.NAME\]`/],
  ['[backend.a]\ncommand = "x"\n', "1:2 backend", /did you mean `backends`\?/],
  ['[backends.a]\ncommand = ""\n', "2:11 ~.command", /the name or path of a program/],
  ['[backends.a]\ncommand = "${SHELL}"\n', "2:11 ~.command", /use `env`/],
  ['[backends.a]\nurl = "ftp://x"\n', "2:7 ~.url", /begins with `http:\/\/`/],
  ['[backends.a]\nurl = "x"\n', "2:7 ~.url", /begins with `http:\/\/`/],
  ['[backends.a]\nurl = "http://x#y"\n', "2:7 ~.url", /never sent/],
  ['[backends.a]\nurl = "http://x/${T}"\n', "2:7 ~.url", /pass secrets in `headers`/],
  [`${WEB}headers = { "a b" = "x" }\n`, '3:13 ~.headers."a b"', /the name of an HTTP header/],
  [`${WEB}headers = { Mcp-Session-Id = "x" }\n`, "3:13 ~.headers.Mcp-Session-Id", /sets this one itself/],
  [`${WEB}headers = { Host = "x" }\n`, "3:13 ~.headers.Host", /sets this one itself/],
  [`${WEB}headers = { X = "a\\nb" }\n`, "3:17 ~.headers.X", /without control characters/],
  [`${WEB}headers = { X = "é…" }\n`, "3:17 ~.headers.X", /without control characters/],
  [
    `${WEB}headers = { Authorization = "\${A}", authorization = "\${B}" }\n`,
    "3:37 ~.headers.authorization",
    /the header "Authorization" again/,
  ],
  [
    `${ONE}[conflict_resolution]\norder = ["b"]\n`,
    "4:10 conflict_resolution.order[0]",
    /the name of a backend/,
  ],
  [
    `[backends.files]\ncommand = "x"\n[conflict_resolution]\norder = ["fiels"]\n`,
    "4:10 conflict_resolution.order[0]",
    /did you mean "files"\?/,
  ],
  [
    `${ONE}[conflict_resolution]\norder = ["a", "a"]\n`,
    "4:15 conflict_resolution.order[1]",
    /each name once/,
  ],
  [
    "[conflict_resolution]\norder = [3]\n",
    "2:10 conflict_resolution.order[0]",
    /found the number 3|found number 3/,
  ],
  ['[conflict_resolution]\nseparator = ""\n', "2:13 conflict_resolution.separator", /one to 8/],
  [
    '[conflict_resolution]\nstrategy = "last-wins"\n',
    "2:12 conflict_resolution.strategy",
    /one of "first-wins"/,
  ],
  [LOCAL, "1:2 incoming_auth.users", /expected a user with a token/],
  [`${LOCAL}users = []\n`, "3:1 incoming_auth.users", /found nothing, expected a user with a token/],
  [`${LOCAL}[[incoming_auth.users]]\nname = "x"\n`, "3:3 incoming_auth.users[0].token", /found nothing/],
  [`${LOCAL}token = "s3cret"\n`, "3:9 incoming_auth.token", /found a string.*no secrets in config/],
  [
    '[incoming_auth]\ntoken = "${T}"\n',
    "2:1 incoming_auth.token",
    /with type `anonymous`.*set `type` to "local"/,
  ],
  [
    '[[incoming_auth.users]]\nname = "x"\ntoken = "${T}"\n',
    "1:3 incoming_auth.users",
    /with type `anonymous`/,
  ],
  [
    `${LOCAL}token = "\${T}"\n[[incoming_auth.users]]\nname = "local"\ntoken = "\${U}"\n`,
    "5:8 incoming_auth.users[0].name",
    /the name of `incoming_auth.token`/,
  ],
  [
    `${LOCAL}[[incoming_auth.users]]\nname = "x"\ntoken = "\${T}"\n[[incoming_auth.users]]\nname = "x"\ntoken = "\${U}"\n`,
    "7:8 incoming_auth.users[1].name",
    /found "x", the name of incoming_auth\.users\[0\]/,
  ],
  [
    "[[authorization.policies]]\n",
    "1:3 authorization.policies[0].effect",
    /found nothing, expected one of "allow"/,
  ],
  ["[authorization]\npolicies = {}\n", "2:1 authorization.policies", /expected a list of policies/],
  [
    '[authorization]\ndefault_effect = "alow"\n',
    "2:18 authorization.default_effect",
    /did you mean "allow"\?/,
  ],
  ['[audit]\npath = "audit.jsonl"\n', "2:8 audit.path", /an absolute path/],
  ['[audit]\npath = "~/Shares/CORE/audit.jsonl"\n', "2:8 audit.path", /found a file on a share/],
  ['[audit]\npath = "/var/log/"\n', "2:8 audit.path", /found a folder, expected a file/],
  ['[audit]\npath = "~"\n', "2:8 audit.path", /found a folder/],
  ['[audit]\npath = "~/.mountaineer/state.json"\n', "2:8 audit.path", /must not be overwritten/],
  ["[audit]\nkeep = -1\n", "2:8 audit.keep", /from 0 to 1000/],
  ['[audit]\nredact = [""]\n', "2:11 audit.redact[0]", /a pattern/],
  ["[server]\nbody_limit_mb = 0\n", "2:17 server.body_limit_mb", /of MiB from 1 to 1024/],
  ["[server]\ndrain_timeout = -1\n", "2:17 server.drain_timeout", /from 0 to 3600/],
  ['[server]\nhost = "0.0.0.0"\n', "2:8 server.host", /a bind beyond loopback needs auth/],
  ['[server]\nhost = "::"\n', "2:8 server.host", /with everybody let in/],
  ['[server]\nhost = "nas.local"\n', "2:8 server.host", /a bind beyond loopback needs auth/],
];

for (const [text, place, says] of MISTAKES) {
  test(`B6 a mistake is told with its place: ${JSON.stringify(text)}`, async () => {
    const mistake = await first(text);
    assert.equal(where(mistake), place.replace("~", "backends.a"));
    assert.match(`found ${mistake.found}, expected ${mistake.expected}; ${mistake.hint}`, says);
  });
}

test("a bind beyond loopback is right with tokens, and loopback is right without", async () => {
  const local = '[incoming_auth]\ntype = "local"\ntoken = "${T}"\n';
  await accepted(`[server]\nhost = "0.0.0.0"\n${local}`);
  for (const host of ["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST.", "::1", "::ffff:127.0.0.1"])
    await accepted(`[server]\nhost = "${host}"\n`);
});

const SECRET = "hunter2-secret";
const SECRET_TEXTS: readonly string[] = [
  `${WEB}headers = { Authorization = "Bearer ${SECRET}" }\n`,
  `${WEB}headers = { Proxy-Authorization = "${SECRET}" }\n`,
  `${WEB}headers = { X-Api-Key = "${SECRET}\\n" }\n`,
  `${ONE}env = { API_KEY = "${SECRET}\${" }\n`,
  `${ONE}env = { API_KEY = ["${SECRET}"] }\n`,
  `${ONE}args = ["--token=${SECRET}", "\${X}"]\n`,
  `${ONE}args = "--token=${SECRET}"\n`,
  `${ONE}args = ["--token=${SECRET}\\u0000"]\n`,
  `[backends.a]\nurl = "http://ann:${SECRET}@x/"\n`,
  `[backends.a]\nurl = "http://x/?key=${SECRET}#y"\n`,
  `[backends.a]\nurl = "${SECRET} "\n`,
  `[backends.a]\ncommand = "x --token ${SECRET}\\n"\n`,
  `${LOCAL}token = "${SECRET}"\n`,
  `${LOCAL}token = ["${SECRET}"]\n`,
  `${LOCAL}users = [{ name = "x", token = "${SECRET}" }]\n`,
];

for (const text of SECRET_TEXTS) {
  test(`a mistake never repeats a secret: ${JSON.stringify(text)}`, async () => {
    const mistakes = await refused(text);
    assert.doesNotMatch(JSON.stringify(mistakes), /hunter2/);
  });
}

test("what looks like a secret in the file is worth a warning that does not repeat it", async () => {
  const { warnings } = await accepted(`${ONE}[backends.a.env]
GITHUB_TOKEN = "${SECRET}"
DB_PASSWORD = "$\${${SECRET}"
API_KEY = "\${KEY}"
LOG_LEVEL = "debug"
[backends.b]
url = "https://x/mcp?api_key=${SECRET}"
headers = { X-Api-Key = "${SECRET}", Cookie = "\${C}", X-Plain = "yes" }
`);
  assertEach(warnings, ({ path }) => path, [
    "backends.a.env.GITHUB_TOKEN",
    "backends.a.env.DB_PASSWORD",
    "backends.b.headers.X-Api-Key",
    "backends.b.url",
  ]);
  assert.doesNotMatch(JSON.stringify(warnings), /hunter2/);
});

test("what no shell will do is worth a warning", async () => {
  const { warnings } = await accepted(
    '[backends.a]\ncommand = "npx -y server"\nargs = ["~/data", "a~/b"]\n[backends.b]\ncommand = "/opt/My App/x"\n',
  );
  assertEach(warnings, ({ path }) => path, ["backends.a.command", "backends.a.args[0]"]);
});

test("a policy that can never apply is worth a warning", async () => {
  const { warnings } = await accepted('[[authorization.policies]]\neffect = "deny"\nroles = []\n');
  assertEach(warnings, ({ path }) => path, ["authorization.policies[0].roles"]);
});

test("names that every object has are names like any other, and one is refused", async () => {
  const { config } = await accepted(`[backends.constructor]
command = "x"
env = { constructor = "1", toString = "2" }
tool_overrides.constructor.name = "a"
tool_overrides.hasOwnProperty.name = "b"
tool_overrides.7.name = "c"
[backends.valueOf]
url = "http://x"
headers = { constructor = "1" }
`);
  const [one] = config.backends;
  assert.deepEqual(Object.keys(one?.toolOverrides ?? {}).sort(), ["7", "constructor", "hasOwnProperty"]);
  assert.equal(one?.toolOverrides["constructor"]?.name, "a");
  const longest = "x".repeat(1024);
  const override = (name: string) => `${ONE}tool_overrides.${name}.name = "d"\n`;
  assert.ok((await accepted(override(longest))).config.backends[0]?.toolOverrides[longest]);
  assert.match((await first(override(`${longest}x`))).expected, /the tool's name as the server says it/);
  const rows: [string, string][] = [
    ['[backends.__proto__]\ncommand = "x"\n', "backends.__proto__"],
    ['[backends.a]\ncommand = "x"\nenv.__proto__ = "x"\n', "backends.a.env.__proto__"],
    ['[backends.a]\nurl = "http://x"\nheaders.__proto__ = "x"\n', "backends.a.headers.__proto__"],
    [
      '[backends.a]\ncommand = "x"\ntool_overrides.__proto__.name = "x"\n',
      "backends.a.tool_overrides.__proto__",
    ],
  ];
  for (const [text, path] of rows) assert.equal((await first(text)).path, path);
  for (const key of ["__proto__", "constructor"]) {
    for (const parent of ["backends.a", "backends.a.timeouts", "backends.a.filters", "audit"]) {
      const mistake = await first(`${ONE}[${parent}.${key}]\nx = 1\n`);
      assert.equal(mistake.path, `${parent}.${key}`);
      assert.equal(mistake.found, "an unknown key");
    }
  }
  assert.equal(Reflect.get({}, "command"), undefined);
});

test("what depends on a part that cannot be read is not told", async () => {
  const mistakes = await refused(
    '[server]\nhost = "0.0.0.0"\n[conflict_resolution]\norder = ["a"]\n[backends.a]\ncommand = "x\n',
  );
  assertEach(mistakes, ({ path }) => path, ["backends.a.command"]);
});
