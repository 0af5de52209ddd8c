// Files as texts: syntax, encoding, YAML's own means, and what of a text is never shown.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../../../src/config/read/load.ts";
import { describeMistakes } from "../../../src/config/values/mistakes.ts";
import { assertEach } from "../../support/assert-each.ts";
import { accepted, bytes, PLACE, refused, SHARE, where } from "../support.ts";

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
  assertEach(mistakes, ({ line, found }) => `${line} ${found}`, ["3 a string without an end"]);
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

test("a slip in YAML is told where it begins", async () => {
  const [slip] = await refused("a:\n  b: &x &twice 1\n", "config.yaml");
  assert.deepEqual([slip?.line, slip?.column], [2, 9]);
});

test("an alias bomb is refused, quickly", async () => {
  const levels = [..."bcdefghij"].map(
    (name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghi"[index]}`).join()}]`,
  );
  // Unfolded it would be 3.5 thousand million values, which no machine holds: to come back at all is to be quick.
  const mistakes = await refused(`a: &a [x,x,x,x,x,x,x,x,x]\n${levels.join("\n")}\n`, "config.yaml");
  assert.ok(mistakes.some(({ found }) => /unfold/.test(found)));
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
