// Asking changes nothing: facts and rules are asked twice, in random order, about frozen situations of random worlds.
import assert from "node:assert/strict";
import test from "node:test";
import { MOUNT_RULES } from "../../../src/shares/policy/decide.ts";
import type { DecideInput } from "../../../src/shares/policy/decide-input.ts";
import { answerTo, finalOutcome } from "../../../src/shares/policy/decide-request.ts";
import { answerUnmounted } from "../../../src/shares/policy/decide-unmounted.ts";
import { factsOf } from "../../../src/shares/policy/facts.ts";
import { mountFact } from "../../../src/shares/policy/mount-fact.ts";
import { mountObstacle } from "../../../src/shares/policy/operation.ts";
import { routeFact } from "../../../src/shares/policy/route-fact.ts";
import { pauseOf } from "../../../src/shares/policy/rule.ts";
import { type Situation, undecided } from "../../../src/shares/policy/situation.ts";
import { isWaking, wakeObstacle } from "../../../src/shares/policy/wake.ts";
import { deepFreeze } from "../../support/deep-freeze.ts";
import { fc, runsOf } from "../../support/properties.ts";
import { CACHE_MS, World } from "../world.ts";
import { happen } from "./stories.ts";

const WORDS = [
  ...["tb refused", "tb silent", "tb answers", "fallback silent", "fallback answers", "both silent"],
  ...["open 7", "closed", "its servers are different", "its servers are the same"],
  ...["another server behind fallback", "one server behind both", "event"],
  ...["the mount hangs", "the mount goes on", "the mount says EIO", "its process is gone"],
  ...["mounts over tb fail: wrong password", "unmounts fail: not permitted"],
];
const ON_MOUNT = /^(the mount|its process|open)/;

const LIFE = fc.array(
  fc.record({
    waitMs: fc.constantFrom(0, 10, 260, 700, 2000, 31_000),
    words: fc.constantFrom(...WORDS),
    order: fc.infiniteStream(fc.nat(1000)),
  }),
  { minLength: 1, maxLength: 12 },
);

type Question = () => unknown;

function questionsOf(now: Situation): Question[] {
  const { request } = now;
  const { mount } = now.observed;
  const always: Question[] = [
    () => answerUnmounted(now),
    () => finalOutcome(now),
    () => request && answerTo(now, request),
    ...[pauseOf, mountObstacle, isWaking, wakeObstacle].map((query) => () => query(now)),
  ];
  if (mount === null) return always;
  const facts = deepFreeze(factsOf(now, mount));
  const rules = Object.values(MOUNT_RULES).flat();
  return [
    ...always,
    () => factsOf(now, mount),
    () => mountFact(now, mount),
    () => mount.found.route && routeFact(now, mount, mount.found.route),
    ...rules.map(
      ({ answer }) =>
        () =>
          answer(now, facts),
    ),
  ];
}

test("F7 a question changes nothing: asked twice, in any order, each fact and each rule gives the same answer", () => {
  let asked = 0;
  const property = fc.property(LIFE, fc.constantFrom("remount", "move"), (life, onRouteChange) => {
    const world = new World({ onRouteChange, autoFailback: true, lsofRecheck: true });
    let order: Iterator<number> = [][Symbol.iterator]();
    world.onDecision = ({ memory, state }, observed) => {
      const { spec, policy, request, programsRun } = world;
      const input: DecideInput = {
        ...{ spec, policy, observed, memory, state, request, programsRun },
        cacheMs: CACHE_MS,
      };
      const questions = questionsOf(deepFreeze(undecided(input)));
      const first = questions.map((query) => query());
      const again = questions
        .map((query, index) => ({ query, index, at: Number(order.next().value ?? 0) }))
        .sort((a, b) => a.at - b.at);
      for (const { query, index } of again) assert.deepEqual(query(), first[index]);
      asked += questions.length;
    };
    for (const { waitMs, words, order: drawn } of life) {
      order = drawn[Symbol.iterator]();
      world.advance(waitMs);
      if (world.mount !== null || !ON_MOUNT.test(words)) happen(world, words);
      if (world.request === null && waitMs === 10) world.ask({ kind: "switch", to: "fallback" });
    }
    world.advance(5000);
  });
  fc.assert(property, { numRuns: runsOf(200) });
  assert.ok(asked > 10_000, `only ${asked} questions were asked`);
});
