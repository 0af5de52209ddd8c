import assert from "node:assert/strict";
import { test } from "node:test";
import { readJson } from "../../../src/api/forms/json-text.ts";
import { fc, runsOf } from "../../support/properties.ts";

const MISTAKES: readonly [text: string, line: number, column: number, expected: RegExp][] = [
  ["", 1, 1, /a value/],
  ['{"a":1,}', 1, 8, /a name in quotes/],
  ["{a: 1}", 1, 2, /a name in quotes/],
  ["{'a': 1}", 1, 2, /a name in quotes/],
  ['{"a" 1}', 1, 6, /a colon/],
  ['{"a": 1 "b": 2}', 1, 9, /a comma or \}/],
  ["[1,2", 1, 5, /a comma or \]/],
  ["[1 2]", 1, 4, /a comma or \]/],
  ["[1,]", 1, 4, /a value/],
  ['{\n  "a": [1,\n 2 3]}', 3, 4, /a comma or \]/],
  ['"a\\q"', 1, 1, /a closed text/],
  ['"two\nlines"', 1, 1, /a closed text/],
  ["tru", 1, 1, /a value/],
  ["True", 1, 1, /a value/],
  ["01", 1, 1, /a value/],
  ["1.", 1, 1, /a value/],
  ["1 2", 1, 3, /nothing more/],
  ["{} }", 1, 4, /nothing more/],
  ['{"é😀": }', 1, 8, /a value/],
  ["[}", 1, 2, /a value or \]/],
  ["[".repeat(100_000), 1, 501, /levels/],
];

test("D1 what is wrong in typed JSON is said by line and column", () => {
  for (const [text, line, column, expected] of MISTAKES) {
    const reading = readJson(text);
    assert.ok(reading.kind === "mistake", text);
    assert.deepEqual([reading.line, reading.column], [line, column], text.slice(0, 40));
    assert.match(reading.expected, expected);
  }
});

test("D1 JSON is read as the parser reads it, and numbers keep their digits", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(0, 2), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      assert.deepEqual(readJson(text), { kind: "value", value: JSON.parse(text) });
    }),
    { numRuns: runsOf(400) },
  );
  const big = readJson('{"id": 12345678901234567890}');
  assert.ok(big.kind === "value");
  assert.equal(JSON.stringify(big.value), '{"id":12345678901234567890}');
});

test("D1 whatever is typed, a mistake is found exactly where the parser finds one, or nowhere", () => {
  const pieces = fc.constantFrom(
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    '"a"',
    '"',
    "1",
    "-",
    "true",
    " ",
    "\n",
    "\\",
    "x",
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
      const text = parts.join("");
      let isJson = true;
      try {
        JSON.parse(text);
      } catch {
        isJson = false;
      }
      assert.equal(readJson(text).kind === "value", isJson, text);
    }),
    { numRuns: runsOf(4_000) },
  );
});
