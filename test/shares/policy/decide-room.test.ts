// Programs that the daemon itself runs on a share: they make room for what mounts it anew, and for nothing else.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { World } from "../world.ts";

/** Mounted over fallback, with programs on it that need so long to end; Thunderbolt has been back for just under 30 s. */
function beforeRecovery(programsEndInMs: number): World {
  const world = new World();
  world.hosts.tb = "link_down";
  world.addMount("fallback");
  world.programsEndInMs = programsEndInMs;
  world.advance(5900);
  world.hosts.tb = "answers";
  world.event();
  return world.advance(29_950).fresh();
}

describe("a recovery", () => {
  test("C1 waits until our programs have made room, and says nothing of open files", () => {
    const world = beforeRecovery(7_000);
    world.advance(6_000);
    assert.deepEqual([world.route, world.memory.tbRecoveryPending, world.roomsMade], ["fallback", false, 1]);
    assert.ok(world.last?.makeRoom, "they stay away until it is mounted");
    world.advance(3_000);
    assert.deepEqual(world.stepKinds.slice(-3), ["check", "unmount plain", "mount tb"]);
    assert.equal(world.last?.makeRoom, false, "they may come back");
    assert.deepEqual([world.roomsMade, world.transitionNames.includes("share.tb_ready")], [1, false]);
  });

  test("C1 over a user's open files is pending as ever, and our programs go on", () => {
    const world = beforeRecovery(100);
    world.holders = [7];
    world.advance(20_000);
    assert.deepEqual([world.route, world.memory.tbRecoveryPending, world.roomsMade], ["fallback", true, 0]);
    world.holders = [];
    world.advance(5_000);
    assert.deepEqual([world.route, world.roomsMade], ["tb", 1]);
  });

  test("C1 that is not possible any more lets them go on", () => {
    const world = beforeRecovery(60_000);
    world.advance(4_000);
    assert.ok(world.last?.makeRoom);
    world.hosts.tb = "refused";
    world.event();
    world.advance(3_000);
    assert.deepEqual(
      [world.route, world.last?.makeRoom, world.stepKinds.includes("unmount plain")],
      ["fallback", false, false],
    );
  });

  test("C1 a file that is opened while they make room defers it, and they go on", () => {
    const world = beforeRecovery(5_000);
    world.advance(2_000);
    world.holders = [7];
    world.advance(6_000);
    assert.deepEqual(
      [world.route, world.memory.tbRecoveryPending, world.last?.makeRoom],
      ["fallback", true, false],
    );
  });

  test("C1 room that was made in vain, for what nobody sees, is asked for again with growing pauses", () => {
    const world = beforeRecovery(500);
    // A process that hides its files from us.
    world.onDecision = ({ step }) => {
      if (step?.kind === "unmount") world.holders = [7];
    };
    const untilMs = world.nowMs + 300_000;
    while (world.nowMs < untilMs) {
      world.holders = [];
      world.advance(500);
    }
    assert.equal(world.route, "fallback");
    assert.ok(world.roomsMade >= 4 && world.roomsMade <= 12, `${world.roomsMade} times in five minutes`);
    world.onDecision = () => {};
    world.holders = [];
    world.advance(70_000);
    assert.equal(world.route, "tb");
  });
});

describe("a person", () => {
  test("C1 who switches waits for our programs, however long their calls may take", () => {
    const world = beforeRecovery(40_000);
    world.policy = { ...world.policy, autoFailback: false, lsofRecheck: false };
    world.ask({ kind: "switch", to: "tb" });
    assert.deepEqual([world.lastOutcome, world.roomsMade], [null, 1]);
    world.advance(42_000);
    assert.deepEqual([world.lastOutcome?.result, world.route], ["switched", "tb"]);
  });

  test("C1 who switches over a user's open files is told so, and our programs go on", () => {
    const world = beforeRecovery(1_000);
    world.holders = [7];
    world.ask({ kind: "switch", to: "tb" });
    assert.deepEqual([world.lastOutcome?.result, world.roomsMade], ["busy", 0]);
  });

  test("C1 who switches by force waits for nothing", () => {
    const world = beforeRecovery(60_000);
    world.ask({ kind: "switch", to: "tb", force: true });
    assert.deepEqual([world.lastOutcome?.result, world.route], ["switched", "tb"]);
  });

  test("C1 who unmounts gets the room, too", () => {
    const world = beforeRecovery(2_000);
    world.ask({ kind: "unmount" });
    assert.deepEqual(world.outcomes, []);
    world.advance(3_000);
    assert.deepEqual([world.lastOutcome?.result, world.route], ["unmounted", "none"]);
  });
});

describe("a failover", () => {
  test("C1 waits for nobody, and our programs come back on the new mount", () => {
    const world = new World();
    world.addMount("tb");
    world.programsEndInMs = 60_000;
    world.advance(4_000).fresh();
    world.hosts.tb = "link_down";
    let duringUnmount = false;
    world.onDecision = ({ step, makeRoom }) => {
      if (step?.kind === "unmount") duringUnmount = makeRoom;
    };
    world.event();
    world.advance(2_000);
    assert.deepEqual([world.route, duringUnmount, world.last?.makeRoom], ["fallback", true, false]);
  });

  test("C1 what is carried asks nobody for room", () => {
    const world = new World({ carry: "auto" });
    world.programsEndInMs = 60_000;
    world.advance(10_000);
    assert.equal(world.route, "tb");
    world.hosts.tb = "link_down";
    world.event();
    world.advance(5_000);
    assert.equal(world.route, "fallback");
    world.hosts.tb = "answers";
    world.event();
    world.advance(60_000);
    assert.deepEqual([world.route, world.roomsMade], ["tb", 0]);
  });
});
