// Asking changes nothing: questions about a backend are asked twice, in random order, about frozen situations of random
// worlds.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BackendSituation } from "../../../../src/gateway/backends/policy/backend-situation.ts";
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
import { deepFreeze } from "../../../support/deep-freeze.ts";
import { fc, happening, runsOf } from "../../../support/properties.ts";
import { RouteWorld } from "./backend-world.ts";

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
