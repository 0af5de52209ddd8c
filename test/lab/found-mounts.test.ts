// Mounts that are there already: made by hand, of another share, or from a host that is configured no more.
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdir, readlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { createMountProgram } from "../../src/mount-program/mount-program.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { eventually } from "../support/eventually.ts";
import { holdOpen } from "./holders.ts";
import { mountTable, playScene, type Scene, serverName, useRig } from "./scene.ts";

describe("found mounts", { skip: missingForRootRig() ?? false }, () => {
  const lab = useRig(["CORE", "MEDIA"]);

  test("Found mounts: one made by hand at another path is adopted, the stable link leads to it, and a failover mounts at our path", () =>
    playScene(lab.rig, {}, async (scene) => {
      await writeFile(scene.exported("CORE", "kept.txt"), "kept");
      const elsewhere = path.join(scene.folder, "by-hand");
      await mountByHand(scene, "CORE", elsewhere);
      await scene.start(null);
      const found = await scene.untilOver("CORE", "tb");
      assert.equal(found.mount_path, elsewhere);
      assert.equal(await readlink(scene.at("CORE")), elsewhere);
      assert.equal(await scene.read("CORE", "kept.txt"), "kept");
      assert.equal((await scene.mounts()).length, 1, "it is not doubled");
      assert.equal((await scene.untilLogged("share.adopted"))["path"], elsewhere);

      await lab.rig.killServerOn("tb");
      const moved = await scene.untilOver("CORE", "fallback");
      assert.equal(moved.mount_path, path.join(scene.home.home, "volumes/CORE"));
      assert.equal(await eventually(() => scene.read("CORE", "kept.txt")), "kept");
      assert.equal((await scene.mounts()).length, 1);
    }));

  test("Found mounts: a manual mount of a share that a person unmounted is adopted, and the override ends", () =>
    playScene(lab.rig, {}, async (scene) => {
      await scene.start("tb");
      assert.equal((await scene.home.cli(["unmount"])).code, 0);
      await mountByHand(scene, "CORE", path.join(scene.folder, "by-hand"));
      assert.equal((await scene.untilOver("CORE", "tb")).override, null);
    }));

  test("Paths, Found mounts: another share at our path is not touched but reported, and the share is mounted once it is gone", () =>
    playScene(lab.rig, {}, async (scene) => {
      await writeFile(scene.exported("CORE", "kept.txt"), "kept");
      const ours = path.join(scene.home.home, "volumes/CORE");
      const other = await mountByHand(scene, "MEDIA", ours);
      const before = await scene.mounts();
      const monitor = await scene.start(null);
      const taken = await scene.home.untilShare("CORE", (share) => share.last_error !== null, 10_000);
      assert.match(
        taken.last_error ?? "",
        new RegExp(`${ours} is taken by //10\\.99\\.1\\.2/${serverName("MEDIA")}`),
      );
      assert.ok(taken.conditions.some(({ code }) => code === "path_taken"));
      const asked = await scene.home.cli(["mount"]);
      assert.equal(asked.code, 1);
      assert.match(asked.stdout, /is taken by/);
      assert.equal((await scene.home.cli(["unmount", "--force"])).code, 0);
      assert.deepEqual(await scene.mounts(), before);
      assert.equal(other.exitCode, null, "its program was not touched");
      assert.ok(monitor.pid > 0);
      // Busy while somebody looks into it just then.
      await eventually(async () => (await promisify(execFile)("fusermount3", ["-u", ours])) !== null);
      assert.equal((await scene.home.cli(["mount"])).code, 0);
      await scene.untilOver("CORE", "tb");
      assert.equal(await scene.read("CORE", "kept.txt"), "kept");
    }));

  test("Found mounts: a mount that no configured host explains waits until nothing is open, then is remounted", () =>
    playScene(lab.rig, { settings: { lsof_recheck: false } }, async (scene) => {
      await writeFile(scene.exported("CORE", "held.txt"), "held");
      const monitor = await scene.start("tb");
      const [old] = await scene.mounts();
      await using holder = await holdOpen.fd(scene.at("CORE", "held.txt"));
      await monitor.stop();
      // Another name for the first host is the same host; another host is not.
      await scene.home.writeConfig(scene.config.replace(`"${lab.rig.tbHost}"`, '"10.99.1.77"'));
      await scene.start(null);
      const waiting = await scene.home.untilShare(
        "CORE",
        // A check of open files that is late counts as one that found some.
        ({ conditions }) =>
          conditions.some(({ code, holders }) => code === "waiting_for_close" && holders?.[0]),
        10_000,
      );
      assert.deepEqual([waiting.active_interface, waiting.mount_state], ["none", "mounted"]);
      assert.ok(waiting.conditions.some(({ code }) => code === "unknown_route"));
      const wait = waiting.conditions.find(({ code }) => code === "waiting_for_close");
      assert.equal(wait?.holders?.[0]?.pid, holder.pid);
      assert.deepEqual(await scene.mounts(), [old]);
      assert.equal(await scene.read("CORE", "held.txt"), "held", "it serves meanwhile");
      await holder.release();
      const anew = await scene.untilOver("CORE", "fallback");
      assert.deepEqual(anew.conditions, []);
      assert.equal(await eventually(() => scene.read("CORE", "held.txt")), "held");
      assert.equal((await scene.servers()).length, 1);
    }));

  test("Found mounts: of two mounts of one share the one at our path is ours, the other is a condition and never unmounted", () =>
    playScene(lab.rig, {}, async (scene) => {
      await scene.start("tb");
      const elsewhere = path.join(scene.folder, "by-hand");
      await mountByHand(scene, "CORE", elsewhere);
      const twin = await scene.home.untilShare(
        "CORE",
        ({ conditions }) => conditions.some(({ code }) => code.startsWith("duplicate_mount")),
        10_000,
      );
      assert.equal(twin.mount_path, path.join(scene.home.home, "volumes/CORE"));
      await lab.rig.killServerOn("tb");
      await scene.untilOver("CORE", "fallback");
      assert.ok(
        (await mountTable()).some((mount) => mount.path === elsewhere),
        "the other is still there",
      );
    }));

  test("Paths: a user's folder where the link or the mount belongs is not touched but reported", () =>
    playScene(lab.rig, { shares: ["CORE", "MEDIA"] }, async (scene) => {
      const atLink = scene.at("CORE", "mine.txt");
      await mkdir(path.dirname(atLink), { recursive: true });
      await writeFile(atLink, "mine");
      const atMount = path.join(scene.home.home, "volumes/MEDIA/mine.txt");
      await mkdir(path.dirname(atMount), { recursive: true });
      await writeFile(atMount, "mine");
      await scene.start(null);
      const core = await scene.untilOver("CORE", "tb");
      assert.ok(core.conditions.some(({ code }) => code === "link_blocked"));
      const media = await scene.home.untilShare("MEDIA", (share) => share.last_error !== null, 10_000);
      assert.match(media.last_error ?? "", /volumes\/MEDIA is a folder with 1 entry/);
      assert.equal(await scene.read("CORE", "mine.txt"), "mine");
      const { stdout } = await promisify(execFile)("cat", [atMount]);
      assert.equal(stdout, "mine");
    }));
});

/** Mounts as a person would, over tb; ended when the story ends. */
async function mountByHand(scene: Scene, share: string, point: string): Promise<ChildProcess> {
  const { rig } = scene;
  const source = `//${rig.tbHost}/${serverName(share)}`;
  await mkdir(point, { recursive: true });
  const program = await createMountProgram(scene.home.home).find();
  assert.ok(program !== null);
  const login = ["-address", `${rig.tbHost}:445`, "-share", serverName(share), "-user", rig.username];
  const [file = "", ...enter] = rig.enter;
  const child = spawn(
    file,
    [...enter, program, "mount", ...login, "-fsname", source, "-patience", "3s", point],
    { stdio: ["pipe", "ignore", "ignore"] },
  );
  child.stdin.end(`${rig.password}\n`);
  const ended = new Promise((resolve) => child.once("exit", resolve));
  scene.defer(async () => {
    child.kill("SIGKILL");
    await ended;
    const left = (await mountTable()).some((mount) => mount.path === point && mount.source === source);
    if (left) await promisify(execFile)("fusermount3", ["-uz", point]);
  });
  await eventually(async () =>
    (await mountTable()).some((mount) => mount.path === point && mount.source === source),
  );
  return child;
}
