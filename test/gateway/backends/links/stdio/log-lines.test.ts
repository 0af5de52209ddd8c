// What is kept of what a program writes, and why it ended.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLineCleaner } from "../../../../../src/gateway/backends/links/backend-link.ts";
import { ExitReason } from "../../../../../src/gateway/backends/links/stdio/log.ts";

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

function reasonOf(...lines: readonly string[]): string | null {
  const reason = new ExitReason();
  for (const line of lines) reason.add(line);
  assert.equal(reason.lastLine, lines.at(-1) ?? null);
  return reason.text;
}

test("the last line tells why a program ended", () => {
  assert.equal(reasonOf(), null);
  assert.equal(reasonOf("ValueError: old", "ValueError: bad key"), "ValueError: bad key");
  assert.equal(reasonOf("Error: an error of a request", "cannot open the index"), "cannot open the index");
});

test("of a Node program it is the error, not the version", () => {
  const end = "Node.js v22.18.0";
  assert.equal(
    reasonOf("TypeError: earlier", "file:///a.mjs:1", "  ^", "Error: no key", "    at a.mjs:1 {", "}", end),
    "Error: no key",
  );
  assert.equal(
    reasonOf("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'", "    at a", end),
    "Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'x'",
  );
  assert.equal(reasonOf("str", end), end);
});

test("of npx it is what went wrong, not where the log is", () => {
  const end = "npm error A complete log of this run can be found in: /home/anna/.npm/_logs/a.log";
  assert.equal(
    reasonOf(
      "npm error code E404",
      "npm error 404 Not Found - GET https://registry.npmjs.org/x - Not found",
      "npm error 404",
      "npm error 404  'x@*' is not in this registry.",
      end,
    ),
    "npm error 404 Not Found - GET https://registry.npmjs.org/x - Not found",
  );
  assert.equal(
    reasonOf(
      "npm ERR! code ENOTFOUND",
      "npm ERR! syscall getaddrinfo",
      "npm ERR! errno ENOTFOUND",
      "npm ERR! network request to https://registry.npmjs.org/x failed",
      "npm ERR! A complete log of this run can be found in:",
    ),
    "npm ERR! network request to https://registry.npmjs.org/x failed",
  );
  assert.equal(reasonOf(end), end);
});
