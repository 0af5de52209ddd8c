// What the kernel tells starts cycles by itself, however seldom the daemon looks of its own accord.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { missingForRootRig } from "../rig/root-rig.ts";
import type { LogLine } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { playScene, type Scene, useRig } from "./scene.ts";

/** Nothing that happens here waits for a tick, as none comes. */
const SELDOM = { check_interval_secs: 3600 } as const;
const WINDOW_MS = 500;

describe("network events", { skip: missingForRootRig() ?? false }, () => {
  const lab = useRig(["CORE"]);

  test("A3 with an interval of an hour, a pulled link is noticed, and its own event's cycle begins the failover", () =>
    playScene(lab.rig, { settings: SELDOM }, async (scene) => {
      const { home, rig } = scene;
      await scene.start("tb");
      await untilQuiet(scene);
      const before = (await home.log()).length;
      await rig.cut.ownLinkDown();
      await scene.untilOver("CORE", "fallback");
      await eventually(async () => (await scene.logged("share.failover")).length === 1);
      const since = (await home.log()).slice(before);
      const [heard, ...next] = since.filter(({ message }) =>
        ["network.changed", "share.route_down", "share.failover"].includes(String(message)),
      );
      assert.equal(heard?.["message"], "network.changed", "first comes the event");
      assert.match(String(heard?.["reasons"]), /tb0 (lost carrier|went down)/);
      assert.equal(
        next.find(({ message }) => message !== "network.changed")?.["message"],
        "share.route_down",
      );
      const status = await home.status();
      assert.equal(status.global.network_events, "rtnetlink");
    }));

  test("A3 with an interval of an hour, a cable pulled at the other end fails over", () =>
    playScene(lab.rig, { settings: SELDOM }, async (scene) => {
      await scene.start("tb");
      await scene.rig.cut.carrierLost();
      await scene.untilOver("CORE", "fallback");
    }));

  test("A4 100 flaps in 5 s are at most one triggered cycle a window, and end on tb, readable", () =>
    playScene(
      lab.rig,
      { settings: { ...SELDOM, auto_failback: true, auto_failback_stable_secs: 1 } },
      async (scene) => {
        await writeFile(scene.exported("CORE", "kept.txt"), "kept");
        await scene.start("tb");
        await untilQuiet(scene);
        const startedAtMs = Date.now();
        await scene.rig.flap(100, 5);
        const endedAtMs = Date.now();
        await scene.untilOver("CORE", "tb");
        assert.equal(await eventually(() => scene.read("CORE", "kept.txt")), "kept");
        const cycles = (await scene.logged("network.changed")).filter(
          (line) => at(line) >= startedAtMs && at(line) <= endedAtMs,
        );
        // 11 in the 5 s that it takes where the machine is not slow.
        const atMost = Math.floor((endedAtMs - startedAtMs) / WINDOW_MS) + 1;
        assert.ok(cycles.length <= atMost, `${cycles.length} triggered cycles, ${atMost} windows`);
        const heard = (await scene.logged("network.changed")).filter((line) => at(line) >= startedAtMs);
        assert.ok(heard.length >= 2, "the flaps were heard");
        assert.equal((await scene.servers()).length, 1);
        assert.equal((await scene.mounts()).length, 1);
      },
    ));
});

function at(line: LogLine): number {
  return Date.parse(String(line["time"]));
}

/** An address that appeared with the rig may be told late, and opens a window of its own. */
async function untilQuiet(scene: Scene): Promise<void> {
  await eventually(async () => {
    const heard = await scene.logged("network.changed");
    const started = await scene.logged("network events flow");
    const last = Math.max(...[...heard, ...started].map(at));
    return Date.now() - last > 2 * WINDOW_MS;
  });
}
