// A real daemon, a real server, a real cut: the share is readable at the same path over the other host.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { missingForRootRig, type RootRig, startRootRig } from "../rig/root-rig.ts";
import { createTestHome, type TestHome } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";

interface Scene {
  readonly rig: RootRig;
  readonly home: TestHome;
  /** Reads in a process of its own: a hung mount must not hang the test. */
  read(share: string, file: string): Promise<string>;
}

async function scene(
  shares: readonly string[],
  monitorArguments: readonly string[],
  play: (scene: Scene) => Promise<void>,
): Promise<void> {
  await using rig = await startRootRig({ shares });
  const sharesRoot = path.join(rig.folder, "Shares");
  const config = [
    `[global]\nshares_root = "${sharesRoot}"\ncheck_interval_secs = 1`,
    ...shares.map((share) =>
      [
        "[[shares]]",
        `name = "${share}"`,
        `thunderbolt_host = "${rig.tbHost}"`,
        `fallback_host = "${rig.fallbackHost}"`,
        `username = "${rig.username}"`,
        'password = "${RIG_PASSWORD}"',
      ].join("\n"),
    ),
  ].join("\n\n");
  const home = await createTestHome({
    home: path.join(rig.folder, "home"),
    config,
    enter: rig.enter,
    env: { RIG_PASSWORD: rig.password },
  });
  for (const share of shares)
    await writeFile(path.join(rig.exportPath(share), "kept.txt"), `kept in ${share}`);
  await using monitor = await home.startMonitor(monitorArguments);
  const read = async (share: string, file: string): Promise<string> =>
    (await promisify(execFile)("timeout", ["-s", "KILL", "2", "cat", path.join(sharesRoot, share, file)]))
      .stdout;
  try {
    for (const share of shares) {
      await home.untilShare(share, (each) => each.active_interface === "tb" && each.mount_alive, 15_000);
    }
    await play({ rig, home, read });
  } catch (error) {
    throw new Error(`the daemon said:\n${await monitor.stderr()}`, { cause: error });
  } finally {
    await rig.restoreAll();
    await monitor.stop();
    await home.cli(["unmount", "--force"]);
  }
}

const cuts: readonly { name: string; cut: (rig: RootRig) => Promise<unknown> }[] = [
  { name: "own link down", cut: (rig) => rig.cut.ownLinkDown() },
  { name: "the cable pulled", cut: (rig) => rig.cut.carrierLost() },
  { name: "far link down behind a switch", cut: (rig) => rig.cut.farLinkDown() },
  { name: "silence", cut: (rig) => rig.cut.silence() },
  { name: "smbd gone on that address", cut: (rig) => rig.killServerOn("tb") },
];

describe("failover", { skip: missingForRootRig() ?? false }, () => {
  for (const { name, cut } of cuts) {
    test(`What to mount: ${name}: readable at the same path over the other host, status and state.json say so`, () =>
      scene(["CORE"], [], async ({ rig, home, read }) => {
        const before = await home.shareStatus("CORE");
        assert.equal(await read("CORE", "kept.txt"), "kept in CORE");
        await cut(rig);
        const after = await home.untilShare(
          "CORE",
          (share) => share.active_interface === "fallback" && share.mount_state === "mounted",
          30_000,
        );
        assert.equal(await eventually(() => read("CORE", "kept.txt"), 5000), "kept in CORE");
        assert.equal(after.mount_path, before.mount_path);
        assert.equal(after.stable_path, before.stable_path);
        assert.equal(after.last_error, null);
        const state = JSON.stringify(await home.state());
        assert.match(state, /"CORE":\{"active_interface":"fallback"/);
        const exported = path.join(rig.exportPath("CORE"), "written-after.txt");
        await writeFile(path.join(after.stable_path, "written-after.txt"), "arrived");
        assert.equal(await eventually(() => readFile(exported, "utf8"), 20_000), "arrived");
        const failovers = (await home.log()).filter(({ message }) => message === "share.failover");
        assert.equal(failovers.length, 1, "one cut is one failover");
      }));
  }

  test("What to mount: both hosts gone: nothing is unmounted, last_error says so until one answers again", () =>
    scene(["CORE"], [], async ({ rig, home, read }) => {
      await Promise.all([rig.cut.ownLinkDown("tb"), rig.cut.ownLinkDown("fallback")]);
      const lost = await home.untilShare("CORE", (share) => share.last_error !== null, 30_000);
      assert.equal(lost.mount_state === "unmounted", false);
      assert.match(await readFile("/proc/self/mountinfo", "utf8"), new RegExp(` ${lost.mount_path} `));
      await rig.restoreAll();
      await home.untilShare("CORE", (share) => share.last_error === null && share.mount_alive, 30_000);
      assert.equal(await eventually(() => read("CORE", "kept.txt"), 10_000), "kept in CORE");
    }));

  test("A1 two shares fail over at once, and each reads its own files afterwards", () =>
    scene(["CORE", "MEDIA"], [], async ({ rig, home, read }) => {
      await rig.cut.silence();
      for (const share of ["CORE", "MEDIA"]) {
        await home.untilShare(share, ({ active_interface: active }) => active === "fallback", 30_000);
        assert.equal(await eventually(() => read(share, "kept.txt"), 5000), `kept in ${share}`);
      }
    }));

  test("A3 with an interval of 30 s, a pulled link is acted on within 50 ms of the event", () =>
    scene(["CORE"], ["--interval", "30"], async ({ rig, home }) => {
      const cutAtMs = Date.now();
      await rig.cut.ownLinkDown();
      // The event is somewhere between the two: `ip` is a process of its own.
      const cutDoneMs = Date.now();
      const share = await home.untilShare(
        "CORE",
        ({ active_interface: active }) => active === "fallback",
        10_000,
      );
      const changed = (await home.log()).find(
        ({ time, message }) => message === "network.changed" && Date.parse(String(time)) >= cutAtMs,
      );
      const tookMs = Date.parse(String(changed?.["time"])) - cutDoneMs;
      assert.ok(tookMs <= 50, `the event was heard ${tookMs} ms after the cut`);
      assert.ok(Date.parse(share.last_switch_at ?? "") - cutDoneMs < 2000, "the failover waited for a tick");
    }));

  test("A5 kill -9 leaves the mount as it is, and the next start adopts it", () =>
    scene(["CORE"], [], async ({ rig, home, read }) => {
      const { global } = await home.status();
      assert.ok(global.pid !== null);
      process.kill(global.pid, "SIGKILL");
      assert.equal(await read("CORE", "kept.txt"), "kept in CORE");
      await using again = await home.startMonitor();
      await home.untilShare("CORE", (share) => share.active_interface === "tb" && share.mount_alive, 15_000);
      await again.stop();
      const mounts = (await readFile("/proc/self/mountinfo", "utf8"))
        .split("\n")
        .filter((line) => line.includes(rig.folder));
      assert.equal(mounts.length, 1, mounts.join("\n"));
    }));
});
