import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { PRELOAD } from "../live/handover-steps/steps.ts";
import { LIGHT_SERVER } from "../mcp/fixture-programs.ts";
import { nodeBackend, openGatewayRig } from "../mcp/gateway-rig.ts";
import { connectLight } from "../mcp/light-client.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

test("B11 a new daemon that is killed as soon as it has taken over is replaced at once, and `restart` says so", {
  skip: process.platform === "linux" ? false : "reads /proc",
}, async (t) => {
  const folder = await temporaryFolder(t);
  const env = { STEPS_FOLDER: folder, NODE_OPTIONS: `--import=${PRELOAD}` };
  const backends = { first: nodeBackend(LIGHT_SERVER) };
  await using rig = await openGatewayRig({ backends }, { env, kept: true });
  await rig.untilReady("first");
  await using client = await connectLight(rig.url);
  await writeFile(join(folder, "fault.json"), JSON.stringify({ step: "new sends taken", how: "is killed" }));
  const { code, stdout, stderr, ms } = await rig.home.cli(["restart"]);
  assert.equal(code, 0, stderr);
  const said =
    /is in charge \(pid (\d+), before it \d+(?:, and (\d+), which ended as soon as it had taken over)?\)/;
  assert.match(stdout, said);
  const [, named, ended] = said.exec(stdout) ?? [];
  // On a busy machine the first one answers `restart` before it is killed; a stop that it took would end with it.
  const killed = Number(ended ?? named);
  await eventually(async () => ((await rig.home.glance())?.global.pid ?? killed) !== killed);
  t.diagnostic(`restart took ${Math.round(ms)} ms`);
  await client.call("echo", { text: "here" });
  assert.equal(await rig.isOver(), false, "the service manager was not needed");
});
