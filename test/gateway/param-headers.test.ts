// Arguments in headers: which are, and how their values are written and compared.
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import {
  decodeHeader,
  encodeHeader,
  paramHeadersOf,
  paramText,
  paramValue,
  saysSame,
} from "../../src/gateway/param-headers.ts";

const marked = (name: unknown, type: unknown = "string") => ({ type, "x-mcp-header": name });
const schema = (properties: object, more: object = {}) => ({ type: "object", properties, ...more });

test("D2 arguments in headers are found at any depth of properties", () => {
  const inner = schema({ c: marked("C-d", "boolean") });
  assert.deepEqual(paramHeadersOf(schema({ a: marked("A"), b: inner, plain: { type: "string" } })), [
    { path: ["a"], header: "Mcp-Param-A", type: "string" },
    { path: ["b", "c"], header: "Mcp-Param-C-d", type: "boolean" },
  ]);
  assert.deepEqual(paramHeadersOf(undefined), []);
  assert.deepEqual(paramHeadersOf(schema({ "x-mcp-header": { type: "string" } })), []);
});

test("D2 a schema that wants headers in a way that is not valid says why", () => {
  const faults: readonly (readonly [object, RegExp])[] = [
    [schema({ a: marked("") }), /of a is not a valid header name/],
    [schema({ a: marked("x y") }), /not a valid header name/],
    [schema({ a: marked(7) }), /not a valid header name/],
    [schema({ a: marked("A", "object") }), /not on a string/],
    [schema({ a: marked("A", "number") }), /not on a string/],
    [schema({ a: marked("A"), b: marked("a") }), /is a, as that of another property/],
    [schema({ a: { type: "array", items: marked("A") } }), /not on a plain property/],
    [schema({}, { allOf: [schema({ a: marked("A") })] }), /not on a plain property/],
    [schema({}, { items: marked("A") }), /not on a plain property/],
    [schema({}, { $defs: { d: marked("A") } }), /not on a plain property/],
    [{ ...schema({}), "x-mcp-header": "A" }, /the schema itself is not on a plain property/],
  ];
  for (const [given, expected] of faults) {
    const found = paramHeadersOf(given);
    assert.match("fault" in found ? found.fault : "valid", expected);
  }
});

describe("D1 arguments in headers", () => {
  it("have a text where they are plain values", () => {
    assert.deepEqual(["a", true, 3, -0.5].map(paramText), ["a", "true", "3", "-0.5"]);
    assert.deepEqual([null, {}, [], undefined, 2 ** 60, Number.NaN].map(paramText), Array(6).fill(null));
    const given = [{ o: { x: 1 } }, undefined, { o: 1 }, { o: Object.create({ x: 1 }) }];
    assert.deepEqual(
      given.map((args) => paramValue(args, { path: ["o", "x"] })),
      [1, undefined, undefined, undefined],
    );
  });

  it("numbers are compared as numbers, all else as texts", () => {
    const of = (type: "string" | "integer") => ({ path: ["x"], header: "Mcp-Param-X", type });
    assert.equal(saysSame("42.0", "42", of("integer")), true);
    assert.equal(saysSame("42.0", "42", of("string")), false);
    assert.equal(saysSame("0x2a", "42", of("integer")), false);
  });

  it("any text comes through a header as it was", () => {
    const texts = ["", "plain", " spaces ", "tab\tin", "ü", "=?base64?eA==?=", "line\nbreak", "\u0007", "😀"];
    for (const text of texts) {
      const value = encodeHeader(text);
      assert.match(value, /^[\t\x20-\x7e]+$/);
      assert.equal(decodeHeader(` ${value}\t`), text);
    }
    assert.equal(encodeHeader("plain"), "plain");
    for (const wrong of ["=?base64?a?=", "=?base64?/w==?=", "=?base64?YQ= =?="]) {
      assert.equal(decodeHeader(wrong), null, wrong);
    }
  });
});
