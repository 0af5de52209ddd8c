// A simulated world for one backend: servers that start, fail, hang, die and are out of reach, data that comes and goes,
// calls, a person who edits and switches. Time passes from event to event, and a lane looks, decides and steps until there
// is nothing to do, as src/gateway/backends/pool/lane-cycles.ts does.
import assert from "node:assert/strict";
import type { InstanceObservation } from "../../../../src/gateway/backends/instance/backend-instance.ts";
import {
  type BackendMemory,
  type BackendSpec,
  NEW_BACKEND,
  NO_CLIENTS,
} from "../../../../src/gateway/backends/policy/backend-situation.ts";
import type { BackendEvent, BackendStep } from "../../../../src/gateway/backends/policy/backend-step.ts";
import type { Gate } from "../../../../src/gateway/backends/policy/data-gate.ts";
import {
  type BackendDecision,
  decideBackend,
} from "../../../../src/gateway/backends/policy/decide-backend.ts";
import type { Needs, RequiredData } from "../../../../src/gateway/backends/policy/required-data.ts";
import {
  type Attempt,
  type FailbackPolicy,
  lastRetries,
  type RoutesSpec,
} from "../../../../src/gateway/backends/policy/route-memory.ts";
import type { SleepSpec, UsageObservation } from "../../../../src/gateway/backends/policy/sleep.ts";

export type Fate = "works" | "fails" | "hangs";

interface SimInstance {
  observed: InstanceObservation;
  /** When its start, its check or its close is over, monotonic ms. */
  nextAtMs: number;
  /** When its calls end, monotonic ms. */
  calls: number[];
  /** When its last call ended, monotonic ms; null: it had none. */
  idleSinceMs: number | null;
  deaf: boolean;
  checking: boolean;
  /** Since when it gets no more calls; null: it serves, or never did. */
  leftAtMs: number | null;
}

const START_MS = 300;
const HANG_MS = 15_000;
const PING_MS = 5_000;
const AWAY_MS = 5_000;
const MAX_STEPS = 100;
export const DRAIN_MS = 30_000;
export const STABLE_MS = 30_000;
export const AUTO: FailbackPolicy = { isAutomatic: true, stableMs: STABLE_MS };

/** One route, whose connection has this key. */
export function runs(key: string): Pick<BackendSpec, "wanted" | "routes"> {
  return {
    wanted: { kind: "connection" },
    routes: { list: [{ name: "1", key }], failback: AUTO, requested: null },
  };
}

const ALWAYS_RUNS: SleepSpec = {
  startsOnDemand: false,
  stopWhenIdleMs: null,
  obstacle: null,
  listedAtMs: null,
  forgets: false,
};

export class BackendWorld {
  nowMs = 100_000;
  spec: BackendSpec = {
    name: "a",
    origin: null,
    hasPrograms: true,
    ...runs("k1"),
    revision: 0,
    epoch: 0,
    replace: "overlap",
    instances: "shared",
    drainTimeoutMs: DRAIN_MS,
    ...{ signIn: null, needs: null, isOwned: false, isBlocked: false, sleep: ALWAYS_RUNS },
  };
  /** What becomes of a start, by the connection's key. */
  readonly fates = new Map<string, Fate>();
  instances: SimInstance[] = [];
  readonly events: BackendEvent[] = [];
  readonly steps: BackendStep[] = [];
  checkAsked = false;
  mayStart = true;
  jitter = 0.5;
  /** Clients need it. */
  isNeeded = false;
  memory: BackendMemory = NEW_BACKEND;
  decision: BackendDecision | null = null;
  protected closeMs = 2_000;
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
    this.hasMoved ||= kind === "moving";
    this.spec = { ...this.spec, needs: { data: kinds[kind], unavailableAfterMs: AWAY_MS, whenUnavailable } };
    this.look();
  }

  get use(): UsageObservation {
    const serving = this.find(this.memory.serving?.id ?? -1);
    const isBusy = serving === null || serving.calls.length > 0;
    const sinceMs = serving?.idleSinceMs ?? serving?.observed.readyAtMs ?? null;
    const isUsed = serving !== null && (isBusy || serving.idleSinceMs !== null);
    return { isNeeded: this.isNeeded, idleSinceMs: isBusy ? null : sinceMs, isUsed, subscribers: 0 };
  }

  get serving(): SimInstance | null {
    const calls = this.decision?.calls;
    return calls?.kind === "serve" ? this.find(calls.id) : null;
  }

  crash(): void {
    const { serving } = this;
    if (serving === null) return;
    end(serving, "it crashed");
    this.look();
  }

  turnDeaf(): void {
    if (this.serving !== null) this.serving.deaf = true;
  }

  resumeSignals(): void {
    for (const instance of this.instances) {
      instance.deaf = false;
      if (instance.observed.missedChecks > 0) see(instance, { missedChecks: 0 });
    }
    this.look();
  }

  makeStale(reason: string | null): void {
    if (this.serving === null) return;
    see(this.serving, { listsStaleBecause: reason });
    this.look();
  }

  call(lastsMs: number): void {
    const serving = this.find(this.memory.serving?.id ?? 0);
    if (serving?.observed.state.kind !== "ready") return;
    serving.calls.push(this.nowMs + lastsMs);
    see(serving, { inFlight: serving.calls.length });
  }

  /** Lets time pass; whatever is due happens at its own time. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const own = this.instances.flatMap(({ nextAtMs, calls }) => [nextAtMs, ...calls]);
      const nextMs = Math.min(this.decision?.nextRun?.atMs ?? Number.POSITIVE_INFINITY, ...own);
      if (nextMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, nextMs);
      this.happen();
      this.look();
    }
    this.nowMs = untilMs;
    this.look();
  }

  /** One cycle of the lane. */
  look(): void {
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const decision = this.decide();
      this.check(decision);
      this.decision = decision;
      this.memory = decision.memory;
      this.events.push(...decision.events);
      this.noteDecision(decision);
      if (decision.step === null) {
        const again = this.decide();
        assert.equal(again.step, null, "rest is rest");
        assert.deepEqual(again.events, [], "a settled world has no news");
        assert.deepEqual(again.calls, decision.calls);
        return;
      }
      this.steps.push(decision.step);
      this.perform(decision.step);
    }
    assert.fail(`no rest after ${MAX_STEPS} steps`);
  }

  private decide(): BackendDecision {
    const seen = {
      instances: this.instances.map((instance) => instance.observed),
      clients: NO_CLIENTS,
      mayStart: this.mayStart,
      nextId: this.nextId,
      checkRequested: this.checkAsked,
      isReached: false,
      jitter: this.jitter,
      use: this.use,
    };
    return decideBackend(this.spec, seen, this.memory, { monotonicMs: this.nowMs, wallMs: this.nowMs });
  }

  /** Asserts what holds whatever happens. */
  protected check({ calls, gate, memory, step }: BackendDecision): void {
    const before = this.serving;
    const isWanted = this.spec.wanted.kind !== "nothing";
    const isMoving = this.spec.needs?.data.kind === "moving";
    this.checkGate(gate, step);
    if (isWanted && isMoving) assert.equal(memory.serving, null, "what served makes room");
    const isStopped = gate.kind === "refuse" && gate.mode === "stop";
    // One that answers no check, and that several tries could not replace, could not.
    const isLost =
      before !== null && before.observed.missedChecks >= 3 && lastRetries(memory.routes).failures >= 3;
    const couldServe = before !== null && before.observed.state.kind === "ready" && !isLost;
    if (isWanted && memory.asleep) this.checkAsleep(memory, calls.kind, gate);
    else if (isWanted && couldServe && !isStopped && !isMoving && this.spec.replace === "overlap")
      assert.equal(
        calls.kind,
        "serve",
        "one that could serve is never withdrawn before the new one is ready",
      );
    if (!isWanted) assert.equal(calls.kind, "refuse", "what is not wanted is not published");
    if (calls.kind === "serve") {
      const serving = this.find(calls.id);
      assert.equal(serving?.observed.state.kind, "ready", "what serves is ready");
      // One that was leaving is taken back where it makes room for another, or for its data.
      if (!this.hasMoved && this.spec.replace === "overlap") assert.equal(serving?.leftAtMs ?? null, null);
    }
    this.checkUses(memory);
    if (step?.kind === "start" && this.spec.replace === "stop-first")
      assert.equal(this.instances.length, 0, "stop-first: the old one is gone before the new one starts");
  }

  private checkAsleep({ serving, routes }: BackendMemory, calls: string, gate: Gate): void {
    assert.equal(this.serving?.observed.inFlight ?? 0, 0, "what is used is not stopped");
    assert.equal(this.isNeeded, false, "what is needed does not sleep");
    const isTried = [...routes.byName.values()].some(({ attempt }) => attempt !== null);
    assert.deepEqual([serving, isTried], [null, false]);
    // While its data is away, it does not wake.
    if (this.spec.wanted.kind === "connection" && gate.kind === "open") assert.equal(calls, "wait");
  }

  protected checkUses({ serving, draining, closing, routes }: BackendMemory): void {
    const attempts = [...routes.byName.values()].flatMap(({ attempt }) => attempt?.id ?? []);
    const ids = [serving?.id, ...attempts, ...draining.map(({ id }) => id), ...closing];
    const named = ids.filter((id) => id !== undefined);
    assert.equal(new Set(named).size, named.length, "an instance has one use at a time");
  }

  private checkGate(gate: Gate, step: BackendStep | null): void {
    const isWanted = this.spec.wanted.kind !== "nothing";
    const data = this.spec.needs?.data ?? null;
    const isAway = isWanted && data?.kind === "away";
    const isLong = data?.kind === "away" && this.nowMs - data.sinceMs >= AWAY_MS;
    const isMoving = isWanted && data?.kind === "moving";
    const expected = isMoving ? "wait" : isAway ? (isLong ? "refuse" : "wait") : "open";
    assert.equal(gate.kind, expected, "calls wait for what is away a moment, and are refused after that");
    if (step?.kind === "start") assert.ok(!isAway && !isMoving, "nothing is started on what is not there");
  }

  /** The decision is taken; its step is not yet performed. */
  protected noteDecision(_: BackendDecision): void {
    for (const instance of this.instances) {
      const isMovingOn = this.memory.draining.some(({ id }) => id === instance.observed.id);
      if (isMovingOn) instance.leftAtMs ??= this.nowMs;
      else if (this.memory.serving?.id === instance.observed.id) instance.leftAtMs = null;
    }
  }

  private perform(step: BackendStep): void {
    if (step.kind === "start") {
      assert.equal(step.id, this.nextId++);
      this.start(step.id, step.key);
      return;
    }
    const instance = this.find(step.id);
    assert.ok(instance !== null, "a step is about what exists");
    if (step.kind === "close") this.close(instance);
    else if (step.kind === "check") this.ask(instance);
    else if (!instance.deaf) see(instance, { listsStaleBecause: null });
  }

  protected ask(instance: SimInstance): void {
    this.checkAsked = false;
    const missedChecks = instance.deaf ? instance.observed.missedChecks + 1 : 0;
    see(instance, { missedChecks, checkedAtMs: this.nowMs + (instance.deaf ? PING_MS : 0) });
  }

  protected start(id: number, key: string): void {
    assert.equal(this.spec.wanted.kind, "connection", "only what is wanted is started");
    const { list } = this.spec.routes;
    if (list.length === 1) {
      assert.equal(key, list[0]?.key);
      const starting = this.instances.filter(({ observed }) => observed.state.kind === "starting").length;
      assert.equal(starting, 0, "one start at a time");
    }
    this.instances.push({
      observed: {
        ...{ id, key, state: { kind: "starting" }, startedAtMs: this.nowMs, readyAtMs: null, inFlight: 0 },
        ...{ missedChecks: 0, checkedAtMs: null, listsStaleBecause: null, withheldEntries: [] },
        requestsRoots: false,
        oddities: [],
      },
      nextAtMs: this.nowMs + (this.fates.get(key) === "hangs" ? HANG_MS : START_MS),
      ...{ calls: [], idleSinceMs: null, deaf: false, checking: false, leftAtMs: null },
    });
  }

  private close(instance: SimInstance): void {
    const { state, inFlight } = instance.observed;
    if (state.kind === "ready" && inFlight > 0) {
      const left = instance.leftAtMs;
      assert.ok(left !== null && this.nowMs >= left + DRAIN_MS, "a call in flight has its drain_timeout");
    }
    instance.calls = [];
    see(instance, { inFlight: 0, state: { kind: "closing" } });
    instance.nextAtMs = this.nowMs + this.closeMs;
  }

  /** What is due now happens. */
  private happen(): void {
    for (const instance of [...this.instances]) {
      const left = instance.calls.filter((endsAtMs) => endsAtMs > this.nowMs);
      if (left.length < instance.calls.length) instance.idleSinceMs = this.nowMs;
      instance.calls = left;
      see(instance, { inFlight: instance.calls.length });
      if (instance.nextAtMs > this.nowMs) continue;
      const { state, key } = instance.observed;
      instance.nextAtMs = Number.POSITIVE_INFINITY;
      if (state.kind === "closing") this.instances = this.instances.filter((one) => one !== instance);
      else if (instance.checking) this.answer(instance);
      else if ((this.fates.get(key) ?? "works") !== "works") end(instance, "it does not start");
      else see(instance, { state: { kind: "ready" }, readyAtMs: this.nowMs });
    }
  }

  protected answer(_: SimInstance): void {}

  protected find(id: number): SimInstance | null {
    return this.instances.find(({ observed }) => observed.id === id) ?? null;
  }
}

function see(instance: SimInstance, change: Partial<InstanceObservation>): void {
  instance.observed = { ...instance.observed, ...change };
}

function end(instance: SimInstance, message: string): void {
  const wasReady = instance.observed.state.kind === "ready";
  const failure = { kind: "closed", message, hint: null } as const;
  instance.calls = [];
  see(instance, { inFlight: 0, state: { kind: "ended", wasReady, failure } });
  instance.nextAtMs = Number.POSITIVE_INFINITY;
}

const STOP_MS = 60_000;

/** Its server may sleep. */
export class SleepWorld extends BackendWorld {
  private listedKey: string | null = null;

  constructor(startsOnDemand: boolean) {
    super();
    this.spec = { ...this.spec, sleep: { ...ALWAYS_RUNS, startsOnDemand, stopWhenIdleMs: STOP_MS } };
  }

  override edit(change: Partial<BackendSpec>): void {
    this.spec = { ...this.spec, ...change };
    this.noteListed();
    super.edit({});
  }

  need(isNeeded: boolean): void {
    this.isNeeded = isNeeded;
    this.look();
  }

  protected override noteDecision(decision: BackendDecision): void {
    super.noteDecision(decision);
    this.listedKey = decision.memory.serving?.key ?? this.listedKey;
    this.noteListed();
  }

  private noteListed(): void {
    const isListed = this.spec.routes.list.some(({ key }) => key !== null && key === this.listedKey);
    // It is asked again each day, which no world here lasts.
    this.spec = { ...this.spec, sleep: { ...this.spec.sleep, listedAtMs: isListed ? this.nowMs : null } };
  }
}

/** With routes, which are called as their keys. */
export class RouteWorld extends BackendWorld {
  protected override closeMs = 100;

  constructor(failback: FailbackPolicy = AUTO, names: readonly string[] = ["a", "b", "c"]) {
    super();
    const list = names.map((name) => ({ name, key: name }));
    this.spec = { ...this.spec, routes: { list, failback, requested: null } };
  }

  get routes(): RoutesSpec {
    return this.spec.routes;
  }

  /** The key of what serves; null: nothing does. */
  get used(): string | null {
    return this.memory.serving?.key ?? null;
  }

  attempt(route: string): Attempt | null {
    return this.memory.routes.byName.get(route)?.attempt ?? null;
  }

  get pending(): string | null {
    return this.memory.routes.pending?.route ?? null;
  }

  /** What was told of routes, in short. */
  get told(): readonly string[] {
    return this.events.flatMap((event) => {
      if ("from" in event) return `${event.kind} ${event.from} ${event.to}`;
      if (event.kind === "route_ready") return `ready ${event.route}`;
      if (event.kind === "route_ready_cleared") return `cleared ${event.route}`;
      if (event.kind === "asked_done" || event.kind === "asked_failed") return `${event.kind} ${event.route}`;
      return [];
    });
  }

  offer(...names: readonly string[]): void {
    const list = names.map((name) => ({ name, key: name }));
    this.edit({ routes: { ...this.routes, list } });
  }

  set(failback: Partial<FailbackPolicy>): void {
    this.edit({ routes: { ...this.routes, failback: { ...this.routes.failback, ...failback } } });
  }

  switchTo(route: string): void {
    this.spec = { ...this.spec, routes: { ...this.routes, requested: route } };
    this.look();
  }

  release(): void {
    this.memory = { ...this.memory, routes: { ...this.memory.routes, override: null } };
    this.look();
  }

  isDown(key: string): boolean {
    return this.fates.get(key) === "fails";
  }

  /** The server over that route dies: what was connected to it ends, or cannot be reached any more. */
  cut(key: string, how: "ends" | "unreachable"): void {
    this.fates.set(key, "fails");
    for (const instance of this.instances.filter(({ observed }) => observed.key === key)) {
      if (instance.observed.state.kind !== "ready") continue;
      if (how === "ends") end(instance, "it crashed");
      else see(instance, { missedChecks: 1, isUnreachable: true });
    }
    this.look();
  }

  mend(key: string): void {
    this.fates.delete(key);
    this.look();
  }

  protected override check({ memory, calls }: BackendDecision): void {
    const { serving } = memory;
    if (serving !== null) {
      const { kind } = this.find(serving.id)?.observed.state ?? {};
      assert.equal(kind, "ready", "what serves is ready: it makes before it breaks");
      assert.equal(calls.kind, "serve");
    }
    this.checkUses(memory);
    assert.ok(this.instances.length <= 12, "instances are bounded");
    const { pending, override } = memory.routes;
    assert.ok(pending === null || override === null, "what is held is never pending");
  }

  protected override noteDecision(decision: BackendDecision): void {
    super.noteDecision(decision);
    if (!decision.events.some(({ kind }) => kind.startsWith("asked_"))) return;
    this.spec = { ...this.spec, routes: { ...this.routes, requested: null } };
  }

  protected override start(id: number, key: string): void {
    const isKnown = this.routes.list.some((route) => route.key === key);
    assert.ok(isKnown, "only what the configuration has is started");
    super.start(id, key);
    const instance = this.find(id);
    if (instance !== null) see(instance, { isUnreachable: false });
  }

  /** The answer takes a moment. */
  protected override ask(instance: SimInstance): void {
    instance.checking = true;
    instance.nextAtMs = this.nowMs + 1;
  }

  protected override answer(instance: SimInstance): void {
    instance.checking = false;
    const isUnreachable = this.isDown(instance.observed.key);
    const isSilent = isUnreachable || this.fates.get(instance.observed.key) === "hangs";
    const missedChecks = isSilent ? instance.observed.missedChecks + 1 : 0;
    see(instance, { missedChecks, isUnreachable, checkedAtMs: this.nowMs });
  }
}
