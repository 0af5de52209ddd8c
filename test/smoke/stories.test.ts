// Whole stories of one daemon, as people live them: each shows that the parts are joined. `npm run test:lab` has the rest.
import assert from "node:assert/strict";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { liveHome, renameOver, SETTLES_MS } from "../live/live-home.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { nodeBackend, startGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight } from "../mcp/light-client.ts";
import { eventually } from "../support/eventually.ts";

test("a share whose Thunderbolt route is lost is served over the fallback at the same path", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  await home.start();
  const tb = await home.untilShare("CORE", ({ active_interface }) => active_interface === "tb", SETTLES_MS);
  await rename(join(home.folder, "CORE-tb"), join(home.folder, "CORE-gone"));
  const moved = await home.untilShare(
    "CORE",
    ({ active_interface, mount_alive }) => active_interface === "fallback" && mount_alive,
    SETTLES_MS,
  );
  assert.equal(moved.stable_path, tb.stable_path);
});

test("a share that is added to the saved file is mounted without a restart", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  const monitor = await home.start();
  await home.untilMounted("CORE");
  await renameOver(home.configFile, await home.text(["CORE", "MEDIA"]));
  await eventually(async () => (await home.glance())?.shares.length === 2);
  await home.untilMounted("CORE", "MEDIA");
  assert.equal((await home.glance())?.global.pid, monitor.pid);
});

test("a tool is called through the gateway", async (t) => {
  const rig = await startGatewayRig(t, { backends: { light: nodeBackend(LIGHT_SERVER) } });
  await rig.untilReady("light");
  const client = await connectLight(rig.url);
  rig.beforeStop(async () => client[Symbol.asyncDispose]());
  assert.ok((await client.tools()).includes("echo"));
  assert.equal(await client.call("echo", { text: "hello" }), "hello");
});

test("a daemon that is started after a kill adopts the shares that it finds", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  const first = await home.start();
  const [before] = await home.untilMounted("CORE");
  // What is told is written right after.
  await eventually(async () => JSON.stringify(await home.state()).includes(String(before?.last_switch_at)));
  await first.kill9();
  const second = await home.start();
  const [after] = await home.untilMounted("CORE");
  assert.equal((await home.glance())?.global.pid, second.pid);
  assert.deepEqual(
    [after?.stable_path, after?.active_interface, after?.last_switch_at],
    [before?.stable_path, before?.active_interface, before?.last_switch_at],
  );
});
