import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isJsonObject, type JsonObject } from "../../../src/gateway/json-rpc.ts";
import { compileArguments } from "../../../src/gateway/middleware/argument-patterns.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { fc } from "../../support/properties.ts";

const inSrv = { path: ["/srv/*"] };
const allows = (patterns: Record<string, string[]>, given: unknown): boolean =>
  compileArguments(patterns, true)(given);
const forbids = (patterns: Record<string, string[]>, given: unknown): boolean =>
  compileArguments(patterns, false)(given);

describe("patterns over arguments", () => {
  const VALUES: readonly (readonly [value: unknown, allowed: boolean, forbidden: boolean])[] = [
    ["/srv/a", true, true],
    ["/srv/deep/a b.txt", true, true],
    ["/etc/passwd", false, false],
    ["/srv", false, false],
    ["/srv/../etc/passwd", false, true],
    ["/srv/%2e%2e/etc/passwd", false, true],
    ["/srv/.\u0000./x", false, true],
    ["//srv//a", false, true],
    ["/srv//a", true, true],
    ["/%73rv/a", false, true],
    [["/srv/a", "/srv/b"], true, true],
    [["/srv/a", "/etc/b"], false, true],
    [["/etc/a"], false, false],
    [[], false, false],
    [{ deep: "/srv/a" }, false, true],
    [null, false, false],
    [undefined, false, false],
    [5, false, false],
    [`/srv/${"x".repeat(20_000)}`, false, true],
    [Array.from({ length: 2_000 }, () => "/srv/a"), false, true],
  ];
  for (const [value, allowed, forbidden] of VALUES) {
    const shown = JSON.stringify(value)?.slice(0, 40) ?? "nothing";
    test(`E2 ${shown}: what allows fits ${allowed}, what forbids fits ${forbidden}`, () => {
      assert.equal(allows(inSrv, { path: value }), allowed);
      assert.equal(forbids(inSrv, { path: value }), forbidden);
    });
  }

  test("E2 without a slash a pattern is over the text as it is: dots and lines mean nothing", () => {
    assert.ok(allows({ query: ["SELECT *"] }, { query: "SELECT a\nFROM t" }));
    assert.ok(allows({ branch: ["main", "fix-*"] }, { branch: "fix-1" }));
    assert.ok(!allows({ branch: ["main", "fix-*"] }, { branch: "other" }));
    assert.ok(allows({ anything: ["*"] }, { anything: { deep: ["/../", null] } }));
    assert.ok(!allows({ anything: ["*"] }, {}));
  });

  test("E2 numbers, flags and digits beyond a double are compared as they are written", () => {
    assert.ok(allows({ n: ["5", "true", "null"] }, { n: 5 }));
    assert.ok(allows({ n: ["5", "true", "null"] }, { n: true }));
    const given = parseExactly('{"n":12345678901234567890}');
    assert.ok(isJsonObject(given));
    assert.ok(allows({ n: ["12345678901234567890"] }, given));
    assert.ok(!allows({ n: ["12345678901234567891"] }, given));
  });

  test("E2 all arguments that are named must fit; a dotted name leads within, unless one is called that", () => {
    const both = { path: ["/srv/*"], mode: ["r"] };
    assert.ok(allows(both, { path: "/srv/a", mode: "r", other: 1 }));
    assert.ok(!allows(both, { path: "/srv/a" }));
    assert.ok(allows({ "options.mode": ["r"] }, { options: { mode: "r" } }));
    assert.ok(!allows({ "options.mode": ["r"] }, { options: { mode: "r" }, "options.mode": "w" }));
    for (const given of [
      undefined,
      null,
      [],
      "text",
      { options: "x" },
      Object.create({ options: { mode: "r" } }),
    ]) {
      assert.ok(!allows({ "options.mode": ["r"] }, given));
    }
    assert.ok(!allows({ constructor: ["*"] }, {}));
  });

  test("E2 what forbids sees a value wherever the server may read it: under both names, and in lists", () => {
    const deep = { "options.path": ["/etc/*"] };
    assert.ok(forbids(deep, { "options.path": "/srv/a", options: { path: "/etc/passwd" } }));
    assert.ok(forbids(deep, { "options.path": "/etc/passwd", options: { path: "/srv/a" } }));
    assert.ok(forbids(deep, { options: [{ path: "/srv/a" }, { path: "/etc/passwd" }] }));
    assert.ok(!forbids(deep, { options: [{ path: "/srv/a" }, [], null, "/etc/passwd"] }));
    for (const given of ["text", 5, [{ path: "/etc/passwd" }]])
      assert.ok(forbids({ path: ["/etc/*"] }, given));
    for (const given of [undefined, null, {}]) assert.ok(!forbids({ path: ["/etc/*"] }, given));
    const within = { "options.path": ["/srv/*"] };
    assert.ok(allows(within, { "options.path": "/srv/a", options: { path: "/srv/b" } }));
    assert.ok(!allows(within, { "options.path": "/srv/a", options: { path: "/etc/passwd" } }));
    assert.ok(!allows(within, { options: [{ path: "/srv/a" }, {}] }), "one that has none might take any");
  });

  test("E2 whatever a value is: what allowing takes, forbidding the same takes, too", () => {
    const segment = fc.constantFrom("srv", "..", ".", "a", "%2e", "", "\\", "~", "etc");
    const path = fc.array(segment, { maxLength: 6 }).map((parts) => `/${parts.join("/")}`);
    const value = fc.oneof(path, fc.array(path, { maxLength: 3 }), fc.jsonValue({ maxDepth: 2 }));
    fc.assert(
      fc.property(value, (one) => {
        const given: JsonObject = { path: one };
        if (allows(inSrv, given)) {
          assert.ok(forbids(inSrv, given));
          for (const text of [one].flat()) assert.doesNotMatch(String(text), /\/\.\.(\/|$)/u);
        }
      }),
    );
  });
});
