import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "../../../support/manual-clock.ts";
import { FAILURE } from "../programs/instance-scripted-link.ts";
import { createTestClient } from "../programs/instance-test-client.ts";
import { startReady } from "../programs/instance-under-test.ts";

const NOTICE = "notifications/tasks";
const LOST = "notifications/mountaineer/tasks_lost";
const OK = { result: {} };

async function watched() {
  const started = await startReady({}, ({ answers }) => {
    answers.set("tasks/watch", () => OK);
    answers.set("tasks/unwatch", () => OK);
  });
  const asked = (): unknown[] =>
    started.link.received.flatMap((message) =>
      "method" in message && message.method.startsWith("tasks/") ? [[message.method, message.params]] : [],
    );
  return { ...started, asked };
}

test("D1 each client hears of its task under its own name for it, until it is over", async () => {
  const { instance, link, asked } = await watched();
  const [a, b, c] = [createTestClient("a"), createTestClient("b"), createTestClient("c")];
  assert.deepEqual(await instance.watchTask({ id: "t", name: "of a" }, a), OK);
  assert.deepEqual(await instance.watchTask({ id: "t", name: "of b" }, b), OK);
  assert.deepEqual(await instance.watchTask({ id: "u", name: "of c" }, c), OK);
  link.notify(NOTICE, { taskId: "t", status: "working" });
  link.notify(NOTICE, { taskId: "unknown", status: "working" });
  link.notify(NOTICE, undefined);
  instance.forget(a);
  link.notify(NOTICE, { taskId: "t", status: "completed", result: {} });
  link.notify(NOTICE, { taskId: "t", status: "completed", result: {} });
  assert.deepEqual(a.told, [{ method: NOTICE, params: { taskId: "of a", status: "working" } }]);
  assert.deepEqual(b.told, [
    { method: NOTICE, params: { taskId: "of b", status: "working" } },
    { method: NOTICE, params: { taskId: "of b", status: "completed", result: {} } },
  ]);
  assert.deepEqual(c.told, []);
  instance.forget(c);
  await settle();
  assert.deepEqual(asked(), [
    ["tasks/watch", { taskId: "t" }],
    ["tasks/watch", { taskId: "u" }],
    ["tasks/unwatch", { taskId: "t" }],
    ["tasks/unwatch", { taskId: "u" }],
  ]);
});

test("D1 what the server refuses is watched by nobody, and asked for anew by the next", async () => {
  const { instance, link, asked } = await watched();
  const refusal = { error: { code: -32603, message: "no" } };
  link.answers.set("tasks/watch", () => refusal);
  const client = createTestClient("a");
  assert.deepEqual(await instance.watchTask({ id: "t", name: "n" }, client), refusal);
  link.notify(NOTICE, { taskId: "t", status: "working" });
  assert.deepEqual(client.told, []);
  link.answers.set("tasks/watch", () => OK);
  assert.deepEqual(await instance.watchTask({ id: "t", name: "n" }, client), OK);
  assert.equal(asked().length, 2);
});

test("D1 a client that left meanwhile is not kept, and one whose server has gone or was silent is told to listen anew", async () => {
  const { instance, link, asked, clock } = await watched();
  const early = createTestClient("early");
  const watching = instance.watchTask({ id: "t", name: "n" }, early);
  instance.forget(early);
  assert.equal("error" in (await watching), true);
  const client = createTestClient("a");
  await instance.watchTask({ id: "t", name: "n" }, client);
  await instance.watchTask({ id: "u", name: "m" }, client);
  link.gap();
  await clock.advance(1);
  assert.deepEqual(client.told, [{ method: LOST, params: undefined }]);
  assert.equal(asked().filter((one) => Array.isArray(one) && one[0] === "tasks/unwatch").length, 3);
  await instance.watchTask({ id: "t", name: "n" }, client);
  link.die(FAILURE("closed"));
  assert.equal(client.told.length, 2);
  assert.equal("error" in (await instance.watchTask({ id: "t", name: "n" }, client)), true);
});
