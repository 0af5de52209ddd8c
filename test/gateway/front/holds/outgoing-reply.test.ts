// States of modern backends, and addresses that legacy ones want visited: sealed, and read by any process with the key.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Holds, STATE_MS } from "../../../../src/gateway/front/holds/holds.ts";
import { isJsonObject, type JsonObject, type Reply } from "../../../../src/gateway/json-rpc.ts";
import { createManualClock, settle } from "../../../support/manual-clock.ts";
import {
  accept,
  BEN,
  codeOf,
  createHoldsRig,
  type Given,
  type HoldsRig,
  inputRequired,
  retryParams,
  type Sent,
  said,
} from "./holds-rig.ts";

const STATE = "state \u0000 \ud800 ü %7B";
const ASKED = { name: { method: "roots/list" } };

/** A call whose reply is that. */
async function replied(rig: HoldsRig, reply: Reply, given: Given = {}, agrees = false): Promise<Sent> {
  const { sent, call } = await rig.begin(given);
  if (agrees) call.request.port.agree?.();
  call.reply(reply);
  await settle();
  return sent;
}

const required: Reply = {
  result: { resultType: "input_required", inputRequests: ASKED, requestState: STATE, _meta: { kept: 1 } },
};

test("D2 a modern backend's state goes out in ours, and comes back to it byte for byte, in any process with the key", async () => {
  const clock = createManualClock();
  const rig = createHoldsRig({ clock });
  const sent = await replied(rig, required);
  const { state, requests } = inputRequired(sent);
  assert.deepEqual(requests, ASKED);
  assert.ok(!state.includes(STATE));
  const other = new Holds(clock);
  other.follow(rig.holds.states, { resume: () => null });
  const next = createHoldsRig({ clock, holds: other });
  for (const one of [rig, next]) {
    const { call } = await one.begin({ params: retryParams(state, { name: { roots: [] } }) });
    assert.equal(call.request.params?.["requestState"], STATE);
    assert.deepEqual(call.request.params?.["inputResponses"], { name: { roots: [] } });
  }
  assert.equal(codeOf(createHoldsRig({ clock }).send({ params: retryParams(state, {}) })), -32602);
});

test("D2 it is bound to who called and to the call, and good for an hour", async () => {
  const rig = createHoldsRig();
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

test("D2 the next round has the identity of the one before, whoever calls meanwhile", async () => {
  const rig = createHoldsRig();
  for (const reply of [required, visit]) {
    const [one, two] = [await rig.begin(), await rig.begin()];
    const clients = [one, two].map(({ call }) => call.request.port.client);
    for (const { call } of [one, two]) call.reply(reply);
    await settle();
    const meanwhile = await rig.begin();
    assert.ok(!clients.includes(meanwhile.call.request.port.client));
    const retries = [one, two].map(({ sent }) => {
      const { state, keys } = inputRequired(sent);
      return retryParams(state, Object.fromEntries(keys.map((key) => [key, accept()])));
    });
    const again = [];
    for (const params of retries) again.push((await rig.begin({ params })).call);
    assert.deepEqual(
      again.map(({ request }) => clients.indexOf(request.port.client)),
      [0, 1],
    );
    for (const call of [meanwhile.call, ...again]) call.reply(said("done"));
    await settle();
  }
});

test("D2 without a state, the answers go on as they are; with a person's consent, that is kept", async () => {
  const rig = createHoldsRig();
  const stateless: Reply = { result: { resultType: "input_required", inputRequests: ASKED } };
  const [plain] = (await replied(rig, stateless)).answers;
  assert.ok(plain !== undefined && "result" in plain && plain.result["requestState"] === undefined);
  const again = await rig.begin({ params: { name: "t", inputResponses: { name: { roots: [] } } } });
  assert.deepEqual(again.call.request.params?.["inputResponses"], { name: { roots: [] } });
  assert.equal(again.call.request.asked, undefined);
  const { state } = inputRequired(await replied(rig, stateless, {}, true));
  const { call } = await rig.begin({ params: retryParams(state, { name: { roots: [] } }) });
  assert.equal(call.request.asked, "accept");
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

test("D2 addresses that a legacy backend wants visited are input that is required, and the call is made again", async () => {
  const rig = createHoldsRig();
  const { state, keys, requests } = inputRequired(await replied(rig, visit));
  assert.deepEqual(Object.values(requests), [
    { method: "elicitation/create", params: { mode: "url", message: "one", url: "https://example.com/1" } },
    { method: "elicitation/create", params: { mode: "url", message: "two", url: "https://example.com/2" } },
  ]);
  const answers = Object.fromEntries(keys.map((key) => [key, accept()]));
  const { call } = await rig.begin({ params: retryParams(state, answers) });
  const { _meta, ...params } = call.request.params ?? {};
  assert.deepEqual(params, { name: "t", arguments: { a: 1, b: { c: [2, "three"] } } });
  assert.ok(isJsonObject(_meta));
});

test("D2 where a person does not visit one, the call is not made again", async () => {
  const rig = createHoldsRig();
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

test("D2 a client that visits no addresses is told so, and what names none is a plain error", async () => {
  const rig = createHoldsRig();
  const declared: JsonObject = { elicitation: {} };
  assert.equal(codeOf(await replied(rig, visit, { declared })), -32021);
  assert.equal(codeOf(await replied(rig, { error: { code: -32042, message: "?" } })), -32603);
  assert.equal(codeOf(await replied(rig, visit, { method: "completion/complete" })), -32603);
});
