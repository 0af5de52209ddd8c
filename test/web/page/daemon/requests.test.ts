import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { createRequests } from "../../../../src/web/page/daemon/requests.ts";
import { sampleReport, sampleResult } from "../../../api/sample-report.ts";

interface Asked {
  readonly path: string;
  readonly init: RequestInit;
}

/** The page's requests, answered by the test: a value as JSON, a Response as it is, an error thrown. */
function scripted(t: TestContext, ...answers: readonly unknown[]) {
  const asked: Asked[] = [];
  const left = [...answers];
  let outs = 0;
  t.mock.method(globalThis, "fetch", async (path: string, init: RequestInit) => {
    asked.push({ path, init });
    const answer = left.shift();
    if (answer instanceof Error) throw answer;
    return answer instanceof Response ? answer : Response.json(answer);
  });
  const requests = createRequests(() => {
    outs += 1;
  });
  return { asked, requests, outs: () => outs };
}

const failed = (status: number, body: unknown): Response => Response.json(body, { status });

test("F2 a request that changes something says that it is the page's own, others need not", async (t) => {
  const { requests, asked } = scripted(t, sampleReport(), { results: [sampleResult()] }, new Response("# x"));
  await requests.ask("status");
  await requests.ask("mount", { shares: ["CORE"] });
  assert.equal(await requests.ask("historyText", { n: 3 }), "# x");
  assert.deepEqual(
    asked.map(({ path, init: { method, headers, body, credentials } }) => [
      path,
      method,
      headers,
      body,
      credentials,
    ]),
    [
      ["/manage/v1/status", "GET", {}, undefined, "same-origin"],
      [
        "/manage/v1/mount",
        "POST",
        { "X-Mountaineer": "1", "Content-Type": "application/json" },
        '{"shares":["CORE"]}',
        "same-origin",
      ],
      ["/manage/v1/config/history/3", "GET", {}, undefined, "same-origin"],
    ],
  );
});

test("F2 a long number that a tool answers keeps its digits", async (t) => {
  const body = '{"result":{"structuredContent":{"id":12345678901234567890}},"error":null}';
  const headers = { "Content-Type": "application/json" };
  const { requests } = scripted(t, new Response(body, { headers }));
  assert.equal(JSON.stringify(await requests.ask("call", { tool: "x" })), body);
});

const FAILURES: readonly [answer: unknown, code: string, message: RegExp][] = [
  [
    failed(404, { error: { code: "share_unknown", message: "no share", hint: "h" } }),
    "share_unknown",
    /^no share$/,
  ],
  [failed(418, { error: { code: "of_tomorrow", message: "new words" } }), "protocol", /^new words$/],
  [new Response("<html>", { status: 502 }), "protocol", /answered 502/],
  [failed(401, {}), "permission_denied", /session has ended/],
  [{ global: {} }, "protocol", /^global\.version is not a text$/],
  [
    new Response("{", { headers: { "Content-Type": "application/json" } }),
    "daemon_unreachable",
    /does not answer/,
  ],
  [new TypeError("fetch failed"), "daemon_unreachable", /does not answer/],
  [new DOMException("late", "TimeoutError"), "timed_out", /in time/],
  [new DOMException("gone", "AbortError"), "aborted", /cancelled/],
];

test("F2 what fails is one of the project's errors, whoever it comes from; a session's end is told once", async (t) => {
  const { requests, outs } = scripted(t, ...FAILURES.map(([answer]) => answer));
  for (const [, code, message] of FAILURES)
    await assert.rejects(requests.ask("status"), (error) => {
      assert.ok(error instanceof MountaineerError);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  assert.equal(outs(), 1);
});

test("F2 a session is found, begun and ended; what the daemon does not take is refused", async (t) => {
  const session = { expires_at: "2026-01-01T00:00:00Z", may_run_commands: true };
  const found = { expiresAt: session.expires_at, mayRunCommands: true };
  const { requests, asked } = scripted(
    t,
    ...[session, { expires_at: 5 }, failed(401, {})],
    ...[new Response(null, { status: 204 }), session],
    ...[new Response(null, { status: 204 }), failed(401, {}), failed(401, { error: { message: "no" } })],
    ...[failed(401, {}), failed(503, {})],
  );
  assert.deepEqual(await requests.session(), found);
  assert.deepEqual(await requests.session(), { expiresAt: null, mayRunCommands: false });
  assert.equal(await requests.session(), null);
  assert.deepEqual(await requests.signIn({ token: "mtn_x" }), found);
  await assert.rejects(requests.signIn({ link: "l" }), { message: /did not keep the session's cookie/ });
  await assert.rejects(requests.signIn({ link: "l" }), { code: "permission_denied", message: "no" });
  await requests.signOut();
  await assert.rejects(requests.signOut(), { message: /503/ });
  assert.deepEqual(
    [asked[3]?.init.method, asked[3]?.init.body, asked.at(-1)?.init.method],
    ["POST", '{"token":"mtn_x"}', "DELETE"],
  );
});
