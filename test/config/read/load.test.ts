// What valid files mean, the defaults included, and what loading answers.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { readConfigBytes } from "../../../src/config/read/config-bytes.ts";
import { textValues } from "../../../src/config/read/file-values.ts";
import { parseConfig } from "../../../src/config/read/load.ts";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";
import { assertEach } from "../../support/assert-each.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { accepted, bytes, PLACE, refused, SHARE, where } from "../support.ts";

test("a file without settings is valid and means the defaults", async () => {
  const { config } = await accepted("[sync]\nenabled = true\n");
  for (const text of ["", "\n", "# nothing\n", "[global]\n", "shares = []\n", "\ufeff"]) {
    assert.deepEqual((await accepted(text)).config, config, JSON.stringify(text));
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
    assert.deepEqual((await accepted(text, "config.yaml")).config, config, JSON.stringify(text));
  }
});

test("a snapshot names the bytes that it was made from and cannot be changed", async () => {
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

test("a file is read whole; an unreadable one rejects with config_unreadable", async (t) => {
  const folder = await temporaryFolder(t);
  const path = join(folder, "config.toml");
  const filler = `# ${"x".repeat(100)}\n`.repeat(2000);
  await writeFile(path, filler + SHARE);
  const loaded = await parseConfig(await readConfigBytes(path), path, PLACE);
  assert.ok(loaded.ok && loaded.snapshot.config.shares.length === 1);
  await writeFile(path, `${filler.repeat(10)}x`);
  const large = await parseConfig(await readConfigBytes(path), path, PLACE);
  assert.ok(!large.ok && /bytes/.test(large.mistakes[0]?.found ?? ""));

  const unreadable = (error: unknown): boolean =>
    error instanceof MountaineerError && error.code === "config_unreadable";
  await assert.rejects(readConfigBytes(join(folder, "missing.toml")), unreadable);
  await mkdir(join(folder, "folder.toml"));
  const notFile = (what: string) => ({
    code: "config_unreadable",
    message: new RegExp(`is a ${what}, not a file$`),
    hint: new RegExp(`: mv ${folder}/\\S+ ${folder}/\\S+\\.away$`),
  });
  await assert.rejects(readConfigBytes(join(folder, "folder.toml")), notFile("folder"));
  await promisify(execFile)("mkfifo", [join(folder, "pipe.toml")]);
  await assert.rejects(readConfigBytes(join(folder, "pipe.toml")), notFile("pipe or device"));
  await writeFile(join(folder, "config.json"), "{}");
  await assert.rejects(parseConfig(new Uint8Array(), join(folder, "config.json"), PLACE), unreadable);
});

test("a password is never shown, wherever it is", async () => {
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

test("bytes that are not text are refused with their position", async () => {
  const table: [Uint8Array, string, RegExp][] = [
    [Buffer.concat([bytes('a = 1\nb = "ä'), Buffer.from([0xff]), bytes('"')]), "2:7 ", /0xff/],
    [Buffer.from('a = "für"', "latin1"), "1:7 ", /^byte 0xfc/],
    [Buffer.from("# \u20ac caf\xe9 au lait", "latin1"), "1:3 ", /^byte 0xac/],
    [Buffer.from("# caf\xe9 au lait \xe0 Orl\xe9ans", "latin1"), "1:6 ", /^byte 0xe9/],
    [Buffer.concat([bytes("# "), Buffer.from([0xc3])]), "1:3 ", /half a character|0xc3/],
    [Buffer.from([0xff, 0xfe, 0x61, 0]), "1:1 ", /UTF-16/],
    [Buffer.from([0xfe, 0xff, 0, 0x61]), "1:1 ", /UTF-16/],
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

test("a byte order mark, CRLF and astral characters do not shift positions", async () => {
  const mistakes = await refused('\ufeff# 🎬\r\n[global]\r\n"🎬" = 1 # x\r\nx = "🎬"\r\n');
  assert.deepEqual(mistakes.map(where), ['3:1 global."🎬"', "4:1 global.x"]);
  const yaml = await refused('\ufeff# 🎬\r\nglobal:\r\n  "🎬": 1\r\n  x: "🎬"\r\n', "config.yaml");
  assert.deepEqual(yaml.map(where), ['3:3 global."🎬"', "4:3 global.x"]);
});

test("keys and values cannot control a terminal", async () => {
  const text = '[global]\n"\\u001b[2J\\u202e" = 1\nshares_root = "\\u001b[31m\\u009b"\n';
  const mistakes = await refused(text);
  assert.doesNotMatch(describeMistakes(mistakes).replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
});

test("YAML anchors and merge keys work, with the mapping's own keys taking precedence", async () => {
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
  assertEach(config.shares, ({ name, username }) => `${name} ${username}`, ["A x", "B x", "C y"]);
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

test("an anchor behind an alias does not replace a newer one of its name", async () => {
  const text = "sync: &s {debounce: &d 1}\nother: &d 2\nagain: *s\nlast: *d\n";
  assert.deepEqual({ ...Object(await textValues(text, "yaml")) }["last"], 2);
});

test("YAML that is not a single mapping is refused", async () => {
  const table: [string, RegExp][] = [
    ["global: {}\n---\nshares: []\n", /second document/],
    ["- a\n", /list/],
    ["text\n", /single value/],
    ["a: *x\n", /alias to nothing/],
    ["a: &a [*a]\n", /part of/],
    ["? {a: 1}\n: 2\n", /not a text/],
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

test("a password in front of a share's name is not repeated", async () => {
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
