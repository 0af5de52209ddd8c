// Servers that refuse, speak no MCP, break off or answer too much: what a request is told.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { connectReason } from "../../../../../src/gateway/backends/transports/http/connect-reason.ts";
import { refusal } from "../../../../../src/gateway/backends/transports/http/refusal.ts";
import { isJsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { eventually } from "../../../../support/eventually.ts";
import { createManualClock } from "../../../../support/manual-clock.ts";
import { onLoopback } from "../../../../support/on-loopback.ts";
import { echoing, startHttpServer, type Take } from "../../programs/http-server.ts";
import { connect, result, startRaw, withEcho } from "./bench.ts";

test("refusals name the status and never a secret", async (t) => {
  const answers: [status: number, body: string, headers: Record<string, string>, words: RegExp][] = [
    [401, "no\n", {}, /answered HTTP 401: no$/],
    [
      400,
      '{"error":"tenant","message":"X-Tenant is missing: s3cret"}',
      {},
      /X-Tenant is missing: \[redacted\]$/,
    ],
    [500, '{"error":{"code":1}}', {}, /answered HTTP 500$/],
    [403, "not with k3yInPath", {}, /answered HTTP 403$/],
    [
      503,
      '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"busy: s3cret"}}',
      {},
      /HTTP 503: busy: \[redacted\]$/,
    ],
    [
      307,
      "",
      { Location: "https://user:pw@other.example/mcp/?key=1" },
      /redirects to https:\/\/other\.example\/mcp\/ \(HTTP 307\)/,
    ],
    [502, "<html>".repeat(50_000), {}, /HTTP 502$/],
  ];
  for (const [status, body, headers, words] of answers) {
    const take: Take = (_, response) => Boolean(response.writeHead(status, headers).end(body));
    const { url } = await startHttpServer(t, echoing("json", take));
    const recorded = connect(t, `${url}?key=k3yInPath`, {
      headers: { "X-Key": "s3cret" },
      secrets: ["s3cret"],
    });
    const failure = await recorded.askInVain("echo");
    assert.equal(failure.kind, "refused");
    assert.match(failure.message, words);
    assert.doesNotMatch(failure.message, /s3cret|pw@|k3yInPath/);
  }
});

test("D5 a refusal says how long the server wants no further request, in seconds or as a date", async (t) => {
  const date = new Date(Date.now() + 60_000).toUTCString();
  for (const [status, header, least, most] of [
    [429, "30", 30_000, 30_000],
    [503, date, 50_000, 60_000],
    [503, "soon", 0, 0],
    [500, "30", 0, 0],
  ] as const) {
    const take: Take = (_, response) => Boolean(response.writeHead(status, { "retry-after": header }).end());
    const { url } = await startHttpServer(t, echoing("json", take));
    const recorded = connect(t, url);
    await recorded.askInVain("echo");
    const [waitMs = 0] = recorded.waits;
    assert.ok(waitMs >= least && waitMs <= most, `${status} ${header}: ${waitMs}`);
  }
});

// Where a server's framework wants a slash, or none, at the end.
test("D9 redirects within one origin are followed for messages, three at most, and no others", async (t) => {
  const rows: readonly (readonly [status: number, from: string, to: string, followed: boolean])[] = [
    [307, "/mcp", "/mcp/", true],
    [308, "/mcp/", "/mcp", true],
    [307, "/mcp", "ORIGIN/other/mcp?key=1", true],
    [301, "/mcp", "/mcp/", true],
    [302, "/mcp/", "/mcp", true],
    // A path that is no address by itself must not end the daemon.
    [307, "//", "/mcp/", true],
    [307, "/mcp", "ORIGIN//", true],
    [302, "//", "/mcp/", false],
    [301, "/mcp", "/other", false],
    [303, "/mcp", "/mcp/", false],
    [307, "/mcp", "/mcp", false],
    [307, "/mcp", "http://localhost:PORT/mcp/", false],
    [307, "/mcp", "https://127.0.0.1:PORT/mcp/", false],
    [307, "/mcp", "blob:ORIGIN/mcp/", false],
    [307, "/mcp", "http://user:pw@127.0.0.1:PORT/mcp/", false],
  ];
  for (const [status, from, to, followed] of rows) {
    let asked = 0;
    const answer = echoing("json");
    const { url } = await startHttpServer(t, answer, {
      path: to
        .replace(/^\w+:\/\/[^/]+|ORIGIN|\?.*$/g, "")
        .replace(/^\/mcp$/, from === "/mcp" ? "/x" : "/mcp"),
      elsewhere: (request, response) => {
        asked += 1;
        request.resume();
        const { origin, port } = new URL(`http://${request.headers.host}`);
        response.writeHead(status, { location: to.replace("ORIGIN", origin).replace("PORT", port) }).end();
      },
    });
    const recorded = connect(t, new URL(url).origin + from);
    const row = `${status} ${from} ${to}`;
    if (followed) {
      assert.ok(isJsonObject(await recorded.ask("echo")), row);
      assert.ok(isJsonObject(await recorded.ask("echo")), row);
      assert.equal(asked, 1, `${row}: the second message goes there at once`);
    } else {
      const { message, hint } = await recorded.askInVain("echo");
      assert.match(message, /redirects to .*not followed/, row);
      assert.doesNotMatch(`${message} ${hint}`, /pw@/, row);
      if (/localhost|https/.test(to)) assert.match(hint ?? "", /another host/, row);
      assert.equal(asked, from === to ? 4 : 1, row);
    }
  }
});

test("an address without a path that takes no messages is reported with the path that most servers use", async (t) => {
  const hintOf = async (path: string, status: number): Promise<string> => {
    const take: Take = (_, response) => Boolean(response.writeHead(status).end());
    const { url } = await startHttpServer(t, echoing("json", take));
    return (await connect(t, `${new URL(url).origin}${path}`).askInVain("echo")).hint ?? "";
  };
  assert.match(
    await hintOf("", 501),
    /^the address has no path: most servers take http:\/\/127\.0\.0\.1:\d+\/mcp$/,
  );
  assert.match(await hintOf("/?key=1", 405), /has no path: .*\d\/mcp$/);
  assert.doesNotMatch(await hintOf("/other", 501), /no path/);
  assert.doesNotMatch(await hintOf("", 503), /no path/);
  assert.match(await hintOf("", 401), /credentials/);
});

test("an answer that is not MCP is reported as such", async (t) => {
  const answers: [type: string, body: string, status: number][] = [
    ["text/html", "<html>", 200],
    ["application/json", "{", 200],
    ["application/json", "{}", 200],
    ["application/json", "[]", 200],
    ["application/json", result("another"), 200],
    ["", "", 202],
    ["text/event-stream", "data: nonsense\n\n", 200],
  ];
  for (const [type, body, status] of answers) {
    const take: Take = (_, response) =>
      Boolean(response.writeHead(status, type === "" ? {} : { "Content-Type": type }).end(body));
    const { recorded } = await withEcho(t, { take });
    assert.equal((await recorded.askInVain("echo")).kind, "protocol", `${type} ${body}`);
  }
});

test("an error without a request id is reported in the server's words", async (t) => {
  const error = JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32603, message: "no s3cret" } });
  for (const [type, body] of [
    ["application/json", error],
    ["text/event-stream", `data: ${error}\n\n`],
  ] as const) {
    const take: Take = (_, response) => Boolean(response.writeHead(200, { "Content-Type": type }).end(body));
    const { recorded } = await withEcho(t, { take, secrets: ["s3cret"] });
    assert.match((await recorded.askInVain("echo")).message, /answered with an error: no \[redacted\]$/);
  }
});

test("compressed answers are not requested, and are reported as such; a byte order mark is skipped", async (t) => {
  const { echo, recorded } = await withEcho(t, {
    take(message, response) {
      if (message.method === "packed") {
        response.writeHead(200, { "Content-Type": "application/json", "Content-Encoding": "gzip" });
        response.end(gzipSync(result(message.id)));
      } else
        response.writeHead(200, { "Content-Type": "application/json" }).end(`\ufeff${result(message.id)}`);
      return true;
    },
  });
  assert.match(
    (await recorded.askInVain("packed")).message,
    /compresses its answers .*\(Content-Encoding: gzip\)/,
  );
  assert.equal(echo.headers[0]?.["accept-encoding"], "identity");
  assert.deepEqual(await recorded.ask("echo"), { late: true });
});

test("a server that does not speak HTTP, ends connections, or breaks off within the answer", async (t) => {
  const cases: [answer: string, kind: string][] = [
    ["SSH-2.0-OpenSSH_9.2\r\n", "protocol"],
    ["", "closed"],
    ["HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", "closed"],
    ["HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: {", "closed"],
  ];
  for (const [answer, kind] of cases) {
    const url = await startRaw(t, (socket) => socket.once("data", () => socket.end(answer)));
    const failure = await connect(t, url).askInVain("tools/call");
    assert.equal(failure.kind, kind, answer);
    assert.doesNotMatch(failure.message, /s3cret/);
  }
});

test("an https address without TLS is reported as that", async (t) => {
  const url = await startRaw(t, (socket) => socket.once("data", () => socket.end("HTTP/1.1 400 no\r\n\r\n")));
  const failure = await connect(t, url.replace("http:", "https:")).askInVain("initialize");
  assert.equal(failure.kind, "unreachable");
  assert.match(failure.message, /: the server there speaks no TLS, or no version that is supported here$/);
  assert.match(failure.hint ?? "", /http:\/\//);
});

test("a connection that is not established ends after its deadline", async (t) => {
  const url = await startRaw(t, () => {});
  // An address for documentation: no answer, or no route at once.
  const blackhole = "http://192.0.2.1:9/mcp";
  const manual = createManualClock();
  const recorded = connect(t, blackhole, { clock: manual });
  recorded.link.send({ jsonrpc: "2.0", id: 1, method: "initialize" });
  await new Promise((resolve) => setImmediate(resolve));
  await manual.advance(5_000);
  const failure = await eventually(() => recorded.failed.get(1));
  assert.equal(failure.kind, "unreachable");
  assert.equal(failure.isUnreachable, true);
  // Who takes a connection and says nothing of TLS is there: to look whether it is back would always find that it is.
  let taken = false;
  const mute = await onLoopback(
    t,
    createServer((socket) => {
      taken = true;
      t.after(() => socket.destroy());
    }),
  );
  const secure = connect(t, `https://127.0.0.1:${mute}/mcp`, { clock: manual });
  secure.link.send({ jsonrpc: "2.0", id: 1, method: "initialize" });
  await eventually(() => taken);
  await manual.advance(5_000);
  const late = await eventually(() => secure.failed.get(1));
  assert.match(late.message, /no connection within 5 s/);
  assert.equal(late.isUnreachable, undefined);
  // An established connection has no deadline of ours.
  const silent = connect(t, url, { clock: manual });
  silent.link.send({ jsonrpc: "2.0", id: 1, method: "initialize" });
  await eventually(() => silent.link.backlogBytes === 0);
  await manual.advance(100_000);
  assert.equal(silent.failed.size, 0);
});

test("an unusable address or header closes the transport", async (t) => {
  for (const [url, headers] of [
    ["nonsense", {}],
    ["ftp://x/", {}],
    ["http://127.0.0.1/", { "X-Key": "a\r\nb" }],
    ["http://127.0.0.1/", { "no name": "x" }],
  ] as const) {
    const failure = await connect(t, url, { headers }).untilClosed();
    assert.equal(failure.kind, "unreachable");
    assert.doesNotMatch(failure.message, /a\r/);
  }
});

test("an answer beyond the limit is overloaded: JSON, one event, and not many small events", async (t) => {
  const large = `{"x":"${"x".repeat(5_000)}"}`;
  for (const type of ["application/json", "text/event-stream"]) {
    const take: Take = (_, response) =>
      Boolean(response.writeHead(200, { "Content-Type": type }).end(`data: ${large}\n\n`));
    const { recorded } = await withEcho(t, { take, limitBytes: 1_000 });
    assert.equal((await recorded.askInVain("echo")).kind, "overloaded");
  }
  const { recorded } = await withEcho(t, { answers: "events", limitBytes: 1_000 });
  await recorded.ask("test/notices", { count: 100 });
});

test("a server that reads nothing is overloaded, request for request", async (t) => {
  const url = await startRaw(t, (socket) => socket.pause());
  const recorded = connect(t, url, { limitBytes: 8_000_000 });
  const pad = "x".repeat(6_000_000);
  for (let id = 1; id <= 4; id++) {
    recorded.link.send({ jsonrpc: "2.0", id, method: "echo", params: { pad } });
  }
  assert.ok(recorded.link.backlogBytes > 8_000_000 && recorded.link.backlogBytes < 14_000_000);
  const failure = await eventually(() => recorded.failed.get(4));
  assert.equal(failure.kind, "overloaded");
  assert.equal(recorded.failed.has(1), false);
});

const failed = (code: string, message = "as the library says it"): Error =>
  Object.assign(new Error(message), { code });

test("a refusal by TLS is described without the library's words, with the fix for each", () => {
  for (const [code, text, hint] of [
    ["EPROTO", /speaks no TLS/, /http:/],
    ["ERR_SSL_WRONG_VERSION_NUMBER", /speaks no TLS/, /http:/],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", /not signed by an authority/, /NODE_EXTRA_CA_CERTS/],
    ["SELF_SIGNED_CERT_IN_CHAIN", /not signed by an authority/, /NODE_EXTRA_CA_CERTS/],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", /not signed by an authority/, /NODE_EXTRA_CA_CERTS/],
    ["CERT_HAS_EXPIRED", /expired/, /clock/],
    ["CERT_NOT_YET_VALID", /not valid yet/, /clock/],
    ["ERR_TLS_CERT_ALTNAME_INVALID", /another name/, /host/],
  ] as const) {
    const reason = connectReason(failed(code));
    assert.match(reason.text, text);
    assert.doesNotMatch(reason.text, /library/);
    assert.match(reason.hint ?? "", hint);
  }
});

test("an error without a description here keeps the system's", () => {
  assert.deepEqual(connectReason(failed("EWHATEVER", "odd")), { text: "odd" });
  assert.deepEqual(connectReason(failed("ECONNREFUSED")), {
    text: "nothing listens there",
    isUnreachable: true,
  });
});

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
