import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonText, valueText } from "../../../src/cli/edits/config-value-text.ts";

test("texts are bare, everything else is as TOML writes it", () => {
  assert.equal(valueText('a "b"'), 'a "b"');
  assert.equal(valueText(0.5), "0.5");
  assert.equal(valueText(true), "true");
  assert.equal(valueText([1, "b"]), '[1, "b"]');
});

test("JSON keeps whole numbers that it can, and spells out those that readers would round", () => {
  assert.equal(jsonText({ a: 5n, b: 2n ** 60n }), '{\n  "a": 5,\n  "b": "1152921504606846976"\n}\n');
});
