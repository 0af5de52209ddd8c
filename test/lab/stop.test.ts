// How the daemon ends, and what the next one finds.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { ShareStatus } from "../../src/api/contract/contract.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { isGone } from "../support/processes.ts";
import { stopProcess } from "../support/stop-process.ts";
import { playScene, probersOf, type Scene, untilGone, useRig } from "./scene.ts";

describe("stop and start", { skip: missingForRootRig() ?? false }, () => {
  const lab = useRig(["CORE", "MEDIA"]);

  test("A8 a restart leaves each mount unchanged, without a moment in which it does not answer", () =>
    playScene(lab.rig, { shares: ["CORE", "MEDIA"] }, async (scene) => {
      await writeFile(scene.exported("CORE", "kept.txt"), "kept");
      const first = await scene.start("tb");
      const before = { mounts: await scene.mounts(), servers: await scene.servers() };
      const end = await first.stop();
      assert.deepEqual([end.code, end.signal], [0, null]);
      assert.equal(await scene.read("CORE", "kept.txt"), "kept");
      const second = await scene.start("tb");
      assert.deepEqual({ mounts: await scene.mounts(), servers: await scene.servers() }, before);
      await second.kill9();
      await scene.start("tb");
      assert.deepEqual({ mounts: await scene.mounts(), servers: await scene.servers() }, before);
    }));

  test("A8 --unmount-on-exit unmounts, and sets no override", () =>
    playScene(lab.rig, {}, async (scene) => {
      const monitor = await scene.start("tb", ["--unmount-on-exit"]);
      const prober = await scene.servers();
      await scene.write("CORE", "new.txt", "just written");
      const end = await monitor.stop();
      assert.equal(end.code, 0);
      assert.deepEqual(await scene.mounts(), []);
      assert.deepEqual(await scene.servers(), []);
      for (const pid of prober) await untilGone(pid);
      assert.equal(await readFile(scene.exported("CORE", "new.txt"), "utf8"), "just written");
      assert.match(JSON.stringify(await scene.home.state()), /"held":null/);
      await scene.start("tb");
    }));

  test("A8 SIGTERM in the middle of a failover: it ends cleanly, and never leaves two mounts or a half one", async (t) => {
    // From the cut through the confirmation and the unmount to the new mount.
    const moments = [0, 150, 260, 290, 330, 380];
    await playScene(lab.rig, { shares: ["CORE", "MEDIA"] }, async (scene) => {
      for (const share of ["CORE", "MEDIA"]) await writeFile(scene.exported(share, "kept.txt"), share);
      let over: "tb" | "fallback" = "tb";
      let monitor = await scene.start(over);
      for (const moment of moments) {
        const to: "tb" | "fallback" = over === "tb" ? "fallback" : "tb";
        const restore = await lab.rig.cut.ownLinkDown(over);
        // The moment is the point of this test.
        await pause(moment);
        const end = await monitor.stop();
        assert.equal(end.code, 0, `${moment} ms after the cut`);
        await assertOneMountEach(scene, moment);
        monitor = await scene.start(null);
        for (const share of ["CORE", "MEDIA"]) {
          await scene.untilOver(share, to);
          assert.equal(await eventually(() => scene.read(share, "kept.txt")), share);
        }
        await restore();
        const bothAnswer = (share: ShareStatus): boolean => share.tb_reachable && share.fb_reachable;
        for (const share of ["CORE", "MEDIA"]) await scene.home.untilShare(share, bothAnswer, 10_000);
        over = to;
        t.diagnostic(`${moment} ms after the cut: stopped in ${Math.round(end.ms)} ms`);
      }
    });
  });

  test("A8 a stop while a mount hangs does not wait for it, and leaves no prober once the mount responds", (t) =>
    playScene(lab.rig, { settings: { mount_hang_secs: 600 } }, async (scene) => {
      const monitor = await scene.start("tb");
      const hung = await scene.server("CORE");
      await stopProcess(hung);
      scene.defer(() => !isGone(hung) && process.kill(hung, "SIGCONT"));
      await scene.home.untilShare("CORE", (share) => !share.mount_alive, 10_000);
      const probers = await probersOf(monitor.pid);
      assert.ok(probers.length > 0);
      const end = await monitor.stop();
      t.diagnostic(`stopped in ${Math.round(end.ms)} ms`);
      assert.deepEqual([end.code, end.signal], [0, null]);
      process.kill(hung, "SIGCONT");
      for (const pid of probers) await untilGone(pid);
    }));
});

async function assertOneMountEach(scene: Scene, moment: number): Promise<void> {
  const mounts = await scene.mounts();
  const paths = mounts.map((mount) => path.basename(mount.path));
  assert.equal(new Set(paths).size, paths.length, `${moment} ms after the cut: ${JSON.stringify(mounts)}`);
  for (const share of ["CORE", "MEDIA"]) {
    const servers = await scene.servers(share);
    const mounted = paths.includes(share) ? 1 : 0;
    assert.equal(
      servers.length,
      mounted,
      `${moment} ms after the cut ${share} has ${servers.length} programs`,
    );
  }
}
