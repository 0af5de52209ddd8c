// When a token for HTTP clients is made with a server, and of what.
import assert from "node:assert/strict";
import { test } from "node:test";
import { newToken, wantsToken } from "../../../src/config/edit/gateway-token.ts";

test("E1 a token is made where none can be lost", () => {
  const wish = (change: Partial<Parameters<typeof wantsToken>[0]>) =>
    wantsToken({ requested: null, text: "", hasBackend: false, addsBackend: true, ...change });
  assert.equal(wish({}), true);
  assert.equal(wish({ addsBackend: false }), false);
  assert.equal(wish({ hasBackend: true }), false);
  assert.equal(wish({ hasBackend: true, requested: true }), true);
  assert.equal(wish({ requested: false }), false);
  for (const text of [
    "[incoming_auth]\n",
    "a = 1\n  [[incoming_auth.users]]",
    'incoming_auth.type = "x"',
    "incoming_auth:\n",
  ]) {
    assert.equal(wish({ text }), false, text);
    assert.throws(() => wish({ requested: true, text }), { code: "usage" }, text);
  }
  assert.equal(wish({ text: "# [incoming_auth]\n" }), true);
});

test("E1 a token has 256 bits, and no two are equal", () => {
  assert.match(newToken(), /^[\w-]{43}$/);
  assert.notEqual(newToken(), newToken());
});
