import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { loadConfig, parseConfig } from "../../src/config/load.ts";
import { describeMistakes, MISTAKE_LIMIT, mistakesError } from "../../src/config/mistakes.ts";
import { MountaineerError } from "../../src/runtime/errors.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { accepted, bytes, PLACE, refused, SHARE, where } from "./support.ts";

const DEFAULTS = {
  sharesRoot: "/home/ann/Shares",
  mountRoot: "/home/ann/.mountaineer/volumes",
  checkIntervalMs: 2000,
  networkDebounceMs: 500,
  connectTimeoutMs: 800,
  mountHangMs: 10_000,
  autoFailback: false,
  autoFailbackStableMs: 30_000,
  lsofRecheck: true,
};

const SYNC_DEFAULTS = {
  enabled: true,
  pollIntervalMs: 2000,
  debounceMs: 1000,
  detection: "mtime",
  onFailure: "backoff",
};
const NOTIFY_DEFAULTS = { enabled: false, failover: true, tbReady: true, configRejected: true };
const NO_GATEWAY = {
  server: null,
  backends: [],
  conflictResolution: { strategy: "first-wins", separator: "_", order: [] },
  incomingAuth: { type: "anonymous" },
  authorization: null,
  audit: null,
};
const EMPTY = {
  ...NO_GATEWAY,
  global: DEFAULTS,
  sync: SYNC_DEFAULTS,
  notify: NOTIFY_DEFAULTS,
  shares: [],
  aliases: [],
};

test("a file without settings is valid and means the defaults", async () => {
  for (const text of ["", "\n", "# nothing\n", "[global]\n", "shares = []\n", "\ufeff"]) {
    assert.deepEqual((await accepted(text)).config, EMPTY, JSON.stringify(text));
  }
  for (const text of [
    "",
    "# nothing\n",
    "---\n",
    "global:\n",
    "shares:\nglobal:\n",
    "shares: []",
    "{}",
    "null",
    "\ufeff",
  ]) {
    assert.deepEqual((await accepted(text, "config.yaml")).config, EMPTY, JSON.stringify(text));
  }
});

test("a share needs a name and two hosts; the rest has defaults", async () => {
  const route = { port: 445, interfaceName: null, folder: null };
  assert.deepEqual((await accepted(SHARE)).config.shares, [
    {
      name: "CORE",
      shareName: "CORE",
      username: "ann",
      password: null,
      driver: "rclone",
      routes: { tb: { host: "10.10.10.1", ...route }, fallback: { host: "nas.local", ...route } },
    },
  ]);
});

test("everything set comes out in the engine's spelling, the same from TOML and YAML", async () => {
  const toml = `[global]
shares_root = "~/S/"
mount_root = "/mnt/../mnt2"
check_interval_secs = 0.25
network_debounce_ms = 0
connect_timeout_ms = 100
mount_hang_secs = 1.5
auto_failback = true
auto_failback_stable_secs = 0.5
lsof_recheck = false
[[shares]]
name = "Bu\u0308ro"
thunderbolt_host = "[fe80::1%en5]:4450"
fallback_host = "nas.local:4451"
username = "OFFICE\\\\ann"
share_name = "buero$"
password = "\${NAS_PW}"
thunderbolt_interface = "en5"
fallback_interface = "en0"
driver = "rclone"
[sync]
enabled = false
poll_interval = 0.25
debounce = 0.05
detection = "inotify"
on_failure = "fixed"
[notify]
enabled = true
failover = false
tb_ready = false
config_rejected = false
[server]
host = "::1"
port = 8080
[[shares]]
name = "Local"
thunderbolt_path = "~/tb"
fallback_path = "/fb/"
`;
  const yaml = `global:
  shares_root: ~/S/
  mount_root: /mnt/../mnt2
  check_interval_secs: 0.25
  network_debounce_ms: 0
  connect_timeout_ms: 100
  mount_hang_secs: 1.5
  auto_failback: true
  auto_failback_stable_secs: .5
  lsof_recheck: false
server: {host: "::1", port: 8080}
sync:
  enabled: false
  poll_interval: .25
  debounce: 0.05
  detection: inotify
  on_failure: fixed
notify: {enabled: true, failover: false, tb_ready: false, config_rejected: false}
shares:
  - name: Büro
    thunderbolt_host: "[fe80::1%en5]:4450"
    fallback_host: nas.local:4451
    username: OFFICE\\ann
    share_name: buero$
    password: \${NAS_PW}
    thunderbolt_interface: en5
    fallback_interface: en0
    driver: rclone
  - {name: Local, thunderbolt_path: ~/tb, fallback_path: /fb/}
`;
  const { config } = await accepted(toml);
  assert.deepEqual((await accepted(yaml, "x.yml")).config, config);
  assert.deepEqual(config, {
    ...NO_GATEWAY,
    global: {
      sharesRoot: "/home/ann/S",
      mountRoot: "/mnt2",
      checkIntervalMs: 250,
      networkDebounceMs: 0,
      connectTimeoutMs: 100,
      mountHangMs: 1500,
      autoFailback: true,
      autoFailbackStableMs: 500,
      lsofRecheck: false,
    },
    sync: {
      enabled: false,
      pollIntervalMs: 250,
      debounceMs: 50,
      detection: "inotify",
      onFailure: "fixed",
    },
    notify: { enabled: true, failover: false, tbReady: false, configRejected: false },
    server: { host: "::1", port: 8080, bodyLimitBytes: 64 * 1024 * 1024, drainTimeoutMs: 30_000 },
    aliases: [],
    shares: [
      {
        name: "Büro",
        shareName: "buero$",
        username: "OFFICE\\ann",
        password: { kind: "environment", variable: "NAS_PW" },
        driver: "rclone",
        routes: {
          tb: { host: "fe80::1%en5", port: 4450, interfaceName: "en5", folder: null },
          fallback: { host: "nas.local", port: 4451, interfaceName: "en0", folder: null },
        },
      },
      {
        name: "Local",
        shareName: "Local",
        username: "ann",
        password: null,
        driver: "local",
        routes: {
          tb: { host: null, port: 445, interfaceName: null, folder: "/home/ann/tb" },
          fallback: { host: null, port: 445, interfaceName: null, folder: "/fb" },
        },
      },
    ],
  });
});

test("a snapshot says which bytes it came from and cannot be changed", async () => {
  const snapshot = await accepted(SHARE);
  assert.equal(snapshot.sha256, createHash("sha256").update(SHARE).digest("hex"));
  assert.equal(snapshot.path, "config.toml");
  assert.equal(snapshot.format, "toml");
  for (const part of [
    snapshot,
    snapshot.config,
    snapshot.config.global,
    snapshot.config.shares,
    snapshot.warnings,
  ]) {
    assert.ok(Object.isFrozen(part));
  }
  const [share] = snapshot.config.shares;
  assert.ok(Object.isFrozen(share) && Object.isFrozen(share?.routes.tb));
  assert.notEqual((await accepted(`\ufeff${SHARE}`)).sha256, snapshot.sha256);
});

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
    "14:3 shares[1].fallback_host",
    "16:20 shares[1].thunderbolt_host",
    "18:3 share",
  ]);
  const [typo, wrongType, , , , , secret, choice, missing, , section] = mistakes;
  assert.equal(typo?.hint, "did you mean `shares_root`?");
  assert.equal(wrongType?.found, 'string "2"');
  assert.equal(wrongType?.expected, "a number of seconds from 0.1 to 3600");
  assert.match(secret?.hint ?? "", /no secrets in config/);
  assert.equal(choice?.hint, 'did you mean "rclone"?');
  assert.equal(missing?.found, "nothing");
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
    "9:5 shares[1].thunderbolt_host",
    "9:5 shares[1].fallback_host",
    "9:11 shares[1].name",
    "10:15 shares[1].password",
  ]);
});

test("mistakes of syntax are told together with the others, and nothing is made up about what could not be read", async () => {
  const mistakes = await refused(`[global]
auto_failback =
lsof_recheck = yes
share_root = "x"
[[shares]]
name = "A"
name = "B"
fallback_host = "nas
[global]
colour = 1
`);
  assert.deepEqual(mistakes.map(where), [
    "2:16 global.auto_failback",
    "3:16 global.lsof_recheck",
    "4:1 global.share_root",
    "7:1 shares[0].name",
    "8:21 shares[0].fallback_host",
    "9:2 ",
  ]);
});

test("reading stops at a mistake that may reach over several lines", async () => {
  const mistakes = await refused('[global]\ncolour = 1\nshares_root = """\n[[shares]]\nname = "x"\n');
  assert.deepEqual(
    mistakes.map(({ line, found }) => `${line} ${found}`),
    ["3 a string without an end"],
  );
});

test("a password never shows, wherever it stands", async () => {
  const texts = [
    'password = "hunter2"',
    'password = ["hunter2"]',
    'password = { value = "hunter2" }',
    'pasword = "hunter2"',
    'password = "hunter2',
    "password = hunter2",
    'password = "hunter2" x',
    'password = "\\hunter2"',
    'password = "${hunter2-}"',
    'fallback_host = "ann:hunter2@nas"',
  ];
  for (const text of texts) {
    const mistakes = await refused(`${SHARE.replace(/^fallback_host.*\n/m, "")}${text}\n`);
    assert.doesNotMatch(JSON.stringify(mistakes), /hunter2/, text);
  }
  for (const value of [
    "hunter2",
    "*hunter2",
    "!hunter2 x",
    '"hunter2',
    "&hunter2",
    "{hunter2: 1}",
    "[hunter2",
    "@hunter2",
    '"\\hunter2"',
    "&a &hunter2 x",
  ]) {
    const loaded = await parseConfig(
      bytes(`shares:\n  - name: A\n    password: ${value}\n`),
      "config.yaml",
      PLACE,
    );
    assert.ok(!loaded.ok);
    assert.doesNotMatch(JSON.stringify(loaded.mistakes), /hunter2/, value);
  }
  const number = await refused(`${SHARE}password = 20240131\n`);
  assert.doesNotMatch(JSON.stringify(number), /20240131/);
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
    ['driver = "rclone"\n', ["shares[0].thunderbolt_host", "shares[0].fallback_host"]],
    ["", ["shares[0].thunderbolt_host", "shares[0].fallback_host"]],
    ['thunderbolt_path = "/a"\nfallback_path = "/x/../a/"\n', ["shares[0].fallback_path"]],
  ];
  for (const [lines, found] of table) {
    assert.deepEqual(
      (await refused(share(lines))).map(({ path }) => path),
      found,
      lines,
    );
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
  assert.deepEqual(
    guest.warnings.map(({ path }) => path),
    ["shares[0].username"],
  );
  const local = await accepted(
    '[[shares]]\nname = "A"\nthunderbolt_path = "/a"\nfallback_path = "/b"\npassword = "${X}"\nfallback_interface = "en0"\n',
  );
  assert.deepEqual(
    local.warnings.map(({ path }) => path),
    ["shares[0].password", "shares[0].fallback_interface"],
  );
});

test("bytes that are no text are refused at their place", async () => {
  const table: [Uint8Array, string, RegExp][] = [
    [Buffer.concat([bytes('a = 1\nb = "ä'), Buffer.from([0xff]), bytes('"')]), "2:7 ", /0xff/],
    [Buffer.concat([bytes("# "), Buffer.from([0xc3])]), "1:3 ", /half a character|0xc3/],
    [Buffer.from([0xff, 0xfe, 0x61, 0]), "1:1 ", /UTF-16/],
    [bytes("a = 1\n\0"), "2:1 ", /NUL/],
    [Buffer.alloc(2 ** 20 + 1, "#"), "1:1 ", /1048577 bytes/],
  ];
  for (const file of ["config.toml", "config.yaml"]) {
    for (const [content, place, found] of table) {
      const [mistake, ...more] = await refused(content, file);
      assert.equal(more.length, 0);
      assert.equal(mistake === undefined ? "" : where(mistake), place);
      assert.match(mistake?.found ?? "", found);
    }
  }
});

test("a byte order mark, CRLF and astral characters do not move places", async () => {
  const mistakes = await refused('\ufeff# 🎬\r\n[global]\r\n"🎬" = 1 # x\r\nx = "🎬"\r\n');
  assert.deepEqual(mistakes.map(where), ['3:1 global."🎬"', "4:1 global.x"]);
  const yaml = await refused('\ufeff# 🎬\r\nglobal:\r\n  "🎬": 1\r\n  x: "🎬"\r\n', "config.yaml");
  assert.deepEqual(yaml.map(where), ['3:3 global."🎬"', "4:3 global.x"]);
});

test("keys named like JavaScript's own are unknown keys", async () => {
  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assert.deepEqual((await refused(`[global]\n${key} = 1\n`)).map(where), [`2:1 global.${key}`]);
    assert.deepEqual((await refused(`${key} = 1\n`)).map(where), [`1:1 ${key}`]);
    assert.deepEqual((await refused(`global:\n  ${key}: {a: 1}\n`, "c.yaml")).map(where), [
      `2:3 global.${key}`,
    ]);
  }
  assert.equal(Object.hasOwn(Object.prototype, "a"), false);
});

test("keys and values cannot steer a terminal", async () => {
  const text = '[global]\n"\\u001b[2J\\u202e" = 1\nshares_root = "\\u001b[31m\\u009b"\n';
  const mistakes = await refused(text);
  assert.doesNotMatch(describeMistakes(mistakes).replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
});

test("YAML anchors and merge keys work, the mapping's own keys winning", async () => {
  const { config } = await accepted(
    `global: &unused {check_interval_secs: 1}
shares:
  - &base
    name: A
    thunderbolt_host: a
    fallback_host: b
    username: x
  - {<<: *base, name: B}
  - name: C
    <<: [{username: y}, *base]
`,
    "config.yaml",
  );
  assert.deepEqual(
    config.shares.map(({ name, username }) => `${name} ${username}`),
    ["A x", "B x", "C y"],
  );
  const many = Array.from(
    { length: 300 },
    (_, index) => `  - {<<: *base, name: N${index}, share_name: n${index}}`,
  ).join("\n");
  const large = await accepted(
    `shares:\n  - &base {name: A, thunderbolt_host: a, fallback_host: b}\n${many}\n`,
    "c.yaml",
  );
  assert.equal(large.config.shares.length, 301);
});

test("a mistake behind an alias is placed where it is written", async () => {
  const mistakes = await refused("global:\n  check_interval_secs: &a x\n  mount_hang_secs: *a\n", "c.yaml");
  assert.deepEqual(mistakes.map(where), ["2:27 global.check_interval_secs", "2:27 global.mount_hang_secs"]);
});

test("YAML that is no single mapping is refused", async () => {
  const table: [string, RegExp][] = [
    ["global: {}\n---\nshares: []\n", /second document/],
    ["- a\n", /list/],
    ["text\n", /single value/],
    ["a: *x\n", /alias to nothing/],
    ["a: &a [*a]\n", /part of/],
    ["? {a: 1}\n: 2\n", /no text/],
    ["global:\n\tx: 1\n", /tab/],
    ["global: !!js/function x\n", /tag/],
    ["<<: 1\n", /<</],
    ["global: {\n", /unfinished|indented/],
    ["a: 1\r b\n- c\n", /./],
  ];
  for (const [text, found] of table) {
    const mistakes = await refused(text, "config.yaml");
    assert.ok(
      mistakes.some((mistake) => found.test(mistake.found)),
      `${text}: ${JSON.stringify(mistakes)}`,
    );
  }
});

test("an alias bomb is refused, quickly", async () => {
  const levels = [..."bcdefghij"].map(
    (name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghi"[index]}`).join()}]`,
  );
  // Unfolded it would be 3.5 thousand million values, which no machine holds: to come back at all is to be quick.
  const mistakes = await refused(`a: &a [x,x,x,x,x,x,x,x,x]\n${levels.join("\n")}\n`, "config.yaml");
  assert.ok(mistakes.some(({ found }) => /unfold/.test(found)));
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

test("a file is read whole; what is no readable file rejects with config_unreadable", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "config.toml");
  const filler = `# ${"x".repeat(100)}\n`.repeat(2000);
  await writeFile(path, filler + SHARE);
  const loaded = await loadConfig(path, PLACE);
  assert.ok(loaded.ok && loaded.snapshot.config.shares.length === 1);
  await writeFile(path, `${filler.repeat(10)}x`);
  const large = await loadConfig(path, PLACE);
  assert.ok(!large.ok && /bytes/.test(large.mistakes[0]?.found ?? ""));

  const unreadable = (error: unknown): boolean =>
    error instanceof MountaineerError && error.code === "config_unreadable";
  await assert.rejects(loadConfig(join(folder, "missing.toml"), PLACE), unreadable);
  await mkdir(join(folder, "folder.toml"));
  await assert.rejects(loadConfig(join(folder, "folder.toml"), PLACE), unreadable);
  await promisify(execFile)("mkfifo", [join(folder, "pipe.toml")]);
  await assert.rejects(loadConfig(join(folder, "pipe.toml"), PLACE), unreadable);
  await writeFile(join(folder, "config.json"), "{}");
  await assert.rejects(loadConfig(join(folder, "config.json"), PLACE), unreadable);
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
    "a section: `[global]`, `[sync]`, `[notify]`, `[[shares]]`, `[[aliases]]`, `[server]`, `[backends.NAME]`, `[conflict_resolution]`, `[incoming_auth]`, `[authorization]` or `[audit]`",
  );
});

test("a password in front of a share's name is not told", async () => {
  const share = (lines: string) =>
    `[[shares]]\nname = "A"\nthunderbolt_host = "tb"\nfallback_host = "nas"\n${lines}\n`;
  for (const name of ["joe:hunter2@nas/x", "smb://joe:hunter2@nas/x", "joe:hunter2\\\\x"]) {
    const loaded = await parseConfig(bytes(share(`share_name = "${name}"`)), "/c.toml", PLACE);
    assert.ok(!loaded.ok);
    assert.ok(loaded.mistakes.some(({ path }) => path === "shares[0].share_name"));
    assert.doesNotMatch(JSON.stringify(loaded), /hunter2/);
  }
  const twice = share('share_name = "joe:hunter2@nas"');
  const twins = await parseConfig(bytes(twice + twice.replace('"A"', '"B"')), "/c.toml", PLACE);
  assert.ok(!twins.ok);
  assert.doesNotMatch(JSON.stringify(twins), /hunter2/);
});
