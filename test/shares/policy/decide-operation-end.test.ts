// What becomes of an operation when a mount that is not its doing is there.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { mountedOver } from "../mounted-world.ts";
import { World } from "../world.ts";

function unmountedHeld(): World {
  const world = mountedOver("tb");
  world.ask({ kind: "unmount" });
  assert.equal(world.memory.held, "unmounted");
  return world.fresh();
}

describe("a mount by others while ours is being made", () => {
  test("By hand: it ends the hold of an unmount, and the switch to another route has failed", () => {
    const world = unmountedHeld();
    world.mountFails.tb = "refused";
    world.duringStep = () => world.addMount("fallback", { ours: false });
    world.ask({ kind: "switch", to: "tb" });
    assert.deepEqual(
      [world.lastOutcome?.result, world.route, world.memory.held],
      ["failed", "fallback", null],
    );
    assert.match(world.lastOutcome?.detail ?? "", /found mounted over fallback/i);
  });

  test("By hand: one without a process is no success of a mount", () => {
    const world = new World();
    world.mountFails.tb = "refused";
    world.duringStep = () => world.addMount("fallback", { ours: false, processGone: true });
    world.ask({ kind: "mount" });
    assert.equal(world.lastOutcome?.result, "failed");
    assert.match(world.lastOutcome?.detail ?? "", /refused; found mounted/);
  });
});
