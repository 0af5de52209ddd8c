import assert from "node:assert/strict";
import test, { describe } from "node:test";
import type { RouteName, SharePolicy } from "../../../src/shares/share-spec.ts";
import { routeTo } from "../share-spec.ts";
import { PATIENCE_MS } from "../sim-carrier.ts";
import { SPEC, World } from "../world.ts";

/** A share that is carried over tb, and calm. */
function carriedWorld(policy: Partial<SharePolicy> = {}): World {
  const world = new World({ carry: "auto", ...policy });
  world.advance(5000);
  assert.deepEqual(world.stepKinds, ["mount tb carried"]);
  return world.fresh();
}

function idOf(world: World): string {
  assert.ok(world.mount !== null);
  return world.mount.id;
}

describe("mounting", () => {
  test("A10 a share is carried once one server is proved behind both routes, and its first mount waits for that", () => {
    const world = new World({ carry: "auto" });
    world.carrier.proofTakesMs = 400;
    world.advance(300);
    assert.deepEqual(world.stepKinds, []);
    world.advance(200);
    assert.deepEqual(world.stepKinds, ["mount tb carried"]);
  });

  test("A10 with one route it is carried at once: there is nothing yet that could reach another server", () => {
    const world = new World({ carry: "auto" });
    world.hosts.tb = "refused";
    world.advance(100);
    assert.deepEqual(world.stepKinds, ["mount fallback carried"]);
  });

  test("A10 different servers: mounted per route, and said so", () => {
    const world = new World({ carry: "auto" });
    world.carrier.servers.fallback = "another";
    world.advance(5000);
    assert.deepEqual(world.stepKinds, ["mount tb"]);
    assert.ok(world.conditionCodes.includes("different_servers"));
    world.hosts.tb = "refused";
    world.advance(3000);
    assert.deepEqual(world.stepKinds.slice(1), ["check", "unmount force", "mount fallback"]);
  });

  test("A10 what cannot be proved is mounted per route, and said so", () => {
    const world = new World({ carry: "auto" });
    world.carrier.unprovable = true;
    world.advance(5000);
    assert.deepEqual(world.stepKinds, ["mount tb"]);
    assert.ok(world.conditionCodes.includes("server_unproved"));
  });

  test("A10 a server that encrypts: through rclone a reader may notice a cut, and it is said; the kernel's client goes on", () => {
    for (const [driver, codes] of [
      ["rclone", ["encrypted"]],
      ["cifs", []],
    ] as const) {
      const world = new World({ carry: "auto" });
      world.spec = { ...world.spec, driver };
      world.carrier.encrypted = true;
      world.advance(5000);
      assert.deepEqual(world.conditionCodes, codes);
    }
  });

  test('A10 carry = "off" proves nothing and carries nothing', () => {
    const world = new World({ carry: "off" });
    world.advance(5000);
    assert.deepEqual(world.stepKinds, ["mount tb"]);
    assert.deepEqual(world.conditionCodes, []);
  });
});

/** A share that has this route alone. */
function onlyOver(world: World, route: RouteName): World {
  const none = routeTo(null);
  const { routes } = SPEC;
  world.spec = {
    ...SPEC,
    routes: { tb: route === "tb" ? routes.tb : none, fallback: route === "tb" ? none : routes.fallback },
  };
  return world;
}

describe("a share with one host", () => {
  for (const route of ["tb", "fallback"] as const) {
    test(`A10 it is carried over ${route} at once, calm, and nothing waits for another route`, () => {
      const world = onlyOver(new World({ carry: "auto" }), route);
      world.advance(60_000);
      assert.deepEqual(world.stepKinds, [`mount ${route} carried`]);
      assert.deepEqual(world.transitionNames, ["share.route_up", "share.mount_attempt", "share.mounted"]);
      assert.deepEqual(world.conditionCodes, []);
      assert.equal(world.memory.tbRecoveryPending, false);
      assert.equal(world.wake, null);
    });

    test(`A10 while its host is gone, ${route}, the mount stays and programs wait; they go on when it is back`, () => {
      const world = onlyOver(new World({ carry: "auto" }), route);
      world.advance(5_000);
      const id = idOf(world);
      world.fresh();
      world.hosts[route] = "refused";
      world.advance(PATIENCE_MS * 2);
      assert.match(
        world.memory.lastError ?? "",
        /^its host is gone, the mount is kept: 10\.0\.[12]\.2 \(refused\)$/,
      );
      assert.deepEqual([...new Set(world.stepKinds)], [], "its connections were ended by the server");
      world.hosts[route] = "answers";
      world.advance(10_000);
      assert.equal(idOf(world), id);
      assert.deepEqual(world.stepKinds, ["confirm"]);
      assert.equal(world.memory.lastError, null);
    });
  }

  test("A10 a second host that an edit adds is proved and moved to, and may be taken away again: one mount all the time", () => {
    const world = onlyOver(new World({ carry: "auto", stableMs: 1_000 }), "fallback");
    world.advance(5_000);
    const id = idOf(world);
    world.spec = SPEC;
    world.advance(10_000);
    assert.equal(world.route, "tb");
    onlyOver(world, "tb");
    world.advance(10_000);
    assert.deepEqual(world.stepKinds, ["mount fallback carried", "move tb planned"]);
    assert.equal(idOf(world), id);
  });

  test("A1 nothing answers: the error names the one host", () => {
    const world = onlyOver(new World({ carry: "off" }), "fallback");
    world.hosts.fallback = "refused";
    world.advance(5_000);
    assert.equal(world.memory.lastError, "its host does not answer: 10.0.2.2 (refused)");
  });

  test("By hand: a switch to a route that it does not have changes nothing, and says how to give it one", () => {
    const world = onlyOver(new World({ carry: "auto" }), "fallback");
    world.advance(5_000);
    world.ask({ kind: "switch", to: "tb" });
    const { result, detail, hint } = world.lastOutcome ?? assert.fail();
    assert.deepEqual([result, detail], ["failed", "CORE has no Thunderbolt route; nothing was changed"]);
    assert.match(hint ?? "", /shares\.CORE\.thunderbolt_host/);
    assert.equal(world.memory.held, null);
  });

  test("What to mount: a dead mount is made anew over its own host, where there is no other", () => {
    const world = onlyOver(new World({ carry: "off" }), "fallback");
    world.advance(5_000);
    world.fresh();
    (world.mount ?? assert.fail()).processGone = true;
    world.mountFails.fallback = "it is full";
    world.advance(1_000);
    assert.equal(world.memory.lastError, "10.0.2.2: it is full");
  });
});

describe("a mount that died with its carrier", () => {
  test("A10 what carried it, served it and watched it ended together: the next daemon proves the server and carries it again", () => {
    const world = new World({ carry: "auto" });
    world.carrier.proofTakesMs = 400;
    world.addMount("tb", { processGone: true });
    world.advance(100);
    assert.deepEqual(world.stepKinds, ["check", "unmount force"]);
    world.advance(3000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount tb carried"]);
    assert.deepEqual(world.conditionCodes, []);
  });

  test("A10 when that server cannot be proved it is mounted per route, and said so", () => {
    const world = new World({ carry: "auto" });
    world.carrier.unprovable = true;
    world.addMount("tb", { processGone: true });
    world.advance(3000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount tb"]);
    assert.ok(world.conditionCodes.includes("server_unproved"));
  });
});

describe("a route that goes", () => {
  test("A10 while programs wait for either host both are looked at again soon, and no longer when their patience is over", () => {
    const world = carriedWorld();
    world.hosts.tb = "refused";
    world.hosts.fallback = "refused";
    world.event().advance(3000);
    assert.ok(world.wake !== null && world.wake.atMs - world.nowMs <= 400, JSON.stringify(world.wake));
    world.advance(PATIENCE_MS);
    assert.equal(world.wake?.reason, undefined);
    world.hosts.fallback = "answers";
    world.event().advance(3000);
    assert.equal(world.route, "fallback");
  });

  test("A10 the other route's server cannot be proved at first: nothing is unmounted, and it moves once it is proved", () => {
    const world = carriedWorld();
    const id = idOf(world);
    world.carrier.unprovable = true;
    world.hosts.fallback = "refused";
    world.event().advance(3000);
    world.hosts.fallback = "answers";
    world.hosts.tb = "refused";
    world.event().advance(5000);
    assert.equal(idOf(world), id);
    assert.deepEqual(
      world.stepKinds.filter((kind) => kind !== "hold"),
      [],
    );
    world.carrier.unprovable = false;
    world.advance(10_000);
    assert.equal(idOf(world), id);
    assert.equal(world.route, "fallback");
  });

  test("A10 a cable that is pulled before the server that is back is proved: nothing is unmounted while programs wait", () => {
    const world = carriedWorld();
    const id = idOf(world);
    world.carrier.unprovable = true;
    world.hosts.fallback = "refused";
    world.hosts.tb = "refused";
    world.event().advance(1000);
    world.hosts.tb = "answers";
    world.event().advance(1000);
    world.hosts.fallback = "answers";
    world.hosts.tb = "link_down";
    world.event().advance(3000);
    assert.equal(idOf(world), id);
    assert.ok(!world.stepKinds.includes("unmount force"), String(world.stepKinds));
    world.carrier.unprovable = false;
    world.advance(10_000);
    assert.deepEqual([idOf(world), world.route], [id, "fallback"]);
  });

  test("A10 it cannot be proved as long as programs wait: then it is mounted anew, and why is told", () => {
    const world = carriedWorld();
    world.carrier.unprovable = true;
    world.hosts.fallback = "refused";
    world.event().advance(3000);
    world.hosts.fallback = "answers";
    world.hosts.tb = "refused";
    world.event().advance(world.policy.outagePatienceMs + 5000);
    assert.deepEqual(
      world.stepKinds.filter((kind) => kind !== "hold" && kind !== "check"),
      ["unmount force", "mount fallback carried"],
    );
    assert.match(
      JSON.stringify(world.transitions),
      /not proved to be the same server: they list different files/,
    );
  });

  test("A10 a proof that fails and says nothing: why it is mounted anew names the host", () => {
    const world = carriedWorld();
    world.carrier.unprovable = true;
    world.carrier.says = null;
    world.hosts.fallback = "refused";
    world.event().advance(3000);
    world.hosts.fallback = "answers";
    world.hosts.tb = "refused";
    world.event().advance(world.policy.outagePatienceMs + 5000);
    assert.equal(world.route, "fallback");
    assert.match(JSON.stringify(world.transitions), /not proved to be the same server: 10\.0\.2\.2"/);
  });

  for (const cut of ["refused", "link_down", "silent", "wedged"] as const) {
    test(`A10 ${cut}: the mount stays, and moves to the other route; open files do not matter`, () => {
      const world = carriedWorld();
      const id = idOf(world);
      world.holders = [7];
      world.hosts.tb = cut;
      world.event().advance(4000);
      assert.equal(idOf(world), id);
      assert.equal(world.route, "fallback");
      assert.deepEqual(
        world.stepKinds.filter((kind) => kind !== "hold"),
        ["move fallback"],
      );
      assert.ok(world.transitionNames.includes("share.failover"));
      assert.deepEqual(world.holders, [7]);
      assert.equal(world.memory.activeInterface, "fallback");
      assert.equal(world.memory.lastError, null);
    });
  }

  test("A10 both gone and back: programs wait, nothing is unmounted, and they go on over what comes back", () => {
    const world = carriedWorld();
    const id = idOf(world);
    world.holders = [7];
    world.hosts.tb = "silent";
    world.hosts.fallback = "silent";
    world.event().advance(20_000);
    assert.ok(world.conditionCodes.includes("waiting_for_route"));
    assert.match(world.memory.lastError ?? "", /both hosts are gone/);
    assert.equal(world.mount?.carried?.phase, "waiting");
    world.hosts.tb = "answers";
    world.event().advance(5000);
    assert.equal(idOf(world), id);
    assert.equal(world.mount?.carried?.phase, "carrying");
    assert.equal(world.memory.lastError, null);
    assert.ok(!world.stepKinds.some((kind) => kind.startsWith("unmount")), world.stepKinds.join());
  });

  test("A10 both gone while its carrier cannot be asked: the cycle ends all the same, and it is asked again", () => {
    const world = carriedWorld();
    const id = idOf(world);
    world.carrier.deaf = true;
    world.hosts.tb = "link_down";
    world.hosts.fallback = "link_down";
    world.event().advance(1000);
    assert.match(world.memory.lastError ?? "", /both hosts are gone/);
    assert.equal(world.mount?.carried?.phase, "carrying");
    world.carrier.deaf = false;
    world.advance(1000);
    assert.equal(world.mount?.carried?.phase, "waiting");
    assert.equal(idOf(world), id);
  });

  test("A10 a mount whose patience is over is not dead, and goes on when a route is back", () => {
    const world = carriedWorld();
    const id = idOf(world);
    world.hosts.tb = "refused";
    world.hosts.fallback = "refused";
    world.event().advance(PATIENCE_MS + 30_000);
    assert.equal(world.mount?.carried?.phase, "refusing");
    world.hosts.fallback = "answers";
    world.event().advance(5000);
    assert.equal(idOf(world), id);
    assert.equal(world.route, "fallback");
    assert.equal(world.mount?.carried?.phase, "carrying");
    assert.ok(!world.stepKinds.some((kind) => kind.startsWith("unmount")), world.stepKinds.join());
  });

  test("A10 it is not moved to a route whose server is another: it is mounted anew there", () => {
    const world = carriedWorld();
    world.hosts.fallback = "refused";
    world.advance(3000);
    world.carrier.servers.fallback = "another";
    world.hosts.fallback = "answers";
    world.advance(5000);
    assert.ok(world.conditionCodes.includes("different_servers"));
    world.fresh();
    world.hosts.tb = "refused";
    world.event().advance(5000);
    assert.deepEqual(
      world.stepKinds.filter((kind) => kind !== "hold"),
      ["check", "unmount force", "mount fallback"],
    );
  });

  test("A10 a NAS that restarts is proved to be the same before programs go on", () => {
    const world = carriedWorld();
    const id = idOf(world);
    world.hosts.tb = "refused";
    world.hosts.fallback = "refused";
    world.event().advance(15_000);
    world.hosts.tb = "answers";
    world.hosts.fallback = "answers";
    world.event().advance(5000);
    assert.equal(idOf(world), id);
    assert.ok(world.stepKinds.includes("confirm"));
    assert.equal(world.mount?.carried?.phase, "carrying");
  });

  test("A10 a server replaced under a mount: no handle is resumed, and it is mounted anew", () => {
    const world = carriedWorld();
    const id = idOf(world);
    world.hosts.tb = "refused";
    world.hosts.fallback = "refused";
    world.event().advance(5000);
    world.carrier.servers.tb = "another";
    world.carrier.servers.fallback = "another";
    world.hosts.tb = "answers";
    world.hosts.fallback = "answers";
    world.event().advance(5000);
    assert.ok(!world.stepKinds.includes("confirm"));
    assert.notEqual(world.mount?.id, id);
    assert.ok(world.stepKinds.includes("unmount force"));
    assert.match(
      JSON.stringify(world.transitions),
      /another server answers there: they list different files/,
    );
  });

  test("A10 a NAS that restarts and cannot be proved is mounted anew when patience is over, and why is told", () => {
    const world = carriedWorld();
    const id = idOf(world);
    world.hosts.tb = "refused";
    world.hosts.fallback = "refused";
    world.event().advance(5000);
    world.carrier.unprovable = true;
    world.hosts.tb = "answers";
    world.hosts.fallback = "answers";
    world.event().advance(world.policy.outagePatienceMs + 60_000);
    assert.notEqual(world.mount?.id, id);
    const told = JSON.stringify(world.transitions);
    assert.match(told, /the server is not proved to be the same: they list different files/);
    assert.doesNotMatch(told, /another server answers there/);
  });
});

describe("going back", () => {
  function overFallback(policy: Partial<SharePolicy> = {}): World {
    const world = carriedWorld(policy);
    world.hosts.tb = "refused";
    world.event().advance(3000);
    assert.equal(world.route, "fallback");
    world.hosts.tb = "answers";
    return world.event().fresh();
  }

  for (const [autoFailback, lsofRecheck] of [
    [true, true],
    [true, false],
    [false, true],
  ] as const) {
    test(`A10 auto_failback ${autoFailback}, lsof_recheck ${lsofRecheck}: it moves back over open files`, () => {
      const world = overFallback({ autoFailback, lsofRecheck });
      const id = idOf(world);
      world.holders = [7];
      world.advance(40_000);
      assert.equal(world.route, "tb");
      assert.equal(idOf(world), id);
      assert.deepEqual(world.stepKinds, ["move tb planned"]);
      assert.ok(world.transitionNames.includes("share.recovered"));
      assert.equal(world.memory.tbRecoveryPending, false);
    });
  }

  test("A10 tb is stable before its server is proved: it waits for that, and is not mounted anew meanwhile", () => {
    const world = overFallback();
    world.carrier.proofTakesMs = 60_000;
    world.hosts.tb = "refused";
    world.event().advance(1000);
    world.hosts.tb = "answers";
    world.event().advance(50_000);
    assert.deepEqual(world.stepKinds, []);
    assert.equal(world.route, "fallback");
    world.advance(20_000);
    assert.deepEqual(world.stepKinds, ["move tb planned"]);
  });

  test("A10 both toggles off: a person decides, and needs no --force", () => {
    const world = overFallback({ autoFailback: false, lsofRecheck: false });
    world.holders = [7];
    world.advance(60_000);
    assert.equal(world.route, "fallback");
    assert.equal(world.memory.tbRecoveryPending, true);
    world.ask({ kind: "switch", to: "tb" });
    assert.equal(world.lastOutcome?.result, "switched");
    assert.equal(world.route, "tb");
    assert.equal(world.memory.tbRecoveryPending, false);
    assert.deepEqual(world.holders, [7]);
  });

  test("A10 a held share stays where it is held", () => {
    const world = carriedWorld();
    world.ask({ kind: "switch", to: "fallback" });
    assert.equal(world.memory.held, "fallback");
    assert.equal(world.route, "fallback");
    world.advance(60_000);
    assert.equal(world.route, "fallback");
    world.ask({ kind: "switch", to: "auto" });
    world.advance(40_000);
    assert.equal(world.route, "tb");
  });
});

describe("a carried mount that is dead", () => {
  test("A10 its process is gone: it is mounted anew, carried", () => {
    const world = carriedWorld();
    assert.ok(world.mount !== null);
    world.mount.processGone = true;
    world.event().advance(1000);
    assert.deepEqual(world.stepKinds, ["check", "unmount force", "mount tb carried"]);
  });

  test("A10 its process ended while both routes were gone: when they are back its new mount waits for the proof, and is carried", () => {
    const world = carriedWorld();
    world.carrier.proofTakesMs = 400;
    assert.ok(world.mount !== null);
    world.hosts.tb = "silent";
    world.hosts.fallback = "silent";
    world.event().advance(5000);
    world.mount.processGone = true;
    world.event().advance(5000);
    world.hosts.tb = "answers";
    world.hosts.fallback = "answers";
    world.event().advance(5000);
    assert.equal(world.stepKinds.at(-1), "mount tb carried", world.stepKinds.join());
  });

  test("A10 unmounted by hand while its new mount waits for the proof: it stays unmounted", () => {
    const world = carriedWorld();
    world.carrier.proofTakesMs = 3000;
    world.hosts.fallback = "refused";
    world.advance(2000);
    if (world.mount !== null) world.mount.processGone = true;
    world.hosts.fallback = "answers";
    world.advance(2000);
    assert.equal(world.route, "none");
    world.fresh().ask({ kind: "unmount" });
    assert.equal(world.memory.held, "unmounted");
    world.advance(20_000);
    assert.deepEqual(world.stepKinds, []);
    assert.equal(world.memory.held, "unmounted");
  });

  test("A10 what could not be proved the last time is proved anew after its routes were gone: its new mount is carried again", () => {
    const world = carriedWorld();
    const endAndComeBack = (): void => {
      assert.ok(world.mount !== null);
      world.hosts.tb = "silent";
      world.hosts.fallback = "silent";
      world.event().advance(5000);
      world.mount.processGone = true;
      world.hosts.tb = "answers";
      world.hosts.fallback = "answers";
      world.event().advance(5000);
    };
    world.carrier.unprovable = true;
    endAndComeBack();
    assert.equal(world.stepKinds.at(-1), "mount tb", world.stepKinds.join());
    assert.ok(world.conditionCodes.includes("server_unproved"));
    world.carrier.unprovable = false;
    endAndComeBack();
    assert.equal(world.stepKinds.at(-1), "mount tb carried", world.stepKinds.join());
  });

  test("A10 unmounted, its routes gone and back: mounted again, it waits for the proof, and is carried", () => {
    const world = carriedWorld();
    world.carrier.proofTakesMs = 400;
    world.ask({ kind: "unmount" });
    world.hosts.tb = "refused";
    world.hosts.fallback = "refused";
    world.event().advance(5000);
    world.hosts.tb = "answers";
    world.hosts.fallback = "answers";
    world.event().ask({ kind: "mount" }).advance(5000);
    assert.equal(world.stepKinds.at(-1), "mount tb carried", world.stepKinds.join());
    assert.equal(world.lastOutcome?.result, "mounted");
  });

  test("A10 its process ended while both routes were gone, and another server is behind one of them then: mounted per route, and said so", () => {
    const world = carriedWorld();
    assert.ok(world.mount !== null);
    world.hosts.tb = "silent";
    world.hosts.fallback = "silent";
    world.event().advance(5000);
    world.mount.processGone = true;
    world.carrier.servers.fallback = "another";
    world.hosts.tb = "answers";
    world.hosts.fallback = "answers";
    world.event().advance(5000);
    assert.equal(world.stepKinds.at(-1), "mount tb", world.stepKinds.join());
    assert.ok(world.conditionCodes.includes("different_servers"));
  });

  test("A10 its looks fail while the server answers others: rclone gave them a lost connection, so it is dead after mount_hang_secs alone", () => {
    const world = carriedWorld();
    const { mount } = world;
    assert.ok(mount?.carried !== undefined);
    const failFor = (ms: number): void => {
      for (let passed = 0; passed < ms; passed += 100) {
        if (mount.carried !== undefined) mount.carried.lastAnswerAtMs = world.nowMs + 100;
        world.advance(100);
      }
    };
    mount.errno = "EIO";
    failFor(8_000);
    assert.equal(world.stepKinds.length, 0);
    mount.errno = null;
    world.advance(3_000);
    mount.errno = "EIO";
    failFor(8_000);
    assert.equal(world.stepKinds.length, 0, "it answered meanwhile");
    failFor(5_000);
    assert.ok(world.stepKinds.includes("mount tb carried"), world.stepKinds.join());
  });

  test("A10 it hangs right after a move: rclone makes its connections anew one after the other, so it has 20 s more", () => {
    const world = carriedWorld();
    world.hosts.tb = "refused";
    world.event().advance(2000);
    assert.equal(world.route, "fallback");
    const { mount } = world.fresh();
    assert.ok(mount !== null);
    mount.hung = true;
    world.advance(25_000);
    assert.equal(world.stepKinds.length, 0);
    world.advance(15_000);
    assert.ok(world.stepKinds.includes("mount fallback carried"), world.stepKinds.join());
  });

  test("A10 it hangs while its route answers: dead after mount_hang_secs", () => {
    const world = carriedWorld();
    assert.ok(world.mount !== null);
    world.mount.hung = true;
    world.advance(9000);
    assert.equal(world.stepKinds.length, 0);
    world.advance(8000);
    assert.ok(world.stepKinds.includes("mount tb carried"), world.stepKinds.join());
  });
});
