// What is mounted when nothing is, and what happens when the host that serves is gone.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import type { RouteName } from "../../../src/shares/share-spec.ts";
import { mountedOver, OTHER } from "../mounted-world.ts";
import { World } from "../world.ts";

/** A mount whose connection lives on, although no new one is answered. */
function answeringMount(world: World, route: RouteName) {
  return { ...world.addMount(route), answersAlways: true };
}

describe("not mounted", () => {
  test("What to mount: over tb if it answers", () => {
    const world = new World().advance(0);
    assert.deepEqual(world.stepKinds, ["mount tb"]);
    assert.equal(world.memory.activeInterface, "tb");
    assert.equal(world.memory.lastError, null);
  });

  test("What to mount: else over fallback", () => {
    const world = new World();
    world.hosts.tb = "refused";
    world.advance(0);
    assert.deepEqual(world.stepKinds, ["mount fallback"]);
  });

  test("What to mount: else it stays unmounted, last_error says why, and the first host to answer mounts", () => {
    const world = new World();
    world.hosts.tb = "silent";
    world.hosts.fallback = "link_down";
    world.advance(10_000);
    assert.deepEqual(world.stepKinds, []);
    assert.match(world.memory.lastError ?? "", /neither host answers.*silent.*link_down/);
    assert.equal(world.transitionNames.filter((name) => name === "share.error").length, 1);
    world.hosts.fallback = "answers";
    world.advance(4000);
    assert.deepEqual(world.stepKinds, ["mount fallback"]);
    assert.equal(world.memory.lastError, null);
    assert.ok(world.transitionNames.includes("share.error_cleared"));
  });

  test("What to mount: a host that connects and does not speak SMB does not answer", () => {
    const world = new World();
    world.hosts.tb = "wedged";
    world.advance(0);
    assert.deepEqual(world.stepKinds, ["mount fallback"]);
    assert.equal(world.memory.tbHealthySince, null);
    assert.notEqual(world.memory.tbReachableSince, null);
  });

  test("What to mount: a mount over tb that fails is followed by one over fallback, then by pauses", () => {
    const world = new World();
    world.mountFails = { tb: "wrong password", fallback: "wrong password" };
    world.advance(0);
    assert.deepEqual(world.stepKinds, ["mount tb", "mount fallback"]);
    assert.match(world.memory.lastError ?? "", /10\.0\.1\.2: wrong password; 10\.0\.2\.2: wrong password/);
    world.fresh().advance(120_000);
    const rounds = world.stepKinds.length / 2;
    assert.ok(rounds >= 6 && rounds <= 8, `${rounds} rounds in two minutes`);
    const pauses = world.taking.map(({ atMs }, index) => atMs - (world.taking[index - 1]?.atMs ?? 0));
    assert.ok(Math.max(...pauses.slice(1)) <= 61_000);
    world.fresh().event();
    assert.deepEqual(world.stepKinds, ["mount tb", "mount fallback"]);
  });

  test("What to mount: a mount that vanished comes back", () => {
    const world = mountedOver("tb");
    world.mounts = [];
    world.advance(2000);
    assert.deepEqual(world.stepKinds, ["mount tb"]);
    assert.ok(world.transitionNames.includes("share.vanished"));
  });

  test("What to mount: a mount that ends as soon as it is made is a failure, and not tried without end", () => {
    const world = new World();
    world.mountsDieAtOnce = true;
    world.advance(30_000);
    assert.ok(world.taking.length < 40, world.stepKinds.join(" "));
    assert.notEqual(world.memory.lastError, null);
    world.mountsDieAtOnce = false;
    world.advance(60_000);
    assert.equal(world.route, "tb");
    assert.equal(world.memory.lastError, null);
  });

  test("What to mount: a mount whose process keeps crashing comes back at once, then with growing pauses", () => {
    const world = new World().advance(500).fresh();
    let mounts = 0;
    const startMs = world.nowMs;
    while (world.nowMs < startMs + 60_000) {
      if (world.mount !== null) {
        world.mount.processGone = true;
        const before = world.taking.length;
        world.cycle(world.nowMs);
        if (mounts === 0) assert.ok(world.taking.length > before, "the first time at once");
        if (world.taking.length === before) assert.match(world.memory.lastError ?? "", /after a pause/);
      }
      world.advance(100);
      mounts = world.stepKinds.filter((kind) => kind.startsWith("mount")).length;
    }
    assert.ok(mounts >= 3 && mounts <= 8, `${mounts} mounts in a minute`);
    world.advance(90_000);
    assert.equal(world.memory.lastError, null, "told although it is over");
  });

  test("What to mount: an unset variable, a taken path or a missing program mounts nothing and says so", () => {
    const unset = new World();
    unset.spec = { ...unset.spec, missingVariable: "NAS_PASSWORD" };
    unset.advance(4000);
    assert.deepEqual(unset.stepKinds, []);
    assert.ok(unset.conditionCodes.includes("variable_missing"));
    const lacking = new World();
    lacking.driverProblem = { text: "rclone is not installed", hint: "Install it." };
    lacking.advance(4000);
    assert.deepEqual(lacking.stepKinds, []);
    assert.equal(lacking.memory.lastError, "rclone is not installed");
    for (const to of ["tb", "fallback"] as const) {
      unset.ask({ kind: "switch", to, force: true });
      assert.deepEqual([unset.lastOutcome?.result, unset.stepKinds], ["failed", []]);
    }
  });
});

describe("active host gone", () => {
  for (const route of ["tb", "fallback"] as const) {
    test(`What to mount: ${route} refused is confirmed by a second probe 250 ms later, then fails over`, () => {
      const world = mountedOver(route);
      world.hosts[route] = "refused";
      const cutMs = world.nowMs;
      world.event();
      assert.deepEqual(world.stepKinds, []);
      world.advance(249);
      assert.deepEqual(world.stepKinds, []);
      world.advance(1);
      assert.deepEqual(world.stepKinds, ["check", "unmount force", `mount ${OTHER[route]}`]);
      assert.ok(world.nowMs - cutMs < 400);
      assert.equal(world.memory.activeInterface, OTHER[route]);
      assert.notEqual(world.memory.lastSwitchAt, null);
      assert.ok(world.transitionNames.includes("share.failover"));
    });

    test(`A2 ${route} link_down: this machine's own word needs no second probe`, () => {
      const world = mountedOver(route);
      world.hosts[route] = "link_down";
      world.event();
      assert.deepEqual(world.stepKinds, ["check", "unmount force", `mount ${OTHER[route]}`]);
      assert.equal(world.memory.activeInterface, OTHER[route]);
    });

    test(`What to mount: ${route} back before its loss is confirmed: nothing is done`, () => {
      const world = mountedOver(route);
      world.hosts[route] = "refused";
      world.event();
      world.hosts[route] = "answers";
      world.advance(10_000);
      assert.deepEqual(world.stepKinds, []);
    });
  }

  test("What to mount: the open files that a failover costs are counted and logged", () => {
    const world = mountedOver("tb");
    world.holders = [11, 12];
    world.unsent = ["a.txt"];
    world.hosts.tb = "link_down";
    world.advance(5000);
    const unmounted = world.transitions.find(({ name }) => name === "share.unmounted");
    assert.deepEqual(
      unmounted?.name === "share.unmounted" && [
        unmounted.forced,
        unmounted.open_files,
        unmounted.unsent_files,
      ],
      [true, 2, 1],
    );
    assert.ok(world.conditionCodes.includes("unsent_files"));
    world.unsent = [];
    world.advance(4000);
    assert.ok(!world.conditionCodes.includes("unsent_files"));
  });

  test("What to mount: a check that fails or is late holds up no failover, and is asked for once", () => {
    const world = mountedOver("tb");
    world.checkFails = "no answer in 2 s";
    world.checkTakesMs = 5000;
    world.hosts.tb = "link_down";
    world.advance(8000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback"]);
    const unmounted = world.transitions.find(({ name }) => name === "share.unmounted");
    assert.ok(
      unmounted?.name === "share.unmounted" && unmounted.open_files === null,
      "nobody knows how many",
    );
  });

  test("What to mount: a failover whose mount fails is retried once, then left with last_error and pauses", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "link_down";
    world.mountFails.fallback = "refused";
    world.event();
    world.advance(300);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback", "mount fallback"]);
    assert.equal(world.memory.lastError, "10.0.2.2: refused; 10.0.2.2: refused");
    assert.equal(world.memory.activeInterface, "none");
    world.mountFails.fallback = null;
    world.advance(5000);
    assert.equal(world.route, "fallback");
    assert.equal(world.memory.lastError, null);
  });

  test("What to mount: a forced unmount that fails is not hammered, and tried again", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "link_down";
    world.unmountFails = "not permitted";
    world.advance(60_000);
    const unmounts = world.stepKinds.filter((kind) => kind === "unmount force").length;
    assert.ok(unmounts >= 3 && unmounts <= 8, `${unmounts}`);
    assert.match(world.memory.lastError ?? "", /not permitted/);
    world.unmountFails = null;
    world.advance(61_000);
    assert.equal(world.route, "fallback");
  });

  test("What to mount: a failover whose unmount says ok mounts nothing while the mount is in the table", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "link_down";
    world.unmountsDoNothing = true;
    world.advance(60_000);
    const unmounts = world.stepKinds.filter((kind) => kind === "unmount force").length;
    assert.ok(unmounts >= 3 && unmounts <= 8, `${unmounts}`);
    assert.ok(!world.stepKinds.some((kind) => kind.startsWith("mount ")));
    assert.match(world.memory.lastError ?? "", /still in the table of mounts/);
    world.unmountsDoNothing = false;
    world.advance(61_000);
    assert.equal(world.route, "fallback");
  });

  test("What to mount: silence over which the mount answers keeps it, with condition route_slow", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "silent";
    world.mounts = [answeringMount(world, "tb")];
    world.fresh().advance(20_000);
    assert.deepEqual(world.stepKinds, []);
    assert.ok(world.conditionCodes.includes("route_slow"));
    world.hosts.tb = "answers";
    world.advance(2000);
    assert.ok(!world.conditionCodes.includes("route_slow"));
  });

  test("What to mount: silence over which a readdir gives no answer for 1 s fails over", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "silent";
    const cutMs = world.nowMs;
    world.event();
    world.advance(4000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback"]);
    const unmountedAfter = (world.taking[1]?.atMs ?? 0) - cutMs;
    assert.ok(unmountedAfter >= 1000 && unmountedAfter <= 2500, String(unmountedAfter));
  });

  test("What to mount: silence over which a readdir fails, or whose process is gone, fails over", () => {
    for (const change of [{ errno: "EIO" }, { processGone: true }]) {
      const world = mountedOver("tb");
      world.hosts.tb = "silent";
      Object.assign(world.mount ?? {}, change);
      world.advance(5000);
      assert.equal(world.route, "fallback");
    }
  });

  test("What to mount: an old look over a host now silent proves nothing", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "silent";
    world.event();
    assert.ok(!world.conditionCodes.includes("route_slow"));
    assert.equal(world.wake?.reason, "confirm");
  });
});

describe("shares that rest", () => {
  test("What to mount: a calm share takes no step, tells nothing and writes nothing", () => {
    const world = mountedOver("tb");
    const { memory } = world;
    world.advance(60_000);
    assert.deepEqual([world.stepKinds, world.transitionNames], [[], []]);
    assert.equal(world.memory, memory);
  });
});
