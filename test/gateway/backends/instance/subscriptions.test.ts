// What clients are subscribed to, and the tasks that they watch.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady } from "../programs/instance-under-test.ts";
import { stories } from "./instance-words.ts";

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
