// Shares that left the configuration while they were mounted, and a purge of a home that was in use.
import assert from "node:assert/strict";
import { lstat, readdir } from "node:fs/promises";
import { describe, test } from "node:test";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { serversOf } from "../support/processes.ts";
import { playScene, type Scene, useRig } from "./scene.ts";

const missing = missingForRootRig();

async function isGone(scene: Scene): Promise<void> {
  await eventually(async () => (await scene.servers("CORE")).length === 0, 60_000);
  assert.deepEqual(await scene.mounts(), []);
  await assert.rejects(lstat(scene.at("CORE")), { code: "ENOENT" });
}

describe("left mounts", { skip: missing ?? false, timeout: 300_000 }, () => {
  const lab = useRig(["CORE"], { oneServer: true });
  const play = (story: (scene: Scene) => Promise<void>) =>
    playScene(lab.rig, { onRouteChange: "move", env: { HOME: lab.rig.folder } }, async (scene) => {
      await scene.start("tb");
      await scene.write("CORE", "a.txt", "mine");
      await eventually(async () => (await scene.read("CORE", "a.txt")) === "mine");
      await story(scene);
    });
  const without = (scene: Scene): Promise<void> =>
    scene.home.writeConfig(scene.config.replace(/\[\[shares\]\][\s\S]*/, ""));
  const untilNamed = (scene: Scene) =>
    eventually(async () => {
      const { global } = await scene.home.status();
      return global.conditions.some(({ code }) => code === "left_mounted:CORE");
    }, 60_000);

  test("A6 after removal from the file it stays mounted, and is named and unmounted even by the next daemon", () =>
    play(async (scene) => {
      await without(scene);
      await untilNamed(scene);
      assert.equal(await scene.read("CORE", "a.txt"), "mine");
      const { stdout } = await scene.home.cli(["status"]);
      assert.match(stdout, /CORE is no longer configured; still mounted at/);
      assert.equal((await scene.home.cli(["down"])).code, 0);
      await scene.home.startMonitor([]);
      await untilNamed(scene);
      assert.equal(await scene.read("CORE", "a.txt"), "mine");
      const end = await scene.home.cli(["unmount", "--share", "CORE"]);
      assert.equal(end.code, 0, end.stdout + end.stderr);
      await isGone(scene);
      assert.equal((await scene.home.cli(["down"])).code, 0);
    }));

  test("A6 after removal by command it is unmounted, its program ended, its link gone", () =>
    play(async (scene) => {
      const end = await scene.home.cli(["shares", "remove", "--share", "CORE"]);
      assert.equal(end.code, 0, end.stdout + end.stderr);
      await isGone(scene);
    }));

  test("F3 F6 a purge removes everything that left the configuration, and leaves nothing of a home elsewhere but others' files", () =>
    play(async (scene) => {
      await without(scene);
      await untilNamed(scene);
      const { code, stdout, stderr } = await scene.home.cli(["uninstall", "--purge", "--yes"]);
      assert.equal(code, 0, stdout + stderr);
      await isGone(scene);
      assert.deepEqual(await serversOf(scene.home.home), []);
      assert.deepEqual(await readdir(scene.home.home, { recursive: true }), ["monitor-0.stderr"]);
    }));
});
