// What becomes a stream when it takes its time, and what does not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
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
