import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { progressTokenOf } from "../../../../src/gateway/backends/instance/calls.ts";
import { parseExactly } from "../../../../src/runtime/text/exact-json.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady } from "../programs/instance-under-test.ts";

const OK = { result: { content: [] } };
const UNCLEAR = {
  error: {
    code: -32600,
    message: 'the client that this belongs to is unknown; set instances = "per-client" for server files',
  },
};

const LINGERS = (left: string) => ({
  error: {
    code: -32600,
    message: `the client that this belongs to is unknown: a call that was cancelled may still be running, until it is answered or this server says nothing for a second, for ${left} at most; set instances = "per-client" for server files`,
  },
});

describe("the owner of a question", () => {
  test("the one client with calls in flight is asked in its newest call, and the answer is returned", async () => {
    const { call, link } = await startReady();
    const client = createTestClient("a");
    const [older, newer] = [client.call(1), client.call(2)];
    call(older);
    call(newer);
    const params = { messages: [], maxTokens: 1 };
    link.ask("q", "sampling/createMessage", params);
    assert.equal(older.asked.length + client.asked.length, 0);
    assert.equal(newer.asked[0]?.params, params);
    const result = { role: "assistant" };
    newer.asked[0]?.answer({ result });
    await settle();
    assert.deepEqual(link.replyTo("q"), { result });
  });
  test("of several calls of one client, one that ends leaves it open for the others", async () => {
    const { call, link } = await startReady();
    const client = createTestClient("a");
    const [older, newer] = [client.call(1), client.call(2)];
    const [first, second] = [call(older), call(newer)];
    link.ask("q", "elicitation/create", { message: "who?" });
    link.ask("r", "elicitation/create", { message: "when?" });
    link.answer(second.id, OK);
    const later = call(client.call(3));
    assert.equal(link.replyTo("q"), null);
    newer.asked[0]?.answer({ result: { action: "accept" } });
    await settle();
    assert.deepEqual(link.replyTo("q"), { result: { action: "accept" } });
    assert.equal(newer.asked[1]?.signal.aborted, false);
    link.answer(first.id, OK);
    assert.match(JSON.stringify(link.replyTo("r")), /has ended/);
    assert.equal(newer.asked[1]?.signal.aborted, true);
    assert.ok(later.id > second.id);
  });
  test("of several calls of one client, one whose stream is broken off passes it to the next possible owner", async () => {
    const { call, link } = await startReady();
    const client = createTestClient("a");
    const [oldest, older, newer, later] = [client.call(1), client.call(2), client.call(3), client.call(4)];
    const [, ended] = [call(oldest), call(older), call(newer)];
    const params = { message: "who?", _meta: { progressToken: 7 } };
    link.ask("q", "elicitation/create", params);
    call(later);
    link.answer(ended.id, OK);
    newer.asked[0]?.breakOff();
    await settle();
    assert.equal(older.asked.length + later.asked.length + client.asked.length, 0);
    assert.equal(oldest.asked[0]?.params?.["message"], "who?");
    const progressToken = progressTokenOf(oldest.asked[0]?.params);
    oldest.asked[0]?.onProgress?.({ progressToken, progress: 1 });
    assert.deepEqual(link.told("notifications/progress"), [{ progressToken: 7, progress: 1 }]);
    assert.equal(link.replyTo("q"), null);
    oldest.asked[0]?.answer({ result: { action: "accept" } });
    await settle();
    assert.deepEqual(link.replyTo("q"), { result: { action: "accept" } });
  });
  test("a client that breaks off every call it may belong to is not asked elsewhere", async () => {
    const client = createTestClient("a");
    const { call, link } = await startReady({ owner: client });
    const [older, newer] = [client.call(1), client.call(2)];
    call(older);
    call(newer);
    link.ask("q", "elicitation/create", { message: "who?" });
    newer.asked[0]?.breakOff();
    await settle();
    older.asked[0]?.breakOff();
    await settle();
    assert.match(JSON.stringify(link.replyTo("q")), /no open stream/);
    assert.equal(client.asked.length, 0);
  });
  test("a question that belongs to no call is withdrawn when the instance ends", async () => {
    const owner = createTestClient("a");
    const { link, instance } = await startReady({ owner });
    link.ask("q", "roots/list");
    assert.equal(owner.asked[0]?.signal.aborted, false);
    await instance.close({ code: -32_000, message: "over" });
    assert.equal(owner.asked[0]?.signal.aborted, true);
  });
  test("with several clients in flight, or none, it is refused and no client is asked", async () => {
    const { call, link } = await startReady();
    const [a, b] = [createTestClient("a").call(1), createTestClient("b").call(1)];
    link.ask(0, "roots/list");
    const first = call(a);
    call(b);
    link.ask(1, "elicitation/create", { message: "secret" });
    link.ask("1", "something/unknown");
    for (const id of [0, 1, "1"]) assert.deepEqual(link.replyTo(id), UNCLEAR);
    link.answer(first.id, OK);
    link.ask(2, "roots/list");
    assert.deepEqual([a.asked.length, b.asked.length], [0, 1]);
  });
  test("where only an absent client makes the owner ambiguous, its call ends, and the next question has an owner", async () => {
    const { call, link, clock } = await startReady();
    const [a, b] = [createTestClient("a").call(1), createTestClient("b").call(1)];
    const abort = new AbortController();
    const away = { ...a, mayBeEvicted: true, evict: () => abort.abort("another one waits") };
    call(away, {}, { signal: abort.signal });
    link.ask(1, "roots/list");
    const other = call(createTestClient("c").call(1));
    call(b);
    link.ask(2, "roots/list");
    assert.equal(abort.signal.aborted, false, "two others stand in each other's way");
    link.answer(other.id, OK);
    link.ask(3, "roots/list");
    assert.equal(abort.signal.aborted, true);
    assert.equal(b.asked.length, 0, "it may have been the first one's");
    await clock.advance(1_000);
    link.ask(4, "roots/list");
    assert.deepEqual([a.asked.length, b.asked.length], [1, 1]);
  });
  test("an HTTP stream identifies the call, whatever other clients are there; for a call that ended, the question has no owner", async () => {
    const { call, link } = await startReady();
    const [a, b] = [createTestClient("a").call(1), createTestClient("b").call(1)];
    const [ofA] = [call(a), call(b)];
    link.ask(1, "roots/list", undefined, ofA.id);
    assert.equal(a.asked.length, 1);
    link.answer(ofA.id, OK);
    link.ask(2, "roots/list", undefined, ofA.id);
    link.ask(3, "roots/list", undefined, 12_345);
    assert.deepEqual([link.replyTo(2), link.replyTo(3)], [UNCLEAR, UNCLEAR]);
    assert.equal(b.asked.length, 0);
  });
  test("B7 a call that was cancelled keeps its questions from another client until it is answered, or everything is silent", async () => {
    const { call, link, clock } = await startReady();
    const [a, b] = [createTestClient("a").call(1), createTestClient("b").call(1)];
    const abort = new AbortController();
    const ofA = call(a, {}, { signal: abort.signal });
    call(b);
    abort.abort();
    link.ask(1, "roots/list");
    assert.deepEqual(link.replyTo(1), LINGERS("60 s"));
    const ofC = call(createTestClient("c").call(1));
    link.ask("two", "roots/list");
    assert.deepEqual(link.replyTo("two"), UNCLEAR, "two calls in flight stand in the way without it");
    link.answer(ofC.id, OK);
    // The server may not have minded, and go on for long.
    for (let second = 0; second < 59; second++) {
      await clock.advance(900);
      link.notify("notifications/message", { level: "info", data: "still at it" });
    }
    call(b);
    link.ask("late", "roots/list");
    assert.deepEqual(link.replyTo("late"), LINGERS("6.9 s"));
    assert.equal(b.asked.length, 0);
    await clock.advance(999);
    link.ask("later", "roots/list");
    assert.deepEqual(link.replyTo("later"), LINGERS("5.9 s"));
    await clock.advance(1_000);
    link.ask(2, "roots/list");
    assert.equal(b.asked.length, 1, "it was silent for a second");
    const again = new AbortController();
    const second = call(a, {}, { signal: again.signal });
    again.abort();
    link.answer(second.id, OK);
    link.ask(3, "roots/list");
    assert.deepEqual([b.asked.length, a.asked.length], [2, 0]);
    assert.ok(ofA.id > 0);
  });
  test("the time for its questions is bounded, whatever its deadline", async () => {
    for (const [timeoutMs, lingersMs] of [
      [100, 60_000],
      [300_000, 60_000],
      [400_000, 400_000],
      [86_400_000, 600_000],
    ] as const) {
      const { call, link, clock } = await startReady();
      const [a, b] = [createTestClient("a").call(1), createTestClient("b").call(1)];
      call(a, {}, { timeoutMs });
      await clock.advance(timeoutMs);
      call(b, {}, { timeoutMs: 86_400_000 });
      await clock.advance(lingersMs - 1);
      link.ask(1, "roots/list");
      assert.match(
        JSON.stringify(link.replyTo(1)),
        /a call that timed out may still be running, .* 0 s at most/,
      );
      await clock.advance(1);
      link.ask(2, "roots/list");
      assert.equal(b.asked.length, 1);
    }
  });
  test("a call without work behind it keeps no question for long", async () => {
    const { call, link, clock } = await startReady();
    const [a, b] = [createTestClient("a").call(1), createTestClient("b").call(1)];
    const abort = new AbortController();
    link.hangs("completion/complete");
    call(a, {}, { method: "completion/complete", signal: abort.signal });
    call(b);
    abort.abort();
    link.ask(1, "roots/list");
    assert.deepEqual(link.replyTo(1), LINGERS("5 s"));
    for (let count = 0; count < 10; count++) {
      await clock.advance(500);
      link.notify("notifications/message", { level: "info", data: "still at it" });
    }
    link.ask(2, "roots/list");
    assert.equal(b.asked.length, 1);
  });
  test("an instance with an owner asks its owner, in a call or outside", async () => {
    const owner = createTestClient("a");
    const { call, link } = await startReady({ owner });
    link.ask(1, "roots/list");
    assert.equal(owner.asked.length, 1);
    const port = owner.call(1);
    call(port);
    link.ask(2, "roots/list");
    assert.equal(port.asked.length, 1);
    owner.asked[0]?.answer({ result: { roots: [] } });
    await settle();
    assert.deepEqual(link.replyTo(1), { result: { roots: [] } });
  });
  test("outside of any call it is withdrawn when its client goes, and the server gets an error", async () => {
    const owner = createTestClient("a");
    const { link, instance } = await startReady({ owner });
    link.ask(1, "roots/list");
    instance.forget(owner);
    const reply = link.replyTo(1);
    assert.ok(reply !== null && "error" in reply && /the client has gone/.test(reply.error.message));
    assert.equal(owner.asked[0]?.signal.aborted, true);
  });
});

describe("what a client does not support", () => {
  const cases = [
    ["roots/list", undefined, {}, -32601],
    ["sampling/createMessage", {}, { roots: {} }, -32601],
    ["sampling/createMessage", { tools: [] }, { sampling: {} }, -32602],
    ["sampling/createMessage", { tools: [] }, { sampling: { tools: {} } }, null],
    ["elicitation/create", {}, {}, -32601],
    ["elicitation/create", {}, { elicitation: {} }, null],
    ["elicitation/create", { mode: "form" }, { elicitation: { form: {} } }, null],
    ["elicitation/create", { mode: "url" }, { elicitation: {} }, -32602],
    ["elicitation/create", {}, { elicitation: { url: {} } }, -32602],
    ["elicitation/create", { mode: "url" }, { elicitation: { url: {} } }, null],
    ["tasks/get", { taskId: "x" }, {}, null],
  ] as const;
  for (const [method, params, capabilities, code] of cases) {
    const title = `${method} ${JSON.stringify(params)} to ${JSON.stringify(capabilities)}`;
    test(`${title} is ${code === null ? "asked" : `refused with ${code}`}`, async () => {
      const { call, link } = await startReady();
      const port = createTestClient("a", capabilities).call(1);
      call(port);
      link.ask(1, method, params);
      const reply = link.replyTo(1);
      assert.equal(reply !== null && "error" in reply ? reply.error.code : null, code);
      assert.equal(port.asked.length, code === null ? 1 : 0);
    });
  }
});

describe("the life of a question", () => {
  test("the server's withdrawal withdraws it, without an answer", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    call(port);
    link.ask("q", "roots/list");
    link.notify("notifications/cancelled", { requestId: "other" });
    assert.equal(port.asked[0]?.signal.aborted, false);
    link.notify("notifications/cancelled", { requestId: "q" });
    assert.equal(port.asked[0]?.signal.aborted, true);
    await settle();
    assert.equal(link.replyTo("q"), null);
  });
  test("the end of its call withdraws it, and the server gets one error", async () => {
    const { call, link } = await startReady();
    const port = createTestClient("a").call(1);
    const { id } = call(port);
    link.ask("q", "roots/list");
    link.answer(id, OK);
    assert.equal(port.asked[0]?.signal.aborted, true);
    await settle();
    const replies = link.received.filter((message) => !("method" in message) && message.id === "q");
    assert.equal(replies.length, 1);
    assert.deepEqual(link.replyTo("q"), {
      error: { code: -32603, message: "the call that this belongs to has ended" },
    });
  });
  test("a client that leaves ends its own calls, questions and subscriptions, and no others", async () => {
    const { call, link, instance } = await startReady();
    const [a, b] = [createTestClient("a"), createTestClient("b")];
    await instance.subscribe("a://1", a);
    await instance.subscribe("a://2", b);
    const ofA = call(a.call(1));
    link.ask("q", "roots/list");
    const ofB = call(b.call(1));
    instance.forget(a);
    assert.ok("error" in (await ofA.reply));
    assert.deepEqual(link.told("notifications/cancelled"), [
      { requestId: ofA.id, reason: "the client has gone" },
    ]);
    assert.ok(link.replyTo("q") !== null);
    await settle();
    assert.deepEqual([...instance.subscriptions.keys()], ["a://2"]);
    link.answer(ofB.id, OK);
    assert.deepEqual(await ofB.reply, OK);
  });
  test("while a person is asked, and again at the answer, the call's time restarts", async () => {
    const { call, link, clock } = await startReady();
    const port = createTestClient("a").call(1);
    const { id, reply } = call(port, {}, { timeoutMs: 60_000 });
    await clock.advance(50_000);
    link.ask("q", "elicitation/create", {});
    await clock.advance(50_000);
    port.asked[0]?.answer({ result: { action: "accept" } });
    await clock.advance(50_000);
    link.answer(id, OK);
    assert.deepEqual(await reply, OK);
  });
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
  test("its completion reaches the client that was sent there, and no other", async () => {
    const { call, link } = await startReady();
    const [a, b] = [createTestClient("a"), createTestClient("b")];
    const port = a.call(1);
    const ofA = call(port);
    link.ask("q", "elicitation/create", { mode: "url", elicitationId: "e1", url: "https://x", message: "m" });
    call(b.call(1));
    link.notify("notifications/elicitation/complete", { elicitationId: "e1" });
    assert.equal(port.told.length, 1);
    link.answer(ofA.id, {
      error: { code: -32042, message: "go there", data: { elicitations: [{ elicitationId: "e2" }, null] } },
    });
    link.notify("notifications/elicitation/complete", { elicitationId: "e2" });
    link.notify("notifications/elicitation/complete", { elicitationId: "unknown" });
    assert.deepEqual(a.told, [
      { method: "notifications/elicitation/complete", params: { elicitationId: "e2" } },
    ]);
    assert.deepEqual(b.told, []);
  });
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
