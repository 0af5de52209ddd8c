import assert from "node:assert/strict";
import { test } from "node:test";
import { exitCodeOfError, failureText } from "../../src/cli/failure.ts";
import { ERROR_CODES, MountaineerError } from "../../src/runtime/errors.ts";

const style = { width: 80, color: false, unicode: false };

test("a failure is one line, and a hint if there is one", () => {
  const error = new MountaineerError("lock_held", "somebody changes this home", { hint: "wait\x1b" });
  assert.equal(
    failureText(error, { style, debug: false }),
    "mountaineer: somebody changes this home\n  hint: wait\\x1b\n",
  );
  assert.equal(
    failureText(new MountaineerError("internal", "x"), { style, debug: false }),
    "mountaineer: x\n",
  );
});

test("a message of several lines, such as a config's mistakes, keeps them", () => {
  const error = new MountaineerError("config_invalid", "2 mistakes\n/c.toml:1:2 a\n/c.toml:3:4 b");
  assert.equal(
    failureText(error, { style, debug: false }),
    "mountaineer: 2 mistakes\n  /c.toml:1:2 a\n  /c.toml:3:4 b\n",
  );
});

test("what is no error of ours is a mistake in Mountaineer, with its stack only when debugging", () => {
  const error = new TypeError("x is undefined", { cause: new Error("deeper") });
  const text = failureText(error, { style, debug: false });
  assert.match(text, /^mountaineer: internal error: x is undefined\n {2}hint: .*MOUNTAINEER_DEBUG=1.*\n$/);
  const debugged = failureText(error, { style, debug: true });
  assert.match(debugged, /TypeError: x is undefined\n {6}at /);
  assert.match(debugged, /Error: deeper\n/);
  assert.match(failureText("thrown text", { style, debug: true }), /internal error: thrown text/);
});

test("what the machine refuses is told as it is, and is no mistake to report", () => {
  const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  assert.equal(
    failureText(full, { style, debug: false }),
    "mountaineer: ENOSPC: no space left on device, write\n",
  );
  assert.equal(exitCodeOfError(full), 1);
  const odd = Object.assign(new Error("ERR_INVALID_ARG_TYPE"), { code: "ERR_INVALID_ARG_TYPE" });
  assert.match(failureText(odd, { style, debug: false }), /internal error/);
  assert.equal(exitCodeOfError(odd), 70);
});

test("an error ends a command with its code's exit code, and anything else with 70", () => {
  for (const [code, { exit }] of Object.entries(ERROR_CODES)) {
    assert.equal(exitCodeOfError(new MountaineerError(code as keyof typeof ERROR_CODES, "")), exit, code);
  }
  assert.equal(exitCodeOfError(new TypeError("x")), 70);
});
