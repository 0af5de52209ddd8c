// When a NAS is woken: for somebody who wants the share, three times, and not for any look of the daemon's own.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { World } from "../world.ts";
import { mountedOver } from "./stories.ts";

const ADDRESS = "aa:bb:cc:dd:ee:ff@10.0.0.2";

/** Its NAS has answered once, and sleeps. */
function asleep(wake: "auto" | "off" = "auto"): World {
  const world = mountedOver("tb", new World({ wake }));
  world.hardware = [ADDRESS];
  world.interfaceName = "eth0";
  world.advance(4_000);
  world.mounts = [];
  Object.assign(world.hosts, { tb: "silent", fallback: "silent" });
  return world.advance(10_000);
}

const WANTS = {
  person: (world: World) => world.ask({ kind: "mount" }),
  program: (world: World) => {
    world.wanted = true;
  },
};

const packets = (world: World): number[] =>
  world.taking.filter(({ step }) => step.kind === "wake").map(({ atMs }) => atMs);

describe("a NAS that sleeps", () => {
  test("its address is remembered while it answers", () => {
    assert.deepEqual(asleep().memory.wakeAddresses, [ADDRESS]);
  });

  test("the addresses of the two hosts that answer are remembered, and no earlier ones", () => {
    const world = asleep();
    Object.assign(world.hosts, { tb: "answers", fallback: "answers" });
    world.hardware = ["bb@10.0.0.3", "cc@10.0.0.4"];
    world.advance(4_000);
    assert.deepEqual(world.memory.wakeAddresses, world.hardware);
  });

  test("an hour of cycles, network events, wake-ups from sleep and restarts sends nothing", () => {
    const world = asleep();
    for (let minute = 0; minute < 60; minute++) {
      if (minute % 7 === 0) world.restart();
      if (minute % 3 === 0) world.event();
      world.advance(60_000);
    }
    assert.deepEqual(packets(world), []);
  });

  for (const [wanted, want] of Object.entries(WANTS)) {
    test(`a ${wanted} that wants it: three packets, then "did not wake", and none until it is wanted again`, () => {
      const world = asleep();
      const fromMs = world.nowMs;
      want(world);
      world.advance(3_600_000);
      const sent = packets(world).map((atMs) => atMs - fromMs);
      assert.equal(sent.length, 3);
      assert.ok(
        sent.every((ms) => ms < 12_000),
        String(sent),
      );
      assert.ok(world.conditionCodes.includes("did_not_wake"));
      want(world);
      world.advance(10_000);
      assert.equal(packets(world).length, 6);
    });
  }

  test("a program that keeps asking, be it every 5 min, does not renew the wish; a person's request does", () => {
    const world = asleep();
    for (const everyMs of [20_000, 330_000]) {
      for (let look = 0; look < 20; look++) {
        world.wanted = true;
        world.advance(everyMs);
      }
    }
    assert.equal(packets(world).length, 3);
    world.ask({ kind: "mount" });
    world.advance(20_000);
    assert.equal(packets(world).length, 6);
  });

  test("a NAS that answers gets no further packets, and is mounted and healthy", () => {
    const world = asleep();
    world.ask({ kind: "mount" });
    world.advance(3_000);
    assert.equal(packets(world).length, 2);
    assert.deepEqual(world.outcomes, [], "the command waits");
    Object.assign(world.hosts, { tb: "answers", fallback: "answers" });
    world.advance(60_000);
    assert.equal(packets(world).length, 2);
    assert.equal(world.lastOutcome?.result, "mounted");
    assert.deepEqual(world.conditionCodes, []);
  });

  const useless: readonly [string, (world: World) => void, RegExp][] = [
    [
      "its host refuses: the machine is awake",
      (world) => Object.assign(world.hosts, { tb: "wedged" }),
      /awake/,
    ],
    [
      "this machine is off network",
      (world) => Object.assign(world, { away: "another gateway" }),
      /off network/,
    ],
    ["no link leads to it", (world) => Object.assign(world, { interfaceName: null }), /no link/],
    [
      "its address was never learnt",
      (world) => Object.assign(world, { memory: { ...world.memory, wakeAddresses: [] } }),
      /not known/,
    ],
  ];
  for (const [name, change, why] of useless) {
    test(`nothing is sent where ${name}, and \`wake\` says so at once`, () => {
      const world = asleep();
      change(world);
      world.ask({ kind: "wake" });
      assert.match(world.lastOutcome?.detail ?? "", why);
      assert.deepEqual(packets(world), []);
    });
  }

  test("an unmount sends no packet, and a switch waits until the NAS is awake", () => {
    const world = asleep();
    world.ask({ kind: "unmount" }).advance(10_000);
    assert.deepEqual(packets(world), []);
    world.ask({ kind: "switch", to: "tb" }).advance(10_000);
    assert.deepEqual(world.outcomes.length, 1, "the unmount alone has ended");
    Object.assign(world.hosts, { tb: "answers", fallback: "answers" });
    world.advance(3_000);
    assert.equal(world.lastOutcome?.result, "switched");
  });

  test('with wake = "off" only the command itself wakes it', () => {
    const world = asleep("off");
    world.ask({ kind: "mount" });
    world.advance(60_000);
    assert.deepEqual(packets(world), []);
    world.ask({ kind: "wake" });
    world.advance(120_000);
    assert.equal(packets(world).length, 3);
    assert.deepEqual([world.lastOutcome?.result, world.lastOutcome?.detail], ["failed", "it did not wake"]);
    assert.ok(world.conditionCodes.includes("did_not_wake"));
  });
});
