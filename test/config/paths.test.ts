import assert from "node:assert/strict";
import { test } from "node:test";
import { expandPath, isWithin, parsePath } from "../../src/config/values/paths.ts";

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
