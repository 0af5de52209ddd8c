// Sessions that are lost, servers that are asked whether they live, the first question of one, and since when one is idle.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settle } from "../../../support/manual-clock.ts";
import { FAILURE, toolOf } from "../programs/instance-scripted-link.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady } from "../programs/instance-under-test.ts";
import { stories } from "./instance-words.ts";

const OK = { result: { content: [] } };

describe("a session that is lost", () => {
  stories(`
one renewal for all; calls are not repeated, later ones wait for it
  a server to start, starts with level info, 1 s, a subscribes a://1, a1 calls, a2 calls, hangs initialize, at once a1 fails as session_lost, a2 fails as session_lost
  : a1 got an error "server files lost its session; the call was not repeated, as it may have taken effect. The session is new, without the settings of the old one"
  : a2 got an error "…lost its session", 2 initialize requests; a3 calls, a4 calls for 0.1 s, a5 calls: 2 tools/call requests, 3 in flight, is ready
  100 ms, a5 cancelled: a4 got an error, a5 got an error, server hears nothing
  gives tools/call {"content":[]}, initialize answered: a3 is answered
  1 s: 2 sessions, 2 logging/setLevel requests, 2 resources/subscribe requests, 2 tools/list requests, 3 tools/call requests
a list that was being read is read again in the new session
  a server, 1 s, loses tools/list once and then gives {"tools":[{"name":"again"}]}, tools change, 1 s: tools again, lists are whole, 2 initialize requests
a failure of the old session after the renewal does not renew again
  a server, x1 calls, x2 calls, x1 fails as session_lost, x2 fails as session_lost: x2 got an error, 2 initialize requests
a failed renewal ends the instance, and the calls that waited for it
  a server, fails initialize unreachable "nobody listens", x1 calls, at once x1 fails as session_lost, at once x2 calls: x2 waits
  0 ms: x2 got an error "server files: nobody listens", ended as unreachable "nobody listens", the link is closed
sessions that do not last end the instance
  a server, 5 times a session is lost: is ready; 60 s, 5 times a session is lost: is ready
  1 times a session is lost: ended as session_lost "…session"
lost while it starts, it is not renewed: the start has failed
  a server to start, fails tools/list session_lost, starts: is ended, 1 initialize request
a list that the new session no longer declares is no longer listed
  a server, 1 s, declares {"prompts":{}}, x1 calls, x1 fails as session_lost: 2 new lists, introduces other 2 of 2025-11-25
  : lists {"tools":[],"resources":[],"resourceTemplates":[],"prompts":[]}
closed while it renews, it stays closed
  a server, hangs initialize, x1 calls, at once x1 fails as session_lost, x2 calls, closed "removed": x2 got error {"code":-32000,"message":"removed"}, is closing
questions outside of any call go with the session, those of live calls stay
  a server of a, asks outside roots/list, a2 calls, a1 calls, asks inside roots/list, a2 fails as session_lost
  : a question 1 is withdrawn, a1 question 1 is open, outside waits for a reply
a suspect transport is checked: before a call meets the lost session, there is a new one
  a server, fails ping session_lost, suspect: 2 initialize requests
  knows no ping, suspect: 2 initialize requests, is ready; x1 calls: 1 tools/call request
an error that names a session is decided by a ping: a tool's own session is not renewed
  a server over HTTP, hangs ping, x1 calls, x1 refused {"code":-32000,"message":"session not found"}, ping answered: 1 initialize request
  x2 calls, x2 refused {"code":-32000,"message":"session not found"}, ping refused {"code":-32000,"message":"session not found"}
  : 2 initialize requests, 2 ping requests
a check that finds the session lost renews it
  a server, fails ping session_lost, hangs initialize, checked: missed 0, 2 initialize requests
`);
  test("D5 a read is sent again in the new session, which a list request's reading may have begun", async () => {
    const { link, call, instance, clock } = await startReady();
    const method = "resources/read";
    link.hangs(method);
    const [read, twice] = [
      call(null, { uri: "a://1" }, { method }),
      call(null, { uri: "a://2" }, { method }),
    ];
    await clock.advance(5_000);
    link.answers.set("tools/list", ({ id }) => {
      link.gives("tools/list", { tools: [toolOf("again")] });
      for (const { id: lost } of [read, twice]) link.failRequest(lost, FAILURE("session_lost"));
      return id === -1 ? null : FAILURE("session_lost");
    });
    await instance.readDueLists("list", ["tools"]);
    assert.deepEqual(
      instance.listings?.tools,
      [toolOf("again")],
      "who waits gets the list of the new session",
    );
    assert.deepEqual([link.requests("initialize").length, link.requests(method).length], [2, 4]);
    link.answer(read.id, OK);
    assert.deepEqual(await read.reply, OK);
    link.failRequest(twice.id, FAILURE("session_lost"));
    assert.ok("error" in (await twice.reply));
    assert.equal(link.requests(method).length, 4);
  });
});

describe("health", () => {
  stories(`
a ping without an answer is a missed check, any message a sign of life
  a server, 1 s, checked: missed 0, checked now; hangs ping, checked, checked, 5 s: missed 1; checked, checked, 5 s: missed 2, 3 ping requests
  0 ms: 4 news; says anything: missed 0, 1 news
  checked, 4 s, says anything, 1 s: missed 0, server hears nothing
a ping that does not reach the server is one missed check
  a server, fails ping unreachable, checked: missed 1, is unreachable
a server that does not know ping is alive
  a server, knows no ping, checked: missed 0
`);
  test("`seen` is the same object until something is different", async () => {
    const { instance, call, link } = await startReady();
    const { observed } = instance;
    assert.equal(instance.observed, observed);
    const { id } = call(null);
    assert.deepEqual([instance.observed.inFlight, observed.inFlight], [1, 0]);
    link.answer(id, OK);
  });
});

describe("B7 a client's own instance", () => {
  stories(`
takes the first call once the server's own first question is answered, and has taken effect
  a server of a that asks first: is starting; a1 calls: 0 tools/call requests; a replies {"roots":[]}: roots gets {"roots":[]}, 1 ping request
  1 s: 0 tools/call requests; ping answered, 199 ms: 0 tools/call requests
  1 ms: is ready, 1 tools/call request; tools/call answered {"content":[]}: a1 is answered
waits for ten seconds and a check at most, and not at all for a server that asks nothing
  a server of a that asks first, 9999 ms: is starting; 2201 ms: is ready, requests roots; a server of a: is ready, requests no roots
that ends while it waits ends, and leaves no timer
  a server of a that asks first, dies "it crashed": is ended; 10 s: is ended, no timers
`);
});

test("B2 an instance is idle from its start, and again from the end of its last call", async () => {
  const { instance, link, clock, call } = await startReady();
  const readyMs = clock.monotonicMs();
  assert.deepEqual([instance.idleSinceMs, instance.isUsed], [readyMs, false]);
  const { id, reply } = call(null);
  await clock.advance(5_000);
  assert.deepEqual([instance.idleSinceMs, instance.isUsed], [null, true]);
  link.answer(id, { result: { content: [] } });
  await reply;
  assert.deepEqual([instance.idleSinceMs, instance.isUsed], [readyMs + 5_000, true]);
});

test("B2 a task keeps its server running for as long as the server keeps the task; one without an end, always", async () => {
  const { instance, link, clock, call } = await startReady();
  const answered = async (result: object): Promise<void> => {
    const { id, reply } = call(null);
    link.answer(id, { result: { ...result } });
    await reply;
  };
  const startMs = clock.monotonicMs();
  await answered({ task: { taskId: "t1", status: "working", ttl: 60_000 } });
  await answered({ content: [] });
  assert.equal(instance.idleSinceMs, null);
  await clock.advance(60_000);
  assert.equal(instance.idleSinceMs, startMs + 60_000);
  await answered({ resultType: "task", taskId: "t2", ttlMs: 1_000 });
  await clock.advance(1_000);
  assert.equal(instance.idleSinceMs, startMs + 61_000);
  await answered({ task: { taskId: "t3", status: "working", ttl: null } });
  await clock.advance(3_600_000);
  assert.equal(instance.idleSinceMs, null);
});

test("B2 a subscription keeps its server running until the last client leaves", async () => {
  const { instance } = await startReady();
  const [ann, ben] = [createTestClient("ann"), createTestClient("ben")];
  for (const client of [ann, ben]) void instance.subscribe("a://1", client);
  await settle();
  instance.forget(ann);
  assert.equal(instance.idleSinceMs, null);
  instance.forget(ben);
  await settle();
  assert.notEqual(instance.idleSinceMs, null);
});
