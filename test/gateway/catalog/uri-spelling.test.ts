import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasDotSegments, plainSpelling } from "../../../src/gateway/catalog/uri-spelling.ts";

describe("spellings of a URI", () => {
  test("steps up or in place are seen, plain or escaped", () => {
    for (const uri of [
      "file:///a/../b",
      "file:///a/..",
      "file:///a/./b",
      "file:..",
      "x:a\\..\\b",
      "file:///a/..?q",
      "file:///a/%2e%2E/b",
      "file:///a%2F..%2fb",
      "file:///a/%252e%252e/b",
      "file:///%25252525252e",
      "file:///%ff/%2e./b",
    ]) {
      assert.ok(hasDotSegments(uri), uri);
    }
    for (const uri of [
      "file:///a/b.txt",
      "file:///.hidden",
      "file:///a/...",
      "a..b:c",
      "u:100%",
      "u:1.2.",
      "x://a/%20",
    ]) {
      assert.ok(!hasDotSegments(uri), uri);
    }
  });

  test("the plain one has no escapes and a scheme in lower case", () => {
    assert.equal(plainSpelling("FILE:///My%20Docs/%C3%A9"), "file:///My Docs/é");
    assert.equal(plainSpelling("file:///%ff%41"), "file:///%ffA");
    assert.equal(plainSpelling("no scheme"), "no scheme");
    assert.equal(plainSpelling("u:100%"), "u:100%");
  });
});
