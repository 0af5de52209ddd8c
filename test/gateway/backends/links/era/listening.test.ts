import assert from "node:assert/strict";
import { test } from "node:test";
import { linkFailure } from "../../../../../src/gateway/backends/links/backend-link.ts";
import {
  Listening,
  resourceTopic,
  taskTopic,
} from "../../../../../src/gateway/backends/links/era/listening.ts";
import { isError, type JsonObject, type Reply } from "../../../../../src/gateway/json-rpc.ts";
import { createManualClock } from "../../../../support/manual-clock.ts";

const CAPABILITIES = { tools: { listChanged: true }, resources: { subscribe: true } };
const BROKEN = linkFailure("closed", "the stream ended");

function started(capabilities: JsonObject = CAPABILITIES) {
  const clock = createManualClock();
  const asked: JsonObject[] = [];
  const abandoned: unknown[] = [];
  const counts = { gaps: 0 };
  const listening = new Listening({
    clock,
    capabilities,
    listen: (notifications) => asked.push(notifications),
    abandon: (id) => void abandoned.push(id),
    onGap: () => void counts.gaps++,
  });
  const acknowledge = (id: number, notifications = asked[id - 1]): void =>
    listening.acknowledged(id, { notifications });
  listening.start();
  return { listening, clock, asked, abandoned, counts, acknowledge };
}

const told = (reply: Reply): string => (isError(reply) ? reply.error.message : "done");

test("D2 a server that tells of nothing is not listened to", () => {
  assert.deepEqual(started({ tools: {} }).asked, []);
});

test("D2 changes while a stream is opened make one more of them, and the old ends after the new one is there", async () => {
  const { listening, asked, abandoned, acknowledge } = started();
  assert.deepEqual(asked, [{ toolsListChanged: true }]);
  const replies = [listening.subscribe(resourceTopic("a:1")), listening.subscribe(resourceTopic("a:2"))];
  assert.equal(asked.length, 1);
  acknowledge(1);
  assert.deepEqual(asked[1], { toolsListChanged: true, resourceSubscriptions: ["a:1", "a:2"] });
  assert.deepEqual(abandoned, []);
  acknowledge(2);
  assert.deepEqual(abandoned, [1]);
  assert.deepEqual((await Promise.all(replies)).map(told), ["done", "done"]);
  listening.unsubscribe(resourceTopic("a:1"));
  assert.deepEqual(asked[2], { toolsListChanged: true, resourceSubscriptions: ["a:2"] });
});

test("D2 what the server does not honour is an error of that subscription alone", async () => {
  const { listening, asked, acknowledge } = started();
  acknowledge(1);
  const replies = [listening.subscribe(resourceTopic("a:1"))];
  acknowledge(2, {});
  assert.deepEqual((await Promise.all(replies)).map(told), ["the server does not tell of changes of it"]);
  const next = listening.subscribe(resourceTopic("a:2"));
  assert.deepEqual(asked[2], { toolsListChanged: true, resourceSubscriptions: ["a:2"] });
  acknowledge(3);
  assert.equal(told(await next), "done");
});

test("D2 a stream that nobody acknowledges is given up, and the old one stays", async () => {
  const { listening, clock, abandoned, acknowledge } = started();
  acknowledge(1);
  const reply = listening.subscribe(resourceTopic("a:1"));
  await clock.advance(5_000);
  assert.match(told(await reply), /not acknowledged in time/);
  assert.deepEqual(abandoned, [2]);
});

test("D2 a broken stream is opened again, later each time, and what was missed is asked for", async () => {
  const { listening, clock, asked, counts, acknowledge } = started();
  acknowledge(1);
  listening.ended(1, BROKEN);
  await clock.advance(999);
  assert.equal(asked.length, 1);
  await clock.advance(1);
  assert.equal(asked.length, 2);
  listening.ended(2, BROKEN);
  await clock.advance(1_999);
  assert.equal(asked.length, 2);
  await clock.advance(1);
  acknowledge(3);
  assert.equal(counts.gaps, 1);
  await clock.advance(10_000);
  listening.ended(3, { result: {} });
  await clock.advance(1_000);
  assert.equal(asked.length, 4);
  listening[Symbol.dispose]();
  assert.equal(clock.pendingTimers, 0);
});

test("D2 a server without such streams is asked once, and subscriptions are refused", async () => {
  const { listening, clock, asked } = started();
  listening.ended(1, { error: { code: -32601, message: "Method not found" } });
  await clock.advance(120_000);
  assert.equal(asked.length, 1);
  assert.match(
    told(await listening.subscribe(resourceTopic("a:1"))),
    /does not take the subscription: Method not found/,
  );
});

test("D1 tasks are listened for beside resources, on the same stream", async () => {
  const { listening, asked, acknowledge } = started({});
  const replies = [listening.subscribe(resourceTopic("a:1")), listening.subscribe(taskTopic("t"))];
  acknowledge(1);
  acknowledge(2);
  assert.deepEqual(asked.at(-1), { resourceSubscriptions: ["a:1"], taskIds: ["t"] });
  assert.deepEqual((await Promise.all(replies)).map(told), ["done", "done"]);
  listening.unsubscribe(resourceTopic("a:1"));
  assert.deepEqual(asked.at(-1), { taskIds: ["t"] });
  const refused = listening.subscribe(taskTopic("gone"));
  acknowledge(3);
  acknowledge(4, { taskIds: ["t"] });
  assert.equal(told(await refused), "the server does not tell of changes of it");
});
