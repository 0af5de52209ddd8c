// What a server says by itself, at which level it is asked to, and who hears it; subscriptions, and tasks that are watched.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { META } from "../../../../src/gateway/protocol.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { leastGrowth } from "../../../support/heap-growth.ts";
import { settle } from "../../../support/manual-clock.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady, startUnderTest } from "../programs/instance-under-test.ts";
import { stories } from "./instance-words.ts";

const MESSAGE = "notifications/message";

describe("log messages", () => {
  stories(`
without a call they go to the listeners for logs; during one client's calls, only to that client
  a server, says message {"level":"info","data":"x"}: log {"level":"info","data":"x"}
  a1 calls, says message {"level":"info","data":"x"}: a1 hears message {"level":"info","data":"x"}, no log
with several clients in flight only the backend's own log gets them
  a server, a1 calls, b1 calls, says message {"level":"error","logger":"db","data":{"secret":"of\\u001b a"}}
  : a1 hears nothing, b1 hears nothing, no log, log line [error db] {"secret":"of\\u001b a"}
  says message {"level":"error","data":1} in a1: a1 hears message {"level":"error","data":1}
  a1 answered, says message {"level":"error","data":2} in a1: b1 hears nothing
a time-out of the gateway's own list makes nothing ambiguous
  a server, hangs tools/list, 1 s, refreshed, 10 s, a1 calls, says levels info: a1 hears levels info
each client gets its own level; one without a level gets all that the server sends, or info
  a server, a1 calls, says levels debug: a1 hears levels debug
  a wants warning, says levels notice warning emergency own: a1 hears levels warning emergency own
  a wants nothing, level debug, says levels debug info: a1 hears levels info
the level is sent when it differs, and only to servers that log
  a server, level info, level info, level debug, level none, level debug: logging/setLevel was sent {"level":"info"} & {"level":"debug"}
  a server to start, declares {}, starts with level info, level debug: 0 logging/setLevel requests
D2 a client without a level gets from a server of 2026-07-28 what others requested, and from an older one not
  a server to start, speaks 2025-11-25, starts, level debug, a1 calls, says message {"level":"debug","data":"x"} in a1: a1 hears nothing
  a server to start, speaks 2026-07-28, starts, level debug, a1 calls, says message {"level":"debug","data":"x"} in a1: a1 hears levels debug
`);
  test("stored messages, and errors that become conditions, show no secret", async () => {
    const secret = "s3cret-value";
    const { call, link, instance } = await startReady({ secrets: [secret] });
    for (const name of ["a", "b"]) call(createTestClient(name).call(1));
    link.notify(MESSAGE, { level: "error", data: `${"x".repeat(280)} ${secret}` });
    assert.equal(instance.logLines[0]?.includes(secret.slice(0, 4)), false);
    const failed = startUnderTest({ secrets: [secret] }, (link) =>
      link.answers.set("initialize", () => ({ error: { code: -1, message: `no such key: ${secret}` } })),
    );
    await settle();
    const { state } = failed.instance.observed;
    assert.ok(state.kind === "ended");
    assert.equal(state.failure.message, "initialize was answered with error -1: no such key: [redacted]");
  });
});

describe("unknown notifications", () => {
  stories(`
it passes to the one client, to its HTTP stream or to the owner, or is dropped
  a server, says new {"x":0}, a1 calls, says new {"x":1}, b1 calls, says new {"x":2}, says new {"x":3} in a1
  : a1 hears new {"x":1} & new {"x":3}, b1 hears nothing, a hears nothing, b hears nothing
  a server of a, says new: a hears new
E2 no server can send the messages that only Mountaineer sends to its bridge
  a server, a1 calls, says mountaineer/handover {} in a1: a1 hears nothing
  a server of a, says mountaineer/handover: a hears nothing
`);
});

describe("notifications of a task after the call that began it", () => {
  stories(`
goes only to its client: progress under the client's token, and its status
  a server, a1 calls {"name":"one","_meta":{"progressToken":"hers"}}, b1 calls, a1 answered {"task":{"taskId":"t","status":"working"}}
  says progress {"progressToken":"#a1","progress":2}, says tasks/status {"taskId":"t","status":"completed"}
  says tasks/status {"taskId":"nobody's","status":"completed"}: b hears nothing
  : a hears progress {"progressToken":"hers","progress":2} & tasks/status {"taskId":"t","status":"completed"}
  b1 answered, a2 calls, asks page elicitation/create {"mode":"url","elicitationId":"e"}, a leaves
  says progress {"progressToken":"#a1","progress":3}, says elicitation/complete {"elicitationId":"e"}: a hears nothing
are dropped where the call asked for no progress, or began no task
  a server, a1 calls, a2 calls {"name":"one","_meta":{"progressToken":1}}, a1 answered {"task":{"taskId":"t","status":"working"}}, a2 answered
  says progress {"progressToken":"#a1","progress":1}, says progress {"progressToken":"#a2","progress":1}: a hears nothing
`);
});

describe("D2 over HTTP a call does not overtake the log level that it needs", () => {
  stories(`
it waits for the answer; calls of clients without a log level do not
  a server over HTTP that is slow to set a level, a wants debug, level debug, a1 calls, b1 calls: a1 was not sent, b1 was sent
  logging/setLevel answered, a2 calls: 3 tools/call requests, a2 was sent
a level that is not below the present one is not waited for
  a server over HTTP that is slow to set a level, a wants warning, level info, logging/setLevel answered, level debug, a1 calls: a1 was sent
a server that does not answer delays it for a second, once
  a server over HTTP that is slow to set a level, a wants debug, level debug, a1 calls, 999 ms: 0 tools/call requests
  1 ms: 1 tools/call request; a2 calls: a2 was sent
a cancelled call that waits is never sent
  a server over HTTP that is slow to set a level, a wants debug, level debug, a1 calls, a1 cancelled "no more": a1 got an error
  logging/setLevel answered: 0 tools/call requests, server hears nothing
one level is sent after another, and the call waits for its own
  a server over HTTP that is slow to set a level, a wants debug, level info, level debug, a1 calls: logging/setLevel was sent {"level":"info"}
  logging/setLevel answered: logging/setLevel was sent {"level":"info"} & {"level":"debug"}, 0 tools/call requests
  logging/setLevel answered: 1 tools/call request
a renewed session gets the level again before the calls that waited
  a server over HTTP, a wants debug, level debug, hangs logging/setLevel, hangs initialize, a1 calls, at once a1 fails as session_lost, a2 calls: 1 tools/call request
  initialize answered: logging/setLevel was sent {"level":"debug"} & {"level":"debug"}, 1 tools/call request
  logging/setLevel answered: 2 tools/call requests
D2 a program gets messages in order: nothing waits for its answer
  a server, hangs logging/setLevel, a wants debug, level debug, a1 calls: a1 was sent
`);
});

test("D5 each message of a shared server names its stream by the client's own id, and no stream ends while it sends", async () => {
  const { call, link, clock } = await startReady();
  link.hangs("events/stream");
  const open = (name: string, id: string | number) => {
    const port = createTestClient(name).call(id);
    return { port, ...call(port, {}, { method: "events/stream" }) };
  };
  const [a, b] = [open("a", "abc"), open("b", 7)];
  const event = (id: unknown) => ({ _meta: { [META.subscriptionId]: id } });
  const tell = (id: unknown) => link.notify("notifications/events/event", event(id));
  for (let turn = 0; turn < 3; turn += 1) {
    for (const id of [a.id, String(b.id)]) tell(id);
    await clock.advance(50_000);
  }
  for (const [{ port }, id] of [
    [a, "abc"],
    [b, 7],
  ] as const)
    assertEach(port.told, ({ params }) => params, Array(3).fill(event(id)));
  link.answer(a.id, { result: event(a.id) });
  assert.deepEqual(await a.reply, { result: event("abc") });
  tell(a.id);
  assert.equal(b.port.told.length, 3, "a late event of a stream that has ended");
  const c = open("c", 8);
  tell(undefined);
  assert.match(JSON.stringify(await c.reply), /does not say to which stream.*per-client/);
  assert.deepEqual([b.port.told.length, c.port.told.length], [3, 0]);
  await clock.advance(6_000);
  tell(undefined);
  assert.equal(b.port.told.length, 4);
});

test("D5 progress with its token as a text reaches the client, with the client's own token", async () => {
  const { call, link } = await startReady();
  const port = createTestClient("a").call(1);
  const { id } = call(port, { _meta: { progressToken: 7 } });
  for (const progressToken of [String(id), `0${id}`, `${id}.0`, String(id + 1)])
    link.notify("notifications/progress", { progressToken, progress: 1 });
  assert.equal(port.told.length, 1);
  assert.match(JSON.stringify(port.told), /"progressToken":7/);
});

describe("a client that does not read", () => {
  test("as the only client it slows its source down, until it reads or another client appears", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    const { id } = call(port, { _meta: { progressToken: 1 } });
    const progress = (): Promise<void> | null => link.notify("notifications/progress", { progressToken: id });
    assert.equal(progress(), null);
    const reading = Promise.withResolvers<void>();
    port.congested = reading.promise;
    const first = progress();
    assert.ok(first !== null);
    reading.resolve();
    await first;
    port.congested = new Promise(() => {});
    const second = progress();
    const other = createTestClient("b").call(1);
    call(other);
    await second;
    const told = port.told.length;
    assert.equal(progress(), null, "others wait for the same process");
    assert.equal(port.told.length, told, "and nothing piles up meanwhile");
    assert.ok(
      link.notify("notifications/progress", { progressToken: id }, id) !== null,
      "its own stream waits",
    );
  });
  test("however often it slows its source in one call, no trace of that is left", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    const { id } = call(port, { _meta: { progressToken: 1 } });
    const grown = await leastGrowth(async () => {
      for (let turn = 0; turn < 5_000; turn++) {
        const reading = Promise.withResolvers<void>();
        port.congested = reading.promise;
        const paused = link.notify("notifications/progress", { progressToken: id });
        reading.resolve();
        await paused;
      }
      port.told.length = 0;
    });
    assert.ok(grown < 300_000, `${grown} bytes`);
  });
  test("its cancelled call keeps reading", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    const abort = new AbortController();
    const { id } = call(port, { _meta: { progressToken: 1 } }, { signal: abort.signal });
    port.congested = new Promise(() => {});
    const paused = link.notify("notifications/progress", { progressToken: id });
    assert.ok(paused !== null);
    abort.abort();
    await paused;
  });
  test("a health check keeps reading", async () => {
    const { call, link, instance } = await startReady();
    const port = createTestClient("a").call(1);
    const { id } = call(port, { _meta: { progressToken: 1 } });
    port.congested = new Promise(() => {});
    const paused = link.notify("notifications/progress", { progressToken: id });
    instance.check();
    await paused;
    await settle();
    assert.equal(instance.observed.missedChecks, 0);
  });
});

const UPDATED = "notifications/resources/updated";
const OK = { result: {} };
const NO = { error: { code: -32002, message: "no such resource" } };

describe("subscriptions", () => {
  stories(`
the server learns of the first client and of the last
  a server, a subscribes f://1: a got {}; a subscribes f://1: a got {}; b subscribes f://1: b got {}, resources/subscribe was sent {"uri":"f://1"}
  a unsubscribes f://1: a got {}; a unsubscribes f://1: a got {}, 0 resources/unsubscribe requests
  b unsubscribes f://1: b got {}, resources/unsubscribe was sent {"uri":"f://1"}, subscribed; b unsubscribes f://2: b got {}
simultaneous subscribers share one request, and its refusal
  a server, hangs resources/subscribe, a subscribes f://1, b subscribes f://1, c subscribes f://1: 1 resources/subscribe request
  resources/subscribe refused {"code":-32002,"message":"no"}: a got an error "no", b got an error "no", c got an error "no", subscribed
  says resources/updated {"uri":"f://1"}: a hears nothing, b hears nothing, c hears nothing
the last change wins, however fast they follow
  a server, at once a subscribes f://1, at once a unsubscribes f://1, at once a subscribes f://1, 0 ms, says resources/updated {"uri":"f://1"}
  : a hears resources/updated {"uri":"f://1"}
  at once a unsubscribes f://1, at once a subscribes f://1, a unsubscribes f://1: subscribed, the last request is resources/unsubscribe
a client that subscribes while the last one leaves gets the server's new answer
  a server, hangs resources/unsubscribe, a subscribes f://1, a unsubscribes f://1, refuses resources/subscribe "no", b subscribes f://1
  resources/unsubscribe answered: a got an error "no", b got an error "no", subscribed
an update reaches its subscribers, of the whole or of a part, in their call's stream or outside
  a server, a subscribes file:///d/x, b subscribes file:///d, c subscribes file:///d/xy, a1 calls, c1 calls
  says resources/updated {"uri":"file:///d/x"} in a1: a1 hears resources/updated {"uri":"file:///d/x"}, a hears nothing
  : b hears resources/updated {"uri":"file:///d/x"}, c hears nothing, c1 hears nothing
  says resources/updated {"uri":"file:///d/x"}: a hears resources/updated {"uri":"file:///d/x"}, a1 hears nothing
  : b hears resources/updated {"uri":"file:///d/x"}, c hears nothing
a subscription whose session is lost is made in the new one
  a server, loses resources/subscribe once and then gives {}, a subscribes f://1: a got {}, 2 initialize requests, subscribed f://1
one that loses each session ends with the instance
  a server, fails resources/subscribe session_lost, a subscribes f://1: a got an error "…lost 6 times within a minute", is ended
one that gets no answer is an error that names the backend
  a server, hangs resources/subscribe, a subscribes f://1, 10 s: subscribed
  : a got error {"code":-32000,"message":"server files: no answer to resources/subscribe within 10 s"}
`);
  test("D1 a client gets notices under the URI that it uses", async () => {
    const publishedUri = (uri: string): string => uri.replace("ui://", "ui://b/");
    const { instance, link } = await startReady({ publishedUri });
    const a = createTestClient("a");
    await instance.subscribe("ui://page", a);
    link.notify(UPDATED, { uri: "ui://page", title: "P" });
    assert.deepEqual(a.told, [{ method: UPDATED, params: { uri: "ui://b/page", title: "P" } }]);
  });
  test("E4 a principal may have 1,000 subscriptions, and an update with a long URI reaches only who has that URI", async () => {
    const { instance, link } = await startReady();
    const a = createTestClient("a");
    const b = { ...createTestClient("b"), principal: { kind: "user", name: "b", roles: [] } as const };
    for (let at = 0; at < 1_000; at += 1) assert.deepEqual(await instance.subscribe(`f://${at}`, a), OK);
    assert.match(JSON.stringify(await instance.subscribe("f://more", a)), /1000 resources of one server/);
    assert.deepEqual(await instance.subscribe("f://more", b), OK);
    link.notify(UPDATED, { uri: `f://more/${"/".repeat(1_100)}` });
    link.notify(UPDATED, { uri: "f://more/1", _meta: { long: "x".repeat(70_000) } });
    assert.deepEqual(b.told, [{ method: UPDATED, params: { uri: "f://more/1" } }]);
  });
  test("after a gap in a server's messages, subscribers learn that anything may have changed, every 30 s at most", async () => {
    const { instance, link, clock } = await startReady({}, (link) =>
      link.answers.set("resources/subscribe", ({ params }) => (params?.["uri"] === "f://late" ? null : OK)),
    );
    const [a, b] = [createTestClient("a"), createTestClient("b")];
    await instance.subscribe("f://1", a);
    await instance.subscribe("f://2", a);
    await instance.subscribe("f://2", b);
    void instance.subscribe("f://late", b);
    const told = () =>
      [a, b].map((one) => one.told.splice(0).map(({ method, params }) => [method, params?.["uri"]]));
    const all = [
      [
        [UPDATED, "f://1"],
        [UPDATED, "f://2"],
      ],
      [[UPDATED, "f://2"]],
    ];
    link.gap();
    assert.deepEqual(told(), all);
    for (let count = 0; count < 5; count++) {
      link.gap();
      await clock.advance(5_000);
    }
    assert.deepEqual(told(), [[], []]);
    await clock.advance(5_000);
    assert.deepEqual(told(), all, "the later gaps are told, all of them at once");
    await clock.advance(60_000);
    assert.deepEqual(told(), [[], []]);
    link.gap();
    link.gap();
    assert.deepEqual(told(), all, "after a quiet time at once");
    await instance.close({ code: -32000, message: "over" });
    await clock.advance(30_000);
    assert.deepEqual(told(), [[], []]);
  });
  test("B7 an instance that replaces another adopts its clients' subscriptions", async () => {
    const one = await startReady();
    const [a, b] = [createTestClient("a"), createTestClient("b")];
    await one.instance.subscribe("f://1", a);
    await one.instance.subscribe("f://1", b);
    await one.instance.subscribe("f://2", b);
    const two = await startReady({}, (link) =>
      link.answers.set("resources/subscribe", ({ params }) => (params?.["uri"] === "f://2" ? NO : OK)),
    );
    two.instance.adopt(one.instance.subscriptions);
    await settle();
    assertEach(two.link.requests("resources/subscribe"), ({ params }) => params?.["uri"], ["f://1", "f://2"]);
    two.link.notify(UPDATED, { uri: "f://1" });
    assert.deepEqual([a.told.length, b.told.length], [1, 1]);
    assert.deepEqual([...(two.instance.subscriptions.get("f://2") ?? [])], [b]);
    two.instance.forget(b);
    two.instance.forget(a);
    await settle();
    assert.equal(two.instance.subscriptions.size, 0);
    assert.equal(two.link.requests("resources/unsubscribe").length, 1);
  });
});

stories(`
D1 each client gets notices of its task under its own name for it, until it is over
  a server, gives tasks/watch {}, gives tasks/unwatch {}, a watches t as his, b watches t as hers, c watches u as other: a got {}, b got {}, c got {}
  says tasks {"taskId":"t","status":"working"}, says tasks {"taskId":"unknown","status":"working"}, says tasks {"taskId":{"toString":1,"valueOf":1}}, says tasks, a leaves
  says tasks {"taskId":"t","status":"completed","result":{}}, says tasks {"taskId":"t","status":"completed","result":{}}
  : a hears tasks {"taskId":"his","status":"working"}, c hears nothing
  : b hears tasks {"taskId":"hers","status":"working"} & tasks {"taskId":"hers","status":"completed","result":{}}
  c leaves: tasks/watch was sent {"taskId":"t"} & {"taskId":"u"}, tasks/unwatch was sent {"taskId":"t"} & {"taskId":"u"}
D1 a watch that the server refuses has no watchers, and the next one requests it again
  a server, refuses tasks/watch "no", a watches t as n: a got error {"code":-32603,"message":"no"}
  says tasks {"taskId":"t","status":"working"}: a hears nothing; gives tasks/watch {}, a watches t as n: a got {}, 2 tasks/watch requests
D1 a client that has since left is dropped, and one whose server is gone or silent is asked to listen again
  a server, gives tasks/watch {}, gives tasks/unwatch {}, at once b watches t as n, b leaves: b got an error
  c has left, c watches v as n: c got an error
  a watches t as n, a watches u as m, gap, 1 ms: a hears mountaineer/tasks_lost, 4 tasks/unwatch requests
  a watches t as n, x1 calls, x1 fails as session_lost: a hears mountaineer/tasks_lost
  a watches t as n, dies "closed": a hears mountaineer/tasks_lost; a watches t as n: a got an error
`);
