import assert from "node:assert/strict";
import { test } from "node:test";
import {
  nameKey,
  parseInterfaceName,
  parseServerShareName,
  parseShareName,
  parseSubpath,
  parseUserName,
} from "../../src/config/values/names.ts";

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
