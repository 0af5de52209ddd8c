// What simulated worlds of one backend share: instances that start and end, time that passes from event to event, and a
// lane that looks, decides and steps until there is nothing to do, as src/gateway/backends/pool/lane-cycles.ts does.
import assert from "node:assert/strict";
import type { InstanceSeen } from "../../../../src/gateway/backends/instance/backend-instance.ts";
import type {
  BackendEvent,
  BackendMemory,
  BackendStep,
} from "../../../../src/gateway/backends/policy/backend-decision-builder.ts";
import type { BackendDecision } from "../../../../src/gateway/backends/policy/decide-backend.ts";

const MAX_STEPS = 100;

/** An instance of the world, as far as all worlds know it. */
export interface SimInstance {
  seen: InstanceSeen;
  /** When its start, its check or its close is over, monotonic ms. */
  nextAtMs: number;
  /** When its calls end, monotonic ms. */
  calls: number[];
}

export interface World {
  nowMs: number;
  memory: BackendMemory;
  decision: BackendDecision | null;
  readonly instances: readonly SimInstance[];
  readonly events: BackendEvent[];
  readonly steps: BackendStep[];
  decide(): BackendDecision;
  /** Asserts what holds whatever happens. */
  check(decision: BackendDecision): void;
  /** The decision is taken; its step is not yet performed. */
  noteDecision(decision: BackendDecision): void;
  perform(step: BackendStep): void;
  /** What is due now happens. */
  happen(): void;
}

/** Lets time pass; whatever is due happens at its own time. */
export function letTimePass(world: World, ms: number): void {
  const untilMs = world.nowMs + ms;
  for (;;) {
    const own = world.instances.flatMap(({ nextAtMs, calls }) => [nextAtMs, ...calls]);
    const nextMs = Math.min(world.decision?.wake?.atMs ?? Number.POSITIVE_INFINITY, ...own);
    if (nextMs > untilMs) break;
    world.nowMs = Math.max(world.nowMs, nextMs);
    world.happen();
    runCycle(world);
  }
  world.nowMs = untilMs;
  runCycle(world);
}

/** One cycle of the lane. */
export function runCycle(world: World): void {
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const decision = world.decide();
    world.check(decision);
    world.decision = decision;
    world.memory = decision.memory;
    world.events.push(...decision.events);
    world.noteDecision(decision);
    if (decision.step === null) {
      const again = world.decide();
      assert.equal(again.step, null, "rest is rest");
      assert.deepEqual(again.events, [], "a settled world has no news");
      assert.deepEqual(again.calls, decision.calls);
      return;
    }
    world.steps.push(decision.step);
    world.perform(decision.step);
  }
  assert.fail(`no rest after ${MAX_STEPS} steps`);
}

/** What is seen of an instance that begins to start now. */
export function startingNow(id: number, key: string, nowMs: number): InstanceSeen {
  return {
    id,
    key,
    state: { kind: "starting" },
    startedAtMs: nowMs,
    readyAtMs: null,
    inFlight: 0,
    missedChecks: 0,
    checkedAtMs: null,
    listsStaleBecause: null,
    withheldEntries: [],
    asksForRoots: false,
  };
}

export function countCalls(instance: SimInstance): void {
  instance.seen = { ...instance.seen, inFlight: instance.calls.length };
}

export function endInstance(instance: SimInstance, message: string): void {
  const wasReady = instance.seen.state.kind === "ready";
  const failure = { kind: "closed", message, hint: null } as const;
  instance.calls = [];
  instance.seen = { ...instance.seen, inFlight: 0, state: { kind: "ended", wasReady, failure } };
  instance.nextAtMs = Number.POSITIVE_INFINITY;
}
