// Which route of a backend serves, and when it goes back to a better one.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fc, happening } from "../../../support/properties.ts";
import { AUTO, DRAIN_MS, RouteWorld, runs, STABLE_MS } from "./backend-world.ts";

function running(failback = AUTO): RouteWorld {
  const world = new RouteWorld(failback);
  world.look();
  world.advance(1_000);
  return world;
}

/** On the second route, with the first one back for the whole window but a moment. */
function nearlyBack(failback = AUTO): RouteWorld {
  const world = running(failback);
  world.cut("a", "ends");
  world.advance(1_000);
  assert.equal(world.used, "b");
  world.mend("a");
  world.advance(STABLE_MS - 1_000);
  assert.equal(world.used, "b");
  assert.equal(world.pending, null);
  return world;
}

describe("C2 failover", () => {
  it("C2 the first route serves, and no other is touched", () => {
    const world = running();
    world.advance(600_000);
    assert.equal(world.used, "a");
    assert.deepEqual(
      world.steps.filter(({ kind }) => kind === "start").length,
      1,
      "what is worse is not even looked at",
    );
    assert.deepEqual(world.told, []);
  });

  for (const how of ["ends", "unreachable"] as const) {
    it(`C2 each is cut in turn (${how}): the next working one serves, and calls wait until then`, () => {
      const world = running();
      for (const [key, next] of [
        ["a", "b"],
        ["b", "c"],
      ] as const) {
        world.cut(key, how);
        const { calls, gate } = world.decision ?? assert.fail();
        assert.ok(
          calls.kind === "wait" || gate.kind === "wait",
          "nothing is refused, and nothing sent there",
        );
        world.advance(1_000);
        assert.equal(world.used, next);
        assert.equal(world.decision?.gate.kind, "open");
      }
      assert.deepEqual(world.told, ["failover a b", "failover b c"]);
    });
  }

  it("C2 a route that answers the second check stays in use", () => {
    const world = running();
    world.cut("a", "unreachable");
    assert.equal(world.decision?.gate.kind, "wait");
    world.mend("a");
    world.advance(1_000);
    assert.equal(world.used, "a");
    assert.equal(world.decision?.gate.kind, "open");
    assert.deepEqual(world.told, []);
  });

  it("C2 calls wait also while the next route may not start yet, and while its own is started again", () => {
    const world = new RouteWorld(AUTO, ["a", "b"]);
    world.look();
    world.advance(1_000);
    world.mayStart = false;
    world.fates.set("a", "hangs");
    world.advance(60_000);
    assert.equal(world.memory.serving?.isUnhealthy, true);
    assert.deepEqual([world.attempt("a"), world.attempt("b")], [null, null]);
    assert.equal(world.decision?.gate.kind, "wait", "for its turn");
    world.fates.set("b", "fails");
    world.mayStart = true;
    const gates = new Set<string | undefined>();
    for (let step = 0; step < 100; step += 1) {
      world.advance(100);
      if (world.attempt("a") !== null) gates.add(world.decision?.gate.kind);
    }
    assert.deepEqual([...gates], ["wait"]);
  });

  it("C2 a route that does not start is replaced by the next at the very start", () => {
    const world = new RouteWorld();
    world.fates.set("a", "fails");
    world.fates.set("b", "fails");
    world.look();
    world.advance(2_000);
    assert.equal(world.used, "c");
  });
});

describe("C2 recovery", () => {
  const table = [
    { byItself: true, calls: false, outcome: "goes" },
    { byItself: true, calls: true, outcome: "waits, then goes" },
    { byItself: false, calls: false, outcome: "waits" },
    { byItself: false, calls: true, outcome: "waits" },
  ];
  for (const { byItself: isAutomatic, calls, outcome } of table) {
    it(`C2 ${isAutomatic ? "automatically" : "by hand"}, ${calls ? "a call" : "no call"} in flight: it ${outcome}`, () => {
      const world = nearlyBack({ ...AUTO, isAutomatic });
      if (calls) world.call(20_000);
      world.advance(2_400);
      assert.equal(world.used, outcome === "goes" ? "a" : "b");
      assert.equal(world.pending, outcome === "goes" ? null : "a");
      world.advance(25_000);
      assert.equal(world.used, outcome === "waits" ? "b" : "a");
      const isBack = outcome !== "waits";
      assert.equal(world.pending, isBack ? null : "a");
      const ready = outcome === "goes" ? [] : ["ready a"];
      assert.deepEqual(world.told, ["failover a b", ...ready, ...(isBack ? ["recovered b a"] : [])]);
    });
  }

  it("C2 a failback that waited for a person happens automatically once it may, and waits for the calls from then on", () => {
    const world = nearlyBack({ ...AUTO, isAutomatic: false });
    world.advance(2 * DRAIN_MS);
    assert.equal(world.pending, "a");
    world.call(20_000);
    world.set({ isAutomatic: true });
    world.advance(15_000);
    assert.deepEqual([world.used, world.pending], ["b", "a"]);
    world.advance(10_000);
    assert.deepEqual([world.used, world.pending], ["a", null]);
  });

  it("C2 a call that does not end delays it by drain_timeout, and is then left to end there", () => {
    const world = nearlyBack();
    world.call(1_000_000);
    world.advance(DRAIN_MS);
    assert.equal(world.used, "b");
    assert.equal(world.pending, "a");
    world.advance(5_000);
    assert.equal(world.used, "a");
    assert.equal(world.memory.draining.length, 1, "it goes on where it is");
    world.advance(DRAIN_MS + 1_000);
    assert.equal(world.memory.draining.length, 0);
  });

  it("C2 each drop restarts the window, and ends a pending failback", () => {
    const world = nearlyBack();
    world.cut("a", "ends");
    world.mend("a");
    world.advance(STABLE_MS - 1_000);
    assert.equal(world.used, "b");
    world.advance(5_000);
    assert.equal(world.used, "a");
  });

  it("C2 a pending failback ends with its route", () => {
    const world = nearlyBack({ ...AUTO, isAutomatic: false });
    world.advance(5_000);
    assert.equal(world.pending, "a");
    world.cut("a", "ends");
    assert.equal(world.pending, null);
    assert.deepEqual(world.told.slice(-2), ["ready a", "cleared a"]);
  });

  it("C2 a better route that becomes ready replaces the pending one", () => {
    const world = running({ ...AUTO, isAutomatic: false });
    world.cut("a", "ends");
    world.cut("b", "ends");
    world.advance(1_000);
    assert.equal(world.used, "c");
    world.mend("b");
    world.advance(2 * STABLE_MS);
    assert.equal(world.pending, "b");
    world.mend("a");
    world.advance(3 * STABLE_MS);
    assert.equal(world.pending, "a");
    assert.deepEqual(world.told.slice(-3), ["ready b", "cleared b", "ready a"]);
  });

  it("C2 a pending failback ends with a backend that is no longer wanted", () => {
    const world = nearlyBack({ ...AUTO, isAutomatic: false });
    world.advance(5_000);
    world.edit({ wanted: { kind: "nothing", because: "disabled" } });
    assert.equal(world.pending, null);
    assert.deepEqual(world.told.slice(-2), ["ready a", "cleared a"]);
  });

  it("C2 a better route that leaves one check without an answer is no longer pending, and restarts its window", () => {
    const world = nearlyBack({ ...AUTO, isAutomatic: false });
    world.advance(2_400);
    assert.equal(world.pending, "a");
    world.fates.set("a", "hangs");
    world.advance(5_100);
    assert.deepEqual([world.pending, world.attempt("a") === null], [null, false]);
    world.advance(2 * 5_000);
    assert.equal(world.attempt("a"), null, "three checks without an answer are too many");
  });

  it("C2 a better route that cannot be reached is given up at once", () => {
    const world = nearlyBack();
    world.cut("a", "unreachable");
    assert.equal(world.attempt("a"), null);
  });

  it("C2 it fails back only to a route that answers at the end of the window", () => {
    const world = nearlyBack();
    world.fates.set("a", "hangs");
    world.advance(3_000);
    assert.deepEqual([world.used, world.told], ["b", ["failover a b"]]);
  });

  it("C2 a route that stays unreachable is probed at increasing intervals", () => {
    const world = running();
    world.cut("a", "ends");
    world.advance(1_000);
    const before = world.steps.length;
    world.advance(600_000);
    const starts = world.steps.slice(before).filter(({ kind }) => kind === "start").length;
    assert.ok(starts >= 8 && starts <= 20, `${starts} in ten minutes`);
    assert.equal(world.used, "b");
  });

  it("C2 it takes over at once when the route in use fails", () => {
    const world = nearlyBack();
    world.cut("b", "ends");
    assert.equal(world.used, "a");
    assert.deepEqual(world.told, ["failover a b", "failover b a"]);
  });
});

describe("C2 by hand", () => {
  it("C2 a switch needs no window, and overrides unless it is to the first route", () => {
    const world = running();
    world.switchTo("b");
    world.advance(1_000);
    assert.equal(world.used, "b");
    assert.equal(world.memory.routes.override, "b");
    world.advance(300_000);
    assert.equal(world.used, "b", "what is held does not go back");
    assert.equal(world.pending, null);
    world.switchTo("a");
    world.advance(1_000);
    assert.equal(world.used, "a");
    assert.equal(world.memory.routes.override, null);
    const events = ["switched a b", "asked_done b", "switched b a", "asked_done a"];
    assert.deepEqual(world.told.toSorted(), events.toSorted());
  });

  it("C2 an override keeps a backend from failing back automatically", () => {
    const world = nearlyBack({ ...AUTO, isAutomatic: false });
    world.advance(2_400);
    assert.equal(world.pending, "a");
    world.switchTo("b");
    assert.deepEqual([world.used, world.pending, world.memory.routes.override], ["b", null, "b"]);
  });

  it("C2 a switch to an unreachable route changes nothing", () => {
    const world = running();
    world.fates.set("c", "fails");
    world.switchTo("c");
    world.advance(1_000);
    assert.equal(world.used, "a");
    assert.equal(world.memory.routes.override, null);
    assert.deepEqual(world.told, ["asked_failed c"]);
    world.switchTo("nowhere");
    assert.deepEqual(world.told, ["asked_failed c", "asked_failed nowhere"]);
  });

  it("C2 while required data is away nothing is switched", () => {
    const world = running();
    world.setData("away", "hide");
    world.switchTo("b");
    assert.deepEqual(world.told, ["asked_failed b"]);
  });

  it("C2 a switch elsewhere ends a pending failback", () => {
    const world = nearlyBack({ ...AUTO, isAutomatic: false });
    world.advance(2_400);
    world.switchTo("c");
    world.advance(1_000);
    assert.deepEqual([world.used, world.pending], ["c", null]);
    assert.ok(world.told.includes("cleared a"));
  });

  it("C2 a route without its secret cannot be switched to", () => {
    const world = running();
    const list = [...world.routes.list, { name: "d", key: null }];
    world.edit({ routes: { ...world.routes, list } });
    world.switchTo("d");
    assert.deepEqual(world.told, ["asked_failed d"]);
  });

  it("C2 a request for a route of a backend that is then disabled is answered", () => {
    const world = running();
    world.switchTo("b");
    assert.deepEqual(world.told, []);
    world.spec = { ...world.spec, wanted: { kind: "nothing", because: "disabled" }, revision: 1 };
    world.look();
    assert.deepEqual(world.told, ["asked_failed b"]);
  });

  it("C2 the route in use can also be overridden", () => {
    const world = nearlyBack();
    world.switchTo("b");
    assert.deepEqual(world.told, ["failover a b", "asked_done b"]);
    world.advance(300_000);
    assert.equal(world.used, "b");
    world.release();
    world.advance(STABLE_MS + 5_000);
    assert.equal(world.used, "a");
  });
});

describe("C2 edits", () => {
  it("C2 the route in use is removed: the next is ready before it drains", () => {
    const world = running();
    world.call(5_000);
    world.offer("b", "c");
    assert.equal(world.used, "a", "it serves on");
    world.advance(1_000);
    assert.equal(world.used, "b");
    assert.equal(world.memory.draining[0]?.why, "replaced");
    assert.deepEqual(world.told, ["switched a b"]);
  });

  it("C2 routes that are added disturb nothing", () => {
    const world = new RouteWorld(AUTO, ["a", "b"]);
    world.look();
    world.advance(1_000);
    const { serving } = world.memory;
    world.offer("a", "b", "c");
    world.advance(60_000);
    assert.deepEqual(world.memory.serving, serving);
  });

  it("C2 a better one that is added is switched to after its window", () => {
    const world = running();
    world.offer("new", "a", "b");
    world.advance(STABLE_MS - 1_000);
    assert.equal(world.used, "a");
    world.advance(5_000);
    assert.equal(world.used, "new");
  });

  it("C2 once it has no routes, nothing of them is left", () => {
    const world = nearlyBack();
    world.edit(runs("b"));
    world.advance(1_000);
    assert.deepEqual([world.instances.length, world.used], [1, "b"]);
  });

  it("C2 a restart stays on its route", () => {
    const world = nearlyBack();
    world.restart();
    world.advance(1_000);
    assert.equal(world.used, "b");
    assert.equal(world.memory.serving?.epoch, 1);
  });
});

const key = fc.constantFrom("a", "b", "c");
const span = fc.oneof(fc.nat(400), fc.nat(5_000), fc.nat(60_000));
const happenings = fc.oneof(
  happening(5, "advance", { ms: span }),
  happening(4, "cut", { key, how: fc.constantFrom("ends" as const, "unreachable" as const) }),
  happening(4, "mend", { key }),
  happening(3, "call", { ms: span }),
  happening(2, "ask", { key }),
  happening(1, "edit", { names: fc.shuffledSubarray(["a", "b", "c"], { minLength: 1 }) }),
  happening(1, "toggle", { byItself: fc.boolean() }),
  happening(1, "restart"),
  happening(1, "release"),
);
type Happening = typeof happenings extends fc.Arbitrary<infer One> ? One : never;

function happen(world: RouteWorld, one: Happening): void {
  if (one.do === "cut") world.cut(one.key, one.how);
  else if (one.do === "mend") world.mend(one.key);
  else if (one.do === "call") world.call(one.ms);
  else if (one.do === "advance") world.advance(one.ms);
  else if (one.do === "ask") world.switchTo(one.key);
  else if (one.do === "edit") world.offer(...one.names);
  else if (one.do === "toggle") world.set({ isAutomatic: one.byItself });
  else if (one.do === "restart") world.restart();
  else world.release();
}

it("C2 in every world the best working route serves in the end, and nothing else is left", () => {
  fc.assert(
    fc.property(fc.array(happenings, { maxLength: 40 }), fc.subarray(["a", "b", "c"]), (all, down) => {
      const world = new RouteWorld();
      world.look();
      for (const one of all) happen(world, one);
      // The world comes to rest: some servers are there, nobody holds anything.
      for (const name of ["a", "b", "c"]) world.mend(name);
      for (const name of down) world.cut(name, "unreachable");
      world.set({ isAutomatic: true });
      world.advance(20_000);
      world.release();
      world.advance(400_000);
      const best = world.routes.list.find(({ name }) => !world.isDown(name))?.name ?? null;
      // What an edit took out goes on while nothing of what is left works.
      const isOut = !world.routes.list.some(({ key }) => key === world.used);
      if (best !== null || !isOut) assert.equal(world.used, best);
      const settled = world.instances.filter(({ observed }) => observed.state.kind === "ready");
      assert.equal(settled.length, world.used === null ? 0 : 1);
    }),
  );
});
