// Clients that come back to a call: what of it serves once, what is counted and recorded, and for whom nobody waits.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PolicyConfig } from "../../../../src/config/snapshot.ts";
import type { CatalogSource } from "../../../../src/gateway/catalog/catalog.ts";
import type { ModernCall } from "../../../../src/gateway/frontend/modern/call.ts";
import { OtherDaemons } from "../../../../src/gateway/frontend/session/other-daemons.ts";
import { GATHER_MS, IDLE_MS } from "../../../../src/gateway/frontend/suspended/suspended-call.ts";
import {
  MOST_CONSENTS_OF_ONE,
  type ResumingDaemon,
  STATE_MS,
  SuspendedCalls,
} from "../../../../src/gateway/frontend/suspended/suspended-calls.ts";
import { errorReply, isJsonObject, type JsonObject, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import { source } from "../../catalog/sources.ts";
import { policy, recordingServices, servingSet } from "../../middleware/requests.ts";
import {
  ANN,
  accept,
  ask,
  BEN,
  codeOf,
  createSuspendedRig,
  finish,
  type Given,
  inputRequired,
  parked,
  retryParams,
  type Sent,
  type SuspendedRig,
  said,
  TOOL,
  textOf,
  user,
} from "./suspended-rig.ts";

const NEEDED: Reply = {
  result: { resultType: "input_required", inputRequests: { r: { method: "roots/list" } }, requestState: "s" },
};
const VISIT: Reply = {
  error: {
    code: -32042,
    message: "visit",
    data: { elicitations: [{ url: "https://a.example/", message: "m" }] },
  },
};

/** The state with which the client goes on with a call that a person agreed to. */
async function agreed(rig: SuspendedRig, reply: Reply, principal = ANN): Promise<string> {
  const { sent, call } = await rig.begin({ principal });
  call.request.handle.agree?.("x");
  call.reply(reply);
  await settle();
  return inputRequired(sent).state;
}

async function askedAnew(rig: SuspendedRig, state: string, principal = ANN): Promise<boolean> {
  const { call } = await rig.begin({ principal, params: retryParams(state, { u1: accept() }) });
  return call.request.consent !== "accept";
}

for (const [what, reply] of [
  ["a server's state", NEEDED],
  ["an address to visit", VISIT],
] as const)
  test(`E2 a person's consent serves one call once, and no other daemon's: ${what}`, async () => {
    const clock = createManualClock();
    const rig = createSuspendedRig({ clock });
    const state = await agreed(rig, reply);
    const other = new SuspendedCalls(clock);
    other.follow(rig.suspended.stateKey);
    const next = createSuspendedRig({ clock, suspended: other });
    assert.equal(await askedAnew(next, state), true, "after a handover");
    assert.equal(await askedAnew(rig, state), false);
    assert.equal(await askedAnew(rig, state), true, "the same once more");
    const later = await agreed(rig, reply);
    const late = await agreed(rig, reply);
    await clock.advance(STATE_MS - 1);
    assert.equal(await askedAnew(rig, later), false);
    clock.jumpWall(-STATE_MS);
    await clock.advance(1);
    assert.equal(await askedAnew(rig, late), true, "an hour has passed, whatever the wall clock says");
  });

test("E2 unused consents are bounded, and one person's many displace no one else's", async () => {
  const rig = createSuspendedRig();
  const bens = await agreed(rig, NEEDED, BEN);
  const states: string[] = [];
  for (let calls = 0; calls <= MOST_CONSENTS_OF_ONE; calls++) states.push(await agreed(rig, NEEDED));
  const anew: boolean[] = [];
  for (const state of states) anew.push(await askedAnew(rig, state));
  assert.deepEqual(
    anew,
    states.map((_, index) => index === 0),
  );
  assert.equal(await askedAnew(rig, bens, BEN), false);
});

test("E2 all consents together are bounded, and a principal with few loses none", async () => {
  const rig = createSuspendedRig();
  const first = await agreed(rig, NEEDED, BEN);
  const second = await agreed(rig, NEEDED, BEN);
  for (let one = 0, given = 2; given <= 4_096; one++) {
    const { call } = await rig.begin({ principal: user(`u${one}`) });
    const port = call.request.handle as ModernCall;
    port.agree("x");
    for (let calls = 0; calls < MOST_CONSENTS_OF_ONE && given <= 4_096; calls++, given++)
      rig.suspended.outgoing(port, NEEDED);
  }
  assert.deepEqual([await askedAnew(rig, first, BEN), await askedAnew(rig, second, BEN)], [false, false]);
});

test("D2 between two daemons each call continues in its own, and an invalid key selects none", async () => {
  const clock = createManualClock();
  const passed: string[] = [];
  const daemon = (name: string): ResumingDaemon => ({
    deliver: async () => false,
    report() {},
    resume: () => {
      passed.push(name);
      return { gone: () => void passed.push(`${name} gone`) };
    },
  });
  const before = createSuspendedRig({ clock });
  const others = new OtherDaemons<ResumingDaemon>();
  const here = new SuspendedCalls(clock, others);
  here.follow(before.suspended.stateKey);
  const after = createSuspendedRig({ clock });
  after.suspended.follow(here.stateKey);
  Object.assign(others, { previous: daemon("before"), next: daemon("after") });
  const rig = createSuspendedRig({ clock, suspended: here });
  for (const other of [before, after]) rig.send({ params: (await parked(other)).retry }).close();
  assert.deepEqual(passed, ["before", "before gone", "after", "after gone"]);
  here.follow({ key: "AAAA", generation: 0 });
  assert.equal(here.stateKey.key, before.suspended.stateKey.key);
});

test("D2 a request that can be asked nothing keeps its statements about a state; at the end nothing is asked", async () => {
  const rig = createSuspendedRig();
  const params = { requestState: "its own" };
  const { call } = await rig.begin({ method: "completion/complete", params });
  assert.equal(call.request.params?.["requestState"], "its own");
  const { call: asking } = await rig.begin();
  const reply = await asking.request.handle.request("roots/list", {}, AbortSignal.abort());
  assert.match(JSON.stringify(reply), /the question was withdrawn/u);
  const { question } = await parked(rig);
  const none = rig.suspended.none();
  rig.suspended.end("over");
  await none;
  assert.ok("error" in ((await question.reply) ?? {}));
  const { call: late } = await rig.begin();
  assert.match(JSON.stringify(await ask(late).reply), /"over"/u);
});

const plain = source("files", {});
const SOURCES: readonly CatalogSource[] = [
  {
    ...plain,
    listings: {
      ...plain.listings,
      tools: [{ name: "t", inputSchema: { type: "object" }, annotations: { destructiveHint: true } }],
    },
  },
];

test("E2 through the whole chain: a client that repeats an agreed call's state is asked again, and the call does not run before", async () => {
  const rig = createSuspendedRig();
  const services = recordingServices((_, { params }) =>
    params?.["requestState"] === "s" ? said("ran") : NEEDED,
  );
  const served = servingSet(SOURCES, services, {
    authorization: { defaultEffect: "allow", policies: [], destructive: "ask" },
    clock: rig.clock,
  });
  rig.gateway.handle = (request) => served.handle({ ...request, served });
  const first = rig.send();
  await settle();
  await rig.clock.advance(GATHER_MS);
  const question = inputRequired(first);
  const second = rig.send({ params: retryParams(question.state, { [question.keys[0] ?? ""]: accept() }) });
  await settle();
  const params = retryParams(inputRequired(second).state, { r: { roots: [] } });
  const third = rig.send({ params });
  await settle();
  assert.equal(textOf(third), "ran");
  const replayed = rig.send({ params });
  await settle();
  await rig.clock.advance(GATHER_MS);
  assert.equal(services.calls.length, 2);
  const again = inputRequired(replayed);
  assert.equal(again.requests[again.keys[0] ?? ""]?.["method"], "elicitation/create");
  const last = rig.send({ params: retryParams(again.state, { [again.keys[0] ?? ""]: accept() }) });
  await settle();
  assert.equal(textOf(last), "ran");
});

test("E4 a retry over the limit is refused, and its call still waits for it", async () => {
  const rig = createSuspendedRig();
  const { call, retry } = await parked(rig);
  rig.gateway.stopped = () => ({ reply: errorReply(-32029, "too many", { retryAfterMs: 1 }), isOver: false });
  assert.deepEqual([codeOf(rig.send({ params: retry })), call.request.signal.aborted], [-32029, false]);
  const guessed = rig.send({ params: { ...retry, requestState: "x.y" } });
  assert.equal(codeOf(guessed), -32029, "guessing counts as calls do");
  assert.equal(rig.gateway.deniedRequests.length, 0);
  rig.gateway.stopped = () => null;
  const sent = rig.send({ params: retry });
  await finish(call);
  assert.equal(textOf(sent), "done");
});

test("E2 a retry by a caller that has lost the right to the call ends it, and is recorded", async () => {
  const rig = createSuspendedRig();
  const { call, retry, question } = await parked(rig);
  rig.gateway.stopped = ({ method, params, handle }) => {
    assert.deepEqual([method, params?.["name"], handle.client.principal], ["tools/call", "t", ANN]);
    return { reply: errorReply(-32602, "Unknown tool: t"), isOver: true };
  };
  assert.deepEqual([codeOf(rig.send({ params: retry })), call.request.signal.aborted], [-32602, true]);
  const [answer] = [await question.reply];
  assert.ok(answer !== null && "error" in answer);
  assert.equal(rig.gateway.deniedRequests.length, 1);
  rig.gateway.stopped = () => null;
  assert.equal(codeOf(rig.send({ params: retry })), -32602);
});

test("E5 a refused state is recorded, with the caller and the target", async () => {
  const rig = createSuspendedRig();
  const { state } = await parked(rig);
  const params = retryParams(state, {}, { ...TOOL, name: "other" });
  assert.equal(codeOf(rig.send({ params, principal: BEN })), -32602);
  assert.deepEqual(
    rig.gateway.deniedRequests.map(({ params: sent, handle }) => [sent?.["name"], handle.client.principal]),
    [["other", BEN]],
  );
});

const ALLOW: PolicyConfig = policy("allow", { resources: ["tool:t"] });

test("E2 rights that a reload removes are checked for the retry of a waiting call", async () => {
  const rig = createSuspendedRig();
  const rules = (policies: readonly PolicyConfig[]) =>
    servingSet(SOURCES, recordingServices(), { authorization: { defaultEffect: "deny", policies } });
  const { call, retry } = await parked(rig);
  const [before, after] = [rules([ALLOW]), rules([])];
  const work = { ...call.request, served: before };
  assert.equal(before.stopped(work), null);
  rig.gateway.stopped = (request) => after.stopped({ ...request, served: after });
  assert.deepEqual([codeOf(rig.send({ params: retry })), call.request.signal.aborted], [-32602, true]);
});

test("D2 an absent client may be evicted after a while, and later if it has returned before", async () => {
  const rig = createSuspendedRig();
  const { call, state } = await parked(rig);
  const mayGiveWay = (): boolean | undefined => call.request.handle.mayBeEvicted;
  await rig.clock.advance(IDLE_MS.first - 1);
  assert.equal(mayGiveWay(), false);
  await rig.clock.advance(1);
  assert.equal(mayGiveWay(), true);
  const back = rig.send({ params: retryParams(state, {}) });
  assert.equal(mayGiveWay(), false);
  await rig.clock.advance(GATHER_MS);
  const again = inputRequired(back);
  await rig.clock.advance(IDLE_MS.later - 1);
  assert.equal(mayGiveWay(), false);
  await rig.clock.advance(1);
  assert.equal(mayGiveWay(), true);
  call.request.handle.evict?.();
  assert.equal(call.request.signal.aborted, true);
  assert.equal(codeOf(rig.send({ params: retryParams(again.state, { q1: accept() }) })), -32602);
});

test("E4 inputs given to a waiting call count towards its stored size", async () => {
  const rig = createSuspendedRig();
  const given = async (characters: number) => {
    const params = { name: "t", arguments: { text: "x".repeat(characters) } };
    const { call } = await rig.begin({ params });
    ask(call);
    await rig.clock.advance(GATHER_MS);
    return call.request.signal;
  };
  const [small, large, larger] = [
    await given(10),
    await given(32 * 1024 * 1024),
    await given(33 * 1024 * 1024),
  ];
  assert.deepEqual([small.aborted, large.aborted, larger.aborted], [false, false, true]);
});

// States of modern backends, and addresses that legacy ones want visited: sealed, and read by any process with the key.

const STATE = "state \u0000 \ud800 ü %7B";
const ASKED = { name: { method: "roots/list" } };

/** A call whose reply is that. */
async function replied(rig: SuspendedRig, reply: Reply, given: Given = {}, agrees = false): Promise<Sent> {
  const { sent, call } = await rig.begin(given);
  if (agrees) call.request.handle.agree?.("x");
  call.reply(reply);
  await settle();
  return sent;
}

const required: Reply = {
  result: { resultType: "input_required", inputRequests: ASKED, requestState: STATE, _meta: { kept: 1 } },
};

test("D2 a modern backend's state is sent inside ours, and returns to it byte for byte, in any process with the key", async () => {
  const clock = createManualClock();
  const rig = createSuspendedRig({ clock });
  const sent = await replied(rig, required);
  const { state, requests } = inputRequired(sent);
  assert.deepEqual(requests, ASKED);
  assert.ok(!state.includes(STATE));
  const other = new SuspendedCalls(clock);
  other.follow(rig.suspended.stateKey);
  const next = createSuspendedRig({ clock, suspended: other });
  for (const one of [rig, next]) {
    const { call } = await one.begin({ params: retryParams(state, { name: { roots: [] } }) });
    assert.equal(call.request.params?.["requestState"], STATE);
    assert.deepEqual(call.request.params?.["inputResponses"], { name: { roots: [] } });
  }
  assert.equal(codeOf(createSuspendedRig({ clock }).send({ params: retryParams(state, {}) })), -32602);
});

test("D2 it is bound to the caller and to the call, and valid for an hour", async () => {
  const rig = createSuspendedRig();
  const { state } = inputRequired(await replied(rig, required));
  const began = rig.ran.length;
  assert.equal(codeOf(rig.send({ params: retryParams(state, {}), principal: BEN })), -32602);
  assert.equal(codeOf(rig.send({ params: retryParams(state, {}, { name: "other" }) })), -32602);
  assert.equal(codeOf(rig.send({ params: retryParams(state, {}), method: "resources/read" })), -32602);
  assert.equal(codeOf(rig.send({ params: retryParams(`${state}A`, {}) })), -32602);
  await rig.clock.advance(STATE_MS - 1);
  rig.send({ params: retryParams(state, {}) });
  await settle();
  assert.equal(rig.ran.length, began + 1);
  await rig.clock.advance(1);
  assert.equal(codeOf(rig.send({ params: retryParams(state, {}) })), -32602);
});

test("D2 without a state, the answers pass unchanged; with a person's consent, the consent is stored", async () => {
  const rig = createSuspendedRig();
  const stateless: Reply = { result: { resultType: "input_required", inputRequests: ASKED } };
  const [plain] = (await replied(rig, stateless)).answers;
  assert.ok(plain !== undefined && "result" in plain && plain.result["requestState"] === undefined);
  const again = await rig.begin({ params: { name: "t", inputResponses: { name: { roots: [] } } } });
  assert.deepEqual(again.call.request.params?.["inputResponses"], { name: { roots: [] } });
  assert.equal(again.call.request.consent, undefined);
  const { state } = inputRequired(await replied(rig, stateless, {}, true));
  const { call } = await rig.begin({ params: retryParams(state, { name: { roots: [] } }) });
  assert.equal(call.request.consent, "accept");
  assert.equal(call.request.params?.["requestState"], undefined);
});

const visit: Reply = {
  error: {
    code: -32042,
    message: "visit first",
    data: {
      elicitations: [
        { mode: "url", elicitationId: "e1", url: "https://example.com/1", message: "one" },
        { mode: "url", elicitationId: "e2", url: "https://example.com/2", message: "two" },
      ],
    },
  },
};

test("D2 addresses that a legacy backend wants visited are required input, and the call is repeated", async () => {
  const rig = createSuspendedRig();
  const { state, keys, requests } = inputRequired(await replied(rig, visit));
  assert.deepEqual(Object.values(requests), [
    { method: "elicitation/create", params: { mode: "url", message: "one", url: "https://example.com/1" } },
    { method: "elicitation/create", params: { mode: "url", message: "two", url: "https://example.com/2" } },
  ]);
  const answers = Object.fromEntries(keys.map((key) => [key, accept()]));
  const { call } = await rig.begin({ params: retryParams(state, answers) });
  const began = rig.ran.length;
  await rig.begin({ params: retryParams(state, {}) });
  assert.equal(rig.ran.length, began + 1, "without an answer nobody has declined");
  const { _meta, ...params } = call.request.params ?? {};
  assert.deepEqual(params, { name: "t", arguments: { a: 1, b: { c: [2, "three"] } } });
  assert.ok(isJsonObject(_meta));
});

test("D2 beyond 64 addresses the others are not requested", async () => {
  const elicitations = Array.from({ length: 65 }, (_, index) => ({
    url: `https://a.example/${index}`,
    message: "m",
  }));
  const many = await replied(createSuspendedRig(), {
    error: { code: -32042, message: "", data: { elicitations } },
  });
  assert.equal(inputRequired(many).keys.length, 64);
});

test("D2 if a person does not visit one, the call is not repeated", async () => {
  const rig = createSuspendedRig();
  const { state, keys } = inputRequired(await replied(rig, visit));
  const began = rig.ran.length;
  const sent = rig.send({
    params: retryParams(state, { [keys[0] ?? ""]: accept(), [keys[1] ?? ""]: { action: "decline" } }),
  });
  await settle();
  const [reply] = sent.answers;
  assert.ok(reply !== undefined && "result" in reply && reply.result["isError"] === true);
  assert.equal(reply.result["resultType"], "complete");
  assert.equal(rig.ran.length, began);
});

test("D2 a client that does not visit addresses learns that it should, and an error without an address is a plain one", async () => {
  const rig = createSuspendedRig();
  const declared: JsonObject = { elicitation: {} };
  assert.equal(codeOf(await replied(rig, visit, { declared })), -32021);
  assert.equal(codeOf(await replied(rig, { error: { code: -32042, message: "?" } })), -32603);
  assert.equal(codeOf(await replied(rig, visit, { method: "completion/complete" })), -32603);
});
