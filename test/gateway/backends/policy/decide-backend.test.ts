// One backend in random worlds, and the waits of its policy.
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import {
  BackendSituation,
  type BackendSpec,
} from "../../../../src/gateway/backends/policy/backend-situation.ts";
import { dataGate, updateNeeds } from "../../../../src/gateway/backends/policy/data-gate.ts";
import {
  type BackendDecision,
  decideBackend,
  STEP_RULES,
} from "../../../../src/gateway/backends/policy/decide-backend.ts";
import { updatePreference } from "../../../../src/gateway/backends/policy/decide-preference.ts";
import { updateAttempts } from "../../../../src/gateway/backends/policy/decide-route.ts";
import { isSuspect, updateServing } from "../../../../src/gateway/backends/policy/decide-serving.ts";
import { updateSleep } from "../../../../src/gateway/backends/policy/decide-sleep.ts";
import { nextRoute, nextTries } from "../../../../src/gateway/backends/policy/retries.ts";
import { isoTime } from "../../../../src/runtime/time/clock.ts";
import { deepFreeze } from "../../../support/deep-freeze.ts";
import { fc, happening, runsOf } from "../../../support/properties.ts";
import { BackendWorld, DRAIN_MS, type Fate, RouteWorld, runs, SleepWorld } from "./backend-world.ts";

const keys = fc.constantFrom("k1", "k2", "k3");
const nothing = (because: "removed" | "disabled") => fc.constant({ kind: "nothing" as const, because });
const wanted: fc.Arbitrary<BackendSpec["wanted"]> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: "secret_missing" as const, variables: ["TOKEN"] }) },
  { weight: 1, arbitrary: nothing("removed") },
  { weight: 1, arbitrary: nothing("disabled") },
);
const span = fc.oneof(fc.nat(400), fc.nat(20_000), fc.nat(90_000));
const edit = (change: Partial<BackendSpec>) => ({ do: "edit" as const, change });
const events = (replaces: readonly BackendSpec["replace"][]) =>
  fc.oneof(
    happening(5, "advance", { ms: span }),
    { weight: 2, arbitrary: keys.map((key) => edit(runs(key))) },
    { weight: 1, arbitrary: wanted.map((one) => edit({ wanted: one })) },
    { weight: 1, arbitrary: fc.constantFrom(...replaces).map((replace) => edit({ replace })) },
    happening(2, "fate", { key: keys, fate: fc.constantFrom<Fate>("works", "fails", "hangs") }),
    happening(3, "call", { ms: span }),
    happening(1, "jitter", { value: fc.double({ min: 0, max: 1, noNaN: true }) }),
    happening(1, "stale", { because: fc.constantFrom("no answer", null) }),
    happening(2, "data", {
      kind: fc.constantFrom("there" as const, "away" as const, "moving" as const),
      mode: fc.constantFrom("hide" as const, "stop" as const, "error" as const),
    }),
    ...(["restart", "crash", "deaf", "hear", "doubt"] as const).map((what) => happening(1, what)),
  );
type Event = typeof events extends (...given: never) => fc.Arbitrary<infer One> ? One : never;

function happen(world: BackendWorld, event: Event): void {
  if (event.do === "edit") world.edit(event.change);
  else if (event.do === "fate") world.fates.set(event.key, event.fate);
  else if (event.do === "call") world.call(event.ms);
  else if (event.do === "advance") world.advance(event.ms);
  else if (event.do === "jitter") world.jitter = event.value;
  else if (event.do === "stale") world.makeStale(event.because);
  else if (event.do === "data") world.setData(event.kind, event.mode);
  else if (event.do === "restart") world.restart();
  else if (event.do === "crash") world.crash();
  else if (event.do === "deaf") world.turnDeaf();
  else if (event.do === "hear") world.resumeSignals();
  else {
    world.checkAsked = true;
    world.look();
  }
}

/** Everything works from here on; longer than any backoff, drain and close together. */
function calm(world: BackendWorld): void {
  for (const key of ["k1", "k2", "k3"]) world.fates.set(key, "works");
  world.setData("there", "hide");
  world.resumeSignals();
  world.makeStale(null);
  world.advance(240_000);
}

function assertAsWanted(world: BackendWorld): void {
  const { spec, decision, instances } = world;
  assert.ok(decision !== null);
  switch (spec.wanted.kind) {
    case "connection":
      assert.equal(decision.phase, "Ready");
      assert.equal(world.serving?.observed.key, spec.routes.list[0]?.key);
      assert.equal(world.memory.serving?.epoch, spec.epoch);
      assert.equal(instances.length, 1);
      assert.deepEqual(decision.conditions, []);
      break;
    case "secret_missing":
      assert.equal(decision.phase, world.serving === null ? "Failed" : "Degraded");
      assert.equal(instances.length, world.serving === null ? 0 : 1);
      assert.equal(decision.conditions.length, 1);
      break;
    case "nothing":
      assert.equal(decision.phase, "Pending");
      assert.equal(instances.length, 0);
      assert.deepEqual(decision.conditions, []);
  }
  assert.deepEqual(world.memory.draining, []);
  assert.deepEqual(world.memory.closing, []);
}

const RUNS = { numRuns: runsOf(400) };

describe("decideBackend in random worlds", () => {
  const keepsPromises = (replaces: readonly BackendSpec["replace"][]): void => {
    fc.assert(
      fc.property(fc.array(events(replaces), { maxLength: 60, size: "max" }), (happenings) => {
        const world = new BackendWorld();
        world.edit({ replace: replaces[0] ?? "overlap" });
        for (const event of happenings) happen(world, event);
        calm(world);
        assertAsWanted(world);
      }),
      RUNS,
    );
  };

  it("B7 overlap: an old one that could serve is never withdrawn, no call in flight is cut before its time, and once calm the wanted one serves", () => {
    keepsPromises(["overlap"]);
  });

  it("B7 stop-first: no two run at the same time, and calls have the same guarantees", () => {
    keepsPromises(["stop-first"]);
  });

  it("B7 the mode of replacement may itself be edited at any time", () => {
    keepsPromises(["overlap", "stop-first"]);
  });
});

describe("decideBackend of backends that may sleep, in random worlds", () => {
  const event = fc.oneof(happening(3, "need", { isNeeded: fc.boolean() }), {
    weight: 9,
    arbitrary: events(["overlap", "stop-first"]),
  });

  it("B2 it sleeps only while it is not needed, no call in flight is cut for it, and once calm it starts and sleeps again", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(event, { maxLength: 60, size: "max" }), (onDemand, happenings) => {
        const world = new SleepWorld(onDemand);
        world.edit({});
        for (const one of happenings) {
          if (one.do === "need") world.need(one.isNeeded);
          else happen(world, one);
        }
        world.need(true);
        calm(world);
        assertAsWanted(world);
        if (world.spec.wanted.kind !== "connection") return;
        world.need(false);
        world.advance(120_000);
        assert.deepEqual([world.decision?.phase, world.instances.length], ["Asleep", 0]);
        assert.equal(world.decision?.calls.kind, "wait");
        world.need(true);
        world.advance(1_000);
        assert.equal(world.decision?.phase, "Ready");
      }),
      RUNS,
    );
  });
});

describe("decideBackend", () => {
  it("waits for its turn to start, and keeps the running instance until then", () => {
    const world = new BackendWorld();
    world.mayStart = false;
    world.edit({});
    assert.equal(world.decision?.wantsTurn, true);
    assert.equal(world.instances.length, 0);
    world.mayStart = true;
    world.look();
    world.advance(1_000);
    world.mayStart = false;
    world.edit(runs("k2"));
    world.advance(60_000);
    assert.equal(world.decision?.wantsTurn, true);
    assert.equal(world.serving?.observed.key, "k1");
  });

  it("lengthens or shortens a wait by half, never beyond a minute", () => {
    for (const [jitter, waitMs] of [
      [0, 500],
      [1, 1_500],
    ] as const) {
      const world = new BackendWorld();
      world.jitter = jitter;
      world.fates.set("k1", "fails");
      world.edit({});
      world.advance(300);
      assert.equal(world.decision?.retryAtMs, world.nowMs + waitMs);
    }
  });

  it("dates a condition from its start, and reports nothing about a settled world", () => {
    const world = new BackendWorld();
    world.edit({ wanted: { kind: "secret_missing", variables: ["A", "B"] } });
    const since = world.nowMs;
    world.advance(5_000);
    assert.equal(world.decision?.conditions[0]?.since, isoTime(since));
    assert.match(world.decision?.reason ?? "", /A, B/);
    assert.deepEqual(world.events, []);
  });

  it("C3 a program whose share remounts ends its calls within drain_timeout, however long the remount takes", () => {
    const world = new BackendWorld();
    world.look();
    world.advance(5_000);
    world.call(1_000_000);
    world.setData("moving", "hide");
    world.advance(DRAIN_MS - 1_000);
    assert.equal(world.instances.length, 1);
    world.advance(5_000);
    assert.equal(world.instances.length, 0);
  });
});

test("C1 calls wait for a remount only if the backend served, or was about to", () => {
  for (const fate of ["works", "fails"] as const) {
    const world = new BackendWorld();
    world.fates.set("k1", fate);
    world.edit({});
    world.advance(1_000);
    world.setData("moving", "hide");
    world.setData("there", "hide");
    assert.equal(world.decision?.calls.kind, fate === "works" ? "wait" : "refuse");
  }
});

test("C3 lists that could not be read are requested again, until they are read", () => {
  const world = new BackendWorld();
  world.look();
  world.advance(1_000);
  const refreshes = () => world.steps.filter(({ kind }) => kind === "refresh").length;
  world.advance(120_000);
  assert.equal(refreshes(), 0, "nothing is stale");
  world.makeStale("no answer");
  world.advance(60_000);
  assert.equal(refreshes(), 1);
  assert.equal(world.memory.refresh, null);
  world.advance(120_000);
  assert.equal(refreshes(), 1);
});

test("B7 stop-first: one that answers no check is not restored when its change is undone", () => {
  const world = new BackendWorld();
  world.edit({ replace: "stop-first" });
  world.advance(1_000);
  world.call(20_000);
  const { serving } = world;
  assert.ok(serving !== null);
  world.edit(runs("k2"));
  serving.observed = { ...serving.observed, missedChecks: 3 };
  world.edit(runs("k1"));
  assert.notEqual(world.decision?.calls.kind, "serve");
  world.advance(60_000);
  assert.equal(world.serving?.observed.missedChecks, 0);
});

const QUESTIONS: readonly ((situation: BackendSituation) => unknown)[] = [
  ...[dataGate, isSuspect, nextRoute, nextTries],
  ...[updateServing, updateAttempts, updateSleep, updatePreference, updateNeeds],
  ...STEP_RULES.map(({ answer }) => answer),
  ({ healthyServing, requested, attempt }) => [healthyServing, requested, attempt],
  ({ spec, observed, memory, now }) => decideBackend(spec, observed, memory, now),
];

const happenings = fc.oneof(
  happening(4, "advance", { ms: fc.oneof(fc.nat(400), fc.nat(5_000), fc.nat(60_000)) }),
  happening(2, "fate", { key: fc.constantFrom("a", "b", "c"), works: fc.boolean() }),
  happening(2, "data", { kind: fc.constantFrom("there" as const, "away" as const, "moving" as const) }),
  ...(["crash", "deaf", "hear", "restart", "call"] as const).map((what) => happening(1, what)),
);

class FrozenWorld extends RouteWorld {
  order: Iterator<number> = [][Symbol.iterator]();
  questions = 0;

  protected override noteDecision(decision: BackendDecision): void {
    super.noteDecision(decision);
    const { spec, use, nowMs } = this;
    const situation = deepFreeze(
      new BackendSituation({
        spec,
        observed: {
          instances: this.instances.map(({ observed }) => observed),
          clients: { instances: 0, down: null },
          ...{ mayStart: true, nextId: 1_000, checkRequested: false, isReached: false, jitter: 0.5, use },
        },
        memory: decision.memory,
        now: { monotonicMs: nowMs, wallMs: nowMs },
      }),
    );
    const first = QUESTIONS.map((question) => question(situation));
    const again = QUESTIONS.map((question, index) => ({ question, index, at: this.order.next().value ?? 0 }));
    for (const { question, index } of again.sort((one, other) => one.at - other.at))
      assert.deepEqual(question(situation), first[index]);
    this.questions += QUESTIONS.length;
  }
}

test("F7 a question changes nothing: asked twice, in any order, each one about a backend has the same answer", () => {
  let asked = 0;
  const property = fc.property(
    fc.array(happenings, { maxLength: 25 }),
    fc.infiniteStream(fc.nat(1000)),
    (all, order) => {
      const world = new FrozenWorld();
      world.order = order[Symbol.iterator]();
      world.look();
      for (const one of all) {
        if (one.do === "advance") world.advance(one.ms);
        else if (one.do === "fate") world.fates.set(one.key, one.works ? "works" : "fails");
        else if (one.do === "data") world.setData(one.kind, "stop");
        else if (one.do === "crash") world.crash();
        else if (one.do === "deaf") world.turnDeaf();
        else if (one.do === "hear") world.resumeSignals();
        else if (one.do === "restart") world.restart();
        else world.call(20_000);
      }
      asked += world.questions;
    },
  );
  fc.assert(property, { numRuns: runsOf(200) });
  assert.ok(asked > 10_000, `only ${asked} questions were asked`);
});
