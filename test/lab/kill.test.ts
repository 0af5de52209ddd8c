// The daemon is killed at random moments of a failover: what it remembers is whole, and the next start settles.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { randomOf } from "./random.ts";
import { commandOf, playScene, probersOf, type Scene, useRig } from "./scene.ts";

/** `.ci/nightly kills` plays 100. */
const KILLS = Number(process.env["MOUNTAINEER_LAB_KILLS"] ?? 6);
/** From the cut to well after the new mount: the loss is confirmed after 250 ms, the mount takes some 100. */
const FAILOVER_MS = 600;

describe("kill -9", { skip: missingForRootRig() ?? false, timeout: 60_000 + KILLS * 60_000 }, () => {
  const lab = useRig(["CORE", "MEDIA"]);

  test(`A5 kill -9 at ${KILLS} random moments of a failover: state whole, one correct mount, no process left over`, (t) =>
    playScene(lab.rig, { shares: ["CORE", "MEDIA"] }, async (scene) => {
      for (const share of ["CORE", "MEDIA"]) await writeFile(scene.exported(share, "kept.txt"), share);
      let monitor = await scene.start("tb");
      // What is known of both is written a moment after it is so.
      await eventually(() => stateIsWhole(scene, 0).then(() => true));
      const random = randomOf(t);
      let over: "tb" | "fallback" = "tb";
      for (let round = 0; round < KILLS; round++) {
        const to: "tb" | "fallback" = over === "tb" ? "fallback" : "tb";
        const file = `round${round}.txt`;
        await scene.write("CORE", file, `written in round ${round}`);
        const probers = await probersOf(monitor.pid);
        const restore = await lab.rig.cut.ownLinkDown(over);
        // The moment is the point of this test.
        const waitMs = random() * FAILOVER_MS;
        await pause(waitMs);
        await monitor.kill9();
        await stateIsWhole(scene, round);
        monitor = await scene.start(null);
        for (const share of ["CORE", "MEDIA"]) {
          try {
            await scene.untilOver(share, to);
            assert.equal(await eventually(() => scene.read(share, "kept.txt")), share);
            await scene.server(share);
          } catch (error) {
            throw new Error(`round ${round}, killed ${waitMs.toFixed(1)} ms after the cut: ${error}`, {
              cause: error,
            });
          }
        }
        const mounts = await scene.mounts();
        assert.equal(mounts.length, 2, JSON.stringify(mounts));
        assert.equal((await scene.servers()).length, 2, "one program a share");
        await eventually(async () => (await alive(probers)).length === 0);
        assert.equal(await readFile(scene.exported("CORE", file), "utf8"), `written in round ${round}`);
        await restore();
        await untilBothAnswer(scene);
        over = to;
      }
      t.diagnostic(`${KILLS} kills`);
    }));
});

async function stateIsWhole(scene: Scene, round: number): Promise<void> {
  const text = await readFile(path.join(scene.home.home, "state.json"), "utf8");
  const state: unknown = JSON.parse(text);
  assert.ok(typeof state === "object" && state !== null && "version" in state && "shares" in state);
  assert.equal(state.version, 1, `round ${round}`);
  assert.deepEqual(Object.keys(state.shares ?? {}).sort(), ["CORE", "MEDIA"]);
}

async function alive(pids: readonly number[]): Promise<readonly number[]> {
  const commands = await Promise.all(pids.map(commandOf));
  return pids.filter((_, index) => commands[index] !== "");
}

function untilBothAnswer({ home }: Scene): Promise<unknown> {
  return Promise.all(
    ["CORE", "MEDIA"].map((share) =>
      home.untilShare(share, (each) => each.tb_reachable && each.fb_reachable, 10_000),
    ),
  );
}
