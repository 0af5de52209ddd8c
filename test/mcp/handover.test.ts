import assert from "node:assert/strict";
import test from "node:test";
import { isDeepStrictEqual } from "node:util";
import { startBridge } from "../kit/bridge.ts";
import { liveHome, SETTLES_MS } from "../live/live-home.ts";
import { descriptorsOf } from "../support/descriptors.ts";
import { eventually } from "../support/eventually.ts";
import { LIGHT_SERVER } from "./fixture-programs.ts";
import { handOver, nodeBackend, type Section, startGatewayRig } from "./gateway-rig.ts";
import { connectLight } from "./light-client.ts";

test("B11 five handovers leave the last daemon with the descriptors of the first", async (t) => {
  const sections = { backends: { first: nodeBackend(LIGHT_SERVER), second: onceAtATime() } };
  const rig = await startGatewayRig(t, sections, { kept: true });
  await rig.untilReady("first", "second");
  const bridge = startBridge(rig);
  await bridge.begin();
  await using client = await connectLight(rig.url);
  let asked = 1;
  const look = async (): Promise<Awaited<ReturnType<typeof descriptorsOf>>> => {
    // Whoever is with the daemon before is served by this one from then on, and its sessions' file is open.
    await client.call("echo", { text: "here" });
    await bridge.call(++asked, "echo", { text: "here" });
    await using visitor = await connectLight(rig.url);
    await visitor.call("echo", { text: "for the first time" });
    return descriptorsOf((await rig.status()).global.pid ?? 0);
  };
  const seen = [await look()];
  // What is opened once, with the first of its kind, is.
  await eventually(async () => {
    seen.unshift(await look());
    return isDeepStrictEqual(seen[0], seen[1]);
  });
  const [first] = seen;
  for (let handovers = 0; handovers < 5; handovers++) await handOver(rig);
  await rig.untilReady("first", "second");
  await eventually(async () => {
    assert.deepEqual(await look(), first);
    return true;
  });
});

test("B11 shares stay mounted, and what is remembered of them is", async (t) => {
  const home = await liveHome(t, { kept: true });
  await home.writeConfig(await home.text(["CORE"]));
  await home.start();
  await home.untilMounted("CORE");
  const held = await home.cli(["switch", "--share", "CORE", "--to", "fallback"]);
  assert.equal(held.code, 0, held.stderr);
  await home.untilShare("CORE", (share) => share.held === "fallback", SETTLES_MS);
  const moves = await home.logged("share.unmounted");
  const { from, to } = await handOver({ home });
  assert.notEqual(from, to);
  const [share] = await home.untilMounted("CORE");
  assert.deepEqual([share?.held, share?.active_interface], ["fallback", "fallback"]);
  assert.deepEqual(await home.logged("share.unmounted"), moves);
});

/** Its tools have other names than those of the same server that runs beside it. */
function onceAtATime(): Section {
  return nodeBackend(LIGHT_SERVER, [], { replace: "stop-first", env: { LIGHT_PREFIX: "once_" } });
}
