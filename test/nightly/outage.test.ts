// Neither route answers for longer than the patience: programs get their error and can be ended, nothing else waits,
// and all goes on when a route is back.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { failures, startProgram } from "../lab/load.ts";
import { isServedOver, untilServedOver } from "../lab/moves.ts";
import { BLOCK_BYTES, writeKnownFile } from "../lab/programs/known-bytes.ts";
import { monotonicMs } from "../lab/programs/work-log.ts";
import { playScene, useRig } from "../lab/scene.ts";
import { missingForRootRig, type RootRig } from "../rig/root-rig.ts";
import { LINKS, type Restore } from "../rig/root-rig-network.ts";
import { eventually } from "../support/eventually.ts";

const PATIENCE_SECS = 8;
/** An error comes so soon after the patience is over. */
const ERROR_WITHIN_MS = 5_000;
/** A process is gone so soon after it is killed; the rest is for a busy machine. */
const GONE_WITHIN_MS = 10_000;
const BLOCKS = (32 * 1024 * 1024) / BLOCK_BYTES;

const outages: readonly { name: string; cut: (rig: RootRig) => Promise<readonly Restore[]> }[] = [
  {
    name: "both own links down",
    cut: (rig) => Promise.all([rig.cut.ownLinkDown("tb"), rig.cut.ownLinkDown("fallback")]),
  },
  {
    name: "silence on both",
    cut: (rig) => Promise.all([rig.cut.silence("tb"), rig.cut.silence("fallback")]),
  },
  {
    name: "each packet rejected",
    cut: (rig) => Promise.all([rig.cut.reject("tb"), rig.cut.reject("fallback")]),
  },
];

describe("outage", { skip: missingForRootRig() ?? false, timeout: 600_000 }, () => {
  const lab = useRig(["AWAY", "HERE"], { oneServer: true });

  for (const { name, cut } of outages) {
    test(`A10 ${name} for longer than outage_patience_secs: the first error within 5 s of it, processes can be killed, status answers, and all resumes afterwards`, (t) =>
      playScene(
        lab.rig,
        {
          shares: ["AWAY"],
          settings: { outage_patience_secs: PATIENCE_SECS, auto_failback: false },
          onRouteChange: "move",
        },
        async (scene) => {
          await writeKnownFile(scene.exported("AWAY", "large.bin"), BLOCKS, "away");
          await scene.start("tb");
          await untilServedOver(scene, "AWAY", "tb");
          const mounted = await scene.mounts();
          const logs = `${scene.folder}/logs`;
          const file = scene.at("AWAY", "large.bin");
          await using reader = await startProgram(logs, "reader", "read-large-file.ts", [file, "away"]);
          await using killed = await startProgram(logs, "killed", "read-large-file.ts", [file, "away"]);

          const fromMs = monotonicMs();
          const restores = await cut(scene.rig);
          await scene.home.untilShare(
            "AWAY",
            ({ moves, conditions }) =>
              moves !== undefined &&
              moves.phase !== "serving" &&
              conditions.some(({ code }) => code === "waiting_for_route"),
            PATIENCE_SECS * 1000,
          );
          const asked = await scene.home.cli(["status"]);
          assert.equal(asked.code, 0, asked.stderr);
          t.diagnostic(`status answered in ${Math.round(asked.ms)} ms while programs wait`);

          const error = await eventually(
            async () => failures(await reader.lines())[0],
            PATIENCE_SECS * 1000 + ERROR_WITHIN_MS,
          );
          const afterMs = error.toMs - fromMs;
          t.diagnostic(`first error ${Math.round(afterMs)} ms after the cut: ${error.error}`);
          assert.ok(afterMs > PATIENCE_SECS * 1000 - 1000, `an error already ${afterMs} ms after the cut`);
          assert.ok(
            afterMs < PATIENCE_SECS * 1000 + ERROR_WITHIN_MS,
            `no error until ${afterMs} ms after the cut`,
          );
          await scene.home.untilShare("AWAY", ({ moves }) => moves?.phase === "over", 5000);
          await killed.kill9(GONE_WITHIN_MS);
          const askedAt = performance.now();
          await assert.rejects(scene.read("AWAY", "large.bin"));
          t.diagnostic(`a new program failed after ${Math.round(performance.now() - askedAt)} ms`);

          for (const restore of restores) await restore();
          await untilServedOver(scene, "AWAY", null);
          assert.deepEqual(await scene.mounts(), mounted, "the mount did not stay");
          const backMs = monotonicMs();
          await eventually(async () =>
            (await reader.lines()).some((line) => line.fromMs > backMs && line.error === null),
          );
          const lines = await reader.stop();
          assert.ok(!lines.some(({ error: said }) => said?.includes("wrong bytes")));
          const lastMs = failures(lines).at(-1)?.toMs ?? 0;
          t.diagnostic(`last error ${Math.round(lastMs - backMs)} ms after the share was back`);
        },
      ));
  }

  test("A10 a share without a route delays no other: that is read, and status answers", () =>
    playScene(
      lab.rig,
      {
        shares: [
          "AWAY",
          { name: "HERE", thunderboltHost: LINKS.tb.spare, fallbackHost: LINKS.fallback.spare },
        ],
        settings: { outage_patience_secs: PATIENCE_SECS, auto_failback: false },
        onRouteChange: "move",
      },
      async (scene) => {
        await writeKnownFile(scene.exported("AWAY", "large.bin"), BLOCKS, "away");
        await writeFile(scene.exported("HERE", "kept.txt"), "kept");
        await scene.start("tb");
        for (const share of ["AWAY", "HERE"]) await untilServedOver(scene, share, "tb");
        const file = scene.at("AWAY", "large.bin");
        await using reader = await startProgram(`${scene.folder}/logs`, "reader", "read-large-file.ts", [
          file,
          "away",
        ]);
        const fromMs = monotonicMs();
        const restores = await Promise.all([scene.rig.cut.silence("tb"), scene.rig.cut.silence("fallback")]);
        // Until the patience is over, and beyond it.
        while (monotonicMs() - fromMs < PATIENCE_SECS * 1000 + ERROR_WITHIN_MS) {
          assert.equal(await scene.read("HERE", "kept.txt"), "kept");
          await scene.write("HERE", "kept.txt", "kept");
          assert.equal((await scene.home.cli(["status"])).code, 0);
          await pause(250);
        }
        assert.ok(isServedOver(await scene.home.shareStatus("HERE"), "tb"));
        for (const restore of restores) await restore();
        await untilServedOver(scene, "AWAY", null);
        await reader.stop();
      },
    ));
});
