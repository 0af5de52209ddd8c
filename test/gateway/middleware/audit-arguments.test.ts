import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compileGlobs } from "../../../src/gateway/catalog/glob.ts";
import { auditedArguments } from "../../../src/gateway/middleware/audit-arguments.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import { fc } from "../../support/properties.ts";

const same = (text: string): string => text;
const never = (): boolean => false;

describe("arguments for the file", () => {
  test("small ones are written as they are", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const plain: unknown = JSON.parse(JSON.stringify(value));
        assert.deepEqual(auditedArguments(plain, never, same), plain);
      }),
      { numRuns: 200 },
    );
  });

  test("a redacted name hides all that is below it, at any depth, by its key or its path", () => {
    const isRedacted = compileGlobs(["*token*", "auth.user"]);
    assert.deepEqual(
      auditedArguments(
        { apiToken: { deep: 1 }, auth: { user: "u", host: "h" }, user: "seen", list: [{ TOKEN: 1, x: 2 }] },
        isRedacted,
        same,
      ),
      {
        apiToken: "[redacted]",
        auth: { user: "[redacted]", host: "h" },
        user: "seen",
        list: [{ TOKEN: "[redacted]", x: 2 }],
      },
    );
  });

  test("a long number keeps its digits", () => {
    const given = parseExactly('{"n":12345678901234567890}');
    assert.equal(JSON.stringify(auditedArguments(given, never, same)), '{"n":12345678901234567890}');
  });

  test("a key that every object inherits is written like others", () => {
    const given: unknown = JSON.parse('{"__proto__": {"a": 1}, "constructor": 2}');
    assert.equal(
      JSON.stringify(auditedArguments(given, never, same)),
      '{"__proto__":{"a":1},"constructor":2}',
    );
  });

  test("whatever its size and depth, what is written is bounded", () => {
    let deep: unknown = "end";
    for (let level = 0; level < 10_000; level++) deep = [deep];
    const wide = Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`k${index}`, index]));
    for (const value of [
      deep,
      wide,
      "x".repeat(10_000_000),
      Array(100_000).fill("abc"),
      Array(9).fill("y".repeat(9_000)),
      parseExactly("7".repeat(1_000_000)),
      Array.from({ length: 50 }, (_, index) => parseExactly(`${index + 1}${"7".repeat(1_000)}`)),
    ]) {
      const text = JSON.stringify(auditedArguments(value, never, same));
      assert.ok(text.length < 64 * 1024, String(text.length));
      assert.match(text, /\[cut\]/);
    }
  });

  test("no secret is halved into view at a cut", () => {
    const secret = "0123456789".repeat(10);
    const clean = (text: string): string => text.replaceAll(secret, "[redacted]");
    const text = JSON.stringify(auditedArguments(`${"x".repeat(4_050)}${secret}`, never, clean));
    assert.doesNotMatch(text, /0123/);
  });
});
