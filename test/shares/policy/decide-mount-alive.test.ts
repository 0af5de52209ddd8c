import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { World } from "../world.ts";

function mountedOverTb(): World {
  const world = new World();
  world.addMount("tb");
  return world.advance(3000).fresh();
}

const REMOUNT = ["check", "unmount force", "mount tb"];

describe("alive", () => {
  for (const errno of ["EIO", "ESTALE", "ETIMEDOUT", "EHOSTDOWN"]) {
    test(`A2 ${errno} is dead when seen twice, 250 ms apart`, () => {
      const world = mountedOverTb();
      if (world.mount !== null) world.mount.errno = errno;
      world.cycle(world.nowMs);
      assert.deepEqual(world.stepKinds, []);
      world.cycle(world.nowMs);
      assert.deepEqual(world.stepKinds, [], "two looks in one moment are one");
      world.advance(249);
      assert.deepEqual(world.stepKinds, []);
      world.advance(260);
      assert.deepEqual(world.stepKinds, REMOUNT);
    });

    test(`A2 ${errno} seen again sooner than 250 ms proves nothing, however often it is looked at`, () => {
      const world = mountedOverTb();
      if (world.mount !== null) world.mount.errno = errno;
      // Each cycle makes a new look: a failed one is not kept.
      world.cycle(world.nowMs);
      for (const waitMs of [100, 100, 49]) {
        world.pass(waitMs);
        world.event();
        assert.deepEqual(world.stepKinds, []);
      }
      world.pass(1);
      world.event();
      assert.deepEqual(world.stepKinds, REMOUNT);
    });

    test(`A2 ${errno} once, then an answer, is alive`, () => {
      const world = mountedOverTb();
      const { mount } = world;
      assert.ok(mount !== null);
      for (let round = 0; round < 5; round++) {
        mount.errno = errno;
        world.cycle(world.nowMs);
        mount.errno = null;
        world.advance(3000);
      }
      assert.deepEqual(world.stepKinds, []);
    });
  }

  test("A2 ENOTCONN and a mount process that is gone are dead at once", () => {
    for (const change of [{ errno: "ENOTCONN" }, { processGone: true }]) {
      const world = mountedOverTb();
      world.pass(1000);
      Object.assign(world.mount ?? {}, change);
      world.cycle(world.nowMs);
      assert.deepEqual(world.stepKinds, REMOUNT);
    }
  });

  test("A2 no answer for mount_hang_secs is dead, not sooner, while the share shows that it is slow", () => {
    const world = mountedOverTb();
    world.advance(1000);
    if (world.mount !== null) world.mount.hung = true;
    const hungMs = world.nowMs;
    world.advance(8000);
    assert.deepEqual(world.stepKinds, []);
    assert.ok(world.conditionCodes.includes("mount_slow"));
    world.advance(5000);
    assert.deepEqual(world.stepKinds, REMOUNT);
    const afterMs = (world.taking[0]?.atMs ?? 0) - hungMs;
    assert.ok(afterMs >= 10_000 && afterMs <= 13_100, String(afterMs));
    assert.deepEqual(
      world.transitionNames.filter((name) => name === "share.error"),
      [],
    );
  });

  test("A2 a hang that ends in time costs nothing", () => {
    const world = mountedOverTb();
    if (world.mount !== null) world.mount.hung = true;
    world.advance(9000);
    if (world.mount !== null) world.mount.hung = false;
    world.advance(10_000);
    assert.deepEqual(world.stepKinds, []);
  });

  test("A2 one look that is found late forces nothing: the daemon itself may have stood still", () => {
    const world = mountedOverTb();
    world.advance(1000);
    const { mount } = world;
    assert.ok(mount !== null);
    mount.look = { state: "pending", startedAtMs: world.nowMs };
    mount.hung = true;
    world.pass(60_000);
    world.cycle(world.nowMs);
    assert.deepEqual(world.stepKinds, []);
    mount.hung = false;
    world.advance(10_000);
    assert.deepEqual(world.stepKinds, []);
  });

  test("A2 EACCES and EPERM are alive, with a condition", () => {
    for (const errno of ["EACCES", "EPERM"]) {
      const world = mountedOverTb();
      if (world.mount !== null) world.mount.errno = errno;
      world.advance(20_000);
      assert.deepEqual(world.stepKinds, []);
      assert.ok(world.conditionCodes.includes("mount_denied"));
      if (world.mount !== null) world.mount.errno = null;
      world.advance(4000);
      assert.ok(!world.conditionCodes.includes("mount_denied"));
    }
  });

  test("A2 a lack of this machine says nothing of the mount", () => {
    for (const errno of ["EMFILE", "ENFILE", "ENOMEM"]) {
      const world = mountedOverTb();
      if (world.mount !== null) world.mount.errno = errno;
      world.advance(30_000);
      assert.deepEqual(world.stepKinds, []);
    }
  });

  test("A2 a dead look of an earlier mount does not count against the next", () => {
    const world = mountedOverTb();
    if (world.mount !== null) world.mount.errno = "EIO";
    world.cycle(world.nowMs);
    world.mounts = [];
    world.addMount("tb", { ours: false, errno: "EIO" });
    world.pass(300);
    world.cycle(world.nowMs);
    assert.deepEqual(world.stepKinds, []);
    world.advance(600);
    assert.deepEqual(world.stepKinds, REMOUNT);
  });

  test("A2 a look answered late and failed twice is dead although the host answers", () => {
    const world = mountedOverTb();
    if (world.mount !== null) world.mount.hung = true;
    world.advance(3000);
    Object.assign(world.mount ?? {}, { hung: false, errno: "EIO" });
    world.advance(3000);
    assert.deepEqual(world.stepKinds, REMOUNT);
  });
});

describe("where the system may wait for a person's permission", () => {
  /** Mounted by us, and not looked at since. */
  function justMounted(hung: boolean): World {
    const world = new World();
    world.mayWaitForPermission = true;
    world.newMountsHang = hung;
    world.cycle(world.nowMs);
    assert.deepEqual(world.stepKinds, ["mount tb"]);
    return world.fresh();
  }

  test("A2 a mount of ours that has never answered is not unmounted for its silence, and the share says why", () => {
    const world = justMounted(true);
    world.advance(120_000);
    assert.deepEqual(world.stepKinds, []);
    assert.ok(world.conditionCodes.includes("waiting_for_permission"));
    assert.ok(!world.conditionCodes.includes("mount_slow"));
    // The person answers.
    if (world.mount !== null) world.mount.hung = false;
    world.advance(5_000);
    assert.deepEqual(world.stepKinds, []);
    assert.ok(!world.conditionCodes.includes("waiting_for_permission"));
  });

  test("A2 once it has answered, silence counts as everywhere", () => {
    const world = justMounted(false);
    world.advance(5_000);
    if (world.mount !== null) world.mount.hung = true;
    world.advance(8_000);
    assert.ok(world.conditionCodes.includes("mount_slow"));
    world.advance(6_000);
    assert.deepEqual(world.stepKinds, REMOUNT);
  });

  test("A2 one that we found is not unmounted for its silence, though it has answered", () => {
    const world = mountedOverTb();
    world.mayWaitForPermission = true;
    if (world.mount !== null) world.mount.hung = true;
    world.advance(120_000);
    assert.deepEqual(world.stepKinds, []);
    assert.ok(world.conditionCodes.includes("waiting_for_permission"));
  });

  test("A2 an error is no silence: a mount that ends its wait with one is dead, answered or not", () => {
    const world = justMounted(true);
    world.advance(20_000);
    Object.assign(world.mount ?? {}, { hung: false, errno: "ETIMEDOUT" });
    world.newMountsHang = false;
    world.advance(5_000);
    assert.deepEqual(world.stepKinds, REMOUNT);
  });

  test("A2 a host that is gone is failed over from, whatever the mount says", () => {
    const world = justMounted(true);
    world.advance(5_000);
    world.hosts.tb = "refused";
    world.newMountsHang = false;
    world.advance(5_000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback"]);
  });

  test("A2 the next mount is another one: what its predecessor answered does not count for it", () => {
    const world = justMounted(false);
    world.advance(5_000);
    world.newMountsHang = true;
    if (world.mount !== null) world.mount.errno = "ENOTCONN";
    world.advance(60_000);
    assert.deepEqual(world.stepKinds, REMOUNT);
    assert.ok(world.conditionCodes.includes("waiting_for_permission"));
  });
});
