import assert from "node:assert/strict";
import { test } from "node:test";
import { requestHeaders } from "../../../../../src/gateway/backends/links/era/older-form.ts";
import { parseExactly } from "../../../../../src/runtime/text/exact-json.ts";

test("D2 the headers of a request name its method and its target", () => {
  assert.deepEqual(requestHeaders("tools/list", undefined, []), {
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/list",
  });
  assert.equal(requestHeaders("prompts/get", { name: "p" }, [])["mcp-name"], "p");
  assert.equal(requestHeaders("resources/read", { uri: "a://b", name: "n" }, [])["mcp-name"], "a://b");
  for (const method of ["tasks/get", "tasks/update", "tasks/cancel"])
    assert.equal(requestHeaders(method, { taskId: "t1" }, [])["mcp-name"], "t1");
});

test("D2 arguments are headers where they are text, numbers or yes and no, as servers check them", () => {
  const wanted = ["text", "count", "yes", "list", "none", "gone", "part", "long"].map((name) => ({
    header: `Mcp-Param-${name}`,
    path: [name],
  }));
  const long = parseExactly("12345678901234567890");
  const args = { text: "a", count: 3, yes: false, list: [1], none: null, part: 1.5, long };
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
    "mcp-param-part": "1.5",
    "mcp-param-long": "12345678901234567890",
  });
});
