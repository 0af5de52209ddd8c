// What clients are subscribed to, and the tasks that they watch.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { FAILURE } from "../programs/instance-scripted-link.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady } from "../programs/instance-under-test.ts";

const UPDATED = "notifications/resources/updated";
const OK = { result: {} };
const NO = { error: { code: -32002, message: "no such resource" } };

describe("subscriptions", () => {
  test("the server learns of the first client and of the last", async () => {
    const { instance, link } = await startReady();
    const [a, b] = [createTestClient("a"), createTestClient("b")];
    assert.deepEqual(await instance.subscribe("f://1", a), OK);
    assert.deepEqual(await instance.subscribe("f://1", a), OK);
    assert.deepEqual(await instance.subscribe("f://1", b), OK);
    assert.deepEqual(await instance.unsubscribe("f://1", a), OK);
    assert.deepEqual(await instance.unsubscribe("f://1", a), OK);
    assert.equal(link.requests("resources/unsubscribe").length, 0);
    assert.deepEqual(await instance.unsubscribe("f://1", b), OK);
    assert.deepEqual(
      link.received.slice(-2).map((message) => ("params" in message ? message.params : null)),
      [{ uri: "f://1" }, { uri: "f://1" }],
    );
    assert.equal(link.requests("resources/subscribe").length, 1);
    assert.deepEqual([link.requests("resources/unsubscribe").length, instance.subscriptions.size], [1, 0]);
    assert.deepEqual(await instance.unsubscribe("f://2", b), OK);
  });
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
  test("simultaneous subscribers share one request, and its refusal", async () => {
    const { instance, link } = await startReady({}, { "resources/subscribe": null });
    const clients = ["a", "b", "c"].map((name) => createTestClient(name));
    const replies = clients.map((client) => instance.subscribe("f://1", client));
    assert.equal(link.requests("resources/subscribe").length, 1);
    link.answerTo("resources/subscribe", NO);
    assert.deepEqual(await Promise.all(replies), [NO, NO, NO]);
    assert.equal(instance.subscriptions.size, 0);
    link.notify(UPDATED, { uri: "f://1" });
    assert.deepEqual(
      clients.flatMap(({ told }) => told),
      [],
    );
  });
  test("the last change wins, however fast they follow", async () => {
    const { instance, link } = await startReady();
    const a = createTestClient("a");
    await Promise.all([
      instance.subscribe("f://1", a),
      instance.unsubscribe("f://1", a),
      instance.subscribe("f://1", a),
    ]);
    await settle();
    link.notify(UPDATED, { uri: "f://1" });
    assert.equal(a.told.length, 1);
    void instance.unsubscribe("f://1", a);
    void instance.subscribe("f://1", a);
    await instance.unsubscribe("f://1", a);
    await settle();
    assert.equal(instance.subscriptions.size, 0);
    const asked = link.received.flatMap((message) =>
      "method" in message && /subscribe$/.test(message.method) ? [message.method] : [],
    );
    assert.equal(asked.at(-1), "resources/unsubscribe");
  });
  test("a client that subscribes while the last one leaves gets the server's new answer", async () => {
    const { instance, link } = await startReady({}, { "resources/unsubscribe": null });
    const [a, b] = [createTestClient("a"), createTestClient("b")];
    await instance.subscribe("f://1", a);
    const left = instance.unsubscribe("f://1", a);
    link.answers.set("resources/subscribe", () => NO);
    const came = instance.subscribe("f://1", b);
    link.answerTo("resources/unsubscribe", OK);
    assert.deepEqual([await left, await came], [NO, NO]);
    assert.equal(instance.subscriptions.size, 0);
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
  test("an update reaches its subscribers, of the whole or of a part, in their call's stream or outside", async () => {
    const { instance, link, call } = await startReady();
    const [a, b, c] = [createTestClient("a"), createTestClient("b"), createTestClient("c")];
    await instance.subscribe("file:///d/x", a);
    await instance.subscribe("file:///d", b);
    await instance.subscribe("file:///d/xy", c);
    const [portA, portC] = [a.call(1), c.call(1)];
    const ofA = call(portA);
    call(portC);
    link.notify(UPDATED, { uri: "file:///d/x" }, ofA.id);
    assert.deepEqual(portA.told, [{ method: UPDATED, params: { uri: "file:///d/x" } }]);
    assert.deepEqual([a.told.length, b.told.length, c.told.length, portC.told.length], [0, 1, 0, 0]);
    link.notify(UPDATED, { uri: "file:///d/x" });
    assert.deepEqual([a.told.length, b.told.length, c.told.length, portA.told.length], [1, 2, 0, 1]);
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
  test("a subscription whose session is lost is made in the new one", async () => {
    const { instance, link } = await startReady();
    let lost = true;
    link.answers.set("resources/subscribe", () => {
      if (!lost) return OK;
      lost = false;
      return { kind: "session_lost", message: "gone", hint: null };
    });
    assert.deepEqual(await instance.subscribe("f://1", createTestClient("a")), OK);
    assert.deepEqual([link.requests("initialize").length, instance.subscriptions.size], [2, 1]);
  });
  test("one that loses each session ends with the instance", async () => {
    const { instance, link } = await startReady();
    link.answers.set("resources/subscribe", () => FAILURE("session_lost"));
    const reply = await instance.subscribe("f://1", createTestClient("a"));
    assert.ok("error" in reply && /lost 6 times within a minute/.test(reply.error.message));
    assert.equal(instance.observed.state.kind, "ended");
  });
  test("one that gets no answer is an error that names the backend", async () => {
    const { instance, link, clock } = await startReady();
    link.hangs("resources/subscribe");
    const reply = instance.subscribe("f://1", createTestClient("a"));
    await clock.advance(10_000);
    assert.deepEqual(await reply, {
      error: { code: -32000, message: "server files: no answer to resources/subscribe within 10 s" },
    });
    assert.equal(instance.subscriptions.size, 0);
  });
});

const NOTICE = "notifications/tasks";
const LOST = "notifications/mountaineer/tasks_lost";

async function watched() {
  const started = await startReady({}, ({ answers }) => {
    answers.set("tasks/watch", () => OK);
    answers.set("tasks/unwatch", () => OK);
  });
  const asked = (): unknown[] =>
    started.link.received.flatMap((message) =>
      "method" in message && message.method.startsWith("tasks/") ? [[message.method, message.params]] : [],
    );
  return { ...started, asked };
}

test("D1 each client gets notices of its task under its own name for it, until it is over", async () => {
  const { instance, link, asked } = await watched();
  const [a, b, c] = [createTestClient("a"), createTestClient("b"), createTestClient("c")];
  assert.deepEqual(await instance.watchTask({ id: "t", name: "of a" }, a), OK);
  assert.deepEqual(await instance.watchTask({ id: "t", name: "of b" }, b), OK);
  assert.deepEqual(await instance.watchTask({ id: "u", name: "of c" }, c), OK);
  link.notify(NOTICE, { taskId: "t", status: "working" });
  link.notify(NOTICE, { taskId: "unknown", status: "working" });
  link.notify(NOTICE, undefined);
  instance.forget(a);
  link.notify(NOTICE, { taskId: "t", status: "completed", result: {} });
  link.notify(NOTICE, { taskId: "t", status: "completed", result: {} });
  assert.deepEqual(a.told, [{ method: NOTICE, params: { taskId: "of a", status: "working" } }]);
  assert.deepEqual(b.told, [
    { method: NOTICE, params: { taskId: "of b", status: "working" } },
    { method: NOTICE, params: { taskId: "of b", status: "completed", result: {} } },
  ]);
  assert.deepEqual(c.told, []);
  instance.forget(c);
  await settle();
  assert.deepEqual(asked(), [
    ["tasks/watch", { taskId: "t" }],
    ["tasks/watch", { taskId: "u" }],
    ["tasks/unwatch", { taskId: "t" }],
    ["tasks/unwatch", { taskId: "u" }],
  ]);
});

test("D1 a watch that the server refuses has no watchers, and the next one requests it again", async () => {
  const { instance, link, asked } = await watched();
  const refusal = { error: { code: -32603, message: "no" } };
  link.answers.set("tasks/watch", () => refusal);
  const client = createTestClient("a");
  assert.deepEqual(await instance.watchTask({ id: "t", name: "n" }, client), refusal);
  link.notify(NOTICE, { taskId: "t", status: "working" });
  assert.deepEqual(client.told, []);
  link.answers.set("tasks/watch", () => OK);
  assert.deepEqual(await instance.watchTask({ id: "t", name: "n" }, client), OK);
  assert.equal(asked().length, 2);
});

test("D1 a client that has since left is dropped, and one whose server is gone or silent is asked to listen again", async () => {
  const { instance, link, asked, clock, call } = await watched();
  const early = createTestClient("early");
  const watching = instance.watchTask({ id: "t", name: "n" }, early);
  instance.forget(early);
  assert.equal("error" in (await watching), true);
  const gone = { ...createTestClient("gone"), ended: AbortSignal.abort() };
  assert.equal("error" in (await instance.watchTask({ id: "v", name: "n" }, gone)), true);
  const client = createTestClient("a");
  await instance.watchTask({ id: "t", name: "n" }, client);
  await instance.watchTask({ id: "u", name: "m" }, client);
  link.gap();
  await clock.advance(1);
  assert.deepEqual(client.told, [{ method: LOST, params: undefined }]);
  assert.equal(asked().filter((one) => Array.isArray(one) && one[0] === "tasks/unwatch").length, 4);
  await instance.watchTask({ id: "t", name: "n" }, client);
  link.failRequest(call(null).id, FAILURE("session_lost"));
  assert.equal(client.told.length, 2);
  await instance.watchTask({ id: "t", name: "n" }, client);
  link.die(FAILURE("closed"));
  assert.equal(client.told.length, 3);
  assert.equal("error" in (await instance.watchTask({ id: "t", name: "n" }, client)), true);
});
