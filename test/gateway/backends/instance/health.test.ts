import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settle } from "../../../support/manual-clock.ts";
import { startReady } from "../programs/instance-under-test.ts";

const OK = { result: { content: [] } };

describe("health", () => {
  test("a ping without an answer is a missed check, any message a sign of life", async () => {
    const { link, instance, clock, counts } = await startReady();
    instance.check();
    await settle();
    assert.equal(instance.seen.missedChecks, 0);
    assert.equal(instance.seen.checkedAtMs, clock.monotonicMs());
    link.hangs("ping");
    for (const missed of [1, 2]) {
      instance.check();
      instance.check();
      await clock.advance(5_000);
      assert.equal(instance.seen.missedChecks, missed);
    }
    assert.equal(link.requests("ping").length, 3);
    const before = counts.seen;
    link.notify("notifications/anything");
    assert.equal(instance.seen.missedChecks, 0);
    assert.equal(counts.seen, before + 1);
    instance.check();
    await clock.advance(4_000);
    link.notify("notifications/anything");
    await clock.advance(1_000);
    assert.equal(instance.seen.missedChecks, 0);
    assert.deepEqual(link.told("notifications/cancelled"), []);
  });
  test("a server that does not know ping is alive", async () => {
    const { link, instance } = await startReady();
    link.answers.delete("ping");
    instance.check();
    await settle();
    assert.equal(instance.seen.missedChecks, 0);
  });
  test("`seen` is the same object until something is different", async () => {
    const { instance, call, link } = await startReady();
    const { seen } = instance;
    assert.equal(instance.seen, seen);
    const { id } = call(null);
    assert.deepEqual([instance.seen.inFlight, seen.inFlight], [1, 0]);
    link.answer(id, OK);
  });
});
