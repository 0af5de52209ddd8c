// JSON from elsewhere: each text is read for itself, whatever was read before it.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseJson } from "../../../src/runtime/text/parse-json.ts";

const KEYS = ["a", "C:\\", "C:\\\\", "C:\\a", '"', "\n", "é", "__proto__", "toJSON", "0", "k0", ""];
const json = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(0, -1.5e-3, null, true, "\\", '":', "{", "a\nb"),
    fc.array(tie("value"), { maxLength: 4 }),
    fc
      .array(fc.tuple(fc.constantFrom(...KEYS), tie("value")), { maxLength: 5 })
      .map((entries) => Object.fromEntries(entries)),
  ),
})).value;

test("E2 a text is read the same after any other text", () => {
  fc.assert(
    fc.property(json, (value) => {
      const text = JSON.stringify(value);
      assert.equal(JSON.stringify(parseJson(text)), text);
    }),
  );
});

test("E2 a key keeps its name after another person's text had a longer one", () => {
  const keys = (text: string): string[] => Object.keys(Object(parseJson(text)));
  assert.deepEqual(keys(String.raw`{"root":1,"C:\\a":1}`), ["root", "C:\\a"]);
  assert.deepEqual(keys(String.raw`{"root":1,"C:\\\\":1}`), ["root", "C:\\\\"]);
  assert.deepEqual(keys(String.raw`{"root":1,"C:\\a":1}`), ["root", "C:\\a"]);
});

test("E2 a control character that is not escaped is refused in a key, whatever the other keys are", () => {
  for (const key of ["\t", "a\n", "\u0000", "\u001f"])
    for (const other of ["b", String.raw`\u0062`])
      assert.throws(() => parseJson(`{"${other}":1,"${key}":2}`), SyntaxError, JSON.stringify([other, key]));
  assert.deepEqual(parseJson(String.raw`{"\u0062":1,"\t]":2}`), { b: 1, "\t]": 2 });
});

test("E2 among equal keys the last one counts, however each is written", () => {
  const cases: readonly (readonly [text: string, value: unknown])[] = [
    [String.raw`{"a":1,"\u0061":2}`, { a: 2 }],
    [String.raw`{"\u0061":1,"a":2}`, { a: 2 }],
    [String.raw`{"a":1,"\u0061":2,"a":3,"b":4}`, { a: 3, b: 4 }],
    [String.raw`{"x":{"\u0061":1,"k0":2},"k0":3,"2":0,"1":0}`, { 1: 0, 2: 0, x: { a: 1, k0: 2 }, k0: 3 }],
  ];
  for (const [text, value] of cases)
    assert.equal(JSON.stringify(parseJson(text)), JSON.stringify(value), text);
  const own = Object(parseJson(String.raw`{"\u005f_proto__":{"a":1}}`));
  assert.deepEqual([Object.keys(own), Object.getPrototypeOf(own)], [["__proto__"], Object.prototype]);
});

test("a text that is not JSON is refused, even with a backslash in a key", () => {
  for (const text of [
    "",
    "{",
    '{"\\q":1}',
    '{"\\u0061":}',
    '["\\u0061":1]',
    '{"\\n":1',
    '{"\\":1}',
    '{"\\n" "a":1}',
  ])
    assert.throws(() => parseJson(text), SyntaxError, text);
});
