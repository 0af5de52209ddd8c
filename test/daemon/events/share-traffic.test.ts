import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { startShareTraffic } from "../../../src/daemon/events/share-traffic.ts";
import { type MountReport, UNHEARD } from "../../../src/shares/drivers/moving-mounts.ts";
import type { ShareView } from "../../../src/shares/engine/share-cycle.ts";
import type { Space } from "../../../src/shares/prober/prober.ts";
import { createManualClock } from "../../support/manual-clock.ts";

const STILL: MountReport = { ...UNHEARD, phase: { is: "serving", why: null, text: null } };
const ROOM: Space = { free_bytes: 1e12, total_bytes: 4e12 };

/** One share that moves as `now` says, and a prober that answers when the test says so. */
function bench(t: TestContext) {
  const clock = createManualClock();
  const world = { now: STILL as MountReport | null, isAlive: true, names: ["CORE"] };
  const asked: ((space: Space | null) => void)[] = [];
  const traffic = startShareTraffic({
    engine: {
      get names() {
        return world.names;
      },
      // The sampler reads nothing else of a share.
      view: () => ({ moving: world.now }) as ShareView,
    },
    status: () => ({ mount_alive: world.isAlive, mount_path: "/mnt/core" }),
    prober: { space: () => new Promise((resolve) => void asked.push(resolve)) },
    clock,
  });
  t.after(() => traffic[Symbol.dispose]());
  return { clock, world, asked, traffic };
}

test("F4 the rate of a share that moves is that of the last ten seconds", async (t) => {
  const { clock, world, traffic } = bench(t);
  await clock.advance(10_000);
  assert.deepEqual(traffic.of("CORE"), {});
  const totals: readonly Partial<MountReport>[] = [
    { bytesUp: 100, bytesDown: 900 },
    { bytesUp: 200, bytesDown: 900 },
    // Mounted anew: its program counts from 0.
    { bytesUp: 70, bytesDown: 0 },
  ];
  const rates: (number | undefined)[] = [];
  for (const one of totals) {
    world.now = { ...STILL, ...one };
    await clock.advance(10_000);
    rates.push(traffic.of("CORE").bytes_per_sec);
  }
  assert.deepEqual(rates, [100, 10, 7]);
  world.now = null;
  await clock.advance(10_000);
  assert.equal(traffic.of("CORE").bytes_per_sec, undefined);
});

test("F4 free space is queried of a mount that answers, once a minute, and is unknown without an answer", async (t) => {
  const { clock, world, asked, traffic } = bench(t);
  world.isAlive = false;
  await clock.advance(20_000);
  assert.equal(asked.length, 0);
  world.isAlive = true;
  await clock.advance(10_000);
  assert.deepEqual([asked.length, traffic.of("CORE").space], [1, undefined]);
  asked[0]?.(ROOM);
  await clock.advance(50_000);
  assert.deepEqual([asked.length, traffic.of("CORE").space], [1, ROOM]);
  await clock.advance(10_000);
  assert.equal(asked.length, 2);
  asked[1]?.(null);
  await clock.advance(1);
  assert.equal(traffic.of("CORE").space, undefined);
  world.isAlive = false;
  await clock.advance(10_000);
  world.isAlive = true;
  await clock.advance(10_000);
  assert.equal(asked.length, 3, "at once when the mount answers again");
  world.names = [];
  await clock.advance(60_000);
  assert.equal(asked.length, 3);
});
