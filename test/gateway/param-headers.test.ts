// Arguments in headers: which are, and how their values are written and compared.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  decodeHeader,
  encodeHeader,
  paramHeadersOf,
  paramText,
  paramValue,
  saysSame,
} from "../../src/gateway/param-headers.ts";

const header = (name: unknown, type = "string"): object => ({ type, "x-mcp-header": name });
const schema = (properties: object, more: object = {}) => ({ type: "object", properties, ...more });

describe("D1 arguments in headers", () => {
  it("are found through properties at any depth", () => {
    const inner = schema({ b: header("B-b", "integer") });
    const { headers, fault } = paramHeadersOf(
      schema({ a: header("A"), deep: inner, plain: { type: "string" } }),
    );
    assert.deepEqual(headers, [
      { path: ["a"], header: "Mcp-Param-A", type: "string" },
      { path: ["deep", "b"], header: "Mcp-Param-B-b", type: "integer" },
    ]);
    assert.equal(fault, null);
    assert.deepEqual(paramHeadersOf(undefined), { headers: [], fault: null });
    const named = schema({ "x-mcp-header": { type: "string" } });
    assert.deepEqual(paramHeadersOf(named), { headers: [], fault: null });
    const values = schema({ a: { default: header("A"), enum: [header("A")], const: header("A") } });
    assert.deepEqual(paramHeadersOf(values), { headers: [], fault: null });
  });

  it("do not hold when one declaration is wrong, and the fault says which", () => {
    const faults: readonly (readonly [object, RegExp])[] = [
      [schema({ a: header("") }), /of a is not a valid header name/],
      [schema({ a: header("x y") }), /not a valid header name/],
      [schema({ a: header(7) }), /not a valid header name/],
      [schema({ a: header("A", "object") }), /not on a string/],
      [schema({ a: { "x-mcp-header": "A" } }), /not on a string/],
      [schema({ a: header("A"), b: header("a") }), /is a, as that of another property/],
      [schema({ a: { type: "array", items: header("A") } }), /not on a plain property/],
      [schema({}, { allOf: [schema({ a: header("A") })] }), /not on a plain property/],
      [schema({}, { $defs: { d: header("A") } }), /not on a plain property/],
      [{ ...schema({}), "x-mcp-header": "A" }, /the schema itself is not on a plain property/],
    ];
    for (const [given, expected] of faults) {
      const { headers, fault } = paramHeadersOf(given);
      assert.match(fault ?? "valid", expected);
      assert.deepEqual(headers, []);
    }
  });

  it("of numbers are a fault for clients, and servers check them all the same", () => {
    const { headers, fault } = paramHeadersOf(schema({ a: header("A", "number") }));
    assert.match(fault ?? "valid", /of a is not on a string, an integer or a boolean/);
    assert.deepEqual(headers, [{ path: ["a"], header: "Mcp-Param-A", type: "number" }]);
  });

  it("have a text where they are plain values", () => {
    assert.deepEqual(["a", true, 3, -0.5].map(paramText), ["a", "true", "3", "-0.5"]);
    assert.deepEqual([null, {}, [], undefined, 2 ** 60, Number.NaN].map(paramText), Array(6).fill(null));
    const [declared] = paramHeadersOf(schema({ o: schema({ x: header("X") }) })).headers;
    assert.ok(declared !== undefined);
    const given = [{ o: { x: 1 } }, undefined, { o: 1 }, { o: Object.create({ x: 1 }) }];
    assert.deepEqual(
      given.map((args) => paramValue(args, declared)),
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
