// What an HTTP error status of a server says of the message, and the hint that goes with it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { refusal } from "../../../../../src/gateway/backends/transports/http/refusal.ts";

const target = { origin: "http://nas.local", name: "http://nas.local", path: "/mcp" };
const AT = { location: null, id: 1, target, clean: (said: string): string => said };

const refused = (status: number, text: string | null, { path = "/mcp", hadSession = false } = {}) => {
  const failure = refusal({ ...AT, target: { ...target, path }, status, text, hadSession });
  assert.ok(!("answer" in failure));
  return failure;
};

/** What the SDKs answer to a session that they do not know. */
const LOST = [
  [
    404,
    '{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}',
    "TypeScript, C#",
  ],
  [
    400,
    '{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}',
    "TypeScript",
  ],
  [
    404,
    '{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}',
    "Python",
  ],
  [
    400,
    '{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Bad Request: Missing session ID"}}',
    "Python",
  ],
  [404, "session not found\n", "Go"],
  [404, "Session terminated", "mcp-go"],
  [400, "Invalid session ID", "mcp-go"],
  [404, '{"code":-32603,"message":"Session not found: 1"}', "Java"],
  [404, "Not Found: Session not found", "Rust"],
  [401, "Unauthorized: Session not found", "Rust, before"],
  [
    404,
    '{"jsonrpc":"2.0","id":"","error":{"code":-32600,"message":"Session not found or has expired."}}',
    "PHP",
  ],
] as const;

test("D5 the SDKs' answers to an unknown session mean that it is lost", () => {
  for (const [status, text, sdk] of LOST)
    assert.equal(
      refused(status, text, { hadSession: true }).kind,
      "session_lost",
      `${sdk}: ${status} ${text}`,
    );
});

const CODES = [null, -32601, -32602, -32603, -32000];
const [GONE, SAID, NEVER] = [
  [404, 410],
  [400, 401],
  [403, 500],
];
/** In the order of `CODES`, null for a result: "a": answered, "l": session lost, "r": refused. */
const JUDGED = [
  { of: GONE, id: "own", isNamed: false, are: "aaall" },
  { of: GONE, id: "own", isNamed: true, are: "allll" },
  { of: GONE, id: "other", isNamed: false, are: "lllll" },
  { of: GONE, id: "other", isNamed: true, are: "lllll" },
  { of: SAID, id: "own", isNamed: false, are: "aaaaa" },
  { of: SAID, id: "own", isNamed: true, are: "alaal" },
  { of: SAID, id: "other", isNamed: false, are: "rrrrr" },
  { of: SAID, id: "other", isNamed: true, are: "rllll" },
  { of: NEVER, id: "own", isNamed: true, are: "aaaaa" },
  { of: NEVER, id: "other", isNamed: true, are: "rrrrr" },
] as const;

test("D5 a status does not outweigh the answer to this very request", () => {
  for (const { of, id: whose, isNamed, are } of JUDGED)
    for (const status of of)
      for (const id of whose === "own" ? [1] : [null, 2])
        for (const [index, code] of CODES.entries()) {
          const said = isNamed ? "no such session" : "no";
          const body = code === null ? { result: { said } } : { error: { code, message: said } };
          const text = JSON.stringify({ jsonrpc: "2.0", id, ...body });
          const judged = refusal({ ...AT, status, text, hadSession: true });
          const found = "answer" in judged ? "a" : judged.kind === "session_lost" ? "l" : "r";
          assert.equal(found, are[index], `${status} ${text}`);
        }
});

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

test("a web page is not reported as a server's reason", () => {
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
