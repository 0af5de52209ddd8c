import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isUnclear, otherSpellings } from "../../../src/gateway/catalog/uri-template.ts";

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
      // Escaped three times over: nobody honest does that, whatever comes out.
      "x://a/%252541",
      "file:///a/.\t./b",
      "file:///a/..\n/b",
      "file:///se\rcret",
      " file:///a",
      "file:///a ",
    ]) {
      assert.ok(isUnclear(uri), uri);
    }
    for (const uri of [
      "file:///a/b.txt",
      "file:///.hidden",
      "file:///a/...",
      "a..b:c",
      "u:100%",
      "u:1.2.",
      "x://a/%2541",
      "x://a/%20",
    ]) {
      assert.ok(!isUnclear(uri), uri);
    }
  });

  test("others are without escapes, as the URL standard writes it, and without empty segments", () => {
    assert.deepEqual(otherSpellings("file:///a/b.txt"), []);
    assert.deepEqual(otherSpellings("test://Host/x"), []);
    assert.deepEqual(otherSpellings("u:100%"), []);
    assert.deepEqual(otherSpellings("no scheme"), []);
    for (const [uri, meant] of [
      ["FILE:///My%20Docs/%C3%A9", "file:///My Docs/é"],
      ["file:///%ff%41", "file:///%ffA"],
      ["http://EXAMPLE.com/a", "http://example.com/a"],
      ["http://example.com:80/a", "http://example.com/a"],
      ["http:example.com/a", "http://example.com/a"],
      ["http:\\\\example.com\\a", "http://example.com/a"],
      ["file://localhost/a", "file:///a"],
      ["file:/a", "file:///a"],
      ["file:////a//b", "file:///a/b"],
      ["file:///%2Fa", "file:///a"],
      ["test://h//a", "test://h/a"],
      ["test:a//b", "test:a/b"],
    ] as const) {
      assert.ok(otherSpellings(uri).includes(meant), `${uri}: ${otherSpellings(uri).join(" ")}`);
    }
  });
});
