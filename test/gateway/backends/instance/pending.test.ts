import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CallAbort } from "../../../../src/gateway/call-signal.ts";
import type { Reply } from "../../../../src/gateway/json-rpc.ts";
import { startPending } from "../programs/instance-under-test.ts";

const OK: Reply = { result: {} };

describe("requests that wait", () => {
  test("ids count up from 1, and only calls count as calls", () => {
    const { pending, add } = startPending();
    const [one, two] = [add(), add({ own: true })];
    assert.deepEqual([one.id, two.id, pending.calls], [1, 2, 1]);
    assert.deepEqual([pending.get("x"), pending.get(""), pending.get("2")], [undefined, undefined, two]);
    pending.complete(one, OK, null);
    assert.equal(pending.calls, 0);
    assert.deepEqual([...pending], [two]);
  });
  test("C3 calls that wait long are reported, except the gateway's own and those that progress or wait for a person", async () => {
    const { pending, clock, add } = startPending();
    const long = { timeoutMs: 600_000 };
    assert.equal(pending.longWaits(), null);
    const hung = add(long);
    add({ ...long, own: true });
    await clock.advance(5_000);
    const slow = add(long);
    await clock.advance(4_999);
    assert.equal(pending.longWaits(), null);
    await clock.advance(1);
    assert.deepEqual(pending.longWaits(), { calls: 1, longestMs: 10_000 });
    await clock.advance(35_000);
    assert.deepEqual(pending.longWaits(), { calls: 2, longestMs: 45_000 });
    pending.restart(hung);
    assert.deepEqual(pending.longWaits(), { calls: 1, longestMs: 40_000 }, "a sign of progress");
    slow.attached = new Set([{ ended() {} }]);
    assert.equal(pending.longWaits(), null, "somebody is asked");
    slow.attached.clear();
    pending.complete(slow, OK, null);
    await clock.advance(10_000);
    assert.deepEqual(pending.longWaits(), { calls: 1, longestMs: 10_000 });
    pending.complete(hung, OK, null);
    assert.equal(pending.longWaits(), null);
  });
  test("each is settled once, and its attachments end before its reply is sent", () => {
    const { pending, add } = startPending();
    const order: string[] = [];
    const request = add({ onReply: () => void order.push("settled") });
    request.attached = new Set([{ ended: () => void order.push("withdrawn") }]);
    pending.complete(request, OK, null);
    pending.complete(request, OK, null);
    assert.deepEqual(order, ["withdrawn", "settled"]);
    assert.equal(pending.calls, 0);
  });
  test("a complete request refers to nothing of its call, which V8 would keep with it", () => {
    const { pending, add } = startPending();
    const replies: Reply[] = [];
    const abort = new CallAbort();
    const request = add({ signal: abort, onReply: (reply: Reply) => void replies.push(reply) });
    pending.complete(request, OK, null);
    assert.deepEqual([request.handle, request.signal, request.onAbort], [null, null, null]);
    request.onReply(OK, null);
    abort.abort("late");
    assert.deepEqual(replies, [OK]);
  });
  test("none is overdue while a question is attached; then its time starts over at the latest", async () => {
    const { add, clock, overdue } = startPending();
    const request = add({ timeoutMs: 1_000 });
    const question = { ended() {} };
    request.attached = new Set([question]);
    await clock.advance(3_600_000);
    assert.deepEqual(overdue, []);
    request.attached.delete(question);
    await clock.advance(1_000);
    assert.deepEqual(overdue, [request]);
  });
  test("one timer serves all deadlines; a postponed one is not overdue", async () => {
    const { add, clock, pending, overdue } = startPending();
    const late = add({ timeoutMs: 1_000 });
    const early = add({ timeoutMs: 200 });
    for (let more = 0; more < 100; more++) add({ timeoutMs: 5_000 });
    assert.equal(clock.pendingTimers, 1);
    await clock.advance(150);
    pending.restart(early);
    await clock.advance(199);
    assert.deepEqual(overdue, []);
    await clock.advance(1);
    assert.deepEqual(overdue, [early]);
    await clock.advance(650);
    assert.deepEqual(overdue, [early, late]);
    assert.equal(clock.pendingTimers, 1);
    await clock.advance(5_000);
    assert.deepEqual([overdue.length, clock.pendingTimers], [102, 0]);
  });
  test("those that are overdue at the same time may end each other", async () => {
    let fired = 0;
    const { add, clock } = startPending((pending) => {
      fired++;
      for (const request of [...pending]) pending.complete(request, OK, null);
    });
    for (let more = 0; more < 3; more++) add({ timeoutMs: 10 });
    await clock.advance(10);
    assert.equal(fired, 1);
  });
  test("a signal that aborts is reported until the request is settled", () => {
    const { add, aborted, pending } = startPending();
    const [first, second] = [new AbortController(), new AbortController()];
    const one = add({ signal: first.signal });
    const two = add({ signal: second.signal });
    pending.complete(two, OK, null);
    first.abort("why");
    second.abort("late");
    assert.deepEqual(aborted, [[one, "why"]]);
  });
  test("disposed, it sets no further timer", () => {
    const { add, clock, pending } = startPending();
    add();
    pending[Symbol.dispose]();
    add({ timeoutMs: 1 });
    assert.equal(clock.pendingTimers, 0);
  });
});
