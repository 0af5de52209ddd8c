// A simulated world for one backend with routes: servers that come and go, hang and are overloaded, calls, a person who
// switches.
import assert from "node:assert/strict";
import {
  type BackendEvent,
  type BackendMemory,
  type BackendSpec,
  type BackendStep,
  NEW_BACKEND,
} from "../../../../src/gateway/backends/policy/backend-decision-builder.ts";
import {
  type BackendDecision,
  decideBackend,
} from "../../../../src/gateway/backends/policy/decide-backend.ts";
import type { FailbackPolicy, RoutesSpec } from "../../../../src/gateway/backends/policy/route-memory.ts";
import {
  countCalls,
  endInstance,
  letTimePass,
  runCycle,
  type SimInstance,
  startingNow,
  type World,
} from "./world-loop.ts";

interface RouteInstance extends SimInstance {
  checking: boolean;
}

const START_MS = 300;
const CLOSE_MS = 100;
export const DRAIN_MS = 30_000;
export const STABLE_MS = 30_000;
export const AUTO: FailbackPolicy = { auto: true, stableMs: STABLE_MS, recheck: true };

/** Routes are called as their keys. */
export class RouteWorld implements World {
  nowMs = 100_000;
  spec: BackendSpec;
  /** Keys of servers that are down. */
  readonly down = new Set<string>();
  instances: RouteInstance[] = [];
  readonly events: BackendEvent[] = [];
  readonly steps: BackendStep[] = [];
  jitter = 0.5;
  memory: BackendMemory = NEW_BACKEND;
  decision: BackendDecision | null = null;
  private nextId = 1;

  constructor(failback: FailbackPolicy = AUTO, names: readonly string[] = ["a", "b", "c"]) {
    this.spec = {
      name: "files",
      origin: null,
      wanted: { kind: "connection", key: names[0] ?? "" },
      revision: 0,
      epoch: 0,
      replace: "overlap",
      instances: "shared",
      drainTimeoutMs: DRAIN_MS,
      needs: null,
      routes: { list: names.map((name) => ({ name, key: name })), failback, asked: null },
    };
  }

  get routes(): RoutesSpec {
    assert.ok(this.spec.routes);
    return this.spec.routes;
  }

  /** The key of what serves; null: nothing does. */
  get used(): string | null {
    return this.memory.serving?.key ?? null;
  }

  get pending(): string | null {
    return this.memory.routes.pending?.route ?? null;
  }

  /** What was told of routes, in short. */
  get told(): readonly string[] {
    return this.events.flatMap((event) => {
      if (event.kind === "route") return `${event.change} ${event.from} ${event.to}`;
      if (event.kind === "route_ready") return `ready ${event.route}`;
      if (event.kind === "route_ready_cleared") return `cleared ${event.route}`;
      if (event.kind === "asked_done" || event.kind === "asked_failed") return `${event.kind} ${event.route}`;
      return [];
    });
  }

  edit(names: readonly string[]): void {
    const list = names.map((name) => ({ name, key: name }));
    this.change({ list }, { wanted: { kind: "connection", key: names[0] ?? "" } });
  }

  set(failback: Partial<FailbackPolicy>): void {
    this.change({ failback: { ...this.routes.failback, ...failback } });
  }

  restart(): void {
    this.spec = { ...this.spec, epoch: this.spec.epoch + 1, revision: this.spec.revision + 1 };
    this.look();
  }

  ask(route: string): void {
    this.spec = { ...this.spec, routes: { ...this.routes, asked: route } };
    this.look();
  }

  release(): void {
    this.memory = { ...this.memory, routes: { ...this.memory.routes, held: null } };
    this.look();
  }

  /** The server over that route dies: what was connected to it ends, or cannot be reached any more. */
  cut(key: string, how: "ends" | "unreachable"): void {
    this.down.add(key);
    for (const instance of this.instances.filter(({ seen }) => seen.key === key)) {
      if (instance.seen.state.kind !== "ready") continue;
      if (how === "ends") endInstance(instance, "it crashed");
      else instance.seen = { ...instance.seen, missedChecks: 1, outOfReach: true };
    }
    this.look();
  }

  mend(key: string): void {
    this.down.delete(key);
    this.look();
  }

  call(lastsMs: number): void {
    const serving = this.find(this.memory.serving?.id ?? 0);
    if (serving === null || serving.seen.state.kind !== "ready") return;
    serving.calls.push(this.nowMs + lastsMs);
    countCalls(serving);
  }

  advance(ms: number): void {
    letTimePass(this, ms);
  }

  look(): void {
    runCycle(this);
  }

  find(id: number): RouteInstance | null {
    return this.instances.find(({ seen }) => seen.id === id) ?? null;
  }

  private change(routes: Partial<RoutesSpec>, spec: Partial<BackendSpec> = {}): void {
    const revision = this.spec.revision + 1;
    this.spec = { ...this.spec, ...spec, revision, routes: { ...this.routes, ...routes } };
    this.look();
  }

  decide(): BackendDecision {
    const seen = {
      instances: this.instances.map((instance) => instance.seen),
      clientInstances: 0,
      mayStart: true,
      nextId: this.nextId,
      checkAsked: false,
      jitter: this.jitter,
    };
    return decideBackend(this.spec, seen, this.memory, { monotonicMs: this.nowMs, wallMs: this.nowMs });
  }

  /** What holds whatever happens. */
  check({ memory, calls }: BackendDecision): void {
    const { serving } = memory;
    if (serving !== null) {
      assert.equal(
        this.find(serving.id)?.seen.state.kind,
        "ready",
        "what serves is ready: it makes before it breaks",
      );
      assert.equal(calls.kind, "serve");
    }
    const standbys = [...memory.routes.byName.values()].flatMap(({ standby }) => standby?.id ?? []);
    const ids = [
      serving?.id,
      memory.candidate?.id,
      ...standbys,
      ...memory.draining.map(({ id }) => id),
      ...memory.closing,
    ].filter((id) => id !== undefined);
    assert.equal(new Set(ids).size, ids.length, "an instance has one use at a time");
    assert.ok(this.instances.length <= 12, "instances are bounded");
    const { pending, held } = memory.routes;
    assert.ok(pending === null || held === null, "what is held is never pending");
  }

  noteDecision({ events }: BackendDecision): void {
    if (!events.some(({ kind }) => kind.startsWith("asked_"))) return;
    this.spec = { ...this.spec, routes: { ...this.routes, asked: null } };
  }

  perform(step: BackendStep): void {
    if (step.kind === "start") {
      assert.equal(step.id, this.nextId++);
      const isKnown = this.routes.list.some(({ key }) => key === step.key);
      assert.ok(isKnown, "only what the configuration has is started");
      this.start(step.id, step.key);
      return;
    }
    const instance = this.find(step.id);
    assert.ok(instance !== null, "a step is about what exists");
    if (step.kind === "close") {
      const { state, inFlight } = instance.seen;
      if (state.kind === "ready" && inFlight > 0) {
        assert.ok(step.drained?.isLate, "a call in flight has its drain_timeout");
      }
      instance.calls = [];
      instance.seen = { ...instance.seen, inFlight: 0, state: { kind: "closing" } };
      instance.nextAtMs = this.nowMs + CLOSE_MS;
    } else if (step.kind === "check") {
      instance.checking = true;
      instance.nextAtMs = this.nowMs + 1;
    }
  }

  private start(id: number, key: string): void {
    this.instances.push({
      seen: { ...startingNow(id, key, this.nowMs), outOfReach: false },
      nextAtMs: this.nowMs + START_MS,
      checking: false,
      calls: [],
    });
  }

  happen(): void {
    for (const instance of [...this.instances]) {
      instance.calls = instance.calls.filter((endsAtMs) => endsAtMs > this.nowMs);
      countCalls(instance);
      if (instance.nextAtMs > this.nowMs) continue;
      const { state, key } = instance.seen;
      instance.nextAtMs = Number.POSITIVE_INFINITY;
      if (state.kind === "closing") this.instances = this.instances.filter((one) => one !== instance);
      else if (instance.checking) this.answer(instance);
      else if (this.down.has(key)) endInstance(instance, "it does not start");
      else instance.seen = { ...instance.seen, state: { kind: "ready" }, readyAtMs: this.nowMs };
    }
  }

  private answer(instance: RouteInstance): void {
    instance.checking = false;
    const { seen } = instance;
    const isDown = this.down.has(seen.key);
    const missedChecks = isDown ? seen.missedChecks + 1 : 0;
    instance.seen = { ...seen, missedChecks, outOfReach: isDown, checkedAtMs: this.nowMs };
  }
}
