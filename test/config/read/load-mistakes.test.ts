// Mistakes in files: which are found, at which places, and in which words.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { editConfig } from "../../../src/config/edit/edit.ts";
import { starterText } from "../../../src/config/edit/starter.ts";
import { describeMistakes, MISTAKE_LIMIT, mistakesError } from "../../../src/config/values/mistakes.ts";
import { routesOf } from "../../../src/shares/share-spec.ts";
import { assertEach } from "../../support/assert-each.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { accepted, bytes, refused, SHARE, where } from "../support.ts";
import { EDITS, edit, load } from "./hostile-text.ts";

test("ten mistakes are ten reports, in the file's order", async () => {
  const mistakes = await refused(`[global]
share_root = "~/x"
check_interval_secs = "2"
auto_failback = 1
colour = "red"

[[shares]]
name = "A/B"
thunderbolt_host = "10.0.0.1:445"
fallback_host = "10.0.0.1"
password = "hunter2"
driver = "rclon"

[[shares]]
name = "core"
thunderbolt_host = "nas:99999"

[[share]]
name = "CORE"
`);
  assert.deepEqual(mistakes.map(where), [
    "2:1 global.share_root",
    "3:23 global.check_interval_secs",
    "4:17 global.auto_failback",
    "5:1 global.colour",
    "8:8 shares[0].name",
    "10:17 shares[0].fallback_host",
    "11:12 shares[0].password",
    "12:10 shares[0].driver",
    "16:20 shares[1].thunderbolt_host",
    "18:3 share",
  ]);
  const [typo, wrongType, , , , , secret, choice, , section] = mistakes;
  assert.equal(typo?.hint, "did you mean `shares_root`?");
  assert.equal(wrongType?.found, 'string "2"');
  assert.equal(wrongType?.expected, "a number of seconds from 0.1 to 3600");
  assert.match(secret?.hint ?? "", /no secrets in config/);
  assert.equal(choice?.hint, 'did you mean "rclone"?');
  assert.equal(section?.hint, "did you mean `shares`?");
});

test("the same mistakes in YAML are found at their places in YAML", async () => {
  const mistakes = await refused(
    `global:
  share_root: ~/x
  check_interval_secs: "2"
  check_interval_secs: 2
shares:
  - name: A
    thunderbolt_host: nas
    fallback_host: NAS:445
  - name: a
    password: hunter2
`,
    "config.yaml",
  );
  assert.deepEqual(mistakes.map(where), [
    "2:3 global.share_root",
    "3:24 global.check_interval_secs",
    "4:3 global.check_interval_secs",
    "8:20 shares[0].fallback_host",
    "9:5 shares[1].fallback_host",
    "9:11 shares[1].name",
    "10:15 shares[1].password",
  ]);
  assert.equal(mistakes.find(({ path }) => path === "shares[1].fallback_host")?.found, "nothing");
});

test("wrong kinds and values out of range are mistakes that say what was found", async () => {
  const table: [string, string][] = [
    ["check_interval_secs = 0", "number 0"],
    ["check_interval_secs = 0.09", "number 0.09"],
    ["check_interval_secs = -1", "number -1"],
    ["check_interval_secs = 3601", "number 3601"],
    ["check_interval_secs = inf", "number Infinity"],
    ["check_interval_secs = nan", "number NaN"],
    ["check_interval_secs = true", "true"],
    ["check_interval_secs = []", "an empty array"],
    ["check_interval_secs = {}", "a table"],
    ["check_interval_secs = 2024-01-31", "a date"],
    ["connect_timeout_ms = 0.5", "number 0.5"],
    ["connect_timeout_ms = 99999999999999999999999", "number 99999999999999999999999"],
    ["network_debounce_ms = -1", "number -1"],
    ["mount_hang_secs = 0", "number 0"],
    ["auto_failback_stable_secs = -0.1", "number -0.1"],
    ['lsof_recheck = "on"', 'string "on"'],
    ["shares_root = 1", "number 1"],
    ['shares_root = "Shares"', 'string "Shares"'],
    ['mount_root = ""', 'string ""'],
  ];
  for (const [line, found] of table) {
    const [mistake, ...more] = await refused(`[global]\n${line}\n`);
    assert.equal(more.length, 0, line);
    assert.equal(mistake?.found, found, line);
    assert.equal(mistake?.line, 2);
    assert.equal(mistake?.column, line.indexOf("=") + 3);
  }
});

test("sections of the wrong kind are mistakes", async () => {
  const table: [string, string][] = [
    ["global = 1\n", "1:10 global"],
    ["[[global]]\n", "1:3 global"],
    ['[shares]\nname = "A"\n', "1:2 shares"],
    ["[shares.CORE]\nx = 1\n", "1:2 shares"],
    ['shares = "A"\n', "1:1 shares"],
    ["shares = [1]\n", "1:11 shares[0]"],
  ];
  for (const [text, place] of table) assert.deepEqual((await refused(text)).map(where), [place], text);
});

test("hints lead from what was probably meant", async () => {
  const hint = async (text: string): Promise<string | null | undefined> => (await refused(text))[0]?.hint;
  assert.equal(await hint("[global]\ncheck-interval-secs = 2\n"), "did you mean `check_interval_secs`?");
  assert.equal(await hint("check_interval_secs = 2\n"), "`check_interval_secs` belongs in `[global]`");
  assert.equal(await hint(`${SHARE}auto_failback = true\n`), "`auto_failback` belongs in `[global]`");
  assert.equal(await hint("auto_failbak = true\n"), "did you mean `auto_failback` in `[global]`?");
  assert.equal(await hint('[global]\ncheck_interval_secs = "2"\n'), "write the number without quotes");
  assert.equal(await hint('[global]\nlsof_recheck = "Off"\n'), "write false, without quotes");
  assert.equal(await hint(`${SHARE}share_name = 2024\n`), "write it in quotes");
  assert.equal(await hint("[backends.a]\ncommand = true\n"), "write it in quotes");
  assert.equal(await hint('[backends.a]\ncommand = "a"\nargs = [8]\n'), "write it in quotes");
  assert.equal(await hint('[backends.a]\ncommand = "a"\nargs = 8\n'), null);
  assert.equal(await hint("[global]\nlsof_recheck = 8\n"), null);
  assert.equal(await hint(`${SHARE}tb_host = "nas"\n`), "did you mean `thunderbolt_host`?");
});

test("the two hosts of a share must differ", async () => {
  const mistakes = await refused(
    '[[shares]]\nname = "A"\nthunderbolt_host = "NAS.local"\nfallback_host = "nas.local.:445"\n',
  );
  assert.deepEqual(mistakes.map(where), ["4:17 shares[0].fallback_host"]);
  await accepted(
    '[[shares]]\nname = "A"\nthunderbolt_host = "127.0.0.1:4451"\nfallback_host = "127.0.0.1:4452"\n',
  );
});

test("two shares cannot have one name, letter case and Unicode form aside", async () => {
  const share = (name: string, host: string): string =>
    `[[shares]]\nname = "${name}"\nthunderbolt_host = "${host}1"\nfallback_host = "${host}2"\n`;
  const mistakes = await refused(share("Büro", "a") + share("x", "b") + share("BU\u0308RO", "c"));
  assert.deepEqual(mistakes.map(where), ["10:8 shares[2].name"]);
  assert.match(mistakes[0]?.found ?? "", /shares\[0\]/);
});

test("two shares cannot be one share of one host, whichever routes lead there", async () => {
  const share = (name: string, tb: string, fallback: string, shareName: string): string =>
    `[[shares]]\nname = "${name}"\nthunderbolt_host = "${tb}"\nfallback_host = "${fallback}"\nshare_name = "${shareName}"\n`;
  const same = await refused(share("A", "x", "y", "core") + share("B", "X:445", "y", "CORE"));
  assert.deepEqual(same.map(where), ["8:20 shares[1].thunderbolt_host"]);
  const crosswise = await refused(share("A", "x", "y", "core") + share("B", "y", "z", "core"));
  assert.deepEqual(crosswise.map(where), ["8:20 shares[1].thunderbolt_host"]);
  await accepted(share("A", "x", "y", "core") + share("B", "x", "y", "other"));
  await accepted(share("A", "x", "y", "core") + share("B", "x:4450", "z", "core"));
});

test("driver local needs both paths and takes both hosts or none", async () => {
  const share = (lines: string): string => `[[shares]]\nname = "A"\n${lines}`;
  const paths = 'thunderbolt_path = "/a"\nfallback_path = "/b"\n';
  const hosts = 'thunderbolt_host = "a"\nfallback_host = "b"\n';
  assert.equal((await accepted(share(paths))).config.shares[0]?.driver, "local");
  assert.equal(
    (await accepted(share(`driver = "local"\n${paths}${hosts}`))).config.shares[0]?.routes.tb.host,
    "a",
  );
  const table: [string, string[]][] = [
    ['driver = "local"\n', ["shares[0].thunderbolt_path", "shares[0].fallback_path"]],
    ['thunderbolt_path = "/a"\n', ["shares[0].fallback_path"]],
    [`${paths}thunderbolt_host = "a"\n`, ["shares[0].fallback_host"]],
    [`driver = "rclone"\n${paths}${hosts}`, ["shares[0].thunderbolt_path", "shares[0].fallback_path"]],
    ['driver = "rclone"\n', ["shares[0].fallback_host"]],
    ["", ["shares[0].fallback_host"]],
    ['thunderbolt_path = "/a"\nfallback_path = "/x/../a/"\n', ["shares[0].fallback_path"]],
  ];
  for (const [lines, found] of table) {
    assertEach(await refused(share(lines)), ({ path }) => path, found, lines);
  }
});

test("F3 one host is enough, whichever it is: the share has one route", async () => {
  for (const [key, route] of [
    ["thunderbolt_host", "tb"],
    ["fallback_host", "fallback"],
  ] as const) {
    const { config } = await accepted(`[[shares]]\nname = "A"\n${key} = "nas.local"\n`);
    assert.deepEqual(routesOf(config.shares[0] ?? assert.fail()), [route]);
  }
});

test("a name that the server could not have asks for share_name", async () => {
  const share = '[[shares]]\nname = "a\\\\b"\nthunderbolt_host = "a"\nfallback_host = "b"\n';
  assert.match((await refused(share))[0]?.hint ?? "", /share_name/);
  await accepted(`${share}share_name = "ab"\n`);
});

test("links and mounts must not stand in each other's way", async () => {
  const roots = (shares: string, mounts: string): string =>
    `[global]\nshares_root = "${shares}"\nmount_root = "${mounts}"\n`;
  assert.deepEqual((await refused(roots("/a", "/a/"))).map(where), ["3:14 global.mount_root"]);
  assert.deepEqual((await refused(roots("/a", "/a/CORE/m") + SHARE)).map(where), ["5:8 shares[0].name"]);
  assert.deepEqual((await refused(roots("/m/CORE", "/m") + SHARE)).map(where), ["5:8 shares[0].name"]);
  await accepted(roots("/a", "/a/.volumes") + SHARE);
  assert.deepEqual((await refused('[global]\nshares_root = "~/.mountaineer/volumes"\n')).map(where), [
    "2:15 global.shares_root",
  ]);
});

test("what is allowed but probably not meant is a warning", async () => {
  assert.deepEqual((await accepted(SHARE)).warnings, []);
  const guest = await accepted(`${SHARE}username = "ann"\n`);
  assertEach(guest.warnings, ({ path }) => path, ["shares[0].username"]);
  const local = await accepted(
    '[[shares]]\nname = "A"\nthunderbolt_path = "/a"\nfallback_path = "/b"\npassword = "${X}"\nfallback_interface = "en0"\n',
  );
  assertEach(local.warnings, ({ path }) => path, ["shares[0].password", "shares[0].fallback_interface"]);
});

test("the list of mistakes has an end", async () => {
  const mistakes = await refused(Array.from({ length: 30_000 }, (_, index) => `k${index} = 1\n`).join(""));
  assert.equal(mistakes.length, MISTAKE_LIMIT);
  assert.match(mistakes.at(-1)?.found ?? "", /more mistakes/);
  const shares = await refused("[[shares]]\n".repeat(40_000));
  assert.equal(shares.length, MISTAKE_LIMIT);
});

test("mistakes read as file, line and column first", async () => {
  const mistakes = await refused('[global]\nshare_root = "x"\n', "/etc/c.toml");
  assert.equal(
    describeMistakes(mistakes),
    "/etc/c.toml:2:1: global.share_root\n  found     an unknown key\n  expected  a key of `[global]`\n  hint      did you mean `shares_root`?",
  );
  const error = mistakesError(mistakes);
  assert.equal(error.code, "config_invalid");
  assert.match(error.message, /a mistake\n\/etc\/c\.toml:2:1/);
});

test("B5 settings of the sync and server sections that make no sense are mistakes", async () => {
  const table: [string, string, string, string | null][] = [
    ["poll_interval = 0", "sync.poll_interval", "number 0", null],
    ['poll_interval = "2"', "sync.poll_interval", 'string "2"', "write the number without quotes"],
    ["debounce = 61", "sync.debounce", "number 61", null],
    ['detection = "inotfy"', "sync.detection", 'string "inotfy"', 'did you mean "inotify"?'],
    ['on_failure = "retry"', "sync.on_failure", 'string "retry"', null],
    ["poll_intervall = 1", "sync.poll_intervall", "an unknown key", "did you mean `poll_interval`?"],
  ];
  for (const [line, path, found, hint] of table) {
    const [mistake, ...others] = await refused(`[sync]\n${line}\n`);
    assert.deepEqual([mistake?.path, mistake?.found, mistake?.hint, others], [path, found, hint, []], line);
  }
  const servers: [string, string | null][] = [
    ["port = 0", null],
    ["port = 65536", null],
    ['host = "127.0.0.1:9000"', "the port has a key of its own"],
    ['host = "[::1]"', "write it without brackets"],
    ['host = ""', null],
    ['host = "http://x"', "write the host alone, without `smb://`"],
  ];
  for (const [line, hint] of servers) {
    const [mistake, ...others] = await refused(`[server]\n${line}\n`);
    assert.deepEqual([mistake?.line, mistake?.hint, others], [2, hint, []], line);
  }
  const [, mistake] = await refused("[synk]\n[globl]\n");
  assert.equal(
    mistake?.expected,
    "a section: `[global]`, `[sync]`, `[notify]`, `[[shares]]`, `[[aliases]]`, `[server]`, `[backends.NAME]`, `[conflict_resolution]`, `[optimizer]`, `[groups.NAME]`, `[[profiles]]`, `[incoming_auth]`, `[authorization]`, `[limits]`, `[audit]`, `[trust]`, `[telemetry]` or `[fleet]`",
  );
});

// Mistakes that people make, each named for what it is, with the line and what to write.
const SLIPS: readonly (readonly [what: string, text: string, told: RegExp, file?: string])[] = [
  [
    "an unclosed quote",
    '[backends.a]\ncommand = "npx\n',
    /c\.toml:2:.*a string without an end.*the closing quote on the same line/s,
  ],
  ["an unclosed header", '[backends.a\ncommand = "npx"\n', /:1:.*a table's header without its end.*`\]`/s],
  [
    "an unclosed array",
    '[backends.a]\ncommand = "npx"\nargs = ["-y", "x"\n\n[backends.b]\ncommand = "y"\n',
    /an array or table without its end.*`\]` or `\}` before this/s,
  ],
  [
    "a text without quotes",
    "[backends.a]\ncommand = npx\n",
    /:2:11.*not a valid TOML value.*a string in quotes/s,
  ],
  ["YAML in a .toml", "backends:\n  a:\n    command: npx\n", /:1:.*a line of YAML.*name the file \.yaml/s],
  [
    "JSON in a .toml",
    '{"mcpServers": {"a": {"command": "npx"}}}\n',
    /:1:.*JSON.*\[backends\.NAME\] here, each with its command and args/s,
  ],
  ["curly quotes", "[backends.a]\ncommand = \u201cnpx\u201d\n", /:2:.*a curly quote.*a straight one: `"`/s],
  [
    "a Windows path",
    '[[shares]]\nname = "A"\nthunderbolt_path = "C:\\Users\\ann"\n',
    /:3:.*a single backslash in a path.*single quotes.*'C:\\Users\\ann'/s,
  ],
  [
    "a table twice",
    '[backends.a]\ncommand = "x"\n[backends.b]\ncommand = "z"\n[backends.a]\ncommand = "y"\n',
    /:5:.*a second \[backends\.a\].*line 1 has it already: put both parts together there/s,
  ],
  [
    "a client's key",
    '[mcpServers.a]\ncommand = "npx"\n',
    /:1:.*mcpServers.*MCP servers are `\[backends\.NAME\]` here/s,
  ],
  [
    "a client's name for an address",
    '[backends.a]\ntype = "http"\nurl = "https://a.example/mcp"\n',
    /:2:.*backends\.a\.type.*"http".*write "streamable-http", or leave it out beside a `url`/s,
  ],
  [
    "a client's name for an address of the older transport",
    "backends:\n  a:\n    type: sse\n    url: https://a.example/sse\n",
    /:3:.*backends\.a\.type.*"sse".*write "streamable-http", or leave it out beside a `url`/s,
    "c.yaml",
  ],
  [
    "a client's setting",
    '[backends.a]\ncommand = "npx"\ndisabled = true\n',
    /:3:.*backends\.a\.disabled.*write `enabled = false`/s,
  ],
  [
    "a missing colon",
    "backends:\n  a:\n    command npx\n",
    /:3:.*a colon is missing: `command: …`/s,
    "c.yaml",
  ],
  [
    "an over-indented line",
    "backends:\n  a:\n      command: npx\n    args: [x]\n",
    /:4:.*a line indented like none above it.*the indentation of its neighbours/s,
    "c.yaml",
  ],
];

describe("mistakes that people make", () => {
  for (const [what, text, told, file = "c.toml"] of SLIPS) {
    test(`${what} is named for what it is`, async () => {
      assert.match(describeMistakes(await refused(text, file)), told);
    });
  }

  test("a whole command line as the command is told of, with what to write, and no secret of it", async () => {
    const warningsOf = async (command: string) =>
      (await accepted(`[backends.a]\ncommand = "${command}"\n`)).warnings;
    assert.deepEqual(await warningsOf("npx -y x --token hunter2"), [
      {
        path: "backends.a.command",
        text: "the whole text is the name of one program, spaces included",
        hint: 'write `command = "npx"`, and put each word after the program into `args`',
      },
    ]);
    const [secretFirst] = await warningsOf("TOKEN=hunter2 npx x");
    assert.equal(secretFirst?.hint, "put each word after the program into `args`");
  });
});

const TOML = `${starterText().replaceAll(/^#(?! |:|$|\n)/gm, "")}\n${SHARE.replace("CORE", "B")}share_name = 'b'\n[[shares]]\nname = "L"\nthunderbolt_path = """/a"""\nfallback_path = "~/b"\n`;
const YAML = `# starter
global: &g
  check_interval_secs: 0.5
  shares_root: "~/Shares"
shares:
  - &base
    name: A
    thunderbolt_host: 10.0.0.1
    fallback_host: 'nas:4450'
    password: \${PW}
  - {<<: *base, name: B, share_name: b}
  - name: >-
      folded
    thunderbolt_path: |-
      /a
    fallback_path: /b
backends: &b
  files: {command: npx, env: {FILES_TOKEN: "\${T}"}}
  web:
    url: https://x/mcp
    headers: {Authorization: Bearer \${T}}
    filters: {tools: {allow: [a]}}
incoming_auth: {type: local, users: [{name: x, token: "\${U}"}]}
authorization:
  policies:
    - effect: allow
`;

const SNIPPETS = [
  ...`[ ] [[ { } " ' """ ''' = # : *a ! % \${ \\u ... 1e999 0x 🎬 __proto__ constructor`.split(" "),
  ...[
    "\n",
    "\r",
    "\t",
    "- ",
    "&a ",
    "<<: ",
    "? ",
    "|\n",
    "\0",
    "\ufeff",
    "\ud800",
    "---\n",
    "name = 1\n",
    "env = {A = 1}\n",
  ],
  ...["global", "[shares]", "backends.files", "backends.__proto__", "[incoming_auth.users]"].map(
    (at) => `[${at}]\n`,
  ),
];

const mutation = fc.oneof(
  fc.record({ kind: fc.constant("cut" as const), at: fc.nat(), length: fc.nat(40) }),
  fc.record({ kind: fc.constant("insert" as const), at: fc.nat(), text: fc.constantFrom(...SNIPPETS) }),
  fc.record({ kind: fc.constant("repeat" as const), at: fc.nat(), length: fc.nat(80) }),
  fc.record({ kind: fc.constant("end" as const), at: fc.nat() }),
);

function mutate(
  text: string,
  mutations: readonly (typeof mutation extends fc.Arbitrary<infer T> ? T : never)[],
): string {
  let result = text;
  for (const step of mutations) {
    const at = step.at % (result.length + 1);
    if (step.kind === "cut") result = result.slice(0, at) + result.slice(at + step.length);
    else if (step.kind === "insert") result = result.slice(0, at) + step.text + result.slice(at);
    else if (step.kind === "repeat") result = result.slice(0, at + step.length) + result.slice(at);
    else result = result.slice(0, at);
  }
  return result;
}

for (const [file, text] of [
  ["config.toml", TOML],
  ["config.yaml", YAML],
] as const) {
  test(`any mutation of ${file} is accepted, or refused with places`, async () => {
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(mutations, async (steps) => {
        await load(bytes(mutate(text, steps)), file);
      }),
      { numRuns: runsOf(800) },
    );
  });

  test(`any mutation of ${file} is edited, or refused with a reason`, async () => {
    const mutations = fc.array(mutation, { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(mutations, fc.constantFrom(...EDITS), async (steps, asked) => {
        await edit(bytes(mutate(text, steps)), file, asked);
      }),
      { numRuns: runsOf(800) },
    );
  });

  test(`any bytes as ${file} are accepted, or refused with places`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        async (content) => void (await load(content, file)),
      ),
      { numRuns: runsOf(600) },
    );
    const lines = fc.array(fc.constantFrom(...SNIPPETS, " ", "a", "global", "shares"), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(lines, async (parts) => void (await load(bytes(parts.join("")), file))),
      { numRuns: runsOf(800) },
    );
  });
}

test("ten megabytes are refused without being read, right as they would be", async () => {
  const content = new Uint8Array(10 * 1024 * 1024).fill("#".charCodeAt(0));
  for (const format of ["toml", "yaml"] as const) {
    const mistakes = await refused(content, `config.${format}`);
    assertEach(mistakes, ({ found }) => /MB|KB|bytes/.test(found), [true], JSON.stringify(mistakes));
    for (const asked of EDITS) {
      const editing = editConfig({ bytes: content, format, edits: [asked] });
      await assert.rejects(editing, { code: "config_invalid", message: /MB|KB|bytes/ });
    }
  }
});
