// Since when an instance has had nothing to do.
import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "../../../support/manual-clock.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady } from "../programs/instance-under-test.ts";

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
