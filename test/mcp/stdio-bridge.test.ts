// `mountaineer mcp` as clients start it, with one daemon.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { startBridge } from "../kit/bridge.ts";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "./gateway-rig.ts";

test("the stdio bridge serves a client, and ends with it", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) } });
  await rig.untilReady("light");
  const bridge = startBridge(rig);
  const { result } = await bridge.begin();
  assert.equal(result?.["protocolVersion"], "2025-11-25");
  assert.equal(await bridge.call(2, "echo", { text: "through" }), "through");
  bridge.child.stdin?.end();
  assert.equal(await bridge.ended, 0);
  assert.equal(bridge.stderr(), "");
});

test("B7 a call through the stdio bridge is answered though the daemon is stopped meanwhile", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) } });
  await rig.untilReady("light");
  const bridge = startBridge(rig);
  await bridge.begin();
  const until = path.join(rig.folder, "go-on");
  const called = bridge.call(2, "sleep", { until, text: "done" });
  await eventually(async () => (await rig.status()).gateway?.in_flight === 1);
  const stopped = rig.goDown("SIGTERM");
  // From there on the daemon takes no more clients.
  await eventually(() => !existsSync(path.join(rig.home.home, "mcp.sock")));
  await writeFile(until, "");
  assert.equal(await called, "done");
  await stopped;
});
