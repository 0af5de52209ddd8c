import assert from "node:assert/strict";
import { test } from "node:test";
import { hostKey, hostText, parseHost } from "../../src/config/values/host.ts";
import {
  nameKey,
  parseInterfaceName,
  parseServerShareName,
  parseShareName,
  parseSubpath,
  parseUserName,
} from "../../src/config/values/names.ts";
import { expandPath, isWithin, parsePath } from "../../src/config/values/paths.ts";

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

test("what is no host is refused with a reason", () => {
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

test("what stands before an @ is not repeated, since it may be a password", () => {
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

test("a host reads back as it is written, the port only where it is not 445", () => {
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

test("names are kept in Unicode form NFC", () => {
  assert.deepEqual(parseShareName("Bu\u0308ro"), { ok: true, value: "Büro" });
});

test("names that a case-insensitive file system takes for one have one key", () => {
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

test("user names may carry a domain, and no reference", () => {
  for (const name of ["ann", "OFFICE\\ann", "ann@office.example"]) assert.ok(parseUserName(name).ok);
  for (const name of ["", "a\nb", "x".repeat(257), "${USER}"]) assert.ok(!parseUserName(name).ok);
});

test("interface names are the system's", () => {
  for (const name of ["en5", "bridge0", "eth0.100", "wlp2s0", "br-lan"])
    assert.ok(parseInterfaceName(name).ok);
  for (const name of ["", "a b", "a/b", "abcdefghijklmnop", "..", "a\0"])
    assert.ok(!parseInterfaceName(name).ok);
});

test("a way into a share has no slash around it, and leads nowhere else", () => {
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
  ])
    assert.equal(read(wrong), null, JSON.stringify(wrong));
  assert.equal(read(long.slice(1)), long.slice(1));
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

test("a path lies within itself and its ancestors, not within its neighbours", () => {
  assert.ok(isWithin("/a", "/a"));
  assert.ok(isWithin("/a/b", "/a"));
  assert.ok(isWithin("/a/..b", "/a"));
  assert.ok(!isWithin("/ab", "/a"));
  assert.ok(!isWithin("/a", "/a/b"));
});
