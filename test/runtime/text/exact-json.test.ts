import assert from "node:assert/strict";
import { test } from "node:test";
import { isRawNumber, parseExactly } from "../../../src/runtime/text/exact-json.ts";

const again = (text: string): string => JSON.stringify(parseExactly(text));

test("numbers that a double cannot hold are written as they came", () => {
  for (const number of [
    "9007199254740993",
    "-12345678901234567890",
    "0.1234567890123456789012345",
    "1e400",
    "-2.5E-999",
    "-1.2345678e-320",
    "7e-324",
    "123456789012345678901234567890.5",
  ]) {
    const text = `{"result":{"content":[{"id":${number}}]}}`;
    assert.equal(again(text), text);
  }
});

test("every number is written as it came, whatever numbers are before it", () => {
  const exact = ["0.30000000000000004", "-1.2345678901234567e+300", "1234567890123456", "5e-324", "7"];
  const inexact = [
    "-0.1234567890123456789",
    "1.2345678901234567890e19",
    "12e400",
    "1e0000000000000001",
    "0.00000000000000000000000000001",
    "1234567890123456.0",
  ];
  for (const number of inexact) {
    const text = `[${exact.join()},${number},"1234567890123456789",${exact.join()}]`;
    assert.equal(again(text), text);
  }
});

test("all else is what the plain parser gives", () => {
  for (const text of [
    '{"a":1,"b":[1.5,-3,1e3,null,true],"c":"1234567890123456789 1e999"}',
    '{"a":9007199254740991,"b":1234567890123456,"c":0.30000000000000004}',
    '"12345678901234567890"',
    "[]",
    '{"__proto__":{"x":12345678901234567000},"constructor":1}',
  ]) {
    assert.deepEqual(parseExactly(text), JSON.parse(text));
  }
});

test("ids and progress tokens of messages keep their digits, too", () => {
  const message =
    '{"jsonrpc":"2.0","id":12345678901234567890,"params":{"_meta":{"progressToken":12345678901234567890}}}';
  for (const text of [message, `[1,${message}]`, "12345678901234567890"]) assert.equal(again(text), text);
  assert.ok(isRawNumber(parseExactly("12345678901234567890")));
  assert.ok(!isRawNumber(parseExactly("1234567890123456")));
  assert.ok(!isRawNumber({ rawJSON: "1" }));
});

test("what is no JSON is a SyntaxError, with long numbers, too", () => {
  for (const text of ["", "{", "12345678901234567890x", '{"a":1234567890123456789012,}'])
    assert.throws(() => parseExactly(text), SyntaxError);
});

test("a message of any depth is read, if not exactly", () => {
  const depth = 200_000;
  const text = `${"[".repeat(depth)}12345678901234567890${"]".repeat(depth)}`;
  assert.ok(Array.isArray(parseExactly(text)));
});
