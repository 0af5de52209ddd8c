// What a client sends to one daemon for a call in another one: two or three daemons, joined by what they say to each other.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { PassedMessage } from "../../../src/daemon/handover/handover-messages.ts";
import { type OwnSessions, PeerDaemon } from "../../../src/daemon/handover/peer-daemon.ts";
import { ANONYMOUS } from "../../../src/gateway/client-handle.ts";
import type { CallStream } from "../../../src/gateway/frontend/session/client-stream.ts";
import { GATHER_MS } from "../../../src/gateway/frontend/suspended/suspended-call.ts";
import type { SuspendedCalls } from "../../../src/gateway/frontend/suspended/suspended-calls.ts";
import { isError } from "../../../src/gateway/json-rpc.ts";
import { parseExactly } from "../../../src/runtime/text/exact-json.ts";
import {
  accept,
  ask,
  codeOf,
  createSuspendedRig,
  inputRequired,
  retryParams,
  type SuspendedRig,
  said,
  textOf,
} from "../../gateway/frontend/suspended/suspended-rig.ts";
import { assertEach } from "../../support/assert-each.ts";
import { createManualClock, settle } from "../../support/manual-clock.ts";

const NOTHING: OwnSessions = {
  suspended: createSuspendedRig().suspended,
  deliver: async () => false,
  change() {},
};

interface Next {
  readonly rig: SuspendedRig;
  readonly passed: PeerDaemon;
  /** The old daemon's end. */
  readonly back: PeerDaemon;
  readonly link: { isUp: boolean };
}

/** Both ends of one channel: what they say goes as JSON, as between processes. */
function joined(
  one: OwnSessions,
  other: OwnSessions,
  link = { isUp: true },
): readonly [PeerDaemon, PeerDaemon] {
  const clock = createManualClock();
  const say = (to: () => PeerDaemon) => (message: PassedMessage) => {
    if (link.isUp) setImmediate(() => to().hear(JSON.parse(JSON.stringify(message))));
    return link.isUp;
  };
  const first: PeerDaemon = new PeerDaemon(one, { clock, post: say(() => second) });
  const second = new PeerDaemon(other, { clock, post: say(() => first) });
  return [first, second];
}

/** The daemon that follows. */
function follow(old: SuspendedRig): Next {
  const { clock } = old;
  const rig = createSuspendedRig({ clock });
  const link = { isUp: true };
  const [passed, back] = joined(
    { ...NOTHING, suspended: rig.suspended },
    { ...NOTHING, suspended: old.suspended },
    link,
  );
  rig.suspended.follow(old.suspended.stateKey);
  rig.others.previous = passed;
  old.others.next = back;
  return { rig, passed, back, link };
}

async function parked(rig: SuspendedRig) {
  const { sent, call } = await rig.begin();
  const question = ask(call);
  await rig.clock.advance(GATHER_MS);
  return { call, question, ...inputRequired(sent) };
}

test("B11 D2 a connection that stayed with an old daemon forwards messages for the next ones", async () => {
  const old = createSuspendedRig();
  const { rig: middle } = follow(old);
  const { rig: newest } = follow(middle);
  const { call, state } = await parked(newest);
  call.reply(said("early"));
  const forged = old.send({ params: retryParams(`${state}A`, {}) });
  const retry = old.send({ params: retryParams(state, { q1: accept() }) });
  await settle();
  assert.deepEqual([codeOf(forged), textOf(retry)], [-32602, "early"]);
  const again = old.send({ params: retryParams(state, { q1: accept() }) });
  await settle();
  assert.equal(codeOf(again), -32602);
});

test("B11 D2 a client that leaves at the next daemon cancels its call, and no number loses its digits", async () => {
  const old = createSuspendedRig();
  const { call, state, question } = await parked(old);
  const { rig } = follow(old);
  const content = parseExactly('{"n":12345678901234567890}') as Record<string, unknown>;
  const retry = rig.send({ params: retryParams(state, { q1: accept(content) }) });
  await settle();
  assert.equal(
    JSON.stringify(await question.reply),
    '{"result":{"action":"accept","content":{"n":12345678901234567890}}}',
  );
  assert.equal(call.request.signal.aborted, false);
  retry.close();
  await settle();
  assert.equal(call.request.signal.aborted, true);
});

test("B11 D2 when the next daemon has gone, calls that its clients had resumed are cancelled", async () => {
  const old = createSuspendedRig();
  const { call, state } = await parked(old);
  const { rig, back } = follow(old);
  rig.send({ params: retryParams(state, { q1: accept() }) });
  await settle();
  assert.equal(call.request.signal.aborted, false);
  back.over();
  assert.equal(call.request.signal.aborted, true);
});

test("B11 a client's message counts as taken if the other daemon has not answered within 5 s, and as lost if it ends", async () => {
  for (const [ends, expected] of [
    [false, true],
    [true, false],
  ] as const) {
    const { clock, end } = oneEnd();
    const placed = end.deliver({ hash: "h", principal: ANONYMOUS, text: "said" });
    if (ends) end.over();
    else await clock.advance(5_000);
    assert.equal(await placed, expected);
  }
});

test("B11 an unknown message of another version ends nothing", () => {
  const said: PassedMessage[] = [];
  const post = (message: PassedMessage): boolean => said.push(message) > 0;
  const passed = new PeerDaemon(NOTHING, { clock: createManualClock(), post });
  for (const message of [
    { say: "request", n: 1, request: "no JSON" },
    { say: "request", n: 2 },
    { say: "unheard of", n: 1 },
    { say: "answer", n: 7, reply: "" },
  ]) {
    passed.hear(message as PassedMessage);
  }
  assertEach(said, (message) => message.say === "answer" && [message.say, message.n], [
    ["answer", 1],
    ["answer", 2],
  ]);
});

/** One end, whose requests from the other daemon all go on, and what it says and cancels. */
function oneEnd() {
  const said: PassedMessage[] = [];
  const gone: string[] = [];
  const streams: CallStream[] = [];
  const resume: SuspendedCalls["resume"] = (request, stream) => {
    streams.push(stream);
    if (request.id === "early") stream.answer(null, { result: {} });
    return { kind: "goes_on", gone: () => void gone.push("gone") };
  };
  const clock = createManualClock();
  const post = (message: PassedMessage): boolean => said.push(message) > 0;
  const end = new PeerDaemon({ ...NOTHING, suspended: { resume } }, { clock, post });
  const request = JSON.stringify({ params: {}, principal: {}, capabilities: {} });
  return { clock, end, said, gone, streams, request };
}

test("B11 D2 a passed call that was answered or given up is not cancelled when the other daemon ends", () => {
  const { end, said, gone, streams, request } = oneEnd();
  for (const n of [1, 2, 3]) end.hear({ say: "request", n, request });
  end.hear({ say: "request", n: 4, request: JSON.stringify({ ...JSON.parse(request), id: "early" }) });
  streams[0]?.answer(null, { result: {} });
  end.hear({ say: "gone", n: 1 });
  assert.deepEqual(gone, []);
  end.hear({ say: "gone", n: 2 });
  assert.deepEqual(gone, ["gone"]);
  end.over();
  assert.deepEqual(gone, ["gone", "gone"], "the third");
  // JSON has no such number.
  streams[2]?.answer(null, { result: { n: 1n } } as never);
  assertEach(said, (message) => message.say === "answer" && isError(JSON.parse(message.reply)), [
    false,
    false,
    true,
  ]);
});

test("B11 D2 a passed request is answered once, and its client's departure is reported only before the answer", () => {
  const { end, said } = oneEnd();
  const answers: unknown[] = [];
  const stream = { congested: null, send: () => true, answer: (id: unknown) => void answers.push(id) };
  const passed = end.resume({ id: 7 } as never, stream as never);
  for (const _time of ["first", "again"]) end.hear({ say: "answer", n: 1, reply: '{"result":{}}' });
  passed?.gone();
  end.over();
  assert.deepEqual(answers, [7]);
  assertEach(said, ({ say }) => say, ["request"]);
});

test("B11 D2 a passed request without a member that this version needs is answered with an error, and not resumed", () => {
  const { end, said, streams, request } = oneEnd();
  for (const member of ["params", "principal", "capabilities"])
    end.hear({ say: "request", n: 1, request: JSON.stringify({ ...JSON.parse(request), [member]: 1 }) });
  assert.deepEqual(streams, []);
  assertEach(said, (message) => message.say === "answer" && isError(JSON.parse(message.reply)), [
    true,
    true,
    true,
  ]);
});
