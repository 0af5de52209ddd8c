// What a server asks before anybody called it, and the call that has to wait for it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settle } from "../../../support/manual-clock.ts";
import { INITIALIZED } from "../programs/instance-scripted-link.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startUnderTest } from "../programs/instance-under-test.ts";

function startAsking(owner = createTestClient("a")) {
  const started = startUnderTest({ owner }, (link) => {
    link.answers.set("initialize", () => INITIALIZED);
    link.hangs("ping");
  });
  // As server-filesystem does: in one go with what it answers to `initialized`.
  started.link.ask("roots", "roots/list");
  return { ...started, owner };
}

describe("B7 a client's own instance", () => {
  test("takes the first call once the server's own first question is answered, and had its effect", async () => {
    const { instance, link, clock, owner, call } = startAsking();
    await settle();
    assert.equal(instance.seen.state.kind, "starting");
    const { reply } = call(owner.call(1));
    assert.equal(link.requests("tools/call").length, 0);
    owner.asked[0]?.answer({ result: { roots: [] } });
    await settle();
    assert.deepEqual(link.replyTo("roots"), { result: { roots: [] } });
    const [ping] = link.requests("ping");
    assert.ok(ping !== undefined);
    await clock.advance(1_000);
    assert.equal(link.requests("tools/call").length, 0, "it may not have read the answer yet");
    link.answer(ping.id, { result: {} });
    await settle();
    await clock.advance(199);
    assert.equal(link.requests("tools/call").length, 0);
    await clock.advance(1);
    assert.equal(instance.seen.state.kind, "ready");
    const [sent] = link.requests("tools/call");
    assert.ok(sent !== undefined);
    link.answer(sent.id, { result: { content: [] } });
    assert.deepEqual(await reply, { result: { content: [] } });
  });

  test("waits for ten seconds and a look at most, and not at all for a server that asks nothing", async () => {
    const { instance, clock } = startAsking();
    await settle();
    await clock.advance(9_999);
    assert.equal(instance.seen.state.kind, "starting");
    await clock.advance(2_201);
    assert.equal(instance.seen.state.kind, "ready");
    const quiet = startUnderTest({ owner: createTestClient("b") });
    await settle();
    assert.equal(quiet.instance.seen.state.kind, "ready");
    assert.deepEqual([quiet.instance.seen.asksForRoots, instance.seen.asksForRoots], [false, true]);
  });

  test("that ends while it waits ends, and leaves no timer", async () => {
    const { instance, clock, link } = startAsking();
    await settle();
    link.die({ kind: "closed", message: "it crashed", hint: null });
    await settle();
    assert.equal(instance.seen.state.kind, "ended");
    await clock.advance(10_000);
    assert.deepEqual([instance.seen.state.kind, clock.pendingTimers], ["ended", 0]);
  });
});
