import assert from "node:assert/strict";
import { resolve } from "node:path";
import { describe, test } from "node:test";
import { sanitise } from "../../../src/gateway/middleware/sanitise.ts";

describe("texts for clients", () => {
  test("are one line of at most 2,000 characters, harmless to a terminal", () => {
    assert.equal(sanitise("broken\n    at call (/x/y.ts:1:2)"), "broken");
    assert.equal(sanitise("a\u001b[31mb"), "a\\x1b[31mb");
    assert.equal(sanitise("x".repeat(1_000_000)).length, 2_000);
    assert.equal(sanitise("\u0007".repeat(5_000)).length, 2_000);
  });

  test("hold no secret, not even half of one at the cut, nor where we are installed", () => {
    const secret = "s3cret".repeat(10);
    const clean = (text: string): string => text.replaceAll(secret, "[redacted]");
    assert.doesNotMatch(sanitise(`${"x".repeat(1_980)}${secret}`, clean), /s3cret/);
    const here = resolve(import.meta.dirname, "../../..");
    assert.equal(sanitise(`cannot read ${here}/src/x.ts`), "cannot read src/x.ts");
  });
});
