// Calls that wait for modern clients: each rule with a clock of its own.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { GATHER_MS, SUSPENDED_MS } from "../../../../src/gateway/frontend/suspended/suspended-call.ts";
import { MOST_OF_ONE, MOST_SUSPENDED } from "../../../../src/gateway/frontend/suspended/suspended-calls.ts";
import { isError, type JsonObject, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { assertEach } from "../../../support/assert-each.ts";
import { settle } from "../../../support/manual-clock.ts";
import {
  accept,
  ask,
  BEN,
  codeOf,
  createSuspendedRig,
  finish,
  inputRequired,
  parked,
  retryParams,
  said,
  TOOL,
  textOf,
  user,
} from "./suspended-rig.ts";

test("D2 questions within 15 ms are one input_required; the retry's answers are theirs, and the call ends there", async () => {
  const rig = createSuspendedRig();
  const { sent, call } = await rig.begin();
  const first = ask(call);
  await rig.clock.advance(GATHER_MS - 1);
  const second = ask(call, { messages: [], maxTokens: 1 }, "sampling/createMessage");
  assert.deepEqual(sent.answers, []);
  await rig.clock.advance(1);
  const { state, keys, requests } = inputRequired(sent);
  assertEach(keys, (key) => requests[key]?.["method"], ["elicitation/create", "sampling/createMessage"]);
  const [one = "", two = ""] = keys;
  const answers = {
    [two]: { role: "assistant", content: { type: "text", text: "2" } },
    [one]: accept({ a: 1 }),
  };
  const retry = rig.send({ params: retryParams(state, answers) });
  assert.deepEqual(await first.reply, { result: accept({ a: 1 }) });
  assert.deepEqual(await second.reply, { result: answers[two] });
  assert.deepEqual(retry.answers, []);
  await finish(call);
  assert.deepEqual([textOf(retry), rig.ran.length, rig.suspended.size], ["done", 1, 0]);
});

test("D2 a client is asked without the tokens of another connection", async () => {
  const rig = createSuspendedRig();
  const { sent, call } = await rig.begin();
  ask(call, {
    mode: "url",
    message: "visit",
    url: "https://example.com/",
    elicitationId: "e1",
    task: { ttl: 1 },
    _meta: { progressToken: 7, kept: true },
  });
  ask(call, { _meta: { progressToken: 8 } }, "roots/list");
  await rig.clock.advance(GATHER_MS);
  assert.deepEqual(Object.values(inputRequired(sent).requests), [
    {
      method: "elicitation/create",
      params: { mode: "url", message: "visit", url: "https://example.com/", _meta: { kept: true } },
    },
    { method: "roots/list", params: {} },
  ]);
});

test("D2 a round that was answered never answers twice, before and after the next one", async () => {
  const rig = createSuspendedRig();
  const { call, state, keys, question } = await parked(rig);
  const params = retryParams(state, { [keys[0] ?? ""]: accept({ n: 1 }) });
  const retry = rig.send({ params });
  const other = retryParams(state, { [keys[0] ?? ""]: accept({ n: 2 }) });
  assert.equal(codeOf(rig.send({ params: other })), -32602);
  assert.deepEqual(await question.reply, { result: accept({ n: 1 }) });
  const next = ask(call);
  await rig.clock.advance(GATHER_MS);
  const { state: fresh } = inputRequired(retry);
  assert.notEqual(fresh, state);
  assert.equal(codeOf(rig.send({ params })), -32602);
  assert.deepEqual(next.got, []);
  await finish(call);
  assert.equal(textOf(rig.send({ params: retryParams(fresh, {}) })), "done");
  assert.equal(codeOf(rig.send({ params: retryParams(fresh, {}) })), -32602);
});

test("D2 a retry that is forged, late, another's or for another request is refused, and the right one still continues", async () => {
  const rig = createSuspendedRig();
  const { call, state, keys, question } = await parked(rig);
  const answers = { [keys[0] ?? ""]: accept() };
  for (let at = 0; at < state.length; at++) {
    const forged = `${state.slice(0, at)}${state[at] === "A" ? "B" : "A"}${state.slice(at + 1)}`;
    assert.equal(codeOf(rig.send({ params: retryParams(forged, answers) })), -32602, `at ${at}`);
  }
  const other = { name: "t", arguments: { a: 2, b: { c: [2, "three"] } } };
  const refused = [
    { params: retryParams(state, answers), principal: BEN },
    { params: retryParams(state, answers, other) },
    { params: retryParams(state, answers), method: "prompts/get" },
    { params: { ...retryParams(state, answers), requestState: 7 } },
    { params: { ...retryParams(state, answers), requestState: "" } },
  ];
  for (const given of refused) assert.equal(codeOf(rig.send(given)), -32602, JSON.stringify(given));
  assert.deepEqual(question.got, []);
  // The order of keys is no difference.
  const params = {
    requestState: state,
    inputResponses: answers,
    arguments: { b: { c: [2, "three"] }, a: 1 },
    name: "t",
  };
  const retry = rig.send({ params });
  assert.deepEqual(await question.reply, { result: accept() });
  await finish(call);
  assert.equal(textOf(retry), "done");
});

test("D2 a missing or invalid answer is requested again under its key; answers to unknown keys are ignored", async () => {
  const rig = createSuspendedRig();
  const { sent, call } = await rig.begin();
  const [first, second, third] = [ask(call), ask(call), ask(call, {}, "roots/list")];
  await rig.clock.advance(GATHER_MS);
  const { state, keys } = inputRequired(sent);
  const [one = "", two = "", three = ""] = keys;
  const retry = rig.send({
    params: retryParams(state, {
      [two]: accept(),
      [three]: { roots: "none" },
      zzz: accept(),
      __proto__: accept(),
    }),
  });
  await rig.clock.advance(GATHER_MS);
  assert.deepEqual(await second.reply, { result: accept() });
  const again = inputRequired(retry);
  assert.deepEqual(again.keys, [one, three]);
  assert.deepEqual([first.got, third.got], [[], []]);
  const last = rig.send({ params: retryParams(again.state, { [one]: accept(), [three]: { roots: [] } }) });
  assert.deepEqual(await third.reply, { result: { roots: [] } });
  await finish(call);
  assert.equal(textOf(last), "done");
});

test("D2 a call's result while its client is away is kept for the retry, and so are its questions", async () => {
  const rig = createSuspendedRig();
  const early = await parked(rig);
  early.call.reply(said("early"));
  const asking = await parked(rig, BEN);
  const more = ask(asking.call);
  await rig.clock.advance(GATHER_MS);
  assert.equal(textOf(rig.send({ params: retryParams(early.state, {}) })), "early");
  const retry = rig.send({ principal: BEN, params: retryParams(asking.state, { q1: accept() }) });
  await rig.clock.advance(GATHER_MS);
  assert.deepEqual(inputRequired(retry).keys, ["q2"]);
  assert.deepEqual(more.got, []);
});

test("D2 a call whose backend goes while its client is away is answered with a request to repeat it", async () => {
  const rig = createSuspendedRig();
  const away = await parked(rig);
  away.call.reply({ error: { code: -32000, message: "server b: it has ended" } });
  const failed = await parked(rig);
  failed.call.reply({ error: { code: -32603, message: "its own" } });
  const there = await rig.begin();
  there.call.reply({ error: { code: -32000, message: "server b: it has ended" } });
  await settle();
  assert.equal(codeOf(rig.send({ params: retryParams(away.state, {}) })), -32602);
  assert.equal(codeOf(rig.send({ params: retryParams(failed.state, {}) })), -32603);
  assert.equal(codeOf(there.sent), -32000);
});

test("D2 a question that a backend withdraws is not asked, and without any left the call waits for no answer", async () => {
  const rig = createSuspendedRig();
  const { sent, call } = await rig.begin();
  ask(call).withdraw();
  await rig.clock.advance(GATHER_MS);
  assert.deepEqual(sent.answers, []);
  const [first, second] = [ask(call), ask(call)];
  await rig.clock.advance(GATHER_MS);
  const { state, keys } = inputRequired(sent);
  second.withdraw();
  const retry = rig.send({ params: retryParams(state, { [keys[1] ?? ""]: accept() }) });
  await rig.clock.advance(GATHER_MS);
  const again = inputRequired(retry);
  assert.deepEqual(again.keys, [keys[0]]);
  first.withdraw();
  const last = rig.send({ params: retryParams(again.state, {}) });
  await rig.clock.advance(GATHER_MS);
  assert.deepEqual(last.answers, []);
  await finish(call);
  assert.equal(textOf(last), "done");
});

test("D2 if a client does not return, its call is cancelled, its questions get an error, and it is too late", async () => {
  const rig = createSuspendedRig();
  const { call, state, question } = await parked(rig);
  await rig.clock.advance(SUSPENDED_MS - 1);
  assert.equal(call.request.signal.aborted, false);
  await rig.clock.advance(1);
  assert.equal(call.request.signal.aborted, true);
  const reply = await question.reply;
  assert.ok(reply !== null && isError(reply));
  assert.equal(codeOf(rig.send({ params: retryParams(state, { q1: accept() }) })), -32602);
  assert.equal(rig.suspended.size, 0);
  await rig.suspended.none();
});

test("D2 a client that returns in time has its time again, even for a question that it could not be asked before", async () => {
  const rig = createSuspendedRig();
  const { sent, call } = await rig.begin({ declared: { elicitation: {} } });
  ask(call);
  await rig.clock.advance(GATHER_MS);
  const { state } = inputRequired(sent);
  const abort = new AbortController();
  let isAnswered = false;
  const more = call.request.handle.request("roots/list", {}, abort.signal).then(() => {
    isAnswered = true;
  });
  const listeners = (): number => getEventListeners(abort.signal, "abort").length;
  await rig.clock.advance(SUSPENDED_MS - 1);
  const retry = rig.send({ params: retryParams(state, { q1: accept() }), declared: { roots: {} } });
  await rig.clock.advance(GATHER_MS);
  const again = inputRequired(retry);
  assert.deepEqual([again.keys, isAnswered, listeners()], [["q2"], false, 1]);
  await rig.clock.advance(SUSPENDED_MS - 1);
  assert.equal(call.request.signal.aborted, false);
  rig.send({ params: retryParams(again.state, { q2: { roots: [] } }) });
  await more;
  assert.equal(listeners(), 0);
});

test("D2 closing the connection cancels the call, but not after input_required; in the retry it does again", async () => {
  const rig = createSuspendedRig();
  const before = await rig.begin();
  const question = ask(before.call);
  before.sent.close();
  assert.equal(before.call.request.signal.aborted, true);
  assert.equal(rig.clock.pendingTimers, 0);
  assert.ok(isErrorReply(await question.reply));
  const { sent, call, state, keys } = await parked(rig);
  sent.close();
  assert.equal(call.request.signal.aborted, false);
  const params = retryParams(state, { [keys[0] ?? ""]: accept() });
  const retry = rig.send({ params });
  sent.close();
  assert.equal(call.request.signal.aborted, false);
  retry.close();
  assert.deepEqual([call.request.signal.aborted, codeOf(rig.send({ params }))], [true, -32602]);
});

test("D2 a question that the client does not support ends the call with -32021, and the backend is notified", async () => {
  for (const [method, params, declared, needed] of UNDECLARED) {
    const rig = createSuspendedRig();
    const { sent, call } = await rig.begin({ declared });
    const question = ask(call, params, method);
    assert.deepEqual(sent.answers.map(dataOf), [{ code: -32021, data: { requiredCapabilities: needed } }]);
    assert.equal(call.request.signal.aborted, true);
    assert.ok(isErrorReply(await question.reply));
    call.reply(said("late"));
    await settle();
    assert.equal(sent.answers.length, 1);
  }
});

const UNDECLARED: readonly (readonly [string, JsonObject, JsonObject, JsonObject])[] = [
  ["elicitation/create", { mode: "form" }, {}, { elicitation: { form: {} } }],
  ["elicitation/create", {}, { elicitation: { url: {} } }, { elicitation: { form: {} } }],
  ["elicitation/create", { mode: "url" }, { elicitation: {} }, { elicitation: { url: {} } }],
  ["sampling/createMessage", {}, { roots: {} }, { sampling: {} }],
  ["sampling/createMessage", { tools: [] }, { sampling: {} }, { sampling: { tools: {} } }],
  ["roots/list", {}, { elicitation: {} }, { roots: {} }],
];

test("D2 a retry that supports less than the first round also ends the call", async () => {
  const rig = createSuspendedRig();
  const { call, state } = await parked(rig);
  const retry = rig.send({ params: retryParams(state, {}), declared: {} });
  await rig.clock.advance(GATHER_MS);
  assert.deepEqual([codeOf(retry), call.request.signal.aborted], [-32021, true]);
});

test("D2 progress goes to the open request, under that one's token", async () => {
  const rig = createSuspendedRig();
  const { sent, call } = await rig.begin({ progressToken: "first" });
  const progress = (n: number): void =>
    call.request.handle.notify("notifications/progress", { progressToken: "first", progress: n });
  progress(1);
  ask(call);
  await rig.clock.advance(GATHER_MS);
  progress(2);
  const { state } = inputRequired(sent);
  const retry = rig.send({ params: retryParams(state, { q1: accept() }), progressToken: "second" });
  progress(3);
  assert.deepEqual(
    [sent, retry].map(({ notices }) => notices.map(({ params }) => params)),
    [[{ progressToken: "first", progress: 1 }], [{ progressToken: "second", progress: 3 }]],
  );
});

test("D2 other requests, and other questions, are refused to the backend, and the call continues", async () => {
  const rig = createSuspendedRig();
  const completing = await rig.begin({ method: "completion/complete" });
  assert.ok(isErrorReply(await ask(completing.call).reply));
  const { sent, call } = await rig.begin();
  assert.ok(isErrorReply(await ask(call, {}, "tasks/get").reply));
  await finish(call);
  assert.equal(textOf(sent), "done");
});

test("D2 the oldest call of a client with too many is evicted, and no other client's", async () => {
  const rig = createSuspendedRig();
  const bens = await parked(rig, BEN);
  const anns: Awaited<ReturnType<typeof parked>>[] = [];
  for (let calls = 0; calls <= MOST_OF_ONE; calls++) anns.push(await parked(rig));
  assertEach(
    anns,
    ({ call }) => call.request.signal.aborted,
    anns.map((_, index) => index === 0),
  );
  assert.equal(bens.call.request.signal.aborted, false);
  assert.equal(rig.suspended.size, MOST_OF_ONE + 1);
  const more = MOST_SUSPENDED / MOST_OF_ONE;
  for (let one = 0; one < more; one++) {
    for (let calls = 0; calls < MOST_OF_ONE; calls++) await parked(rig, user(`u${one}`));
  }
  assert.equal(rig.suspended.size, MOST_SUSPENDED);
  assert.equal(bens.call.request.signal.aborted, false);
});

test("D2 the questions of one call are bounded, and the stored calls of all are evicted by size", async () => {
  const rig = createSuspendedRig();
  const { call } = await rig.begin();
  assert.ok(isErrorReply(await ask(call, { message: "x".repeat(1024 * 1024) }).reply));
  const questions = Array.from({ length: 65 }, () => ask(call));
  await settle();
  assertEach(
    questions,
    ({ got }) => got.length,
    questions.map((_, index) => (index < 64 ? 0 : 1)),
  );
  const small = await parked(rig, BEN);
  const [large, larger] = [await parked(rig), await parked(rig)];
  small.call.reply(said("s"));
  large.call.reply(said("l".repeat(32 * 1024 * 1024)));
  larger.call.reply(said("l".repeat(33 * 1024 * 1024)));
  await settle();
  assert.equal(codeOf(rig.send({ params: retryParams(larger.state, {}) })), -32602);
  assert.equal(codeOf(rig.send({ params: retryParams(large.state, {}) })), null);
  assert.equal(textOf(rig.send({ params: retryParams(small.state, {}), principal: BEN })), "s");
});

test("D2 when the gateway stops, waiting calls are cancelled", async () => {
  const rig = createSuspendedRig();
  const { call, question } = await parked(rig);
  await rig.front.end(0, "the gateway is stopping");
  assert.equal(call.request.signal.aborted, true);
  assert.ok(isErrorReply(await question.reply));
  assert.equal(rig.clock.pendingTimers, 0);
});

function isErrorReply(reply: Reply | null): boolean {
  return reply !== null && isError(reply);
}

function dataOf(reply: Reply): unknown {
  return isError(reply) ? { code: reply.error.code, data: reply.error.data } : reply;
}

test("D2 a request that cannot be repeated is asked nothing", async () => {
  const rig = createSuspendedRig();
  let deep: JsonObject = {};
  for (let levels = 0; levels < 600; levels++) deep = { deep };
  const { sent, call } = await rig.begin({ params: { ...TOOL, arguments: deep } });
  const question = ask(call);
  await rig.clock.advance(GATHER_MS);
  assert.ok(isErrorReply(await question.reply));
  await finish(call);
  assert.equal(textOf(sent), "done");
});
