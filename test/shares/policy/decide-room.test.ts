// Programs that the daemon itself runs on a share: they make room for what mounts it anew, and for nothing else.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { World } from "../world.ts";
import { stories } from "./stories.ts";

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

const STARTS = {
  "before a recovery": () => beforeRecovery(1_000),
  "a carried share": () => new World({ carry: "auto" }),
};

describe("a recovery", () => {
  stories(
    STARTS,
    `
C1 waits until our programs have made room, and says nothing of open files
  before a recovery, programs need 7000 ms to end, 6 s: on fallback, not pending, room made 1 time, room asked
  3 s: last steps check > unmount plain > mount tb, room free, room made 1 time, not told share.tb_ready
C1 over a user's open files is pending as ever, and our programs go on
  before a recovery, programs need 100 ms to end, open 7, 20 s: on fallback, pending, room made 0 times
  closed, 5 s: on tb, room made 1 time
C1 that is not possible any more lets them go on
  before a recovery, programs need 60000 ms to end, 4 s: room asked
  tb refused, event, 3 s: on fallback, room free, no step unmount plain
C1 a file that is opened while they make room defers it, and they go on
  before a recovery, programs need 5000 ms to end, 2 s, open 7, 6 s: on fallback, pending, room free
`,
  );

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
  stories(
    STARTS,
    `
C1 who switches waits for our programs, however long their calls may take
  before a recovery, programs need 40000 ms to end, auto_failback off, lsof_recheck off, switch tb: no result
  : room made 1 time; 42 s: result switched, on tb
C1 who switches over a user's open files is told so, and our programs go on
  before a recovery, open 7, switch tb: result busy, room made 0 times
C1 who switches by force waits for nothing
  before a recovery, programs need 60000 ms to end, switch tb --force: result switched, on tb
C1 who unmounts gets the room, too
  before a recovery, programs need 2000 ms to end, unmount: no result; 3 s: result unmounted, on none
`,
  );
});

describe("a failover", () => {
  test("C1 waits for nobody, and our programs come back on the new mount", () => {
    const world = new World();
    world.addMount("tb");
    world.programsEndInMs = 60_000;
    world.advance(4_000).fresh();
    world.hosts.tb = "link_down";
    let duringUnmount = "";
    world.onDecision = ({ step, room }) => {
      if (step?.kind === "unmount") duringUnmount = room;
    };
    world.event();
    world.advance(2_000);
    assert.deepEqual([world.route, duringUnmount, world.last?.room], ["fallback", "taken", "free"]);
  });

  stories(
    STARTS,
    `
C1 what is carried asks nobody for room
  a carried share, programs need 60000 ms to end, 10 s: on tb; tb link_down, event, 5 s: on fallback
  tb answers, event, 60 s: on tb, room made 0 times
`,
  );
});
