import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { forgetChangedRoutes } from "../../../src/shares/policy/lane-state.ts";
import { World } from "../world.ts";

interface Toggles {
  readonly autoFailback: boolean;
  readonly lsofRecheck: boolean;
}

const RECOVER = ["check", "unmount plain", "mount tb"];

/** Mounted over fallback, tb just back; the window's end is 30 s away. */
function tbBack(toggles: Toggles): World {
  const world = new World(toggles);
  world.hosts.tb = "link_down";
  world.addMount("fallback");
  world.advance(5900);
  world.hosts.tb = "answers";
  world.event();
  return world.fresh();
}

/** The same after the window's end. */
function windowOver(toggles: Toggles, holders: number[] = []): World {
  const world = tbBack(toggles);
  world.holders = holders;
  return world.advance(30_050);
}

function reads(world: World): { pending: boolean; route: string } {
  return { pending: world.memory.tbRecoveryPending, route: world.route };
}

const BOTH = [true, false];
const ALL: Toggles[] = BOTH.flatMap((autoFailback) =>
  BOTH.map((lsofRecheck) => ({ autoFailback, lsofRecheck })),
);

function named({ autoFailback, lsofRecheck }: Toggles): string {
  return `auto_failback ${autoFailback ? "on" : "off"}, lsof_recheck ${lsofRecheck ? "on" : "off"}`;
}

describe("the recovery table", () => {
  for (const toggles of ALL) {
    test(`Recovery: ${named(toggles)}, files open: pending`, () => {
      const world = windowOver(toggles, [7]);
      assert.deepEqual(reads(world), { pending: true, route: "fallback" });
      assert.ok(world.conditionCodes.includes("tb_ready"));
      for (const name of ["share.recovery_deferred", "share.tb_ready"]) {
        assert.equal(world.transitionNames.filter((other) => other === name).length, 1);
      }
      world.advance(20_000);
      assert.deepEqual(reads(world), { pending: true, route: "fallback" });
      assert.ok(!world.stepKinds.some((kind) => kind.startsWith("unmount")));
    });

    test(`Recovery: ${named(toggles)}, files close later: ${toggles.lsofRecheck ? "switch" : "a person switches"}`, () => {
      const world = windowOver(toggles, [7]);
      world.advance(4000);
      world.holders = [];
      world.fresh().advance(4000);
      assert.equal(world.route, toggles.lsofRecheck ? "tb" : "fallback");
      assert.equal(world.memory.tbRecoveryPending, !toggles.lsofRecheck);
      if (toggles.lsofRecheck) assert.deepEqual(world.stepKinds.slice(-3), RECOVER);
      else {
        assert.deepEqual(world.stepKinds, []);
        world.ask({ kind: "switch", to: "tb" });
        assert.deepEqual(reads(world), { pending: false, route: "tb" });
      }
    });

    test(`Recovery: ${named(toggles)}, nothing open`, () => {
      const world = windowOver(toggles);
      if (toggles.autoFailback) {
        assert.deepEqual(world.stepKinds, RECOVER);
        assert.ok(!world.transitionNames.includes("share.tb_ready"), "silently");
        assert.ok(world.transitionNames.includes("share.recovered"));
        return;
      }
      assert.deepEqual(reads(world), { pending: true, route: "fallback" });
      world.advance(2500);
      assert.equal(world.route, toggles.lsofRecheck ? "tb" : "fallback");
    });
  }

  test("Recovery: not before the window's end, which wakes the lane", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.policy = { ...world.policy, checkIntervalMs: 10_000 };
    world.nextTickMs = world.nowMs + 9000;
    const backMs = world.nowMs;
    world.advance(29_900);
    assert.deepEqual(world.stepKinds, []);
    assert.deepEqual(world.wake, { atMs: backMs + 30_000, reason: "window_end" });
    world.advance(100);
    assert.deepEqual(world.stepKinds, RECOVER);
  });

  test("Recovery: toggles changed live are read at once, in either direction", () => {
    const world = windowOver({ autoFailback: false, lsofRecheck: false }, [7]);
    world.holders = [];
    world.policy = { ...world.policy, lsofRecheck: true };
    world.event();
    assert.equal(world.route, "tb");
    const other = windowOver({ autoFailback: false, lsofRecheck: false });
    other.policy = { ...other.policy, autoFailback: true };
    other.event();
    assert.equal(other.route, "tb");
    const off = windowOver({ autoFailback: true, lsofRecheck: true }, [7]);
    off.policy = { ...off.policy, lsofRecheck: false };
    off.event();
    off.holders = [];
    off.advance(10_000);
    assert.deepEqual(reads(off), { pending: true, route: "fallback" });
  });
});

describe("the window", () => {
  test("Recovery: it restarts at each drop", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    for (let flap = 0; flap < 5; flap++) {
      world.advance(25_000);
      world.hosts.tb = "refused";
      world.event();
      world.pass(10);
      world.hosts.tb = "answers";
      world.event();
    }
    assert.deepEqual(world.stepKinds, []);
    world.advance(29_000);
    assert.deepEqual(world.stepKinds, []);
    world.advance(2000);
    assert.deepEqual(world.stepKinds, RECOVER);
  });

  for (const [how, gap] of [
    ["the machine slept", (world: World) => world.sleep(60_000)],
    ["the wall clock jumped forth", (world: World) => world.sleep(7000)],
    ["nobody looked", (world: World) => world.pass(7000)],
  ] as const) {
    test(`Recovery: a gap counts as a drop: ${how}`, () => {
      const world = windowOver({ autoFailback: false, lsofRecheck: false });
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

  test("Recovery: a restart soon enough keeps the window and what is pending, a longer one is a drop", () => {
    const world = windowOver({ autoFailback: false, lsofRecheck: false });
    world.pass(1000);
    world.restart();
    world.advance(0);
    assert.equal(world.memory.tbRecoveryPending, true);
    world.pass(10_000);
    world.restart();
    world.advance(0);
    assert.equal(world.memory.tbRecoveryPending, false);
    world.advance(31_000);
    assert.equal(world.memory.tbRecoveryPending, true);
  });

  test("Recovery: a restart that recalls no time of the last look is a drop", () => {
    const world = windowOver({ autoFailback: false, lsofRecheck: false });
    world.lastSeen = null;
    world.restart();
    world.advance(0);
    assert.equal(world.memory.tbRecoveryPending, false);
  });
});

describe("short intervals", () => {
  test("Recovery: a cycle that takes longer than three short intervals is no gap of its own making", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.policy = { ...world.policy, checkIntervalMs: 500 };
    world.checkFails = "no answer in 2 s";
    world.checkTakesMs = 2000;
    world.advance(60_000);
    assert.deepEqual(reads(world), { pending: true, route: "fallback" });
    assert.equal(world.transitionNames.filter((name) => name === "share.tb_ready").length, 1);
  });
});

describe("pending clears", () => {
  const pending = (): World => {
    const world = windowOver({ autoFailback: true, lsofRecheck: true }, [7]);
    assert.equal(world.memory.tbRecoveryPending, true);
    return world.fresh();
  };

  test("Recovery: when recovered", () => {
    const world = pending();
    world.holders = [];
    world.advance(2500);
    assert.deepEqual(reads(world), { pending: false, route: "tb" });
    assert.ok(world.transitionNames.includes("share.tb_ready_cleared"));
  });

  test("Recovery: when tb drops", () => {
    const world = pending();
    world.hosts.tb = "wedged";
    world.advance(2500);
    assert.deepEqual(reads(world), { pending: false, route: "fallback" });
  });

  test("Recovery: on an unmount by hand, with and without a hold", () => {
    for (const hold of [true, false]) {
      const world = pending();
      world.ask({ kind: "unmount", force: true, hold });
      assert.deepEqual(reads(world), { pending: false, route: "none" });
    }
  });

  test("Recovery: when held", () => {
    const world = pending();
    world.ask({ kind: "switch", to: "fallback" });
    assert.deepEqual(reads(world), { pending: false, route: "fallback" });
    assert.equal(world.memory.held, "fallback");
    world.holders = [];
    world.advance(60_000);
    assert.deepEqual(reads(world), { pending: false, route: "fallback" });
  });

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

  test("Recovery: when someone else mounts it over tb", () => {
    const world = pending();
    world.mounts = [];
    world.addMount("tb", { ours: false });
    world.event();
    assert.deepEqual(reads(world), { pending: false, route: "tb" });
  });

  test("Recovery: when the mount vanishes", () => {
    const world = pending();
    world.mounts = [];
    world.hosts.tb = "answers";
    world.event();
    assert.equal(world.memory.tbRecoveryPending, false);
  });
});

describe("open files", () => {
  test("A7 every cycle re-checks a pending share, and says each result once", () => {
    const world = windowOver({ autoFailback: true, lsofRecheck: true }, [7]).fresh();
    const { cycles } = world;
    world.advance(10_000);
    assert.equal(world.stepKinds.length, world.cycles - cycles);
    assert.deepEqual([...new Set(world.stepKinds)], ["check"]);
    assert.deepEqual(world.transitionNames, []);
    world.holders = [7, 8];
    world.advance(4000);
    assert.deepEqual(world.transitionNames, ["share.open_files_checked"]);
  });

  test("A7 a check that failed counts as open, with its reason shown", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.checkFails = "no answer in 2 s";
    world.advance(40_000);
    assert.deepEqual(reads(world), { pending: true, route: "fallback" });
    const condition = world.last?.conditions.find(({ code }) => code === "tb_ready");
    assert.match(condition?.title ?? "", /no answer in 2 s/);
    world.checkFails = null;
    world.advance(2500);
    assert.equal(world.route, "tb");
  });

  test("A7 a check that is late is used once, and does not hold the cycle", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.checkTakesMs = 1900;
    world.holders = [7];
    world.advance(29_950).fresh();
    world.advance(60);
    assert.deepEqual(world.stepKinds, ["check"]);
    assert.equal(world.memory.tbRecoveryPending, true);
  });

  test("A7 unsent writes count as open", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.unsent = ["film.mov"];
    world.advance(40_000);
    assert.deepEqual(reads(world), { pending: true, route: "fallback" });
    world.unsent = [];
    world.advance(2500);
    assert.equal(world.route, "tb");
  });

  test("A7 processes whose files we may not see are not by themselves open", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.hidden = 3;
    world.advance(31_000);
    assert.equal(world.route, "tb");
  });

  test("A7 EBUSY is open: back to pending, once a cycle, told once", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.advance(29_950);
    const occupy = (): void => {
      world.holders = [7];
    };
    world.duringStep = occupy;
    world.fresh().advance(60);
    assert.deepEqual(world.stepKinds, ["check", "unmount plain"]);
    assert.deepEqual(reads(world), { pending: true, route: "fallback" });
    assert.deepEqual(world.holders, [7]);
    world.fresh();
    for (let round = 0; round < 4; round++) {
      world.holders = [];
      world.duringStep = occupy;
      world.advance(2000);
    }
    assert.equal(world.stepKinds.filter((kind) => kind === "unmount plain").length, 4);
    assert.deepEqual(world.transitionNames, []);
    world.holders = [];
    world.advance(2500);
    assert.deepEqual(reads(world), { pending: false, route: "tb" });
  });

  test("A7 with lsof_recheck off, EBUSY is pending, and a person switches", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: false });
    world.advance(29_000);
    world.duringStep = () => {
      world.holders = [7];
    };
    world.advance(1500);
    world.holders = [];
    world.fresh().advance(20_000);
    assert.deepEqual([world.stepKinds, reads(world)], [[], { pending: true, route: "fallback" }]);
  });
});

describe("failed recoveries", () => {
  test("Recovery: a failed mount after the unmount rolls back to the old route, and pauses", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.mountFails.tb = "wrong password";
    world.advance(30_500);
    assert.deepEqual(world.stepKinds, ["check", "unmount plain", "mount tb", "mount fallback"]);
    assert.ok(world.transitionNames.includes("share.recovery_failed"));
    assert.equal(world.route, "fallback");
    world.fresh().advance(25_000);
    assert.deepEqual(world.stepKinds, []);
    assert.ok(world.conditionCodes.includes("recovery_failed"));
    world.mountFails.tb = null;
    world.advance(60_000);
    assert.equal(world.route, "tb");
    assert.ok(!world.conditionCodes.includes("recovery_failed"));
  });

  test("Recovery: an unmount that fails leaves all as it was and is tried again, with pauses", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.unmountFails = "no answer in 15 s";
    world.advance(120_000);
    const unmounts = world.stepKinds.filter((kind) => kind === "unmount plain").length;
    assert.ok(unmounts >= 2 && unmounts <= 4, `${unmounts}`);
    assert.equal(world.memory.lastError, null);
    world.unmountFails = null;
    world.advance(100_000);
    assert.equal(world.route, "tb");
  });

  test("Recovery: a slow fallback is left all the same", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    if (world.mount !== null) world.mount.answersAlways = true;
    world.hosts.fallback = "silent";
    world.advance(35_000);
    assert.equal(world.route, "tb");
  });

  test("Recovery: a mount that does not answer is not unmounted plainly", () => {
    const world = tbBack({ autoFailback: true, lsofRecheck: true });
    world.advance(27_000);
    if (world.mount !== null) world.mount.hung = true;
    world.advance(7000);
    assert.deepEqual(world.stepKinds, []);
  });
});
