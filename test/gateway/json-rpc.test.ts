import assert from "node:assert/strict";
import { test } from "node:test";
import { classifyMessage } from "../../src/gateway/json-rpc.ts";
import { parseExactly } from "../../src/runtime/text/exact-json.ts";

const LONG = "12345678901234567890";
const read = (text: string) => classifyMessage(parseExactly(text));

test("a long number is no object, as a short one is none", () => {
  for (const number of ["5", LONG]) {
    for (const text of [
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":${number}}`,
      `{"jsonrpc":"2.0","method":"x","params":${number}}`,
      `{"jsonrpc":"2.0","id":1,"result":${number}}`,
      `{"jsonrpc":"2.0","id":1,"error":${number}}`,
      number,
    ]) {
      assert.equal(read(text).kind, "invalid", text);
    }
  }
});

test("a long number is an id", () => {
  const seen = read(`{"jsonrpc":"2.0","id":${LONG},"method":"ping"}`);
  assert.equal(seen.kind, "request");
  assert.ok(seen.kind === "request" && JSON.stringify(seen.message.id) === LONG);
});
