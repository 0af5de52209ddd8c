// Ids beyond what a double holds: clients write and read text here.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually } from "../../../support/eventually.ts";
import { createHeldTool, createScriptedGateway, text } from "../scripted-gateway.ts";
import { startRig } from "./http-rig.ts";

const LONG = "9007199254740993";
/** The same double. */
const NEIGHBOUR = "9007199254740992";
const call = (id: string, name: string): string =>
  `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${name}"}}`;

describe("an id that a double cannot hold", () => {
  it("comes back with its digits, wherever a request ends", async () => {
    await using rig = await startRig(createScriptedGateway());
    const initialize = `{"jsonrpc":"2.0","id":${LONG},"method":"initialize","params":{"protocolVersion":"2025-03-26",
      "capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`;
    const opened = await rig.post(initialize);
    const headers = { "mcp-session-id": String(opened.headers["mcp-session-id"]) };
    const answers = [
      opened,
      await rig.post(call(LONG, "echo"), headers),
      await rig.post(`[${call(LONG, "echo")}]`, headers),
      await rig.post(`{"jsonrpc":"2.0","id":${LONG},"method":5}`, headers),
      await rig.post(call(LONG, "echo"), { ...headers, accept: "text/event-stream" }),
    ];
    for (const { body } of answers) assert.match(body, new RegExp(`"id":${LONG}\\b`));
  });

  it("is another one than its neighbour's: each is in flight once, and cancelled alone", async () => {
    const held = createHeldTool();
    const gateway = createScriptedGateway({ held: held.tool });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const neighbour = rig.post(call(NEIGHBOUR, "held"), headers);
    await eventually(() => held.started.length === 1);
    const long = rig.post(call(LONG, "held"), headers);
    await eventually(() => held.started.length === 2);
    assert.match((await rig.post(call(LONG, "held"), headers)).body, /with this id is in flight/);
    const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${LONG}}}`;
    await rig.post(cancel, headers);
    assert.equal((await long).body, "");
    assert.deepEqual(
      held.started.map(({ signal }) => signal.aborted),
      [false, true],
    );
    held.release(text("done"));
    assert.match((await neighbour).body, new RegExp(`"id":${NEIGHBOUR}\\b`));
  });
});
