import assert from "node:assert/strict";
import test, { describe } from "node:test";
import type { RouteName } from "../../src/shares/share-spec.ts";
import { CACHE_MS, type HostState, World } from "./world.ts";

/** Mounted over `route` by us, seen alive, nothing to do. */
function mountedOver(
  route: RouteName,
  world = new World({ autoFailback: false, lsofRecheck: false }),
): World {
  world.addMount(route);
  if (route === "fallback") world.memory = { ...world.memory, held: "fallback" };
  world.advance(2500);
  world.memory = { ...world.memory, held: null };
  return world.fresh();
}

const OTHER: Record<RouteName, RouteName> = { tb: "fallback", fallback: "tb" };

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
      }
      world.advance(100);
      mounts = world.stepKinds.filter((kind) => kind.startsWith("mount")).length;
    }
    assert.ok(mounts >= 3 && mounts <= 8, `${mounts} mounts in a minute`);
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
    for (const how of ["link_down", "refused"] as const) {
      test(`What to mount: ${route} ${how} is confirmed by a second probe 250 ms later, then fails over`, () => {
        const world = mountedOver(route);
        world.hosts[route] = how;
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
    }

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

/** A mount whose connection lives on, although no new one is answered. */
function answeringMount(world: World, route: RouteName) {
  return { ...world.addMount(route), answersAlways: true };
}

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
    world.hosts.tb = "link_down";
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
    world.hosts.tb = "link_down";
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

describe("an errand that was interrupted before its unmount", () => {
  function interrupted(kind: "failover" | "remount"): World {
    const world = mountedOver("tb");
    world.episode = {
      ...world.episode,
      errand: {
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
      assert.equal(world.episode.errand, null);
    });

    test(`What to mount: a ${kind} ends when host and mount answer again`, () => {
      const world = interrupted(kind);
      world.pass(CACHE_MS);
      world.event();
      assert.deepEqual(world.stepKinds, []);
      assert.equal(world.episode.errand, null);
    });
  }
});

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

describe("shares that rest", () => {
  test("What to mount: a calm share takes no step, tells nothing and writes nothing", () => {
    const world = mountedOver("tb");
    const { memory } = world;
    world.advance(60_000);
    assert.deepEqual([world.stepKinds, world.transitionNames], [[], []]);
    assert.equal(world.memory, memory);
  });
});
