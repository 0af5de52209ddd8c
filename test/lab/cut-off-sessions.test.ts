// What the server still holds of connections that were cut off in silence: nothing, once their route is back.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { untilBothAnswer, untilServedOver } from "./moves.ts";
import { playScene, useRig } from "./scene.ts";

const SHARE = "CORE";
const run = promisify(execFile);

describe("cut-off sessions", { skip: missingForRootRig() ?? false, timeout: 240_000 }, () => {
  const rigs = useRig([SHARE], { oneServer: true });

  test("A10, A11 the reset that was lost with the cable is repeated: the server keeps no earlier session", async () => {
    const { rig } = rigs;
    await playScene(rig, { shares: [SHARE], onRouteChange: "move" }, async (scene) => {
      const [enter = "", ...args] = rig.enterServer;
      /** Ports of the workstation that the server believes to be connected to that address. */
      const sessions = async (): Promise<readonly string[]> => {
        const filter = ["state", "established", "sport", "=", ":445", "src", rig.tbHost];
        const { stdout } = await run(enter, [...args, "ss", "-Htn", ...filter]);
        return stdout.split("\n").flatMap((line) => /:(\d+)\s*$/.exec(line)?.[1] ?? []);
      };
      // By its time of creation the server is told from a clone, so that its other route is proved.
      await writeFile(scene.exported(SHARE, "before.txt"), "before");
      await scene.start("tb");
      await untilBothAnswer(scene, SHARE);
      await scene.write(SHARE, "one.txt", "one");
      const before = await sessions();
      assert.ok(before.length > 0, "the mount has connections");

      const restore = await rig.cut.silence("tb");
      await untilServedOver(scene, SHARE, "fallback");
      const left = (await sessions()).filter((port) => before.includes(port));
      assert.ok(left.length > 0, "the server heard nothing of their end");
      await restore();

      await eventually(async () => !(await sessions()).some((port) => left.includes(port)), 60_000, 100);
      assert.equal(await scene.read(SHARE, "one.txt"), "one");
    });
  });
});
