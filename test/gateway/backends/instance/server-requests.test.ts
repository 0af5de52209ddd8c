// What a server asks: who is asked, what a client does not support, and how long a question lives.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { progressTokenOf } from "../../../../src/gateway/backends/instance/calls.ts";
import { parseExactly } from "../../../../src/runtime/text/exact-json.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady } from "../programs/instance-under-test.ts";
import { stories } from "./instance-words.ts";

const OK = { result: { content: [] } };

describe("the owner of a question", () => {
  stories(`
the one client with calls in flight is asked in its newest call, and the answer is returned
  a server, a1 calls, a2 calls, asks q sampling/createMessage {"messages":[],"maxTokens":1}
  : a was asked 0, a1 was asked 0, a2 last asked {"messages":[],"maxTokens":1}; a2 replies {"role":"assistant"}: q gets {"role":"assistant"}
of several calls of one client, one that ends leaves it open for the others
  a server, a1 calls, a2 calls, asks q elicitation/create {"message":"who?"}, asks r elicitation/create {"message":"when?"}, a2 answered, a3 calls
  : q waits for a reply; a2 replies {"action":"accept"}: q gets {"action":"accept"}, a2 question 2 is open
  a1 answered: r fails "…has ended", a2 question 2 is withdrawn
of several calls of one client, one whose stream is broken off passes it to the next possible owner
  a server, a1 calls, a2 calls, a3 calls, asks q elicitation/create {"message":"who?","_meta":{"progressToken":7}}, a4 calls, a2 answered
  a3 breaks off: a was asked 0, a1 was asked 1, a2 was asked 0, a4 was asked 0
  a1 progresses {"progress":1}: server hears progress {"progressToken":7,"progress":1}
  : q waits for a reply; a1 replies {"action":"accept"}: q gets {"action":"accept"}
a client that breaks off every call it may belong to is not asked elsewhere
  a server of a, a1 calls, a2 calls, asks q elicitation/create {"message":"who?"}, a2 breaks off, a1 breaks off: q fails "…no open stream", a was asked 0
a question that belongs to no call is withdrawn when the instance ends
  a server of a, asks q roots/list: a question 1 is open; closed "over": a question 1 is withdrawn
with several clients in flight, or none, it is refused and no client is asked
  a server, asks 0 roots/list, a1 calls, b1 calls, asks 1 elicitation/create {"message":"secret"}, asks "1" something/unknown
  : 0 has no owner, 1 has no owner, "1" has no owner; a1 answered, asks 2 roots/list: a1 was asked 0, b1 was asked 1
where only an absent client makes the owner ambiguous, its call ends, and the next question has an owner
  a server, a1 calls and may be evicted, asks 1 roots/list, c1 calls, b1 calls, asks 2 roots/list: a1 is kept
  c1 answered, asks 3 roots/list: a1 is evicted, b1 was asked 0; 1 s, asks 4 roots/list: a1 was asked 1, b1 was asked 1
an HTTP stream identifies the call, whatever other clients are there; for a call that ended, the question has no owner
  a server, a1 calls, b1 calls, asks 1 roots/list in a1: a1 was asked 1
  a1 answered, asks 2 roots/list in a1, asks 3 roots/list in 12345: 2 has no owner, 3 has no owner, b1 was asked 0
B7 a call that was cancelled keeps its questions from another client until it is answered, or everything is silent
  a server, a1 calls, b1 calls, a1 cancelled, asks 1 roots/list: 1 has no owner
  c1 calls, asks two roots/list: two has no owner
  c1 answered, 59 times 900 ms and a message, b2 calls, asks late roots/list: late has no owner
  999 ms, asks later roots/list: later has no owner, b2 was asked 0; 1 s, asks 2 roots/list: b2 was asked 1
  a2 calls, a2 cancelled, a2 answered, asks 3 roots/list: b2 was asked 2, a2 was asked 0
the time for its questions is bounded, whatever its deadline
  a server, a1 calls for 0.1 s, 100 ms, b1 calls for 86400 s, 59999 ms, asks 1 roots/list: 1 has no owner
  1 ms, asks 2 roots/list: b1 was asked 1
  a server, a1 calls for 300 s, 300 s, b1 calls for 86400 s, 59999 ms, asks 1 roots/list: 1 has no owner
  1 ms, asks 2 roots/list: b1 was asked 1
  a server, a1 calls for 400 s, 400 s, b1 calls for 86400 s, 399999 ms, asks 1 roots/list: 1 has no owner
  1 ms, asks 2 roots/list: b1 was asked 1
  a server, a1 calls for 86400 s, 86400 s, b1 calls for 86400 s, 599999 ms, asks 1 roots/list: 1 has no owner
  1 ms, asks 2 roots/list: b1 was asked 1
a call without work behind it keeps no question for long
  a server, hangs completion/complete, a1 calls completion/complete, b1 calls, a1 cancelled, asks 1 roots/list
  : 1 has no owner; 10 times 500 ms and a message, asks 2 roots/list: b1 was asked 1
an instance with an owner asks its owner, in a call or outside
  a server of a, asks 1 roots/list: a was asked 1; a1 calls, asks 2 roots/list: a1 was asked 1; a replies {"roots":[]}: 1 gets {"roots":[]}
outside of any call it is withdrawn when its client goes, and the server gets an error
  a server of a, asks 1 roots/list, a leaves: 1 fails "…the client has gone", a question 1 is withdrawn
`);
});

describe("what a client does not support", () => {
  stories(`
is refused, with the code of a method or of its parameters
  a server, a can {}, a1 calls, asks 1 roots/list: 1 fails with -32601, a1 was asked 0
  a server, a can {"roots":{}}, a1 calls, asks 1 sampling/createMessage {}: 1 fails with -32601, a1 was asked 0
  a server, a can {"sampling":{}}, a1 calls, asks 1 sampling/createMessage {"tools":[]}: 1 fails with -32602, a1 was asked 0
  a server, a can {}, a1 calls, asks 1 elicitation/create {}: 1 fails with -32601, a1 was asked 0
  a server, a can {"elicitation":{}}, a1 calls, asks 1 elicitation/create {"mode":"url"}: 1 fails with -32602, a1 was asked 0
  a server, a can {"elicitation":{"url":{}}}, a1 calls, asks 1 elicitation/create {}: 1 fails with -32602, a1 was asked 0
and what it supports, or nobody knows, is asked
  a server, a can {"sampling":{"tools":{}}}, a1 calls, asks 1 sampling/createMessage {"tools":[]}: 1 waits for a reply, a1 was asked 1
  a server, a can {"elicitation":{}}, a1 calls, asks 1 elicitation/create {}: 1 waits for a reply, a1 was asked 1
  a server, a can {"elicitation":{"form":{}}}, a1 calls, asks 1 elicitation/create {"mode":"form"}: 1 waits for a reply, a1 was asked 1
  a server, a can {"elicitation":{"url":{}}}, a1 calls, asks 1 elicitation/create {"mode":"url"}: 1 waits for a reply, a1 was asked 1
  a server, a can {}, a1 calls, asks 1 tasks/get {"taskId":"x"}: 1 waits for a reply, a1 was asked 1
`);
});

describe("the life of a question", () => {
  stories(`
the server's withdrawal withdraws it, without an answer
  a server, a1 calls, asks q roots/list, says cancelled {"requestId":"other"}: a1 question 1 is open
  says cancelled {"requestId":"q"}: a1 question 1 is withdrawn, q waits for a reply
the end of its call withdraws it, and the server gets one error
  a server, a1 calls, asks q roots/list, at once a1 answered: a1 question 1 is withdrawn
  0 ms: q fails with -32603 "the call that this belongs to has ended", 1 reply to q
a client that leaves ends its own calls, questions and subscriptions, and no others
  a server, a subscribes a://1, b subscribes a://2, a1 calls, asks q roots/list, b1 calls, a leaves: a1 got an error, q fails, subscribed a://2
  : server hears cancelled {"requestId":"#a1","reason":"the client has gone"}; b1 answered: b1 is answered
while a person is asked, and again at the answer, the call's time restarts
  a server, a1 calls for 60 s, 50 s, asks q elicitation/create {}, 50 s, a1 replies {"action":"accept"}, 50 s, a1 answered: a1 is answered
`);
  test("the client's progress on it reaches the server under the server's token", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    call(port);
    const params = { messages: [], _meta: { progressToken: 7, keep: true } };
    link.ask("q", "sampling/createMessage", params);
    link.ask("r", "sampling/createMessage", params);
    const [first, second] = port.asked;
    const token = (asked: typeof first): unknown =>
      (asked?.params?.["_meta"] as Record<string, unknown> | undefined)?.["progressToken"];
    assert.equal(typeof token(first), "string");
    assert.notEqual(token(first), token(second));
    assert.deepEqual(first?.params, { messages: [], _meta: { progressToken: token(first), keep: true } });
    first?.onProgress?.({ progressToken: token(first), progress: 3, total: 4 });
    assert.deepEqual(link.told("notifications/progress"), [{ progressToken: 7, progress: 3, total: 4 }]);
    first?.answer(OK);
    await settle();
    first?.onProgress?.({ progressToken: token(first), progress: 4 });
    assert.equal(link.told("notifications/progress").length, 1);
  });
  test("ids and tokens that a double cannot represent keep their digits, and stay distinct", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    call(port);
    const [long, neighbour] = ["9007199254740993", "9007199254740992"];
    const say = (message: string): void => void link.say(parseExactly(`{"jsonrpc":"2.0",${message}}`));
    const ask = (id: string): void =>
      say(`"id":${id},"method":"sampling/createMessage","params":{"_meta":{"progressToken":${long}}}`);
    const sent = (): string => JSON.stringify(link.received.at(-1));
    for (const id of [long, neighbour, long]) ask(id);
    assert.equal(port.asked.length, 2);
    const [first, second] = port.asked;
    first?.onProgress?.({ progressToken: progressTokenOf(first.params), progress: 1 });
    assert.match(sent(), new RegExp(`"progressToken":${long}\\b`));
    first?.answer(OK);
    await settle();
    assert.match(sent(), new RegExp(`"id":${long}\\b.*"content"`));
    ask(long);
    say(`"method":"notifications/cancelled","params":{"requestId":${long}}`);
    assertEach(port.asked, ({ signal }) => signal.aborted, [false, false, true]);
    second?.answer(OK);
    await settle();
    assert.match(sent(), new RegExp(`"id":${neighbour}\\b.*"content"`));
  });
  test("an id that is in use is not asked twice, and floods are refused", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    call(port);
    link.ask("q", "roots/list");
    link.ask("q", "roots/list");
    assert.equal(port.asked.length, 1);
    for (let id = 0; id < 2_000; id++) link.ask(id, "roots/list");
    assert.equal(port.asked.length, 1_000);
    const reply = link.replyTo(1_999);
    assert.ok(reply !== null && "error" in reply && /1000 requests wait/.test(reply.error.message));
  });
});

describe("elicitation by URL", () => {
  stories(`
its completion reaches the client that was sent there, and no other
  a server, a1 calls, asks q elicitation/create {"mode":"url","elicitationId":"e1","url":"https://x","message":"m"}, b1 calls
  says elicitation/complete {"elicitationId":"e1"}: a1 hears elicitation/complete {"elicitationId":"e1"}
  a1 refused {"code":-32042,"message":"go there","data":{"elicitations":[{"elicitationId":"e2"},null]}}
  says elicitation/complete {"elicitationId":"e2"}, says elicitation/complete {"elicitationId":"unknown"}
  : a hears elicitation/complete {"elicitationId":"e2"}, b hears nothing
of an id that the server uses again it reaches each session of the principal that is still there
  a server, a1 calls, b1 calls, a1 refused {"code":-32042,"message":"m","data":{"elicitations":[{"elicitationId":"e"}]}}
  b1 refused {"code":-32042,"message":"m","data":{"elicitations":[{"elicitationId":"e"}]}}
  says elicitation/complete {"elicitationId":"e"}: a hears elicitation/complete {"elicitationId":"e"}, b hears elicitation/complete {"elicitationId":"e"}
  b leaves, says elicitation/complete {"elicitationId":"e","n":2}: a hears elicitation/complete {"elicitationId":"e","n":2}
`);
  test("of more than a thousand the oldest are forgotten", async () => {
    const { call, link } = await startReady();
    const a = createTestClient("a");
    for (let first = 0; first < 3; first++) {
      const elicitations = Array.from({ length: 600 }, (_, n) => ({ elicitationId: `${first}-${n}` }));
      link.answer(call(a.call(1)).id, { error: { code: -32042, message: "", data: { elicitations } } });
    }
    link.notify("notifications/elicitation/complete", { elicitationId: "0-0" });
    link.notify("notifications/elicitation/complete", { elicitationId: "1-199" });
    assert.equal(a.told.length, 0);
    link.notify("notifications/elicitation/complete", { elicitationId: "2-599" });
    link.notify("notifications/elicitation/complete", { elicitationId: "1-300" });
    assert.equal(a.told.length, 2);
  });
});
