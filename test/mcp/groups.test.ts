// Groups and profiles of the real daemon: what their clients hear, who gets which, and a session that outlives a daemon.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { type GatewayRig, handOver, nodeBackend, startGatewayRig } from "./gateway-rig.ts";
import { connectLight, type LightClient } from "./light-client.ts";

const prefixed = (prefix: string) => nodeBackend(LIGHT_SERVER, [], { env: { LIGHT_PREFIX: prefix } });
const BACKENDS = { one: prefixed("one_"), two: prefixed("two_") };
const GROUP = { "groups.first": { backends: ["one"] } };

async function connect(rig: GatewayRig, path = "", options = {}): Promise<LightClient> {
  const client = await connectLight(`${rig.url}${path}`, options);
  rig.beforeStop(async () => client[Symbol.asyncDispose]());
  return client;
}

for (const [words, replace] of [
  [
    "a kill",
    async (rig: GatewayRig) => {
      await rig.goDown("SIGKILL");
      await rig.comeBack();
    },
  ],
  ["a handover", handOver],
] as const) {
  test(`D4 B11 a session of a group is one of that group after ${words}, too`, async (t) => {
    const kept = words === "a handover";
    const rig = await startGatewayRig(t, { backends: BACKENDS, more: GROUP }, { kept });
    await rig.untilReady("one", "two");
    const first = await connect(rig, "/first");
    const before = await first.tools();
    assert.ok(before.length > 0 && before.every((name) => name.startsWith("one_")));
    const missing = await fetch(`${rig.url}/none`, { method: "POST" });
    assert.equal(missing.status, 404);
    assert.match(await missing.text(), /there is no group none; everything is at \/mcp/);
    await replace(rig);
    await rig.untilReady("one", "two");
    assert.deepEqual(await eventually(() => first.tools().catch(() => false as const)), before);
    assert.equal(await first.call("one_echo", { text: "here" }), "here");
    await assert.rejects(first.call("two_echo", { text: "there" }), /two_echo/);
    const elsewhere = await fetch(rig.url, {
      method: "POST",
      headers: {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-session-id": String(first.sessionId),
      },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "two_pid" } }),
    });
    assert.doesNotMatch(await elsewhere.text(), /"content"/);
  });
}
