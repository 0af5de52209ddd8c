// A share that is known by one address: what is open goes on through a restart of its server, while a second address is
// added and while either is taken away.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { missingForTwoServers } from "../rig/two-servers.ts";
import { eventually } from "../support/eventually.ts";
import { startAppender } from "./appender.ts";
import { isServed, playServers } from "./servers-scene.ts";

const missing = await missingForTwoServers();

describe("one route", { skip: missing ?? false, timeout: 300_000 }, () => {
  test("A10, F3 a file stays open through a restart of the server, an added second host, and the removal of either: one mount", (t) =>
    playServers(t, ["auto_failback = true", "auto_failback_stable_secs = 1"], async (scene) => {
      await scene.editRoutes(["fallback"]);
      await scene.start();
      const isOver = (route: "tb" | "fallback") => (share: Parameters<typeof isServed>[0]) =>
        isServed(share) && share.moves?.phase === "serving" && share.active_interface === route;
      const first = await scene.until("mounted", isOver("fallback"));
      assert.deepEqual([first.tb_host, first.conditions], [null, []]);
      const mount = await mountOf(scene.home.home);
      await using appender = startAppender(scene, "lines.txt");
      const grows = async (): Promise<void> => {
        const before = appender.lines();
        await eventually(() => appender.lines() > before + 5, 60_000, 50);
      };
      await grows();

      await scene.servers.A.killServer();
      await scene.until("waiting", ({ moves }) => moves?.phase === "waiting");
      await scene.servers.A.startServer();
      await scene.until("back", isOver("fallback"));
      await grows();

      await scene.editRoutes(["tb", "fallback"]);
      await scene.until("moved to the second", isOver("tb"));
      await grows();
      await scene.editRoutes(["tb"]);
      await scene.until("the first is taken away", (share) => isOver("tb")(share) && share.fb_host === null);
      await grows();
      await scene.editRoutes(["tb", "fallback"]);
      await scene.until("it is back", (share) => isOver("tb")(share) && share.fb_reachable);
      // The one in use: what is open moves to the one that is left.
      await scene.editRoutes(["fallback"]);
      await scene.until("moved to the one that is left", isOver("fallback"));
      await grows();

      assert.equal(appender.failed(), false);
      assert.equal(await mountOf(scene.home.home), mount, "it was mounted once");
      const lines = await appender.end();
      await eventually(
        async () => ((await scene.onServer("A", "lines.txt")) ?? "").split("\n").length - 1 >= lines,
        60_000,
        100,
      );
    }));
});

/** The id of the home's one mount. */
async function mountOf(home: string): Promise<string> {
  const lines = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
  const ids = lines.filter((line) => line.includes(` ${home}/`)).map((line) => line.split(" ")[0] ?? "");
  assert.equal(ids.length, 1);
  return ids[0] ?? "";
}
