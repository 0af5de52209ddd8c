// Mounts that are there already, whoever made them.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { mountedOver } from "../mounted-world.ts";
import { World } from "../world.ts";

describe("found mounts", () => {
  test("Found mounts: a mount of the share by whomever is adopted, not doubled", () => {
    for (const route of ["tb", "fallback"] as const) {
      const world = new World({ autoFailback: false, lsofRecheck: false });
      world.addMount(route, { ours: false });
      world.advance(10_000);
      assert.deepEqual(world.stepKinds, []);
      assert.equal(world.memory.activeInterface, route);
      assert.equal(world.transitionNames.filter((name) => name === "share.adopted").length, 1);
    }
  });

  test("Found mounts: one that no route explains is remounted over the best route when nothing is open", () => {
    const world = new World({ autoFailback: false, lsofRecheck: false });
    world.addMount(null, { ours: false });
    world.holders = [7];
    world.advance(6000);
    assert.ok(world.conditionCodes.includes("unknown_route"));
    const waiting = world.last?.conditions.find(({ code }) => code === "waiting_for_close");
    assert.deepEqual(
      waiting?.holders?.map(({ pid }) => pid),
      [7],
    );
    assert.deepEqual([...new Set(world.stepKinds)], ["check"]);
    assert.ok(world.stepKinds.length >= 3, "each cycle");
    assert.equal(world.memory.activeInterface, "none");
    world.holders = [];
    world.fresh().advance(2000);
    assert.deepEqual(world.stepKinds, ["check", "unmount plain", "mount tb"]);
    assert.ok(!world.conditionCodes.includes("unknown_route"));
  });

  test("Found mounts: one that no route explains serves on while nothing could take its place", () => {
    const lacking = new World();
    lacking.addMount(null, { ours: false });
    lacking.driverProblem = { text: "rclone is not installed", hint: "Install it." };
    lacking.advance(6000);
    assert.deepEqual(lacking.stepKinds, []);
    assert.ok(lacking.conditionCodes.includes("driver_unavailable"));
    lacking.driverProblem = null;
    lacking.advance(2000);
    assert.deepEqual(lacking.stepKinds, ["check", "unmount plain", "mount tb"]);
    const unset = new World();
    unset.addMount(null, { ours: false });
    unset.spec = { ...unset.spec, missingVariable: "NAS_PASSWORD" };
    unset.advance(6000);
    assert.deepEqual(unset.stepKinds, []);
    assert.ok(unset.conditionCodes.includes("variable_missing"));
  });

  test("Found mounts: one that no route explains says how many open and unsent files it waits for", () => {
    const world = new World();
    world.addMount(null, { ours: false });
    world.holders = [7, 8];
    world.unsent = ["a.txt"];
    world.advance(6000);
    const waiting = world.last?.conditions.find(({ code }) => code === "waiting_for_close");
    assert.match(waiting?.title ?? "", /^Waiting until 3 /);
  });

  test("Found mounts: EBUSY of one that no route explains is open, and asked once a cycle", () => {
    const world = new World();
    world.addMount(null, { ours: false });
    world.duringStep = () => {
      world.holders = [7];
    };
    world.advance(0);
    assert.deepEqual(world.stepKinds, ["check", "unmount plain"]);
    assert.ok(world.conditionCodes.includes("waiting_for_close"));
    assert.equal(world.mounts.length, 1);
  });

  test("Found mounts: a dead one that no route explains is cleaned up and mounted at once", () => {
    const world = new World();
    world.addMount(null, { ours: false, processGone: true });
    world.holders = [7];
    world.advance(0);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount tb"]);
  });

  test("Found mounts: one that no route explains is kept while no host answers", () => {
    const world = new World();
    world.addMount(null, { ours: false });
    world.hosts.tb = "refused";
    world.hosts.fallback = "refused";
    world.advance(10_000);
    assert.deepEqual(world.stepKinds, []);
    assert.equal(world.mounts.length, 1);
  });

  test("Found mounts: of two mounts the one at our path is ours, the other is a condition, never unmounted", () => {
    const world = mountedOver("tb");
    const twin = world.addMount("fallback", { ours: false, path: "/mnt/core" });
    world.advance(4000);
    assert.ok(world.conditionCodes.includes("twin_mount:/mnt/core"));
    world.hosts.tb = "link_down";
    world.advance(4000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback"]);
    assert.ok(world.mounts.includes(twin));
    world.ask({ kind: "unmount" });
    assert.equal(world.lastOutcome?.result, "unmounted");
    world.advance(10_000);
    assert.deepEqual(world.mounts, [twin]);
    assert.equal(world.memory.held, "unmounted");
  });

  test("Found mounts: adopted at another path, the next mount is at our path", () => {
    const world = new World({ autoFailback: false, lsofRecheck: false });
    world.addMount("tb", { ours: false, path: "/mnt/core" });
    world.advance(4000);
    assert.deepEqual(world.stepKinds, []);
    world.hosts.tb = "link_down";
    world.advance(4000);
    assert.deepEqual(
      world.mounts.map(({ path }) => path),
      [world.spec.mountPath],
    );
  });

  test("Found mounts: another share at our path is an error, and nothing is touched", () => {
    const world = new World();
    world.taken = {
      id: "x",
      path: world.spec.mountPath,
      source: "//nas/OTHER",
      sameShare: false,
      route: null,
      processGone: false,
      madeByDriver: false,
    };
    world.advance(4000);
    assert.deepEqual(world.stepKinds, []);
    assert.match(world.memory.lastError ?? "", /taken by \/\/nas\/OTHER/);
    assert.ok(world.conditionCodes.includes("path_taken"));
    world.ask({ kind: "mount" });
    assert.equal(world.lastOutcome?.result, "failed");
    world.ask({ kind: "switch", to: "tb" });
    assert.equal(world.lastOutcome?.result, "failed");
    assert.deepEqual(world.stepKinds, []);
  });

  test("Found mounts: with our path taken, nothing adopted elsewhere is unmounted for a mount that cannot be", () => {
    const world = mountedOver("tb");
    world.mounts = [];
    world.addMount("tb", { ours: false, path: "/mnt/core" });
    world.taken = {
      id: "x",
      path: world.spec.mountPath,
      source: "//nas/OTHER",
      sameShare: false,
      route: null,
      processGone: false,
      madeByDriver: false,
    };
    world.hosts.tb = "link_down";
    world.advance(10_000);
    assert.deepEqual(world.stepKinds, []);
    assert.match(world.memory.lastError ?? "", /taken/);
  });
});
