// What becomes a stream when it takes its time, and what does not.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { GatewayRequest } from "../../../../src/gateway/middleware/middleware.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { postModern } from "../modern/modern-rig.ts";
import { createHeldTool, createScriptedGateway, text } from "../scripted-gateway.ts";
import { callMessage, startRig } from "./http-rig.ts";

test("D2 a slow answer to a client that reads no streams stays one JSON text", async () => {
  const clock = createManualClock();
  const held = createHeldTool();
  await using rig = await startRig(createScriptedGateway({ held: held.tool }), { clock });
  const headers = { "mcp-session-id": await rig.initialize("2025-11-25") };
  const answers = ["application/json", "application/json, text/event-stream"].map((accept, id) =>
    rig.post(callMessage(id, "held"), { ...headers, accept }),
  );
  await eventually(() => held.started.length === 2);
  await clock.advance(5_000);
  await clock.advance(5_000);
  for (const _ of answers) held.release(text("done"));
  const kinds = (await Promise.all(answers)).map(({ headers: { "content-type": kind } }) => kind);
  assert.deepEqual(kinds, ["application/json", "text/event-stream"]);
});

test("D5 a client that refuses large events gets JSON, and notices where it listens, until it would give up waiting", async () => {
  const clock = createManualClock();
  const held = createHeldTool();
  const large = text("x".repeat(2_000_000));
  const gateway = createScriptedGateway({
    held: held.tool,
    noisy: async ({ port }) => {
      port.notify("notifications/progress", { progressToken: 1, progress: 1 });
      return large;
    },
  });
  await using rig = await startRig(gateway, { clock });
  const headers = {
    "mcp-session-id": await rig.initialize("2025-11-25"),
    "user-agent": "python-httpx2/2.16.2",
  };
  const { response } = await rig.open("GET", headers);
  let heard = "";
  response.setEncoding("utf8").on("data", (chunk: string) => (heard += chunk));
  const slow = rig.post(callMessage(1, "held"), headers);
  await eventually(() => held.started.length === 1);
  await clock.advance(119_000);
  held.release(large);
  const noisy = rig.post(callMessage(2, "noisy"), headers);
  await eventually(() => heard.includes("notifications/progress"));
  // What was told just before the answer comes over another connection, and is read first.
  await clock.advance(50);
  for (const answer of [await slow, await noisy]) {
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(answer.body.length > 2_000_000, true);
  }
  // The official Python SDK reads for 300 s without a byte.
  const verySlow = rig.post(callMessage(4, "held"), headers);
  await eventually(() => held.started.length === 2);
  await clock.advance(299_000);
  held.release(text("done"));
  assert.equal((await verySlow).headers["content-type"], "text/event-stream");
  // Another client is told within its call, as ever.
  const other = await rig.post(callMessage(3, "noisy"), { "mcp-session-id": headers["mcp-session-id"] });
  assert.equal(other.headers["content-type"], "text/event-stream");
  response.destroy();
});

test("D5 a client of 2026-07-28 that refuses large events gets a large result as JSON, and is told of others within the call", async () => {
  const clock = createManualClock();
  const held = createHeldTool();
  const told =
    (size: number, message = "") =>
    async ({ port }: GatewayRequest) => {
      port.notify("notifications/progress", { progressToken: 1, progress: 1, message });
      return text("x".repeat(size));
    };
  const gateway = createScriptedGateway({
    small: told(10),
    large: told(2_000_000),
    loud: told(2_000_000, "y".repeat(1_100_000)),
    held: async (call) => {
      call.port.notify("notifications/progress", { progressToken: 1, progress: 1 });
      return held.tool(call);
    },
  });
  await using rig = await startRig(gateway, { clock });
  const call = (name: string) =>
    postModern(
      rig,
      "tools/call",
      { name, _meta: { progressToken: 1 } },
      { "user-agent": "python-httpx2/2.16.2" },
    );
  const small = await call("small");
  assert.equal(small.headers["content-type"], "text/event-stream");
  assert.match(small.body, /notifications\/progress[\s\S]*xxxxxxxxxx/);
  const large = await call("large");
  assert.deepEqual(
    [large.headers["content-type"], large.body.length > 2_000_000],
    ["application/json", true],
  );
  assert.equal((await call("loud")).headers["content-type"], "text/event-stream", "so much is not kept back");
  const slow = call("held");
  await eventually(() => held.started.length === 1);
  await clock.advance(2_000);
  held.release(text("done"));
  assert.match((await slow).body, /notifications\/progress[\s\S]*done/);
});

test("D5 a list is one JSON text wherever JSON is accepted", async () => {
  await using rig = await startRig(createScriptedGateway({}));
  const headers = { "mcp-session-id": await rig.initialize("2025-11-25") };
  const list = { jsonrpc: "2.0", id: 1, method: "tools/list" };
  assert.equal((await rig.post(list, headers)).headers["content-type"], "application/json");
  const accept = "text/event-stream";
  assert.equal((await rig.post(list, { ...headers, accept })).headers["content-type"], accept);
});
