import assert from "node:assert/strict";
import { test } from "node:test";
import { createLineCleaner } from "../../../../src/gateway/backends/links/backend-link.ts";

test("colours go, other control characters are spelled out, secrets are replaced in every spelling", () => {
  const clean = createLineCleaner(['a"b/c']);
  assert.equal(clean("\u001b[1;31mred\u001b[0m \u0007 \u202e"), "red \\x07 \\u{202e}");
  assert.equal(clean('x a"b/c y {"k":"a\\"b/c"} a%22b%2Fc'), 'x [redacted] y {"k":"[redacted]"} [redacted]');
});

test("a long text is cut, at little cost, and no half secret is left", () => {
  const clean = createLineCleaner(["s3cret"]);
  assert.equal(clean("x".repeat(5_000)), `${"x".repeat(4_096)}…`);
  assert.doesNotMatch(clean(`${"x".repeat(4_090)}s3cret${"y".repeat(100)}`), /s3c/);
  // All of these are taken out, so that what follows would be seen if it were looked at.
  assert.equal(clean(`${"\u001b[0m".repeat(10)}seen`), "seen");
  assert.equal(clean(`${"\u001b[0m".repeat(64 * 1024)}seen`), "");
});
