// Every state of the mount, of its own host and of the other, and operations that were interrupted.
import assert from "node:assert/strict";
import test, { describe } from "node:test";
import { CONFIRM_AFTER_MS } from "../../../src/reconcile/route-health.ts";
import { mountedOver, OTHER } from "../mounted-world.ts";
import { CACHE_MS, type HostState, type World } from "../world.ts";

interface Row {
  readonly mount: "alive" | "dead";
  readonly own: "gone" | "answers";
  readonly other: "gone" | "answers";
  readonly steps: readonly string[];
  readonly error: boolean;
}

const ROWS: readonly Row[] = [
  {
    mount: "alive",
    own: "gone",
    other: "answers",
    steps: ["check", "unmount force", "mount OTHER"],
    error: false,
  },
  { mount: "alive", own: "gone", other: "gone", steps: [], error: true },
  {
    mount: "dead",
    own: "answers",
    other: "answers",
    steps: ["check", "unmount force", "mount OWN"],
    error: false,
  },
  {
    mount: "dead",
    own: "answers",
    other: "gone",
    steps: ["check", "unmount force", "mount OWN"],
    error: false,
  },
  {
    mount: "dead",
    own: "gone",
    other: "answers",
    steps: ["check", "unmount force", "mount OTHER"],
    error: false,
  },
  { mount: "dead", own: "gone", other: "gone", steps: [], error: true },
];

describe("the table of mount, own host and the other", () => {
  for (const own of ["tb", "fallback"] as const) {
    for (const row of ROWS) {
      test(`What to mount: over ${own}, mount ${row.mount}, own host ${row.own}, the other ${row.other}`, () => {
        const world = mountedOver(own);
        const state = (answer: "gone" | "answers"): HostState => (answer === "gone" ? "refused" : "answers");
        world.hosts[own] = state(row.own);
        world.hosts[OTHER[own]] = state(row.other);
        if (row.mount === "dead" && world.mount !== null) world.mount.processGone = true;
        world.advance(6000);
        const steps = row.steps.map((step) => step.replace("OWN", own).replace("OTHER", OTHER[own]));
        assert.deepEqual(world.stepKinds, steps);
        assert.equal(world.memory.lastError !== null, row.error);
        assert.equal(world.mounts.length, 1);
      });
    }
  }

  test("What to mount: both gone: last_error until own host and mount answer again", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "link_down";
    world.hosts.fallback = "link_down";
    world.advance(10_000);
    assert.match(world.memory.lastError ?? "", /both hosts are gone/);
    assert.equal(world.transitionNames.filter((name) => name === "share.error").length, 1);
    world.hosts.tb = "answers";
    world.advance(4000);
    assert.equal(world.memory.lastError, null);
    assert.deepEqual(world.stepKinds, []);
  });

  for (const own of ["tb", "fallback"] as const) {
    test(`What to mount: both gone, and a server that starts is seen over the other host first: ${own} is asked once more`, () => {
      const bothGone = (): World => {
        const world = mountedOver(own);
        world.hosts.tb = "refused";
        world.hosts.fallback = "refused";
        world.advance(10_000);
        world.hosts[OTHER[own]] = "answers";
        world.event();
        return world;
      };
      const starts = bothGone();
      starts.hosts[own] = "answers";
      starts.advance(10_000);
      assert.deepEqual(starts.stepKinds, []);
      assert.equal(starts.memory.lastError, null);
      const oneAlone = bothGone();
      oneAlone.advance(CONFIRM_AFTER_MS);
      assert.deepEqual(oneAlone.stepKinds, ["check", "unmount force", `mount ${OTHER[own]}`]);
    });
  }

  test("What to mount: dead, own host answers, its mount fails: over the other; that fails, too: pauses", () => {
    const world = mountedOver("tb");
    if (world.mount !== null) world.mount.processGone = true;
    world.mountFails.tb = "refused";
    world.advance(2000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount tb", "mount fallback"]);
    assert.equal(world.route, "fallback");
    const both = mountedOver("tb");
    if (both.mount !== null) both.mount.processGone = true;
    both.mountFails = { tb: "refused", fallback: "refused" };
    both.advance(2000);
    assert.deepEqual(both.stepKinds, ["check", "unmount force", "mount tb", "mount fallback"]);
    assert.match(both.memory.lastError ?? "", /refused/);
    assert.equal(both.memory.activeInterface, "none");
  });

  test("What to mount: an unmount that was late but worked is gone on from", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "refused";
    world.unmountFails = "no answer in 15 s";
    world.event();
    world.duringStep = () => {
      world.duringStep = () => {
        world.mounts = [];
      };
    };
    world.advance(3000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount fallback"]);
    assert.ok(!world.transitionNames.includes("share.unmount_failed"));
  });

  test("What to mount: what someone else mounts between our unmount and our mount is kept", () => {
    const world = mountedOver("tb");
    world.hosts.tb = "refused";
    world.event();
    world.duringStep = () => {
      world.duringStep = () => world.addMount("fallback", { ours: false });
    };
    world.advance(3000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force"]);
    assert.equal(world.mounts.length, 1);
    assert.equal(world.memory.activeInterface, "fallback");
    assert.ok(world.transitionNames.includes("share.adopted"));
  });
});

describe("an operation that was interrupted before its unmount", () => {
  function interrupted(kind: "failover" | "remount"): World {
    const world = mountedOver("tb");
    world.state = {
      ...world.state,
      operation: {
        kind,
        reason: "the host was gone",
        startedAtMs: world.nowMs,
        from: "tb",
        mode: "force",
        plan: kind === "failover" ? ["fallback", "fallback"] : ["tb", "fallback"],
        goal: null,
        failures: [],
        mountId: world.mount?.id ?? null,
        checked: true,
        cost: null,
        asked: false,
      },
    };
    return world;
  }

  for (const kind of ["failover", "remount"] as const) {
    test(`What to mount: a ${kind} never unmounts without a live target`, () => {
      const world = interrupted(kind);
      world.hosts.tb = "refused";
      world.hosts.fallback = "refused";
      world.event();
      assert.deepEqual(world.stepKinds, []);
      assert.equal(world.state.operation, null);
    });

    test(`What to mount: a ${kind} ends when host and mount answer again`, () => {
      const world = interrupted(kind);
      world.pass(CACHE_MS);
      world.event();
      assert.deepEqual(world.stepKinds, []);
      assert.equal(world.state.operation, null);
    });
  }
});
