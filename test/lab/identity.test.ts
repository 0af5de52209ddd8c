// Two servers that look alike, and a server that was replaced: no open file is ever moved from one to the other.
import assert from "node:assert/strict";
import { cp, mkdir, rename, utimes, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { acknowledged, startProgram } from "./load.ts";
import { untilCarriedOver } from "./moves.ts";
import { BLOCK_BYTES, writeKnownFile } from "./programs/known-bytes.ts";
import { monotonicMs } from "./programs/work-log.ts";
import { playScene, type Scene, serverName, useRig } from "./scene.ts";

const BLOCKS = (16 * 1024 * 1024) / BLOCK_BYTES;
const TOLD_MS = 30_000;
const SETTINGS = { auto_failback: false, lsof_recheck: false };

describe("identity", { skip: missingForRootRig() ?? false, timeout: 600_000 }, () => {
  const lab = useRig(["TWO", "ONE"], { apart: ["TWO"] });
  const other = (...parts: readonly string[]): string =>
    [lab.rig.exportPath(serverName("TWO"), "fallback"), ...parts].join("/");

  test("A10 two servers of one NetBIOS name with different content: never relayed, reported as different_servers, mounted per route", () =>
    playScene(lab.rig, { shares: ["TWO"], settings: SETTINGS, onRouteChange: "move" }, async (scene) => {
      await writeKnownFile(scene.exported("TWO", "large.bin"), BLOCKS, "first");
      await writeFile(scene.exported("TWO", "kept.txt"), "the first server");
      await writeKnownFile(other("large.bin"), BLOCKS, "second");
      await writeFile(other("kept.txt"), "the second server");
      // Files of one size that were written in the same second could not be told from each other.
      await utimes(other("large.bin"), 1_000, 1_000);
      await scene.start("tb");
      await assertNotCarried(scene, "different_servers");
      await assertNothingResumed(scene);
      assert.equal(await scene.read("TWO", "kept.txt"), "the second server");
    }));

  test("A10 a clone with one file more: never relayed, reported, and no open file continues with the clone's bytes", () =>
    playScene(lab.rig, { shares: ["TWO"], settings: SETTINGS, onRouteChange: "move" }, async (scene) => {
      await writeKnownFile(scene.exported("TWO", "large.bin"), BLOCKS, "first");
      await writeFile(scene.exported("TWO", "kept.txt"), "kept");
      await cp(scene.exported("TWO"), other(), { recursive: true, preserveTimestamps: true });
      await writeFile(other("more.txt"), "more");
      await scene.start("tb");
      await assertNotCarried(scene, null);
      await assertNothingResumed(scene);
    }));

  for (const [index, daemon] of ["awake", "stopped meanwhile"].entries()) {
    test(`A10 a server that was replaced under a relayed mount, the daemon ${daemon}: no open file continues with the new one's bytes, and it is reported`, (t) =>
      playScene(
        lab.rig,
        { shares: ["ONE"], settings: { ...SETTINGS, outage_patience_secs: 10 }, onRouteChange: "move" },
        async (scene) => {
          await writeKnownFile(scene.exported("ONE", "large.bin"), BLOCKS, "first");
          await writeFile(scene.exported("ONE", "kept.txt"), "the first server");
          // What was written in the same second as its copy could not be told from it.
          for (const name of ["large.bin", "kept.txt"])
            await utimes(scene.exported("ONE", name), 1_000, 1_000);
          const monitor = await scene.start("tb");
          await untilCarriedOver(scene, "ONE", "tb");
          const [before] = await scene.mounts();
          await using reader = await startReader(scene, "ONE");
          if (daemon === "stopped meanwhile") process.kill(monitor.pid, "SIGSTOP");
          await Promise.all([scene.rig.killServerOn("tb"), scene.rig.killServerOn("fallback")]);
          await rename(scene.exported("ONE"), `${scene.exported("ONE")}-old${index}`);
          await mkdir(scene.exported("ONE"));
          await writeKnownFile(scene.exported("ONE", "large.bin"), BLOCKS, "second");
          await writeFile(scene.exported("ONE", "kept.txt"), "the second server");
          await Promise.all([scene.rig.startServerOn("tb"), scene.rig.startServerOn("fallback")]);
          process.kill(monitor.pid, "SIGCONT");
          const told = await untilTold(scene, "ONE", null);
          t.diagnostic(told.conditions.map(({ code, title }) => `${code}: ${title}`).join("; "));
          const broken = await eventually(
            async () => (await reader.lines()).find(({ error }) => error !== null),
            TOLD_MS,
          );
          assert.doesNotMatch(broken.error ?? "", /wrong bytes/);
          await eventually(
            async () => (await scene.read("ONE", "kept.txt")) === "the second server",
            TOLD_MS,
          );
          const [after] = await scene.mounts();
          assert.notEqual(after?.id, before?.id, "the mount of the first server shows the second");
          const lines = await reader.lines();
          assert.ok(!lines.some(({ error }) => error?.includes("wrong bytes")), "bytes of another server");
        },
      ));
  }
});

function startReader(scene: Scene, share: string): ReturnType<typeof startProgram> {
  return startProgram(`${scene.folder}/logs`, "reader", "read-large-file.ts", [
    scene.at(share, "large.bin"),
    "first",
  ]);
}

async function untilTold(scene: Scene, name: string, code: string | null): Promise<ShareStatus> {
  const codes = code === null ? ["different_servers", "server_unproved"] : [code];
  return scene.home.untilShare(
    name,
    ({ conditions }) => conditions.some((each) => codes.includes(each.code)),
    TOLD_MS,
  );
}

async function assertNotCarried(scene: Scene, code: string | null): Promise<void> {
  const told = await untilTold(scene, "TWO", code);
  assert.equal(told.relay, undefined, "it is carried");
  assert.equal(told.mount_alive, true);
}

/** The first server is cut: the share is mounted from the other, and a file that was open is not. */
async function assertNothingResumed(scene: Scene): Promise<void> {
  await using reader = await startReader(scene, "TWO");
  await scene.rig.cut.ownLinkDown("tb");
  const cutAtMs = monotonicMs();
  // It may be carried now: with one route there is nothing that it could be moved to.
  await scene.untilOver("TWO", "fallback");
  await eventually(async () => (await reader.lines()).some(({ error }) => error !== null), TOLD_MS);
  const lines = (await reader.lines()).filter(({ fromMs }) => fromMs > cutAtMs + 1000);
  assert.deepEqual(acknowledged(lines, "read"), [], "the open file goes on");
  assert.ok(!lines.some(({ error }) => error?.includes("wrong bytes")), "bytes of another server");
}
