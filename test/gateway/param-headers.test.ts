// Arguments in headers: which are, and how their values are written and compared.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  decodeHeader,
  encodeHeader,
  paramHeadersOf,
  paramText,
  saysSame,
} from "../../src/gateway/param-headers.ts";

const header = (type: string, name: unknown = "X"): object => ({ type, "x-mcp-header": name });

describe("D1 arguments in headers", () => {
  it("are found through properties at any depth; one wrong declaration spoils all", () => {
    const inputSchema = {
      properties: { a: header("string", "A"), deep: { properties: { b: header("integer", "B-b") } } },
      items: header("string", "Elsewhere"),
    };
    assert.deepEqual(paramHeadersOf(inputSchema), [
      { path: ["a"], header: "Mcp-Param-A", type: "string" },
      { path: ["deep", "b"], header: "Mcp-Param-B-b", type: "integer" },
    ]);
    assert.deepEqual(paramHeadersOf({}), []);
    for (const wrong of [
      header("object"),
      header("string", ""),
      header("string", "a b"),
      header("string", 1),
      { "x-mcp-header": "X" },
    ]) {
      assert.equal(paramHeadersOf({ properties: { wrong } }), null, JSON.stringify(wrong));
    }
    assert.equal(
      paramHeadersOf({ properties: { a: header("string", "X"), b: header("string", "x") } }),
      null,
    );
    assert.equal(paramHeadersOf(header("string")), null);
  });

  it("have a text where they are plain values", () => {
    const [declared] = paramHeadersOf({ properties: { o: { properties: { x: header("string") } } } }) ?? [];
    assert.ok(declared !== undefined);
    const textOf = (x: unknown): unknown => paramText({ o: { x } }, declared);
    assert.deepEqual(["a", true, 3, -0.5].map(textOf), ["a", "true", "3", "-0.5"]);
    assert.deepEqual([null, {}, [], undefined, 2 ** 60, Number.NaN].map(textOf), Array(6).fill(null));
    assert.equal(paramText(undefined, declared), null);
    assert.equal(paramText({ o: 1 }, declared), null);
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
