// What people get wrong, and machines that are full or read-only: a clear message, its exit code, nothing lost.
import assert from "node:assert/strict";
import { access, chmod, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { StepReport } from "../../src/api/contract/contract.ts";
import { missingForRootRig } from "../rig/root-rig.ts";
import { createTestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { mountTmpfs, remountTmpfs } from "../support/tiny-disk.ts";
import { playScene, type SceneShare, useRig } from "./scene.ts";

describe("wrong settings", { skip: missingForRootRig() ?? false }, () => {
  const lab = useRig(["CORE", "MEDIA"], { settings: ["map to guest = Never"] });

  test("What to mount: a wrong password, share, port or host is reported for each share, by the command without a daemon and by the daemon, and delays no other", () => {
    const wrong: readonly (SceneShare & { readonly why: RegExp })[] = [
      {
        name: "PASSWORD",
        of: "MEDIA",
        // Another account than SHARE's: two refusals hold back whatever else logs in with it.
        lines: ['username = "stranger"', 'password = "${WRONG}"'],
        why: /logon is invalid|logon failure/i,
      },
      {
        name: "SHARE",
        of: "MEDIA",
        lines: ['share_name = "no-such-share"'],
        why: /share name cannot be found/i,
      },
      {
        name: "PORT",
        of: "MEDIA",
        lines: ['share_name = "port"'],
        thunderboltHost: "10.99.1.2:446",
        fallbackHost: "10.99.2.2:446",
        why: /10\.99\.1\.2:446.*refused.*10\.99\.2\.2:446.*refused/,
      },
      {
        name: "HOST",
        of: "MEDIA",
        lines: ['share_name = "host"'],
        thunderboltHost: "10.99.1.77",
        fallbackHost: "no-such-host.invalid",
        why: /10\.99\.1\.77.*no-such-host\.invalid/,
      },
      {
        name: "UNSET",
        of: "MEDIA",
        lines: ['share_name = "unset"', 'password = "${NOT_SET}"'],
        why: /NOT_SET is not set/,
      },
    ];
    return playScene(
      lab.rig,
      { shares: ["CORE", ...wrong], env: { WRONG: "not the password", MOUNTAINEER_LOG: "debug" } },
      async (scene) => {
        const report = async (args: readonly string[]): Promise<void> => {
          const { code, stdout, stderr } = await scene.home.cli([...args, "--json"]);
          assert.equal(code, 1, stderr);
          const results: StepReport["results"] = JSON.parse(stdout);
          for (const { name, why } of wrong) {
            const found = results.find(({ share }) => share === name);
            assert.equal(found?.result, "failed", JSON.stringify(found));
            assert.match(found?.detail ?? "", why);
          }
          assert.notEqual(results.find(({ share }) => share === "CORE")?.result, "failed");
        };
        await report(["mount"]);
        assert.equal((await scene.mounts()).length, 1, "what failed leaves no mount behind");
        assert.equal((await scene.servers()).length, 1, "and no process");
        await scene.start(null);
        await scene.untilOver("CORE", "tb");
        for (const { name, why } of wrong.filter((each) => each.name !== "UNSET")) {
          const share = await scene.home.untilShare(
            name,
            ({ last_error }) => why.test(last_error ?? ""),
            30_000,
          );
          assert.equal(share.mount_state, "unmounted");
        }
        const unset = await scene.home.shareStatus("UNSET");
        assert.ok(unset.conditions.some(({ code }) => code === "variable_missing"));
        await report(["mount"]);
        // The daemon tries again by itself; between two tries nothing is there.
        await eventually(async () => (await scene.mounts()).length === 1);
        const said = JSON.stringify(await scene.home.log());
        assert.ok(
          !said.includes("not the password") && !said.includes(lab.rig.password),
          "no secret is logged",
        );
      },
    );
  });

  test("A home that cannot be written: exit code 6, with its path", async (t) => {
    const disk = await mountTmpfs(t, "size=1m");
    if (disk === null) return;
    const folder = path.join(disk, "home");
    const config = `[global]\nshares_root = "${disk}/Shares"\n`;
    const home = await createTestHome({ home: folder, config, enter: lab.rig.enter });
    await remountTmpfs(disk, "ro");
    for (const command of [["monitor"], ["mount"]]) {
      const { code, stderr } = await home.cli(command);
      assert.equal(code, 6, stderr);
      assert.ok(stderr.includes(folder), stderr);
      assert.match(stderr, /read-only/i);
    }
    assert.equal((await home.cli(["status"])).code, 0, "looking needs no write");
  });

  test("A home of another user: exit code 6 for an unprivileged user, and nothing of it is changed", async (t) => {
    const folder = path.join(await temporaryFolder(t), "home");
    await mkdir(folder);
    await chmod(path.dirname(folder), 0o755);
    await chmod(folder, 0o555);
    const enter = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const home = await createTestHome({ home: folder, config: "", enter });
    const { code, stderr } = await home.cli(["monitor"]);
    assert.equal(code, 6, stderr);
    assert.ok(stderr.includes(folder), stderr);
    await assert.rejects(access(path.join(folder, "state.json")));
  });

  test("A5 a disk that fills up while it runs: a failover succeeds, status says that nothing is saved, and it is saved once there is space", async (t) => {
    const disk = await mountTmpfs(t, "size=2m");
    if (disk === null) return;
    await playScene(lab.rig, { home: path.join(disk, "home") }, async (scene) => {
      await writeFile(scene.exported("CORE", "kept.txt"), "kept");
      await scene.start("tb");
      const filler = path.join(disk, "filler");
      await fill(filler);
      const { promise: over, resolve: stopFilling } = Promise.withResolvers<void>();
      const filling = fillUntil(filler, over);
      await lab.rig.cut.ownLinkDown();
      const isUnsaved = async (): Promise<boolean | undefined> =>
        (await scene.home.glance())?.global.conditions.some(({ code }) => code === "state_not_saved");
      const failedOver = async (): Promise<void> => {
        await scene.untilOver("CORE", "fallback");
        // The end of the old mount may have left room for that; what a person says next finds none.
        await eventually(async () => {
          if (await isUnsaved()) return true;
          for (const to of ["fallback", "auto"]) await scene.home.cli(["switch", "--to", to]);
          return false;
        });
      };
      await failedOver().finally(stopFilling);
      await filling;
      assert.equal(await eventually(() => scene.read("CORE", "kept.txt")), "kept");
      await rm(filler);
      await eventually(async () => {
        const report = await scene.home.glance();
        return report?.global.conditions.every(({ code }) => code !== "state_not_saved");
      }, 30_000);
      assert.match(JSON.stringify(await scene.home.state()), /"active_interface":"fallback"/);
    });
  });

  test("A disk that is full at the start: each share reports it, and is mounted once there is space", async (t) => {
    const disk = await mountTmpfs(t, "size=2m");
    if (disk === null) return;
    await playScene(lab.rig, { home: path.join(disk, "home") }, async (scene) => {
      const filler = path.join(disk, "filler");
      await fill(filler);
      const alone = await scene.home.cli(["mount"]);
      assert.equal(alone.code, 1, alone.stderr);
      assert.match(alone.stdout + alone.stderr, /no space left on device/);
      await scene.start(null);
      const full = await scene.home.untilShare("CORE", (share) => share.last_error !== null, 10_000);
      assert.match(full.last_error ?? "", /no space left on device/);
      assert.equal(await readFile(scene.home.configFile, "utf8"), scene.config);
      await rm(filler);
      assert.equal((await scene.home.cli(["mount"])).code, 0);
      // Over fallback where there was room only after Thunderbolt had been tried.
      await scene.home.untilShare(
        "CORE",
        (share) => share.mount_state === "mounted" && share.mount_alive,
        30_000,
      );
    });
  });

  test("A5 A8 a second monitor of one home: exit code 4, its holder, and the first keeps running; a torn state file is set aside, and mounts are found again; one of a newer version: exit code 5, untouched", () =>
    playScene(lab.rig, {}, async (scene) => {
      const first = await scene.start("tb");
      const second = await scene.home.cli(["monitor"]);
      assert.equal(second.code, 4);
      assert.match(second.stderr, new RegExp(`monitor.*${first.pid}|${first.pid}.*monitor`));
      assert.equal((await scene.home.status()).global.pid, first.pid);
      assert.equal((await scene.servers()).length, 1);
      const before = await scene.mounts();
      await first.stop();
      const file = path.join(scene.home.home, "state.json");
      await writeFile(file, '{"version":1,"shares":{"CO');
      const next = await scene.start("tb");
      assert.deepEqual(await scene.mounts(), before);
      await eventually(async () =>
        JSON.stringify(await scene.home.state()).includes('"active_interface":"tb"'),
      );
      await next.stop();
      const newer = '{"version":99,"shares":{}}';
      await writeFile(file, newer);
      const { code, stderr } = await scene.home.cli(["monitor"]);
      assert.equal(code, 5, stderr);
      assert.equal(await readFile(file, "utf8"), newer);
      await rm(file);
    }));
});

/** Takes all the room there is. */
async function fill(file: string): Promise<void> {
  const block = Buffer.alloc(4096, "x");
  await eventually(async () => {
    try {
      for (;;) await writeFile(file, block, { flag: "a" });
    } catch (error) {
      return error instanceof Error && "code" in error && error.code === "ENOSPC";
    }
  });
}

/** Takes what becomes free meanwhile, too. */
async function fillUntil(file: string, over: Promise<void>): Promise<void> {
  const isOver = over.then(() => true);
  while (!(await Promise.race([isOver, pause(5, false)]))) await fill(file);
}
