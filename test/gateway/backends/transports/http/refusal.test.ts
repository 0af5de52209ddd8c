// What an HTTP error status of a server says of the message, and the hint that goes with it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal } from "../../../../../src/gateway/backends/transports/http/refusal.ts";

const refused = (status: number, text: string | null, { path = "/mcp", hadSession = false } = {}) => {
  const target = { origin: "http://nas.local", name: "http://nas.local", path };
  const clean = (said: string): string => said;
  const failure = refusal({ status, text, location: null, id: 1, hadSession, target, clean });
  assert.ok(!("answer" in failure));
  return failure;
};

test("a session is lost by a 404, or a 400 that names it, and only where there was one", () => {
  for (const [status, text, hadSession, kind] of [
    [404, null, true, "session_lost"],
    [410, "Gone", true, "session_lost"],
    [400, "No valid session ID", true, "session_lost"],
    [
      400,
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"unknown SessionId"}}',
      true,
      "session_lost",
    ],
    [400, "bad arguments", true, "refused"],
    [500, "No valid session ID", true, "refused"],
    [400, "No valid session ID", false, "refused"],
    [404, null, false, "refused"],
  ] as const)
    assert.equal(refused(status, text, { hadSession }).kind, kind, `${status} ${text} ${hadSession}`);
});

test("a web page is not told as a server's reason", () => {
  assert.match(refused(502, " <html>Bad gateway</html>").message, /answered HTTP 502$/);
  assert.match(refused(502, "no upstream").message, /answered HTTP 502: no upstream$/);
});

test("an address without a path is doubted only where another path could help", () => {
  for (const [status, path, hint] of [
    [404, "/", /has no path: most servers take http:\/\/nas\.local\/mcp/],
    [501, "/?key=x", /has no path/],
    [404, "/mcp", /must be the server's MCP endpoint/],
    [401, "/", /credentials/],
  ] as const)
    assert.match(String(refused(status, null, { path }).hint), hint, `${status} ${path}`);
  for (const status of [429, 500, 503])
    assert.equal(refused(status, null, { path: "/" }).hint, null, `${status}`);
});
