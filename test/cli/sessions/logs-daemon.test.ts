// `mountaineer logs` with a daemon, and after one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { liveHome } from "../../live/live-home.ts";
import { eventually } from "../../support/eventually.ts";

test("A9 what a daemon does is in its log while it runs, and after", async (t) => {
  const home = await liveHome(t);
  await home.writeConfig(await home.text(["CORE"]));
  const monitor = await home.start();
  await eventually(async () => {
    const { stdout } = await home.cli(["logs", "--share", "CORE"]);
    return stdout.includes("share.mounted");
  });
  await monitor.stop();
  assert.match((await home.cli(["logs"])).stdout, /stopping/);
});
