// What the kernel tells starts cycles by itself, however seldom the daemon looks of its own accord.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { missingForRootRig } from "../rig/root-rig.ts";
import type { LogLine } from "../support/daemon.ts";
import { eventually } from "../support/eventually.ts";
import { playScene, type Scene, useRig } from "./scene.ts";

const SELDOM = { check_interval_secs: 30 } as const;
const WINDOW_MS = 500;

describe("network events", { skip: missingForRootRig() ?? false }, () => {
  const lab = useRig(["CORE"]);

  test("A3 with an interval of 30 s, a pulled link is heard within 50 ms and failed over without a tick", () =>
    playScene(lab.rig, { settings: SELDOM }, async (scene) => {
      const { home, rig } = scene;
      await scene.start("tb");
      await untilQuiet(scene);
      const cutAtMs = Date.now();
      await rig.cut.ownLinkDown();
      // The event is somewhere between the two: `ip` is a process of its own.
      const cutDoneMs = Date.now();
      const share = await scene.untilOver("CORE", "fallback");
      const [heard] = (await scene.logged("network.changed")).filter((line) => at(line) >= cutAtMs);
      assert.ok(heard !== undefined, "no event was heard");
      const tookMs = at(heard) - cutDoneMs;
      assert.ok(tookMs <= 50, `the event was heard ${tookMs} ms after the cut`);
      assert.match(String(heard["reasons"]), /tb0 (lost carrier|went down)/);
      assert.ok(Date.parse(share.last_switch_at ?? "") - cutDoneMs < 2000, "the failover waited for a tick");
      const status = await home.status();
      assert.equal(status.global.network_events, "rtnetlink");
    }));

  test("A3 with an interval of 30 s, a cable pulled at the other end fails over within seconds", () =>
    playScene(lab.rig, { settings: SELDOM }, async (scene) => {
      await scene.start("tb");
      await scene.rig.cut.carrierLost();
      const cutDoneMs = performance.now();
      await scene.untilOver("CORE", "fallback");
      // The kernel itself may tell the loss of a carrier up to a second late.
      assert.ok(performance.now() - cutDoneMs < 5000, "the failover waited for a tick");
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
        assert.equal(await eventually(() => scene.read("CORE", "kept.txt"), 10_000), "kept");
        const cycles = (await scene.logged("network.changed")).filter(
          (line) => at(line) >= startedAtMs && at(line) <= endedAtMs,
        );
        // 11 in the 5 s that it takes where the machine is not slow.
        const atMost = Math.floor((endedAtMs - startedAtMs) / WINDOW_MS) + 1;
        assert.ok(cycles.length <= atMost, `${cycles.length} triggered cycles, ${atMost} windows`);
        assert.ok(cycles.length >= 2, "the flaps were heard");
        for (const [index, line] of cycles.entries()) {
          const before = cycles[index - 1];
          // A few ms for the log's own clock.
          if (before !== undefined)
            assert.ok(at(line) - at(before) >= WINDOW_MS - 20, "two cycles in one window");
        }
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
  }, 15_000);
}
