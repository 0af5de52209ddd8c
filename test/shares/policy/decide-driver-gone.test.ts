// What the driver needs is gone while the share is served: nothing that serves is given up for a mount that cannot be.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import type { RouteName } from "../../../src/shares/share-spec.ts";
import { mountedOver, OTHER } from "../mounted-world.ts";
import { World } from "../world.ts";

const GONE = { text: "rclone is not installed", hint: "install it" };
const ROUTES: readonly RouteName[] = ["tb", "fallback"];

function moved(world: World): World {
  world.spec = { ...world.spec, mountPath: "/elsewhere/CORE" };
  return world;
}

/** Over fallback, Thunderbolt back for almost as long as it takes. */
function aboutToRecover(): World {
  const world = new World();
  world.hosts.tb = "refused";
  world.advance(5000);
  assert.equal(world.route, "fallback");
  world.hosts.tb = "answers";
  world.advance(25_000);
  return world.fresh();
}

describe("a driver that cannot mount any more", () => {
  for (const route of ROUTES) {
    for (const force of [false, true]) {
      const how = force ? ", by force," : "";
      test(`By hand: a switch from ${route}${how} is refused, and what serves keeps serving`, () => {
        const world = mountedOver(route);
        const { mount } = world;
        world.driverProblem = GONE;
        world.holders = [7];
        world.ask({ kind: "switch", to: OTHER[route], force });
        assert.equal(world.lastOutcome?.result, "failed");
        assert.equal(world.lastOutcome?.detail, "rclone is not installed; nothing was changed");
        assert.equal(world.lastOutcome?.hint, "install it");
        assert.deepEqual(world.stepKinds, []);
        assert.equal(world.memory.held, null);
        assert.equal(world.mount, mount);
        assert.equal(world.memory.lastError, null);
        const condition = world.last?.conditions.find(({ code }) => code === "driver_unavailable");
        assert.equal(condition?.severity, "warning", "it serves");
        world.driverProblem = null;
        world.holders = [];
        world.ask({ kind: "switch", to: OTHER[route] });
        assert.equal(world.lastOutcome?.result, "switched");
      });
    }

    test(`Found mounts: over ${route}, an edit of its path waits until it can be mounted again`, () => {
      const world = moved(mountedOver(route));
      world.driverProblem = GONE;
      world.advance(20_000);
      assert.deepEqual(world.stepKinds, []);
      assert.ok(world.conditionCodes.includes("driver_unavailable"));
      assert.ok(world.conditionCodes.includes("path_changed"));
      world.driverProblem = null;
      world.advance(2000);
      assert.equal(world.mount?.path, "/elsewhere/CORE");
    });

    test(`What to mount: over ${route}, a dead mount and one whose host is gone are cleaned up all the same`, () => {
      for (const dies of ["process", "host"] as const) {
        const world = mountedOver(route);
        world.driverProblem = GONE;
        if (dies === "host") world.hosts[route] = "link_down";
        else if (world.mount !== null) world.mount.processGone = true;
        world.advance(4000);
        assert.ok(world.stepKinds.includes("unmount force"), world.stepKinds.join());
        assert.equal(world.route, "none");
        assert.match(world.memory.lastError ?? "", /rclone is not installed/);
        const condition = world.last?.conditions.find(({ code }) => code === "driver_unavailable");
        assert.equal(condition?.severity, "error", "nothing serves");
        world.driverProblem = null;
        world.advance(65_000);
        assert.equal(world.route, dies === "host" ? OTHER[route] : "tb");
      }
    });
  }

  test("Found mounts: a dead one that no route explains is cleaned up all the same", () => {
    const world = new World();
    world.addMount(null, { ours: false, processGone: true });
    world.driverProblem = GONE;
    world.advance(2000);
    assert.equal(world.mount, null);
  });

  for (const autoFailback of [true, false]) {
    test(`Recovery: it waits with auto_failback ${autoFailback}, and begins when it can be`, () => {
      const world = aboutToRecover();
      world.policy = { ...world.policy, autoFailback };
      world.driverProblem = GONE;
      world.advance(60_000);
      assert.deepEqual(world.stepKinds, []);
      assert.equal(world.route, "fallback");
      assert.ok(world.conditionCodes.includes("driver_unavailable"));
      assert.equal(world.memory.lastError, null);
      world.driverProblem = null;
      world.advance(6000);
      assert.equal(world.route, "tb");
    });
  }

  test("By hand: what is asked to be unmounted is unmounted", () => {
    const world = mountedOver("tb");
    world.driverProblem = GONE;
    world.ask({ kind: "unmount" });
    assert.equal(world.lastOutcome?.result, "unmounted");
  });

  for (const [what, ready, go] of [
    ["a switch", () => mountedOver("tb"), (world: World) => world.ask({ kind: "switch", to: "fallback" })],
    ["an edit of its path", () => moved(mountedOver("tb")), (world: World) => world.advance(2000)],
    ["a recovery", aboutToRecover, (world: World) => world.advance(8000)],
  ] as const) {
    test(`What to mount: one that goes while open files are looked up ends ${what}`, () => {
      const world = ready();
      world.duringStep = () => {
        world.driverProblem = GONE;
      };
      go(world);
      assert.deepEqual(world.stepKinds, ["check"]);
      assert.notEqual(world.mount, null);
      world.driverProblem = null;
      world.fresh();
      go(world);
      assert.equal(world.stepKinds[1], "unmount plain", "and it is done once it can be");
    });
  }
});
