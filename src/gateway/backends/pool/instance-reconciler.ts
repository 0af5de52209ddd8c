// The reconcile loop of one owner: a client, or null for all clients together. Decides about the owner's instances, and takes steps
// until there is nothing to do.
import { createReconcileLoop, type NextRun, type ReconcileLoop } from "../../../reconcile/reconcile-loop.ts";
import { stepUntilDone } from "../../../reconcile/step-loop.ts";
import type { TriggerReason } from "../../../reconcile/trigger.ts";
import { errorText } from "../../../runtime/errors.ts";
import type { ClientHandle } from "../../client-handle.ts";
import { BACKEND_UNAVAILABLE, type Reply } from "../../json-rpc.ts";
import type { BackendMemory, BackendSpec, ClientsObservation } from "../policy/backend-situation.ts";
import type { BackendStep } from "../policy/backend-step.ts";
import { type BackendDecision, decideBackend, UNDECIDED } from "../policy/decide-backend.ts";
import { drainMessage } from "../policy/draining.ts";
import type { UsageObservation } from "../policy/sleep.ts";
import type { BackendState } from "./backend-state.ts";
import type { InstanceBase, PoolInstance } from "./pool-instance.ts";
import { createWaitingCalls, type WaitingCalls } from "./waiting-calls.ts";

/** More than it takes to end all instances of the owner. */
const MOST_STEPS = 200;

/** What differs between the loop of all clients and that of one. */
export interface ReconcilerOwner {
  /** Null: all clients. */
  readonly client: ClientHandle | null;
  spec(reconciler: InstanceReconciler): BackendSpec;
  clients(): ClientsObservation;
  /** The server is needed beyond the calls that wait. */
  isNeeded(): boolean;
  /** Its clients that are subscribed to resources. */
  readonly subscribers: number;
  /** What the next decision begins with. */
  recall(reconciler: InstanceReconciler): BackendMemory;
  /** What a new instance runs; null: the key is no longer in use. */
  baseOf(key: string): InstanceBase | null;
  /** Called before other code runs. */
  onServing(next: PoolInstance, before: PoolInstance | null): void;
  /** Called after each decision; `before` is what it began with. */
  onDecided(reconciler: InstanceReconciler, before: BackendMemory): void;
  /** Called when no step is left to do. */
  onRest(reconciler: InstanceReconciler): void;
  /** The lists of the serving instance have changed. */
  onListings(reconciler: InstanceReconciler, serving: PoolInstance): void;
  /** The error of calls that are refused. */
  unavailable(reconciler: InstanceReconciler): string;
}

export class InstanceReconciler {
  /** In the order in which they started. */
  readonly instances = new Map<number, PoolInstance>();
  readonly waiting: WaitingCalls;
  decision: BackendDecision;
  serving: PoolInstance | null = null;
  /** The serving instance if it may be unreachable, else null. Calls then wait for the next decision. */
  suspect: PoolInstance | null = null;
  /** A decision is due. */
  isDue = false;
  /** The address accepts connections again. */
  isReached = false;
  /** Log lines of the last instance that failed to start. */
  failedLog: readonly string[] = [];
  /** Log lines of the last instance that exited unasked after it was ready. */
  #endedLog: readonly string[] = [];
  /** Log lines of the instance that was closed last. */
  #lastLog: readonly string[] = [];
  /** Several calls timed out, so the next decision checks the serving instance. */
  #checkRequested = false;
  #turn: "none" | "asked" | "given" = "none";
  readonly #state: BackendState;
  readonly #owner: ReconcilerOwner;
  readonly #loop: ReconcileLoop;

  /** `decision`: how things are before the first decision. */
  constructor(state: BackendState, owner: ReconcilerOwner, decision = UNDECIDED) {
    const { clock, logger } = state.tools;
    this.#state = state;
    this.#owner = owner;
    this.decision = decision;
    this.waiting = createWaitingCalls(clock, state.name);
    this.#loop = createReconcileLoop({
      clock,
      run: async () => (state.stopped === null ? this.#cycle() : null),
      onFailure: (error) => logger.error("cycle failed", { backend: state.name, reason: errorText(error) }),
    });
  }

  get inFlight(): number {
    return [...this.instances.values()].reduce((sum, { instance }) => sum + instance.observed.inFlight, 0);
  }

  /** Calls in flight on instances that drain. */
  get drainingInFlight(): number {
    const { draining } = this.decision.memory;
    const drained = draining.flatMap(({ id }) => this.instances.get(id)?.instance.observed.inFlight ?? 0);
    return drained.reduce((sum, one) => sum + one, 0);
  }

  /** The instance that was started last, unless it has ended. */
  get newest(): PoolInstance | null {
    const newest = [...this.instances.values()].at(-1);
    const kind = newest?.instance.observed.state.kind;
    return newest !== undefined && (kind === "starting" || kind === "ready") ? newest : null;
  }

  get unavailable(): string {
    return this.#owner.unavailable(this);
  }

  trigger(reason: TriggerReason): void {
    this.#loop.trigger({ reason, atMs: this.#state.tools.clock.monotonicMs(), details: [] });
  }

  /** Ends all decisions. */
  stop(message: string): void {
    void this.#loop[Symbol.asyncDispose]();
    this.waiting.fail(message);
  }

  /** Calls in flight end with the error `message`. */
  async close(message: string): Promise<void> {
    this.stop(message);
    const all = [...this.instances.values()];
    await Promise.all(all.map((entry) => entry.close({ code: BACKEND_UNAVAILABLE, message })));
    this.instances.clear();
  }

  logLines(): readonly string[] {
    const { serving, decision } = this;
    const newest = serving ?? [...this.instances.values()].at(-1) ?? null;
    const isAfterEnd = newest !== null && this.#endedLog.length > 0;
    const before = isAfterEnd
      ? [...this.#endedLog, "--- the instance that was started when that had ended:"]
      : [];
    const lines = [...before, ...(newest?.instance.logLines ?? this.#lastLog)];
    const isChangeFailed = serving !== null && decision.memory.changeFailure !== null;
    if (!isChangeFailed || this.failedLog.length === 0) return lines;
    return [...lines, "--- the instance that did not start:", ...this.failedLog];
  }

  async #cycle(): Promise<NextRun | null> {
    const { nextRun } = await stepUntilDone({
      subject: `server ${this.#state.name}`,
      mostSteps: MOST_STEPS,
      decide: () => this.#decide(),
      perform: (step: BackendStep) => this.#perform(step),
    });
    return nextRun;
  }

  #decide(): BackendDecision {
    const state = this.#state;
    const before = this.#owner.recall(this);
    const observed = {
      instances: [...this.instances.values()].map(({ instance }) => instance.observed),
      clients: this.#owner.clients(),
      mayStart: this.#turn === "given",
      nextId: state.nextId,
      checkRequested: this.#checkRequested,
      isReached: this.isReached,
      jitter: state.tools.random(),
      use: this.#use,
    };
    this.isReached = false;
    const decision = decideBackend(this.#owner.spec(this), observed, before, state.now());
    this.decision = decision;
    this.suspect = null;
    this.#keep(decision, before);
    if (decision.step === null) {
      if (this.#turn === "given") this.#turn = "none";
      if (decision.wantsTurn) this.#requestTurn();
      this.isDue = decision.wantsTurn;
      this.#owner.onRest(this);
    }
    return decision;
  }

  get #use(): UsageObservation {
    const instance = this.serving?.instance ?? null;
    return {
      isNeeded: this.waiting.size > 0 || this.#owner.isNeeded(),
      idleSinceMs: instance?.idleSinceMs ?? null,
      isUsed: instance?.isUsed === true,
      subscribers: this.#owner.subscribers,
    };
  }

  /** Waits for an instance; a sleeping server is woken. */
  wait(...call: Parameters<WaitingCalls["add"]>): Promise<Reply> {
    const reply = this.waiting.add(...call);
    if (this.decision.memory.asleep) this.trigger("start");
    return reply;
  }

  /** The serving instance and what follows from it change together, before other code runs. */
  #keep({ calls, gate }: BackendDecision, memory: BackendMemory): void {
    const before = this.serving;
    const next = calls.kind === "serve" ? (this.instances.get(calls.id) ?? null) : null;
    this.serving = next;
    if (next !== null && next !== before) this.#owner.onServing(next, before);
    this.#owner.onDecided(this, memory);
    if (this.waiting.size === 0) return;
    if (calls.kind === "refuse" || gate.kind === "refuse") this.waiting.fail(this.unavailable);
    else if (gate.kind === "open" && next?.isReady === true) this.waiting.begin();
  }

  #requestTurn(): void {
    if (this.#turn !== "none") return;
    this.#turn = "asked";
    this.#state.tools.takeTurn(() => {
      this.#turn = "given";
      this.trigger("start");
    });
  }

  #perform(step: BackendStep): void {
    if (step.kind === "start") {
      this.#turn = "none";
      const base = this.#owner.baseOf(step.key);
      if (base !== null) this.#start(base);
      return;
    }
    const entry = this.instances.get(step.id);
    if (entry === undefined) return;
    if (step.kind === "close") void this.#end(entry, step.drained);
    else if (step.kind === "refresh") entry.instance.refresh();
    else {
      if (entry === this.serving) this.#checkRequested = false;
      entry.instance.check();
    }
  }

  #start(base: InstanceBase): void {
    const entry = this.#state.startInstance(base, this.#owner.client, {
      onChange: () => this.trigger("instance"),
      onListings: (changed) => {
        if (changed === this.serving) this.#owner.onListings(this, changed);
      },
      onStarted: (entry) => {
        const isAwaited =
          this.decision.memory.routes.pending !== null && entry.instance.observed.inFlight === 0;
        if (entry !== this.serving || isAwaited) this.trigger("drain");
        if (this.#state.stopped !== null) this.#state.changed();
      },
      onSuspect: (suspect) => {
        if (suspect !== this.serving) return;
        this.#checkRequested = true;
        this.trigger("check");
      },
    });
    this.instances.set(entry.id, entry);
  }

  async #end(
    entry: PoolInstance,
    drained: Extract<BackendStep, { kind: "close" }>["drained"],
  ): Promise<void> {
    const { name, tools } = this.#state;
    const { instance } = entry;
    const { observed } = instance;
    const message =
      drained === null
        ? `server ${name}: this instance has ended`
        : drainMessage(name, drained.why, tools.settings().drainTimeoutMs);
    if (observed.state.kind === "ended") {
      if (observed.state.wasReady) this.#endedLog = [...instance.logLines];
      else this.failedLog = [...instance.logLines];
    }
    await entry.close({ code: BACKEND_UNAVAILABLE, message });
    this.#lastLog = [...instance.logLines];
    this.instances.delete(entry.id);
    if (drained !== null) {
      const took_ms = Math.round(tools.clock.monotonicMs() - drained.sinceMs);
      tools.announce({ name: "backend.drained", backend: name, took_ms, cut: observed.inFlight });
    }
    this.trigger("drain");
  }
}
