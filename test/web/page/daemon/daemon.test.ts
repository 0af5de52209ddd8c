import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { StreamEvent } from "../../../../src/api/contract.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { type SeenEvent, startLive } from "../../../../src/web/page/daemon/live.ts";
import { createRequests } from "../../../../src/web/page/daemon/requests.ts";
import { sampleSyncState } from "../../../api/sample-config.ts";
import { sampleReport, sampleResult } from "../../../api/sample-report.ts";
import { scriptedApp } from "../scripted-app.ts";

class Source {
  static readonly CLOSED = 2;
  static readonly opened: Source[] = [];
  readyState = 1;
  onopen = (): void => {};
  onerror = (): void => {};
  onmessage = (_message: { lastEventId: string; data: string }): void => {};
  constructor() {
    Source.opened.push(this);
  }
  close(): void {
    this.readyState = Source.CLOSED;
  }
  tell(id: number, event: StreamEvent | { kind: string }): void {
    this.onmessage({ lastEventId: String(id), data: JSON.stringify(event) });
  }
}

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

/** The page's live model in a tab of the test's, with its time. */
async function openTab(t: TestContext, session: unknown = { expiresAt: null, mayRunCommands: false }) {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  Source.opened.length = 0;
  const tab = { visibilityState: "visible", turned: (): void => {} };
  const document = {
    get visibilityState() {
      return tab.visibilityState;
    },
    addEventListener: (_name: string, listener: () => void) => (tab.turned = listener),
    removeEventListener: () => (tab.turned = () => {}),
  };
  Object.assign(globalThis, { EventSource: Source, document });
  const app = scriptedApp();
  const asked: string[] = [];
  const seen: SeenEvent[] = [];
  let figures = true;
  const live = startLive({
    store: app.store,
    requests: {
      ...app.requests,
      session: async () => session as null,
      async ask(name, ...rest) {
        asked.push(name);
        return app.requests.ask(name, ...rest);
      },
    },
    onEvent: (event) => seen.push(event),
    showsFigures: () => figures,
  });
  t.after(() => live[Symbol.dispose]());
  return {
    ...{ store: app.store, live, seen, asked },
    source: (): Source => Source.opened.at(-1) ?? assert.fail(),
    hidesFigures: () => (figures = false),
    show(isVisible: boolean): void {
      tab.visibilityState = isVisible ? "visible" : "hidden";
      tab.turned();
    },
    /** What was asked since the last look at it. */
    async asks(): Promise<string> {
      await turns();
      t.mock.timers.tick(120);
      await turns();
      return asked.splice(0).sort().join(" ");
    },
    async pass(ms: number): Promise<void> {
      t.mock.timers.tick(ms);
      await turns();
    },
  };
}

const ready = (name: string) => ({ kind: "transition", transition: { name, share: "CORE" } }) as const;

test("F2 what is known is asked once at the opening, and then only what an event is about", async (t) => {
  const { source, asks, store, pass, hidesFigures } = await openTab(t);
  source().onopen();
  assert.equal(store.get().link.kind, "live");
  assert.equal(await asks(), "approvals status sync");
  const rows: readonly [StreamEvent | { kind: string }, string][] = [
    [ready("share.failover"), "status"],
    [ready("catalog.changed"), "status"],
    [ready("config.applied"), "approvals status sync"],
    [sampleSyncState() as StreamEvent, "approvals status sync"],
    [{ kind: "of_tomorrow" }, ""],
    [{ kind: "gap" }, "approvals status sync"],
  ];
  let id = 0;
  for (const [event, asked] of rows) {
    id += 1;
    source().tell(id, event);
    assert.equal(await asks(), asked, JSON.stringify(event));
  }
  assert.deepEqual([store.get().catalogVersion, store.get().configVersion], [3, 4]);
  for (let each = 0; each < 100; each += 1) source().tell(100 + each, ready("share.failover"));
  assert.equal(await asks(), "status status", "a burst is one look, and one afterwards");
  await pass(10_000);
  assert.match(await asks(), /^status/, "figures that nobody announces");
  hidesFigures();
  await pass(10_000);
  assert.equal(await asks(), "");
});

test("F2 an event is told once, newest first, and five hundred are kept", async (t) => {
  const { source, store, seen } = await openTab(t);
  source().tell(5, ready("share.failover"));
  for (const id of [5, 4]) source().tell(id, ready("share.tb_ready"));
  assert.deepEqual(
    seen.map(({ id }) => id),
    [5],
  );
  // Of a daemon that began to count anew.
  source().tell(1, { kind: "gap" });
  source().tell(2, ready("share.tb_ready"));
  assert.deepEqual(
    store.get().events.map(({ id }) => id),
    [2, 5],
  );
  for (let id = 3; id < 700; id += 1) source().tell(id, ready("share.failover"));
  assert.deepEqual([store.get().events.length, store.get().events[0]?.id], [500, 699]);
  source().onmessage({ lastEventId: "700", data: "{" });
  assert.equal(seen.length, 699);
});

test("F2 a stream that breaks is left to the browser; one that ended is opened again, later each time", async (t) => {
  const { source, store, pass } = await openTab(t);
  source().onerror();
  assert.equal(store.get().link.kind, "lost");
  await pass(60_000);
  assert.equal(Source.opened.length, 1, "the browser tries by itself");
  for (const [index, waitMs] of [500, 1000, 2000, 4000, 8000, 8000].entries()) {
    source().readyState = Source.CLOSED;
    source().onerror();
    await turns();
    await pass(waitMs - 1);
    assert.equal(Source.opened.length, 1 + index);
    await pass(1);
    assert.equal(Source.opened.length, 2 + index);
  }
  source().onopen();
  source().readyState = Source.CLOSED;
  source().onerror();
  await turns();
  await pass(500);
  assert.equal(Source.opened.length, 8, "after a success it begins anew");
});

test("F2 a stream that ended with the session signs out, and is not opened again", async (t) => {
  const { source, store, pass } = await openTab(t, null);
  source().readyState = Source.CLOSED;
  source().onerror();
  await pass(60_000);
  assert.deepEqual(
    [store.get().session, store.get().signedOutBecause],
    ["signed-out", "The session has ended."],
  );
  assert.equal(Source.opened.length, 1);
});

test("F2 a tab in the background gives its connection back, and goes on when it is seen", async (t) => {
  const { source, store, show, pass, live } = await openTab(t);
  source().onopen();
  show(false);
  await pass(4_999);
  show(true);
  await pass(10_000);
  assert.deepEqual([store.get().link.kind, Source.opened.length], ["live", 1], "a short look elsewhere");
  show(false);
  await pass(5_000);
  assert.deepEqual([store.get().link.kind, source().readyState], ["resting", Source.CLOSED]);
  source().onerror();
  assert.equal(store.get().link.kind, "resting");
  show(true);
  assert.equal(store.get().link.kind, "connecting");
  assert.equal(Source.opened.length, 2);
  live[Symbol.dispose]();
  assert.equal(source().readyState, Source.CLOSED);
});

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
