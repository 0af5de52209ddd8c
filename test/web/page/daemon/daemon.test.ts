import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { StreamEvent } from "../../../../src/api/contract/contract.ts";
import { MountaineerError } from "../../../../src/runtime/errors.ts";
import { type ShownEvent, startLive } from "../../../../src/web/page/daemon/live.ts";
import {
  createRequests,
  framesOf,
  type Session,
  type StreamFrame,
} from "../../../../src/web/page/daemon/requests.ts";
import { sampleSyncState } from "../../../api/sample-config.ts";
import { sampleReport, sampleResult } from "../../../api/sample-report.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { pluck } from "../../../support/pluck.ts";
import { scriptedApp } from "../scripted-app.ts";

/** One opened stream of events, which the test fills. */
class Source {
  static readonly opened: Source[] = [];
  readonly afterId: number;
  readonly signal: AbortSignal;
  readonly #opening = Promise.withResolvers<void>();
  readonly #waiting: StreamFrame[] = [];
  #more = Promise.withResolvers<void>();
  #isOver = false;

  constructor(afterId: number, signal: AbortSignal) {
    this.afterId = afterId;
    this.signal = signal;
    Source.opened.push(this);
  }

  async open(): Promise<AsyncGenerator<StreamFrame, void>> {
    await this.#opening.promise;
    return this.#frames();
  }

  async *#frames(): AsyncGenerator<StreamFrame, void> {
    while (true) {
      for (let frame = this.#waiting.shift(); frame !== undefined; frame = this.#waiting.shift()) yield frame;
      if (this.#isOver) return;
      await this.#more.promise;
      this.#more = Promise.withResolvers();
    }
  }

  async opens(): Promise<void> {
    this.#opening.resolve();
    await turns();
  }

  async say(id: number, data: string): Promise<void> {
    this.#waiting.push({ id, data });
    this.#more.resolve();
    await turns();
  }

  tell(id: number, event: StreamEvent | { kind: string }): Promise<void> {
    return this.say(id, JSON.stringify(event));
  }

  async ends(): Promise<void> {
    this.#isOver = true;
    this.#more.resolve();
    this.#opening.reject(new MountaineerError("daemon_unreachable", "the daemon does not answer"));
    await turns();
  }
}

/** As the daemon that follows says it: it knows of no right. */
const OTHER_SESSION = { expiresAt: null, mayRunCommands: false, ownerUntil: null };

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
};

/** The page's live model in a tab of the test's, with its time. */
async function openTab(t: TestContext) {
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
  Object.assign(globalThis, { document });
  const app = scriptedApp();
  const asked: string[] = [];
  const seen: ShownEvent[] = [];
  let figures = true;
  let session: Session | null = OTHER_SESSION;
  let held: Promise<void> | null = null;
  const live = startLive({
    store: app.store,
    requests: {
      ...app.requests,
      openEvents: (afterId, signal) => new Source(afterId, signal).open(),
      session: async () => session,
      async call(name, ...rest) {
        asked.push(name);
        await held;
        return app.requests.call(name, ...rest);
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
    signsOut: () => (session = null),
    /** Answers come once the result is called. */
    holdsAnswers(): () => void {
      const answers = Promise.withResolvers<void>();
      held = answers.promise;
      return answers.resolve;
    },
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

test("F4 counters of the edges cause no request, and need no id", async (t) => {
  const { source, asks, store } = await openTab(t);
  await source().opens();
  await asks();
  const flow = {
    ...{ kind: "flow", shares: [], clients: [] },
    backends: [{ name: "files", calls: 1 }],
  } as const;
  await source().tell(0, flow);
  assert.deepEqual(store.get().flow?.event, flow);
  assert.equal(await asks(), "");
});

test("F2 all state is requested once at the start, and then only the parts that an event is about", async (t) => {
  const { source, asks, store, pass, hidesFigures } = await openTab(t);
  store.set({ session: { ...OTHER_SESSION, mayRunCommands: true, ownerUntil: "2026-01-01T00:15:00.000Z" } });
  await source().opens();
  assert.equal(store.get().link.kind, "live");
  assert.equal(await asks(), "approvals status sync");
  assert.deepEqual(store.get().session, OTHER_SESSION, "an owner's right ends with the daemon that gave it");
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
    await source().tell(id, event);
    assert.equal(await asks(), asked, JSON.stringify(event));
  }
  assert.deepEqual([store.get().catalogVersion, store.get().configVersion], [3, 4]);
  for (let each = 0; each < 100; each += 1) await source().tell(100 + each, ready("share.failover"));
  assert.equal(await asks(), "status status", "a burst is one look, and one afterwards");
  await pass(10_000);
  assert.match(await asks(), /^status/, "figures that nobody announces");
  hidesFigures();
  await pass(10_000);
  assert.equal(await asks(), "");
});

test("F2 figures are requested only while a tab is connected, and never after its end", async (t) => {
  const { source, asks, store, pass, live, show, holdsAnswers } = await openTab(t);
  await source().opens();
  await asks();
  store.set({ link: { kind: "lost", sinceMs: 0 } });
  await pass(10_000);
  assert.equal(await asks(), "");
  store.set({ link: { kind: "live" } });
  show(false);
  await pass(4_800);
  assert.equal(await asks(), "", "nobody sees them");
  show(true);
  const answer = holdsAnswers();
  live.refresh();
  await turns();
  live[Symbol.dispose]();
  store.set({ status: null });
  answer();
  assert.equal(await asks(), "approvals status sync");
  assert.equal(store.get().status, null, "an answer that comes after the end");
  live.refresh();
  show(false);
  await pass(10_000);
  show(true);
  assert.deepEqual([await asks(), store.get().link.kind, Source.opened.length], ["", "live", 1]);
});

test("F2 a reader that stops early releases the stream of events", async () => {
  let isLetGo = false;
  const body = new ReadableStream<Uint8Array>({
    start: (stream) => stream.enqueue(new TextEncoder().encode("id: 1\ndata: {}\n\n")),
    cancel() {
      isLetGo = true;
    },
  });
  for await (const { id } of framesOf(body)) {
    assert.equal(id, 1);
    break;
  }
  assert.ok(isLetGo);
});

test("F2 an event is listed once, newest first, and five hundred are kept", async (t) => {
  const { source, store, seen } = await openTab(t);
  await source().opens();
  await source().tell(5, ready("share.failover"));
  for (const id of [5, 4]) await source().tell(id, ready("share.tb_ready"));
  assert.deepEqual(pluck(seen, "id"), [5]);
  // Of a daemon that began to count anew.
  await source().tell(1, { kind: "gap" });
  await source().tell(2, ready("share.tb_ready"));
  assert.deepEqual(pluck(store.get().events, "id"), [2, 5]);
  for (let id = 3; id < 700; id += 1) await source().tell(id, ready("share.failover"));
  assert.deepEqual([store.get().events.length, store.get().events[0]?.id], [500, 699]);
  await source().say(700, "{");
  assert.equal(seen.length, 699);
});

test("F2 a stream that ends is reopened after the last event, later each time it fails", async (t) => {
  const { source, store, pass } = await openTab(t);
  let sinceMs: number | null = null;
  for (const [index, waitMs] of [500, 1000, 2000, 4000, 8000, 8000].entries()) {
    await source().ends();
    const { link } = store.get();
    assert.ok(link.kind === "lost");
    sinceMs ??= link.sinceMs;
    assert.equal(link.sinceMs, sinceMs, "since when it is lost");
    await pass(waitMs - 1);
    assert.equal(Source.opened.length, 1 + index);
    await pass(1);
    assert.equal(Source.opened.length, 2 + index);
  }
  await source().opens();
  assert.equal(store.get().link.kind, "live");
  await source().tell(7, ready("share.failover"));
  await source().ends();
  await pass(500);
  assert.deepEqual([Source.opened.length, source().afterId], [8, 7], "after a success it begins anew");
});

test("F2 a stream that ended with the session is not reopened", async (t) => {
  const { source, store, pass } = await openTab(t);
  store.set({ session: "signed-out" });
  await source().ends();
  await pass(60_000);
  assert.equal(Source.opened.length, 1);
});

test("F2 frames are read whole, however they arrive, and heartbeats are not frames", async () => {
  const text =
    'retry: 1000\n: connected\n\nid: 3\ndata: {"a":"ü\u2028data: x"}\n\n:\n\nid: 4\ndata: {"b":1}\n\nid: 5\ndata: {';
  const bytes = new TextEncoder().encode(text);
  const whole = [
    { id: 3, data: '{"a":"ü\u2028data: x"}' },
    { id: 4, data: '{"b":1}' },
  ];
  for (const size of [1, 2, 7, bytes.length]) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
        controller.error(new TypeError("network error"));
      },
    });
    const frames = await Array.fromAsync(framesOf(body));
    // What a stream had not given yet when it broke may be lost with it.
    assert.deepEqual(frames, whole.slice(0, frames.length), `${size} bytes each`);
  }
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  void writer.write(bytes).then(() => writer.close());
  assert.deepEqual(await Array.fromAsync(framesOf(readable)), whole);
});

test("F2 a tab in the background releases its connection, and resumes when it is visible", async (t) => {
  const { source, store, show, pass, live, signsOut } = await openTab(t);
  await source().opens();
  await source().tell(7, ready("share.failover"));
  show(false);
  await pass(4_999);
  show(true);
  await pass(10_000);
  assert.deepEqual([store.get().link.kind, Source.opened.length], ["live", 1], "a short look elsewhere");
  show(false);
  await pass(5_000);
  assert.deepEqual([store.get().link.kind, source().signal.aborted], ["resting", true]);
  await source().ends();
  assert.equal(store.get().link.kind, "resting");
  show(true);
  assert.equal(store.get().link.kind, "connecting");
  assert.deepEqual([Source.opened.length, source().afterId], [2, 0], "all is asked for anyway");
  signsOut();
  await source().opens();
  assert.deepEqual(store.get().session, OTHER_SESSION, "its end is told by the request that it refuses");
  show(false);
  live[Symbol.dispose]();
  assert.equal(source().signal.aborted, true);
  await pass(10_000);
  assert.equal(store.get().link.kind, "live");
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
  const kept = { secret: "s3cret" as string | null };
  const requests = createRequests(
    {
      read: () => kept.secret,
      write: (secret) => {
        kept.secret = secret;
      },
    },
    () => {
      outs += 1;
    },
  );
  return { asked, requests, kept, outs: () => outs };
}

const failed = (status: number, body: unknown): Response => Response.json(body, { status });

test("F2 E2 each request is signed in by a header, and the browser's cookies are left out", async (t) => {
  const { requests, asked } = scripted(
    t,
    ...[sampleReport(), { results: [sampleResult()] }, { results: [] }],
    ...[new Response("# x"), new Response(":\n\n")],
  );
  await requests.call("status");
  await requests.call("mount", { shares: ["CORE"] });
  await requests.call("reconcile");
  assert.equal(await requests.call("historyText", { n: 3 }), "# x");
  for await (const frame of await requests.openEvents(7, AbortSignal.timeout(60_000)))
    assert.fail(frame.data);
  const own = { Authorization: "Bearer s3cret" };
  assertEach(asked, ({ path, init: { method, headers, body } }) => [path, method, headers, body], [
    ["/manage/v1/status", "GET", own, undefined],
    ["/manage/v1/mount", "POST", { ...own, "Content-Type": "application/json" }, '{"shares":["CORE"]}'],
    ["/manage/v1/reconcile", "POST", { ...own, "Content-Type": "application/json" }, "{}"],
    ["/manage/v1/config/history/3", "GET", own, undefined],
    ["/manage/v1/events/stream?flow", undefined, { ...own, "Last-Event-ID": "7" }, undefined],
  ]);
  assert.deepEqual(
    new Set(asked.map(({ init }) => `${init.credentials} ${init.cache}`)),
    new Set(["omit no-cache"]),
  );
});

test("F2 each request ends at its deadline, the longest for a tool's call, or with its own answer", async (t) => {
  const deadlines: { readonly ms: number; readonly end: AbortController }[] = [];
  t.mock.method(AbortSignal, "timeout", (ms: number) => {
    const end = new AbortController();
    deadlines.push({ ms, end });
    return end.signal;
  });
  const none = (): Response => new Response(null, { status: 204 });
  const { requests, asked } = scripted(
    t,
    ...[sampleReport(), { results: [sampleResult()] }, { result: {}, error: null }],
    ...[{ session: "s" }, { expires_at: null }, { right: "r", code: "c" }, none(), none()],
  );
  const given = new AbortController();
  await requests.call("status", null, { signal: given.signal });
  await requests.call("mount", { shares: ["CORE"] });
  await requests.call("call", { tool: "x" });
  await requests.signIn({ token: "t" });
  await requests.session();
  await requests.requestOwner();
  await requests.dropOwner();
  await requests.signOut();
  const short = Array.from({ length: 5 }, () => 20_000);
  assert.deepEqual(pluck(deadlines, "ms"), [20_000, 180_000, 900_000, ...short]);
  given.abort();
  assertEach(asked, ({ init }) => init.signal?.aborted, [true, ...Array.from({ length: 7 }, () => false)]);
  for (const [index, { end }] of deadlines.entries()) {
    end.abort();
    assert.equal(asked[index]?.init.signal?.aborted, true, asked[index]?.path ?? "");
  }
});

test("F2 both the event stream and the release of the right report a session that ends", async (t) => {
  Object.assign(globalThis, { document: { querySelector: () => ({ content: "/page/schema.json" }) } });
  const { requests, asked, outs } = scripted(
    t,
    ...[failed(401, {}), failed(401, {}), failed(404, {}), { type: "object" }],
  );
  await assert.rejects(requests.openEvents(0, t.signal), { code: "permission_denied" });
  await assert.rejects(requests.dropOwner(), { code: "permission_denied" });
  assert.equal(outs(), 2);
  await assert.rejects(requests.configSchema(t.signal), { code: "protocol", message: /answered 404/ });
  assert.deepEqual(await requests.configSchema(t.signal), { type: "object" });
  assert.deepEqual(asked.at(-1)?.path, "/page/schema.json");
});

test("F2 a long number that a tool answers keeps its digits", async (t) => {
  const body = '{"result":{"structuredContent":{"id":12345678901234567890}},"error":null}';
  const headers = { "Content-Type": "application/json" };
  const { requests } = scripted(t, new Response(body, { headers }));
  assert.equal(JSON.stringify(await requests.call("call", { tool: "x" })), body);
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

test("F2 each failure is one of the project's errors, whatever its source; a session's end is reported once", async (t) => {
  const { requests, outs, kept } = scripted(t, ...FAILURES.map(([answer]) => answer));
  for (const [, code, message] of FAILURES)
    await assert.rejects(requests.call("status"), (error) => {
      assert.ok(error instanceof MountaineerError);
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
  assert.equal(outs(), 1);
  assert.equal(kept.secret, null, "a session that has ended is not tried again");
});

test("F2 a session is found, begun and ended; a refusal by the daemon is reported", async (t) => {
  const session = { expires_at: "2026-01-01T00:00:00Z", may_run_commands: true };
  const found = { expiresAt: session.expires_at, mayRunCommands: true, ownerUntil: null };
  const { requests, asked, kept } = scripted(
    t,
    ...[session, { expires_at: 5 }, failed(503, {}), failed(401, {})],
    ...[{ ...session, session: "n3w" }, session, failed(401, { error: { message: "no" } })],
    ...[failed(503, {}), new Response(null, { status: 204 }), failed(401, {})],
  );
  assert.deepEqual(await requests.session(), found);
  assert.deepEqual(await requests.session(), { expiresAt: null, mayRunCommands: false, ownerUntil: null });
  await assert.rejects(requests.session(), { message: /503/ });
  assert.deepEqual([await requests.session(), kept.secret], [null, null]);
  assert.equal(await requests.session(), null, "and is not asked for without a secret");
  assert.deepEqual([await requests.signIn({ token: "mtn_x" }), kept.secret], [found, "n3w"]);
  await assert.rejects(requests.signIn({ link: "l" }), { code: "protocol", message: /no session/ });
  await assert.rejects(requests.signIn({ link: "l" }), { code: "permission_denied", message: "no" });
  await assert.rejects(requests.signOut(), { message: /503/ });
  assert.equal(kept.secret, "n3w");
  await requests.signOut();
  assert.equal(kept.secret, null);
  await requests.signOut();
  assert.deepEqual(
    [asked[4]?.init.method, asked[4]?.init.body, asked.at(-2)?.init.method, asked.at(-2)?.init.headers],
    ["POST", '{"token":"mtn_x"}', "DELETE", { Authorization: "Bearer n3w" }],
  );
});

test("F4 the owner's right goes with each request from its start, until it is dropped or signed out", async (t) => {
  const until = "2026-01-01T00:15:00.000Z";
  const given = { right: "r1ght", code: "ABCD2345" };
  const none = (): Response => new Response(null, { status: 204 });
  const { requests, asked } = scripted(
    t,
    ...[given, { expires_at: null, may_run_commands: true, owner_until: until }, none(), sampleReport()],
    ...[
      given,
      none(),
      {},
      { right: "r1ght" },
      failed(403, { error: { code: "owner_only", message: "elsewhere" } }),
    ],
  );
  assert.equal(await requests.requestOwner(), "ABCD2345");
  assert.equal((await requests.session())?.ownerUntil, until);
  await requests.dropOwner();
  await requests.call("status");
  await requests.requestOwner();
  await requests.signOut();
  await assert.rejects(requests.requestOwner(), { code: "protocol" });
  await assert.rejects(requests.requestOwner(), { code: "protocol" });
  await assert.rejects(requests.requestOwner(), { code: "owner_only" });
  const rights = asked.map(
    ({ init }) => (init.headers as Record<string, string>)["X-Mountaineer-Owner"] ?? "",
  );
  assert.deepEqual(rights, ["", "r1ght", "r1ght", "", "", "r1ght", "", "", ""]);
});
