// A simulated world for one backend: starts that succeed, fail or hang, crashes, calls, a person who edits.
import assert from "node:assert/strict";
import {
  type BackendEvent,
  type BackendMemory,
  type BackendSpec,
  type BackendStep,
  NEW_BACKEND,
} from "../../../../src/gateway/backends/policy/backend-decision-builder.ts";
import type { Gate } from "../../../../src/gateway/backends/policy/data-gate.ts";
import {
  type BackendDecision,
  decideBackend,
} from "../../../../src/gateway/backends/policy/decide-backend.ts";
import type { Needs, RequiredData } from "../../../../src/gateway/backends/policy/required-data.ts";
import {
  countCalls,
  endInstance,
  letTimePass,
  runCycle,
  type SimInstance,
  startingNow,
  type World,
} from "../policy/world-loop.ts";

export type Fate = "works" | "fails" | "hangs";

interface BackendInstance extends SimInstance {
  deaf: boolean;
  /** Since when it gets no more calls; null: it serves, or never did. */
  leftAtMs: number | null;
}

const START_MS = 300;
const HANG_MS = 15_000;
const CLOSE_MS = 2_000;
const PING_MS = 5_000;
const DRAIN_MS = 30_000;
const AWAY_MS = 5_000;

export const SPEC: BackendSpec = {
  name: "a",
  origin: null,
  wanted: { kind: "connection", key: "k1" },
  revision: 0,
  epoch: 0,
  replace: "overlap",
  instances: "shared",
  drainTimeoutMs: DRAIN_MS,
  needs: null,
};

export class BackendWorld implements World {
  nowMs = 100_000;
  spec: BackendSpec = SPEC;
  readonly fates = new Map<string, Fate>();
  instances: BackendInstance[] = [];
  readonly events: BackendEvent[] = [];
  readonly steps: BackendStep[] = [];
  checkAsked = false;
  mayStart = true;
  jitter = 0.5;
  memory: BackendMemory = NEW_BACKEND;
  decision: BackendDecision | null = null;
  /** Its data was mounted anew, or nearly. */
  private hasMoved = false;
  private nextId = 1;

  edit(change: Partial<BackendSpec>): void {
    this.spec = { ...this.spec, ...change, revision: this.spec.revision + 1 };
    this.look();
  }

  restart(): void {
    this.edit({ epoch: this.spec.epoch + 1 });
  }

  /** What it requires goes away, or comes back; it requires something from then on. */
  setData(kind: RequiredData["kind"], whenUnavailable: NonNullable<Needs>["whenUnavailable"]): void {
    const before = this.spec.needs?.data ?? null;
    const sinceMs = before?.kind === "away" ? before.sinceMs : this.nowMs;
    const kinds: { readonly [Kind in RequiredData["kind"]]: RequiredData } = {
      away: { kind: "away", requirement: "CORE", reason: "it is not mounted", sinceMs },
      moving: { kind: "moving", requirement: "CORE", sinceMs: null },
      there: { kind: "there", mounts: "1" },
    };
    const data = kinds[kind];
    this.hasMoved ||= kind === "moving";
    this.spec = { ...this.spec, needs: { data, unavailableAfterMs: AWAY_MS, whenUnavailable } };
    this.look();
  }

  get serving(): BackendInstance | null {
    const calls = this.decision?.calls;
    return calls?.kind === "serve" ? this.find(calls.id) : null;
  }

  crash(): void {
    const { serving } = this;
    if (serving === null) return;
    endInstance(serving, "it crashed");
    this.look();
  }

  turnDeaf(): void {
    if (this.serving !== null) this.serving.deaf = true;
  }

  hearAgain(): void {
    for (const instance of this.instances) {
      instance.deaf = false;
      if (instance.seen.missedChecks > 0) instance.seen = { ...instance.seen, missedChecks: 0 };
    }
    this.look();
  }

  makeStale(reason: string | null): void {
    if (this.serving === null) return;
    this.serving.seen = { ...this.serving.seen, listsStaleBecause: reason };
    this.look();
  }

  call(lastsMs: number): void {
    const { serving } = this;
    if (serving === null) return;
    serving.calls.push(this.nowMs + lastsMs);
    countCalls(serving);
  }

  advance(ms: number): void {
    letTimePass(this, ms);
  }

  /** One cycle of the lane. */
  look(): void {
    runCycle(this);
  }

  decide(): BackendDecision {
    const seen = {
      instances: this.instances.map((instance) => instance.seen),
      clientInstances: 0,
      mayStart: this.mayStart,
      nextId: this.nextId,
      checkAsked: this.checkAsked,
      jitter: this.jitter,
    };
    return decideBackend(this.spec, seen, this.memory, { monotonicMs: this.nowMs, wallMs: this.nowMs });
  }

  check({ calls, gate, memory, step }: BackendDecision): void {
    const before = this.serving;
    const isWanted = this.spec.wanted.kind !== "nothing";
    this.checkGate(gate, step);
    if (isWanted && this.spec.needs?.data.kind === "moving")
      assert.equal(memory.serving, null, "what served makes room");
    const isStopped = gate.kind === "refuse" && gate.mode === "stop";
    // One that answers no check, and that several tries could not replace, could not.
    const isLost = before !== null && before.seen.missedChecks >= 3 && memory.tries.failures >= 3;
    const couldServe = before !== null && before.seen.state.kind === "ready" && !isLost;
    const isMoving = this.spec.needs?.data.kind === "moving";
    if (isWanted && couldServe && !isStopped && !isMoving && this.spec.replace === "overlap") {
      assert.equal(
        calls.kind,
        "serve",
        "an old one that could serve is never withdrawn before the new one is ready",
      );
    }
    if (!isWanted) assert.equal(calls.kind, "refuse", "what is not wanted is not published");
    if (calls.kind === "serve") {
      assert.equal(this.find(calls.id)?.seen.state.kind, "ready", "what serves is ready");
      assert.equal(
        this.find(calls.id)?.leftAtMs ?? null,
        this.isResumed(calls.id) ? this.find(calls.id)?.leftAtMs : null,
      );
    }
    const ids = [
      memory.serving?.id,
      memory.candidate?.id,
      ...memory.draining.map(({ id }) => id),
      ...memory.closing,
    ];
    const named = ids.filter((id) => id !== undefined);
    assert.equal(new Set(named).size, named.length, "an instance has one use at a time");
    if (step?.kind === "start" && this.spec.replace === "stop-first") {
      assert.equal(this.instances.length, 0, "stop-first: the old one is gone before the new one starts");
    }
  }

  private checkGate(gate: Gate, step: BackendStep | null): void {
    const data = this.spec.needs?.data ?? null;
    const isAway = this.spec.wanted.kind !== "nothing" && data?.kind === "away";
    const isLong = data?.kind === "away" && this.nowMs - data.sinceMs >= AWAY_MS;
    const isMoving = this.spec.wanted.kind !== "nothing" && data?.kind === "moving";
    const expected = isMoving ? "wait" : isAway ? (isLong ? "refuse" : "wait") : "open";
    assert.equal(gate.kind, expected, "calls wait for what is away a moment, and are refused after that");
    if (step?.kind === "start")
      assert.equal(isAway || isMoving, false, "nothing is started on what is not there");
  }

  /** One that was leaving is taken back where it makes room for another, or for its data. */
  private isResumed(id: number): boolean {
    if (this.hasMoved && (this.find(id)?.leftAtMs ?? null) !== null) return true;
    return this.spec.replace === "stop-first" && (this.find(id)?.leftAtMs ?? null) !== null;
  }

  noteDecision(): void {
    for (const instance of this.instances) {
      const isLeaving = this.memory.draining.some(({ id }) => id === instance.seen.id);
      if (isLeaving) instance.leftAtMs ??= this.nowMs;
      else if (this.memory.serving?.id === instance.seen.id) instance.leftAtMs = null;
    }
  }

  perform(step: BackendStep): void {
    if (step.kind === "start") {
      this.start(step.id);
      return;
    }
    const instance = this.find(step.id);
    assert.ok(instance !== null, "a step is about what exists");
    if (step.kind === "close") this.close(instance);
    else if (step.kind === "check") {
      this.checkAsked = false;
      const missedChecks = instance.deaf ? instance.seen.missedChecks + 1 : 0;
      instance.seen = {
        ...instance.seen,
        missedChecks,
        checkedAtMs: this.nowMs + (instance.deaf ? PING_MS : 0),
      };
    } else if (!instance.deaf) instance.seen = { ...instance.seen, listsStaleBecause: null };
  }

  private start(id: number): void {
    assert.equal(id, this.nextId++);
    assert.equal(this.spec.wanted.kind, "connection", "only what is wanted is started");
    const key = this.spec.wanted.kind === "connection" ? this.spec.wanted.key : "";
    const starting = this.instances.filter(({ seen }) => seen.state.kind === "starting").length;
    assert.equal(starting, 0, "one start at a time");
    this.instances.push({
      seen: startingNow(id, key, this.nowMs),
      nextAtMs: this.nowMs + (this.fateOf(key) === "hangs" ? HANG_MS : START_MS),
      deaf: false,
      calls: [],
      leftAtMs: null,
    });
  }

  private close(instance: BackendInstance): void {
    const { state, inFlight } = instance.seen;
    if (state.kind === "ready" && inFlight > 0) {
      const left = instance.leftAtMs;
      assert.ok(left !== null && this.nowMs >= left + DRAIN_MS, "a call in flight has its drain_timeout");
    }
    instance.calls = [];
    instance.seen = { ...instance.seen, inFlight: 0, state: { kind: "closing" } };
    instance.nextAtMs = this.nowMs + CLOSE_MS;
  }

  happen(): void {
    for (const instance of [...this.instances]) {
      instance.calls = instance.calls.filter((endsAtMs) => endsAtMs > this.nowMs);
      countCalls(instance);
      if (instance.nextAtMs > this.nowMs) continue;
      const { state, key } = instance.seen;
      if (state.kind === "closing") this.instances = this.instances.filter((one) => one !== instance);
      else if (this.fateOf(key) === "works") {
        instance.seen = { ...instance.seen, state: { kind: "ready" }, readyAtMs: this.nowMs };
        instance.nextAtMs = Number.POSITIVE_INFINITY;
      } else endInstance(instance, "it does not start");
    }
  }

  private find(id: number): BackendInstance | null {
    return this.instances.find(({ seen }) => seen.id === id) ?? null;
  }

  private fateOf(key: string): Fate {
    return this.fates.get(key) ?? "works";
  }
}
