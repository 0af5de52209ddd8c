// The real daemon with an optimizer and groups, over HTTP in both versions of the protocol, and over `mountaineer mcp`.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { connectLight } from "./light-client.ts";

const EVERYTHING = { backends: { many: nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_TOOLS: "30" } }) } };

describe("D4 fewer tools, from outside", () => {
  test("a group has an address of its own, and an unknown one is not found", async (t) => {
    const rig = await startGatewayRig(t, {
      ...EVERYTHING,
      more: { "groups.few": { tools: ["*7"] }, optimizer: { enabled: true } },
    });
    await rig.untilReady("many");
    await using whole = await connectLight(rig.url);
    const listed = await whole.tools();
    assert.deepEqual(listed, ["find_tool", "call_tool"]);
    await using few = await connectLight(`${rig.url}/few`);
    assert.deepEqual(await few.tools(), ["find_tool", "call_tool"]);
    const called = await few.call("call_tool", { name: "tool_0007", arguments: {} });
    assert.doesNotMatch(called, /no tool/);
    assert.match(await few.call("call_tool", { name: "tool_0008" }), /^There is no tool tool_0008\./);
    const found = await whole.call("find_tool", { query: "tool_0008", limit: 1 });
    assert.equal(JSON.parse(found).tools[0].name, "tool_0008");
    const missing = await fetch(`${rig.url}/none`, { method: "POST" });
    assert.equal(missing.status, 404);
    assert.match(await missing.text(), /there is no group none; everything is at \/mcp/);
    await rig.edit({ ...EVERYTHING, more: { "groups.few": { tools: ["*7"] } } });
    const names = await few.tools();
    assert.ok(names.length > 0 && names.every((name) => name.endsWith("7")), names.join(" "));
    assert.equal((await whole.tools()).length > names.length, true);
  });
});
