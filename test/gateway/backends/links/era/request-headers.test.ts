import assert from "node:assert/strict";
import { test } from "node:test";
import {
  headerArguments,
  requestHeaders,
} from "../../../../../src/gateway/backends/links/era/request-headers.ts";

const marked = (name: unknown, type: unknown = "string") => ({ type, "x-mcp-header": name });
const schema = (properties: object, more: object = {}) => ({ type: "object", properties, ...more });

test("D2 arguments that go into headers are found at any depth of properties", () => {
  const inner = schema({ c: marked("C-d", "boolean") });
  assert.deepEqual(headerArguments(schema({ a: marked("A"), b: inner, plain: { type: "string" } })), [
    { name: "A", path: ["a"] },
    { name: "C-d", path: ["b", "c"] },
  ]);
  assert.deepEqual(headerArguments(undefined), []);
  assert.deepEqual(headerArguments(schema({ "x-mcp-header": { type: "string" } })), []);
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
    [schema({}, { $defs: { d: marked("A") } }), /not on a plain property/],
    [{ ...schema({}), "x-mcp-header": "A" }, /the schema itself is not on a plain property/],
  ];
  for (const [given, expected] of faults) {
    const found = headerArguments(given);
    assert.match("fault" in found ? found.fault : "valid", expected);
  }
});

test("D2 the headers of a request name its method and its target", () => {
  assert.deepEqual(requestHeaders("tools/list", undefined, []), {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/list",
  });
  assert.equal(requestHeaders("prompts/get", { name: "p" }, [])["mcp-name"], "p");
  assert.equal(requestHeaders("resources/read", { uri: "a://b", name: "n" }, [])["mcp-name"], "a://b");
  assert.equal(requestHeaders("tasks/get", { taskId: "t1" }, [])["mcp-name"], "t1");
});

test("D2 arguments are headers where they are text, whole numbers or yes and no", () => {
  const wanted = ["text", "count", "yes", "list", "none", "gone", "part"].map((name) => ({
    name,
    path: [name],
  }));
  const args = { text: "a", count: 3, yes: false, list: [1], none: null, part: 1.5 };
  const {
    "mcp-method": _m,
    "mcp-protocol-version": _v,
    ...headers
  } = requestHeaders("tools/call", { name: "t", arguments: args }, wanted);
  assert.deepEqual(headers, {
    "mcp-name": "t",
    "mcp-param-text": "a",
    "mcp-param-count": "3",
    "mcp-param-yes": "false",
  });
});
