import assert from "node:assert/strict";
import { test } from "node:test";
import { diffConfigs } from "../../src/config/diff.ts";
import { parseArgument } from "../../src/config/values/backend-values.ts";
import { hostKey, parseHost } from "../../src/config/values/host.ts";
import { hostText } from "../../src/config/values/host-text.ts";
import { describeAddress, describeMistakes } from "../../src/config/values/mistakes.ts";
import {
  nameKey,
  parseInterfaceName,
  parseNetworkMark,
  parseServerShareName,
  parseShareName,
  parseSubpath,
  parseUserName,
} from "../../src/config/values/names.ts";
import { expandPath, isWithin, parsePath } from "../../src/config/values/paths.ts";
import { isShowable } from "../../src/config/values/secret-text.ts";
import { accepted, refused, SHARE } from "./support.ts";

function address(text: string) {
  const reading = parseHost(text);
  assert.ok(reading.ok, `${text} is refused`);
  return reading.address;
}

test("hosts are names, IPv4 and IPv6 addresses, with or without port", () => {
  const table: [string, string, number][] = [
    ["nas", "nas", 445],
    ["nas.local", "nas.local", 445],
    ["nas.local.", "nas.local.", 445],
    ["NAS_2.local:4450", "NAS_2.local", 4450],
    ["2nd-nas", "2nd-nas", 445],
    ["10.0.0.1", "10.0.0.1", 445],
    ["127.0.0.2:65535", "127.0.0.2", 65_535],
    ["::1", "::1", 445],
    ["[::1]", "::1", 445],
    ["[::1]:1", "::1", 1],
    ["fe80::1%bridge0", "fe80::1%bridge0", 445],
    ["[fe80::1%en5]:4450", "fe80::1%en5", 4450],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", 445],
  ];
  for (const [text, host, port] of table) assert.deepEqual(address(text), { host, port }, text);
});

test("an invalid host is refused with a reason", () => {
  const table: [string, RegExp | null][] = [
    ["", null],
    [" ", /spaces/],
    ["nas ", /spaces/],
    ["smb://nas/x", /smb/],
    ["nas/x", /share_name/],
    ["\\\\nas\\x", /share_name/],
    ["ann@nas", /username/],
    ["10.0.0.256", /0 to 255/],
    ["10.0.1", /0 to 255/],
    ["10.0.0.1.", /0 to 255/],
    ["1234", /0 to 255/],
    ["0x7f000001", null],
    ["127.0x1", null],
    ["nas..local", null],
    [".nas", null],
    ["-nas", null],
    ["nas-", null],
    [`${"a".repeat(64)}.local`, null],
    [Array.from({ length: 60 }, () => "abcdef").join("."), null],
    ["büro.local", /ASCII/],
    ["nas:", /1 to 65535/],
    ["nas:0", /1 to 65535/],
    ["nas:65536", /1 to 65535/],
    ["nas:0445", /1 to 65535/],
    ["nas:+1", /1 to 65535/],
    ["nas:4e2", /1 to 65535/],
    ["nas:smb", /1 to 65535/],
    ["[::1]:", /1 to 65535/],
    ["[::1]445", null],
    ["[nas]:445", /IPv6/],
    ["[10.0.0.1]", /IPv6/],
    ["::1:445:x", /IPv6/],
    ["fe80::1%", null],
    ["nas\n", null],
    ["nas\0", null],
  ];
  for (const [text, hint] of table) {
    const reading = parseHost(text);
    assert.ok(!reading.ok, `${JSON.stringify(text)} is accepted`);
    if (hint !== null) assert.match(reading.hint ?? "", hint, text);
  }
});

test("text before an @ is not repeated, since it may be a password", () => {
  for (const text of ["ann:hunter2@nas", "smb://ann:hunter2@nas/x", "hunter2@nas:445"]) {
    const reading = parseHost(text);
    assert.ok(!reading.ok);
    assert.doesNotMatch(JSON.stringify(reading), /hunter2/);
  }
});

test("two spellings of one host and port are equal", () => {
  const same: [string, string][] = [
    ["nas", "NAS:445"],
    ["nas.local", "nas.local."],
    ["::1", "[0:0:0:0:0:0:0:1]:445"],
    ["FE80::1%en5", "[fe80:0::1%en5]"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
  ];
  for (const [one, other] of same)
    assert.equal(hostKey(address(one)), hostKey(address(other)), `${one} ${other}`);
  const different: [string, string][] = [
    ["nas", "nas:4450"],
    ["nas", "nas.local"],
    ["fe80::1%en5", "fe80::1%en6"],
    ["10.0.0.1", "10.0.0.2"],
  ];
  for (const [one, other] of different) assert.notEqual(hostKey(address(one)), hostKey(address(other)));
});

test("a host reads back as written, the port only if it is not 445", () => {
  for (const text of ["nas", "nas:4450", "::1", "[::1]:4450"]) assert.equal(hostText(address(text)), text);
  assert.equal(hostText(address("[::1]:445")), "::1");
});

test("a share's name is one path component", () => {
  for (const name of [
    "CORE",
    "a",
    "Fotos 2024",
    "…",
    ".hidden",
    "a.b",
    "links2",
    "日本",
    "🎬",
    "x".repeat(255),
    "back\\slash",
  ]) {
    assert.deepEqual(parseShareName(name), { ok: true, value: name }, name);
  }
  const bad = [
    "",
    " ",
    " a",
    "a ",
    "a/b",
    "/",
    ".",
    "..",
    "a\0",
    "a\nb",
    "a\u0085",
    "\u2028",
    "x".repeat(256),
    "ä".repeat(128),
    "Links",
    "LINKS",
    "links",
    "\ud800",
  ];
  for (const name of bad) assert.equal(parseShareName(name).ok, false, JSON.stringify(name));
});

test("an argument of a program has no lone surrogates, which no process receives unchanged", () => {
  assert.deepEqual(parseArgument("\u{1f600}"), { ok: true, value: "\u{1f600}" });
  for (const bad of ["\ud800", "a\0", "x".repeat(1_000_000)])
    assert.equal(parseArgument(bad).ok, false, bad.slice(0, 9));
});

test("names are kept in Unicode form NFC", () => {
  assert.deepEqual(parseShareName("Bu\u0308ro"), { ok: true, value: "Büro" });
});

test("names that a case-insensitive file system treats as one have one key", () => {
  for (const [one, other] of [
    ["Core", "cORE"],
    ["Büro", "BU\u0308RO"],
    ["Straße", "STRASSE"],
    ["ΣΑΣ", "σας"],
  ] as const) {
    assert.equal(nameKey(one), nameKey(other));
  }
  assert.notEqual(nameKey("a"), nameKey("b"));
});

test("a share's name on the server has no separators", () => {
  for (const name of ["core", "Time Machine", "hidden$", "Büro"]) assert.ok(parseServerShareName(name).ok);
  for (const name of ["", " ", "a/b", "a\\b", "a\0", "x".repeat(81)])
    assert.ok(!parseServerShareName(name).ok);
});

test("user names may have a domain, and no reference", () => {
  for (const name of ["ann", "OFFICE\\ann", "ann@office.example"]) assert.ok(parseUserName(name).ok);
  for (const name of ["", "a\nb", "x".repeat(257), "${USER}"]) assert.ok(!parseUserName(name).ok);
});

test("interface names are the system's", () => {
  for (const name of ["en5", "bridge0", "eth0.100", "wlp2s0", "br-lan"])
    assert.ok(parseInterfaceName(name).ok);
  for (const name of ["", "a b", "a/b", "abcdefghijklmnop", "..", "a\0"])
    assert.ok(!parseInterfaceName(name).ok);
});

test("a folder of a route has no slash around it, and leads nowhere else", () => {
  const read = (text: string): string | null => {
    const reading = parseSubpath(text);
    return reading.ok ? reading.value : null;
  };
  assert.deepEqual(["Projects", "Docs/2026", "a.b/..c/", "a//"].map(read), [
    "Projects",
    "Docs/2026",
    "a.b/..c",
    "a",
  ]);
  const long = "n".repeat(256);
  for (const wrong of [
    "",
    "/",
    "/a",
    "~",
    "~/a",
    "..",
    "a/..",
    "a/../b",
    ".",
    "./a",
    "a/./b",
    "a//b",
    "a\nb",
    long,
    `a/${"ä".repeat(128)}`,
    `${"aä/".repeat(767)}abcde`,
  ])
    assert.equal(read(wrong), null, JSON.stringify(wrong));
  for (const longest of [long.slice(1), `a/${"ä".repeat(127)}b`, `${"aä/".repeat(767)}abcd`])
    assert.equal(read(longest), longest);
});

test("paths are absolute or below the home folder", () => {
  for (const path of ["/", "/Volumes", "~", "~/Shares", "/a b/ä"]) assert.ok(parsePath(path).ok, path);
  const bad = [
    "",
    "Shares",
    "./x",
    "../x",
    "~ann/x",
    "$HOME/x",
    "${HOME}/x",
    "/a/${B}",
    "/a\0",
    "/a\nb",
    `/${"x".repeat(4096)}`,
  ];
  for (const path of bad) assert.ok(!parsePath(path).ok, path);
});

test("paths become absolute and normal", () => {
  assert.equal(expandPath("~", "/home/ann"), "/home/ann");
  assert.equal(expandPath("~/Shares/", "/home/ann"), "/home/ann/Shares");
  assert.equal(expandPath("/a//b/../c/./", "/home/ann"), "/a/c");
  assert.equal(expandPath("/", "/home/ann"), "/");
  assert.equal(expandPath("/a/~/b", "/home/ann"), "/a/~/b");
});

test("a path is within itself and its ancestors, not within its neighbours", () => {
  assert.ok(isWithin("/a", "/a"));
  assert.ok(isWithin("/a/b", "/a"));
  assert.ok(isWithin("/a/..b", "/a"));
  assert.ok(!isWithin("/ab", "/a"));
  assert.ok(!isWithin("/a", "/a/b"));
});

test("B6 errors are reported with their position, the value found and expected, and a hint where there is one", () => {
  const mistake = { file: "/c.toml", line: 2, column: 3, found: "7", expected: "a text" };
  assert.equal(
    describeMistakes([
      { ...mistake, path: "sync.on", hint: "write it in quotes" },
      { ...mistake, path: "", hint: null },
    ]),
    `/c.toml:2:3: sync.on
  found     7
  expected  a text
  hint      write it in quotes
/c.toml:2:3:
  found     7
  expected  a text`,
  );
});

test("C1 a backend may start on demand, and stop when it is idle", async () => {
  const { config } = await accepted(
    '[backends.a]\ncommand = "npx"\nstart = "on-demand"\nstop_when_idle = 1.5\n[backends.b]\ncommand = "npx"\nstop_when_idle = false\n',
  );
  const [a, b] = config.backends;
  assert.deepEqual([a?.start, a?.stopWhenIdleMs], ["on-demand", 1_500]);
  assert.deepEqual([b?.start, b?.stopWhenIdleMs], ["always", false]);
});

// What backends say of the shares that they need.
const backend = (lines: string): string => `${SHARE}[backends.files]\ncommand = "npx"\n${lines}\n`;

test("C1 a backend may require shares, and folders in them", async () => {
  const { config } = await accepted(
    backend(
      'requires = ["CORE", "CORE:/dev/projects/"]\nunavailable_after_secs = 0.5\nwhen_unavailable = "stop"',
    ),
  );
  const [files] = config.backends;
  assert.deepEqual(files?.requires, [
    { share: "CORE", folder: null },
    { share: "CORE", folder: "dev/projects" },
  ]);
  assert.deepEqual([files?.unavailableAfterMs, files?.whenUnavailable], [500, "stop"]);
  const yaml =
    "backends: {a: {command: npx, requires: ['CORE:/x']}}\nshares: [{name: CORE, thunderbolt_host: a, fallback_host: b}]\n";
  assert.deepEqual((await accepted(yaml, "config.yaml")).config.backends[0]?.requires, [
    { share: "CORE", folder: "x" },
  ]);
  const routed = 'requires = [{ share = "CORE:/dev", route = "thunderbolt" }]';
  assert.deepEqual((await accepted(backend(routed))).config.backends[0]?.requires, [
    { share: "CORE", folder: "dev", route: "tb" },
  ]);
});

test("B6 a share that the file does not have is refused by name, with the name probably meant", async () => {
  const [mistake, ...others] = await refused(backend('requires = ["CORF:/dev"]'));
  assert.deepEqual(others, []);
  assert.equal(mistake?.path, "backends.files.requires[0]");
  assert.match(mistake?.found ?? "", /"CORF:\/dev", which names no share of this file/);
  assert.equal(mistake?.hint, 'did you mean "CORE"?');
  const [routed] = await refused(backend('requires = [{ share = "CORF", route = "tb" }]'));
  assert.match(routed?.found ?? "", /"CORF", which names no share/);
  const [elsewhere] = await refused(backend('requires = ["CORE", { share = "CORE", route = "wifi" }]'));
  assert.equal(elsewhere?.path, "backends.files.requires[1]");
  assert.match(elsewhere?.expected ?? "", /route = "thunderbolt".*thunderbolt, tb, fallback/);
});

for (const [text, why] of [
  ["CORE:/../other", /\.\./],
  ["/dev/projects", /folder/],
  ["", /name of a share/],
] as const) {
  test(`B6 ${JSON.stringify(text)} is not a requirement`, async () => {
    const [mistake] = await refused(backend(`requires = [${JSON.stringify(text)}]`));
    assert.match(`${mistake?.expected} ${mistake?.hint}`, why);
  });
}

test("C1 a backend with a folder on a share that it does not require gets a warning with the line to write", async () => {
  const { warnings } = await accepted(backend('args = ["-y", "server", "/home/ann/Shares/CORE/dev"]'));
  assert.deepEqual(warnings, [
    {
      path: "backends.files.args[2]",
      text: "/home/ann/Shares/CORE/dev is on share CORE, which may not be there when the server is started",
      hint: 'say `requires = ["CORE"]`: it then waits for the share, and its tools leave and return with it',
    },
  ]);
  const stated = backend('args = ["/home/ann/Shares/CORE/dev"]\nrequires = ["CORE:/dev"]');
  assert.deepEqual((await accepted(stated)).warnings, []);
  assert.deepEqual((await accepted(backend('args = ["/home/ann/Shares/CORES"]'))).warnings, []);
  assert.deepEqual(
    (await accepted(backend('args = ["/home/ann/Shares/CORE"]\nenabled = false'))).warnings,
    [],
  );
});

// Backends that are reached over several routes.
const route = (...lines: readonly string[]): string => `[[backends.files.routes]]\n${lines.join("\n")}\n`;
const HERE = route('command = "serve"', 'args = ["a"]');
const LAN = route('name = "lan"', 'url = "http://192.168.1.20/mcp"');
const FAR = route('url = "https://far.example/mcp"', "[backends.files.routes.headers]", 'X-Key = "${KEY}"');

test("C2 routes are named, or numbered, in the order of the file", async () => {
  const { config } = await accepted(HERE + LAN + FAR);
  const [files] = config.backends;
  assert.deepEqual(
    files?.routes?.map(({ name, connection }) => [name, connection.type]),
    [
      ["1", "stdio"],
      ["lan", "streamable-http"],
      ["3", "streamable-http"],
    ],
  );
  assert.deepEqual(files?.connection, files?.routes?.[0]?.connection);
});

test("C2 a backend without routes is unchanged", async () => {
  const [files] = (await accepted('[backends.files]\ncommand = "serve"\n')).config.backends;
  assert.ok(files !== undefined && !("routes" in files));
});

for (const [text, path, why] of [
  [`[backends.files]\ncommand = "serve"\n${HERE}`, "backends.files.command", /no `command`/],
  [`[backends.files]\nreplace = "stop-first"\n${HERE}${LAN}`, "backends.files.replace", /`overlap`/],
  [route('name = "x"'), "backends.files.routes[0].command", /`command` or `url`/],
  [LAN + LAN, "backends.files.routes[1].name", /another name/],
  [HERE + route('name = "1"', 'command = "b"'), "backends.files.routes[1].name", /another name/],
  [route('name = "auto"', 'command = "b"'), "backends.files.routes[0].name", /not `auto`/],
  [route('command = "b"', 'url = "http://a/mcp"'), "backends.files.routes[0].command", /no `command`/],
  [HERE.repeat(9), "backends.files.routes[8]", /at most 8 routes/],
] as const) {
  test(`B6 ${path} is reported: ${why.source}`, async () => {
    const mistakes = await refused(text);
    assert.ok(
      mistakes.some((mistake) => mistake.path === path && why.test(mistake.expected)),
      JSON.stringify(mistakes),
    );
  });
}

test("B6 a change of a route is a change of its backend", async () => {
  const { config: before } = await accepted(HERE + LAN);
  const { config: after } = await accepted(HERE + LAN + FAR);
  assert.deepEqual(diffConfigs(before, after).backends.changed, ["files"]);
});

test("a network is a gateway's address or a whole subnet", () => {
  for (const mark of ["gateway:aa:bb:cc:dd:ee:ff", "subnet:10.0.0.0/24", "subnet:10.0.0.4/30"])
    assert.deepEqual(parseNetworkMark(` ${mark.toUpperCase()} `), { ok: true, value: mark });
  for (const mark of ["subnet:10.0.0.5/24", "subnet:10.0.256.0/24", "subnet:10.0.0.0/33", "gateway:aa:bb"])
    assert.equal(parseNetworkMark(mark).ok, false, mark);
});

test("a value that is shown as written has references, and nothing secret or unclear next to them", () => {
  for (const text of ["", "${TOKEN}", "Bearer ${secret:token}", "secret:token"])
    assert.ok(isShowable(text), text);
  for (const text of ["hunter2", "hunter2${TOKEN}", "hunter2${"]) assert.ok(!isShowable(text), text);
});

test("an address with a user or a query is not repeated, since either may be a secret", () => {
  for (const address of ["https://ann:hunter2@a.example/", "https://a.example/?key=hunter2"])
    assert.equal(describeAddress(address), "a string");
  assert.match(describeAddress("https://a.example/mcp"), /a\.example\/mcp/);
});
