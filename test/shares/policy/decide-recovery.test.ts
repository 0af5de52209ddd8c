// The way back to Thunderbolt: the four-way table, its window, what is pending, and what open files hold up.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { forgetChangedRoutes } from "../../../src/shares/policy/reconcile-state.ts";
import { World } from "../world.ts";
import { stories } from "./stories.ts";

/** Mounted over fallback, tb just back; the window's end is 30 s away. */
function tbBack(autoFailback = true, lsofRecheck = true): World {
  const world = new World({ autoFailback, lsofRecheck });
  world.hosts.tb = "link_down";
  world.addMount("fallback");
  world.advance(5900);
  world.hosts.tb = "answers";
  world.event();
  return world.fresh();
}

/** The same after the window's end. */
function windowOver(autoFailback: boolean, lsofRecheck: boolean, holders: number[] = []): World {
  const world = tbBack(autoFailback, lsofRecheck);
  world.holders = holders;
  return world.advance(30_050);
}

function pending(): World {
  const world = windowOver(true, true, [7]);
  assert.equal(world.memory.tbRecoveryPending, true);
  return world.fresh();
}

const STARTS = {
  "tb is back": () => tbBack(),
  "tb is back without lsof_recheck": () => tbBack(true, false),
  "the window is over": () => windowOver(false, false),
  "the window is over with 7 open": () => windowOver(false, false, [7]),
  "it is pending": pending,
};
const RECOVER = "check > unmount plain > mount tb";

describe("the recovery table", () => {
  for (const [auto, recheck] of [
    ["on", "on"],
    ["on", "off"],
    ["off", "on"],
    ["off", "off"],
  ]) {
    const toggles = `auto_failback ${auto}, lsof_recheck ${recheck}`;
    const starts = {
      "nothing is open": () => windowOver(auto === "on", recheck === "on"),
      "7 is open": () => windowOver(auto === "on", recheck === "on", [7]),
    };
    const bySelf = `: on tb, not pending, last steps ${RECOVER}`;
    const byHand = ": on fallback, pending, no steps; switch tb: on tb, not pending";
    const silently = `: steps ${RECOVER}, not told share.tb_ready, told share.recovered`;
    stories(
      starts,
      `
Recovery: ${toggles}, files open: pending
  7 is open: pending, on fallback, condition tb_ready, told share.recovery_deferred once, told share.tb_ready once
  20 s: pending, on fallback, no step unmount
Recovery: ${toggles}, files close later: ${recheck === "on" ? "switch" : "a person switches"}
  7 is open, 4 s, closed, fresh, 4 s
  ${recheck === "on" ? bySelf : byHand}
Recovery: ${toggles}, nothing open
  nothing is open
  ${auto === "on" ? silently : `: on fallback, pending; 2500 ms: on ${recheck === "on" ? "tb" : "fallback"}`}
`,
    );
  }

  test("Recovery: not before the window's end, which starts the loop", () => {
    const world = tbBack();
    world.policy = { ...world.policy, checkIntervalMs: 10_000 };
    world.nextTickMs = world.nowMs + 9000;
    const backMs = world.nowMs;
    world.advance(29_900);
    assert.deepEqual(world.stepKinds, []);
    assert.deepEqual(world.wake, { atMs: backMs + 30_000, reason: "window_end" });
    world.advance(100);
    assert.deepEqual(world.stepKinds, RECOVER.split(" > "));
  });

  stories(
    STARTS,
    `
Recovery: toggles changed live are read at once, in either direction
  the window is over with 7 open, closed, lsof_recheck on, event: on tb
  the window is over, auto_failback on, event: on tb
  it is pending, lsof_recheck off, event, closed, 10 s: pending, on fallback
Recovery: a cycle that takes longer than three short intervals does not create a gap
  tb is back, interval 500 ms, checks fail, checks take 2000 ms, 60 s: pending, on fallback
  : told share.tb_ready once
`,
  );
});

describe("the window", () => {
  const flap = "25 s, tb refused, event, pass 10 ms, tb answers, event";
  stories(
    STARTS,
    `
Recovery: it restarts at each drop
  tb is back, ${Array.from({ length: 5 }, () => flap).join(", ")}: no steps
  29 s: no steps; 2 s: steps ${RECOVER}
Recovery: a restart soon enough keeps the window and what is pending, a longer one is a drop
  the window is over, pass 1000 ms, restart, 0 s: pending
  pass 10000 ms, restart, 0 s: not pending; 31 s: pending
`,
  );

  for (const [how, gap] of [
    ["the machine slept", (world: World) => world.sleep(60_000)],
    ["the wall clock jumped forth", (world: World) => world.sleep(7000)],
    ["nobody looked", (world: World) => world.pass(7000)],
  ] as const) {
    test(`Recovery: a gap counts as a drop: ${how}`, () => {
      const world = windowOver(false, false);
      assert.equal(world.memory.tbRecoveryPending, true);
      gap(world);
      while (world.nextTickMs < world.nowMs) world.nextTickMs += world.policy.checkIntervalMs;
      world.cycle(world.nowMs);
      assert.equal(world.memory.tbRecoveryPending, false);
      world.advance(29_000);
      assert.equal(world.memory.tbRecoveryPending, false);
      world.advance(2000);
      assert.equal(world.memory.tbRecoveryPending, true);
    });
  }

  test("Recovery: a restart without the time of the last check is a drop", () => {
    const world = windowOver(false, false);
    world.lastSeen = null;
    world.restart();
    world.advance(0);
    assert.equal(world.memory.tbRecoveryPending, false);
  });
});

describe("pending clears", () => {
  stories(
    STARTS,
    `
Recovery: when recovered
  it is pending, closed, 2500 ms: not pending, on tb, told share.tb_ready_cleared
Recovery: when tb drops
  it is pending, tb wedged, 2500 ms: not pending, on fallback
Recovery: on a manual unmount, with and without an override
  it is pending, unmount --force: not pending, on none
  it is pending, unmount --force without hold: not pending, on none
Recovery: with an override
  it is pending, switch fallback: not pending, on fallback, held fallback
  closed, 60 s: not pending, on fallback
Recovery: when another program mounts it over tb
  it is pending, it vanishes, theirs over tb, event: not pending, on tb
Recovery: when another program mounts it over tb while it is unmounted for the failback
  it is pending, closed, in the second step theirs over tb, event: not pending, on tb
Recovery: when the mount vanishes
  it is pending, it vanishes, event: not pending
`,
  );

  test("Recovery: when a host changes", () => {
    const world = pending();
    const after = {
      ...world.spec,
      routes: { ...world.spec.routes, tb: { ...world.spec.routes.tb, host: "10.0.1.9" } },
    };
    world.state = forgetChangedRoutes(world.state, world.spec, after);
    world.spec = after;
    world.event();
    assert.equal(world.memory.tbRecoveryPending, false);
    world.advance(29_000);
    assert.equal(world.memory.tbRecoveryPending, false);
    assert.equal(forgetChangedRoutes(world.state, after, { ...after, username: "other" }), world.state);
  });
});

describe("open files", () => {
  test("A7 every cycle re-checks a pending share, and reports each result once", () => {
    const world = pending();
    const { cycles } = world;
    world.advance(10_000);
    assert.equal(world.stepKinds.length, world.cycles - cycles);
    assert.deepEqual([...new Set(world.stepKinds)], ["check"]);
    assert.deepEqual(world.transitionNames, []);
    world.holders = [7, 8];
    world.advance(4000);
    assert.deepEqual(world.transitionNames, ["share.open_files_checked"]);
  });

  const refusals = Array.from({ length: 4 }, () => "closed, in the next step open 7, 2 s").join(", ");
  stories(
    STARTS,
    `
A7 a check that failed counts as open, with its reason shown
  tb is back, checks fail, 40 s: pending, on fallback, condition tb_ready says /no answer in 2 s/
  checks work, 2500 ms: on tb
A7 a reason names five programs at most
  tb is back, open 1 2 3 4 5 6, 40 s: told a reason /6 open: .*[(]5[)]/, told no reason /[(]6[)]/
A7 a late check is used once, and does not delay the cycle
  tb is back, checks take 1900 ms, open 7, 29.95 s, fresh, 60 ms: steps check, pending
A7 EBUSY counts as open: back to pending, once a cycle, reported once
  tb is back, 29.95 s, in the next step open 7, fresh, 60 ms: steps check > unmount plain, pending, on fallback
  fresh, ${refusals}: 4 to 4 times unmount plain, nothing told
  closed, 2500 ms: not pending, on tb
A7 EBUSY is reported again after an unmount that worked
  tb is back, 29.95 s, in the next step open 7, fresh, 60 ms: told share.unmount_failed
  closed, 2500 ms: on tb
  tb silent, 60 s: on fallback
  tb answers, fresh, in the next step open 7, 40 s: told share.unmount_failed once, pending
A7 with lsof_recheck off, EBUSY is pending, and a person switches
  tb is back without lsof_recheck, 29 s, in the next step open 7, 1500 ms, closed, fresh, 20 s: no steps
  : pending, on fallback
`,
  );
});

describe("failed recoveries", () => {
  stories(
    STARTS,
    `
Recovery: a failed mount after the unmount rolls back to the old route, and pauses
  tb is back, mounts over tb fail: wrong password, 30.5 s: steps ${RECOVER} > mount fallback
  : told share.recovery_failed, on fallback
  fresh, 25 s: no steps, condition recovery_failed
  mounts work, 60 s: on tb, no condition recovery_failed
  tb link_down, 5 s, tb answers, 2 s: on fallback, no condition recovery_failed
Recovery: a failed unmount leaves everything unchanged and is retried, with pauses
  tb is back, unmounts fail: no answer in 15 s, 120 s: 2 to 4 times unmount plain, no error
  unmounts work, 100 s: on tb
Recovery: a slow fallback is left all the same
  tb is back, its connection lives on, fallback silent, 35 s: on tb
Recovery: a mount that does not answer is not unmounted plainly
  tb is back, 27 s, the mount hangs, 7 s: no steps
`,
  );
});
