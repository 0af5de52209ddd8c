// Which route of a backend serves, and when it goes back to a better one.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fc, happening } from "../../../support/properties.ts";
import { tellStories, type Words } from "../../../support/stories.ts";
import { AUTO, type Fate, RouteWorld, runs, STABLE_MS } from "./backend-world.ts";

const BY_HAND = { ...AUTO, isAutomatic: false };

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
  assert.deepEqual([world.used, world.pending], ["b", null]);
  return world;
}

const starts = ({ steps }: RouteWorld): number => steps.filter(({ kind }) => kind === "start").length;

/** How calls pass, in the next ten seconds, whenever a start of that route is under way. */
function gatesAtTries(world: RouteWorld, key: string): unknown[] {
  const gates = new Set<string | undefined>();
  for (let step = 0; step < 100; step += 1) {
    world.advance(100);
    if (world.attempt(key) !== null) gates.add(world.decision?.gate.kind);
  }
  return [...gates];
}

const WORDS: Words<RouteWorld> = {
  starts: {
    "on a": () => running(),
    "on a by hand": () => running(BY_HAND),
    "nearly back": () => nearlyBack(),
    "nearly back by hand": () => nearlyBack(BY_HAND),
    "before the first look": () => new RouteWorld(),
    "a and b alone": () => new RouteWorld(AUTO, ["a", "b"]),
  },
  acts: [
    [/^look$/, (world) => world.look()],
    [/^([\d.]+) s$/, (world, seconds) => world.advance(Number(seconds) * 1_000)],
    [/^cut (\w)$/, (world, key = "") => world.cut(key, "ends")],
    [/^(\w) is out of reach$/, (world, key = "") => world.cut(key, "unreachable")],
    [/^mend (\w)$/, (world, key = "") => world.mend(key)],
    [/^(\w) (works|fails|hangs)$/, (world, key = "", fate) => void world.fates.set(key, fate as Fate)],
    [/^call for (\d+) s$/, (world, seconds) => world.call(Number(seconds) * 1_000)],
    [/^switch (\w+)$/, (world, key = "") => world.switchTo(key)],
    [/^release$/, (world) => world.release()],
    [/^restart$/, (world) => world.restart()],
    [/^by itself$/, (world) => world.set({ isAutomatic: true })],
    [/^offer (.*)$/, (world, names = "") => world.offer(...names.split(" "))],
    [/^only b$/, (world) => world.edit(runs("b"))],
    [/^disabled$/, (world) => world.edit({ wanted: { kind: "nothing", because: "disabled" } })],
    [
      /^disabled in the same turn$/,
      (world) => {
        world.spec = { ...world.spec, wanted: { kind: "nothing", because: "disabled" }, revision: 1 };
        world.look();
      },
    ],
    [
      /^add d without its secret$/,
      (world) =>
        world.edit({ routes: { ...world.routes, list: [...world.routes.list, { name: "d", key: null }] } }),
    ],
    [/^data goes$/, (world) => world.setData("away", "hide")],
    [
      /^may (not )?start$/,
      (world, not) => {
        world.mayStart = not === undefined;
      },
    ],
  ],
  facts: [
    [/^on (\w+)$/, (world, name) => [world.used, name]],
    [/^pending (\w+)$/, (world, name) => [world.pending, name === "nothing" ? null : name]],
    [/^held (\w+)$/, (world, name) => [world.memory.routes.override, name === "nothing" ? null : name]],
    [/^told ?(.*)$/, (world, told = "") => [world.told.join(" - "), told]],
    [
      /^last told (.*)$/,
      (world, told = "") => [world.told.slice(-told.split(" - ").length).join(" - "), told],
    ],
    [/^calls (wait|pass)$/, ({ decision }, how) => [decision?.gate.kind, how === "wait" ? "wait" : "open"]],
    [
      /^nothing is refused or sent there$/,
      ({ decision }) => [decision?.calls.kind === "wait" || decision?.gate.kind === "wait", true],
    ],
    [/^(\w) is (not )?tried$/, (world, key = "", not) => [world.attempt(key) === null, not !== undefined]],
    [/^(\d+) starts?$/, (world, count) => [starts(world), Number(count)]],
    [
      /^(\d+) to (\d+) starts$/,
      (world, least, most) => [starts(world) >= Number(least) && starts(world) <= Number(most), true],
    ],
    [/^(\d) drains?$/, ({ memory }, count) => [memory.draining.length, Number(count)]],
    [/^the old one is replaced$/, ({ memory }) => [memory.draining[0]?.why, "replaced"]],
    [/^(\d) instances?$/, ({ instances }, count) => [instances.length, Number(count)]],
    [/^serves in epoch (\d)$/, ({ memory }, epoch) => [memory.serving?.epoch, Number(epoch)]],
    [/^serves unhealthy$/, ({ memory }) => [memory.serving?.isUnhealthy, true]],
    [/^calls wait at each try of (\w)$/, (world, key = "") => [gatesAtTries(world, key), ["wait"]]],
    [/^serves (\d)$/, ({ memory }, id) => [memory.serving?.id, Number(id)]],
  ],
};

const stories = (text: string): void => tellStories(WORDS, text);

describe("failover", () => {
  stories(`
C2 the first route serves, and no other is touched
  on a, 600 s: on a, 1 start, told
C2 each is cut in turn: the next working one serves, and calls wait until then
  on a, cut a: nothing is refused or sent there; 1 s: on b, calls pass
  cut b: nothing is refused or sent there; 1 s: on c, calls pass, told failover a b - failover b c
  on a, a is out of reach: nothing is refused or sent there; 1 s: on b, calls pass
  b is out of reach: nothing is refused or sent there; 1 s: on c, calls pass, told failover a b - failover b c
C2 a route that answers the second check stays in use
  on a, a is out of reach: calls wait; mend a, 1 s: on a, calls pass, told
C2 calls wait also while the next route may not start yet, and while its own is started again
  a and b alone, look, 1 s, may not start, a hangs, 60 s: serves unhealthy, a is not tried, b is not tried, calls wait
  b fails, may start: calls wait at each try of a
C2 a route that does not start is replaced by the next at the very start
  before the first look, a fails, b fails, look, 2 s: on c
`);
});

describe("recovery", () => {
  stories(`
C2 automatically, no call in flight: it goes
  nearly back, 2.4 s: on a, pending nothing; 25 s: on a, pending nothing, told failover a b - recovered b a
C2 automatically, a call in flight: it waits, then goes
  nearly back, call for 20 s, 2.4 s: on b, pending a; 25 s: on a, pending nothing, told failover a b - ready a - recovered b a
C2 by hand, a call in flight or none: it waits
  nearly back by hand, 2.4 s: on b, pending a; 25 s: on b, pending a, told failover a b - ready a
  nearly back by hand, call for 20 s, 2.4 s: on b, pending a; 25 s: on b, pending a, told failover a b - ready a
C2 a failback that waited for a person happens automatically once it may, and waits for the calls from then on
  nearly back by hand, 60 s: pending a; call for 20 s, by itself, 15 s: on b, pending a; 10 s: on a, pending nothing
C2 a call that does not end delays it by drain_timeout, and is then left to end there
  nearly back, call for 1000 s, 30 s: on b, pending a; 5 s: on a, 1 drain; 31 s: 0 drains
C2 each drop restarts the window, and ends a pending failback
  nearly back, cut a, mend a, 29 s: on b; 5 s: on a
C2 a pending failback ends with its route
  nearly back by hand, 5 s: pending a; cut a: pending nothing, last told ready a - cleared a
C2 a better route that becomes ready replaces the pending one
  on a by hand, cut a, cut b, 1 s: on c; mend b, 60 s: pending b; mend a, 90 s: pending a, last told ready b - cleared b - ready a
C2 a pending failback ends with a backend that is no longer wanted
  nearly back by hand, 5 s, disabled: pending nothing, last told ready a - cleared a
C2 a better route that leaves one check without an answer is no longer pending, and restarts its window
  nearly back by hand, 2.4 s: pending a; a hangs, 5.1 s: pending nothing, a is tried; 10 s: a is not tried
C2 a better route that cannot be reached is given up at once
  nearly back: a is tried; a is out of reach: a is not tried
C2 it fails back only to a route that answers at the end of the window
  nearly back, a hangs, 3 s: on b, told failover a b
C2 a route that stays unreachable is probed at increasing intervals
  on a, cut a, 601 s: 10 to 22 starts, on b
C2 it takes over at once when the route in use fails
  nearly back, cut b: on a, told failover a b - failover b a
`);
});

describe("by hand", () => {
  stories(`
C2 a switch needs no window, and overrides unless it is to the first route
  on a, switch b, 1 s: on b, held b; 300 s: on b, pending nothing; switch a, 1 s: on a, held nothing
  : told asked_done b - switched a b - asked_done a - switched b a
C2 an override keeps a backend from failing back automatically
  nearly back by hand, 2.4 s: pending a; switch b: on b, pending nothing, held b
C2 a switch to an unreachable route changes nothing
  on a, c fails, switch c, 1 s: on a, held nothing, told asked_failed c; switch nowhere: told asked_failed c - asked_failed nowhere
C2 while required data is away nothing is switched
  on a, data goes, switch b: told asked_failed b
C2 a switch elsewhere ends a pending failback
  nearly back by hand, 2.4 s: pending a; switch c, 1 s: on c, pending nothing, told failover a b - ready a - cleared a - asked_done c - switched b c
C2 a route without its secret cannot be switched to
  on a, add d without its secret, switch d: told asked_failed d
C2 a request for a route of a backend that is then disabled is answered
  on a, switch b: told; disabled in the same turn: told asked_failed b
C2 the route in use can also be overridden
  nearly back, switch b: told failover a b - asked_done b; 300 s: on b; release, 35 s: on a
`);
});

describe("edits", () => {
  stories(`
C2 the route in use is removed: the next is ready before it drains
  on a, call for 5 s, offer b c: on a; 1 s: on b, the old one is replaced, told switched a b
C2 routes that are added disturb nothing
  a and b alone, look, 1 s: serves 1; offer a b c, 60 s: serves 1, on a, 1 start
C2 a better one that is added is switched to after its window
  on a, offer new a b, 29 s: on a; 5 s: on new
C2 once it has no routes, nothing of them is left
  nearly back, only b, 1 s: 1 instance, on b
C2 a restart stays on its route
  nearly back, restart, 1 s: on b, serves in epoch 1
`);
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
