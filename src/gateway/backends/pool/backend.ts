// One backend with the reconcile loops of its owners, and how a call reaches the instance that serves it.
import { isDeepStrictEqual } from "node:util";
import type { ServedBackend } from "../../../config/snapshot.ts";
import { inWallTime } from "../../../reconcile/decision.ts";
import type { CallSignal } from "../../call-signal.ts";
import type { CatalogSource, Listings } from "../../catalog/catalog.ts";
import type { ClientHandle } from "../../client-handle.ts";
import { errorReply, isError, type JsonObject, type Reply } from "../../json-rpc.ts";
import type { McpLogLevel } from "../../protocol.ts";
import type { CallLoss } from "../instance/backend-instance.ts";
import { oneLine } from "../instance/failures.ts";
import type { LongWaits } from "../instance/pending.ts";
import type { BackendInstance } from "../instance/start-backend-instance.ts";
import type { BackendView, PoolCall, WatchedTask } from "../policy/backend-pool-contract.ts";
import { type BackendMemory, NEW_BACKEND } from "../policy/backend-situation.ts";
import { type BackendDecision, BEING_STARTED, UNDECIDED } from "../policy/decide-backend.ts";
import { type DataPrograms, indicatesLostData, withAbsence } from "../policy/required-data.ts";
import type { PoolTools } from "./backend-contract.ts";
import { BackendState, routesView, type SwitchOutcome } from "./backend-state.ts";
import { ClientInstances } from "./client-instances.ts";
import { InstanceReconciler } from "./instance-reconciler.ts";
import { mayComeBack, type PoolInstance } from "./pool-instance.ts";
import { PoolSubscriptions } from "./pool-subscriptions.ts";
import { Published } from "./published.ts";
import { createReachabilityProbe, type ReachabilityProbe } from "./reachability-probe.ts";
import { notRepeated, notThere, refusal } from "./refusals.ts";
import { ONE_ROUTE, SharedInstance } from "./shared-instance.ts";
import { reportStart } from "./start-progress.ts";
import type { WaitLimits } from "./waiting-calls.ts";

interface Dispatched extends WaitLimits {
  readonly client: ClientHandle | null;
  readonly run: (entry: PoolInstance, remainingMs: number) => Promise<Reply>;
}

export class Backend {
  readonly published: Published;
  readonly #state: BackendState;
  readonly #subscriptions = new PoolSubscriptions();
  readonly #shared: InstanceReconciler;
  readonly #all: SharedInstance;
  readonly #clients: ClientInstances;
  readonly #reachability: ReachabilityProbe;
  /** Loops whose address refuses connections. */
  readonly #unreachable = new Set<InstanceReconciler>();

  constructor(tools: PoolTools, name: string, config: ServedBackend) {
    const state = new BackendState(tools, name, config);
    const subscriptions = this.#subscriptions;
    const onDecided = (reconciler: InstanceReconciler): void =>
      this.#watchAddress(reconciler, reconciler.decision.isUnreachable);
    this.#state = state;
    this.published = new Published(state);
    this.#clients = new ClientInstances({
      ...{ state, subscriptions, onDecided },
      mayStart: () => this.#shared.decision.calls.kind === "serve",
      onChange: () => this.#shared.trigger("instance"),
      onEnd: (reconciler) => this.#watchAddress(reconciler, false),
    });
    const { published } = this;
    this.#all = new SharedInstance({
      ...{ state, subscriptions, onDecided, published },
      clients: this.#clients,
    });
    this.#shared = new InstanceReconciler(
      state,
      this.#all,
      undecided(tools.routeOverrides?.get(name) ?? null),
    );
    this.#reachability = createReachabilityProbe(tools.clock, () => {
      for (const reconciler of this.#unreachable) {
        reconciler.isReached = true;
        reconciler.trigger("check");
      }
    });
    this.configure(config);
  }

  /** The first attempt to start has ended, or none is due. */
  get isStarted(): boolean {
    const { isWanted } = this.#state;
    const { decision, isDue } = this.#shared;
    if (isDue) return false;
    // A backend whose required data is away counts as settled, because the data may be away for days.
    const isUnavailable = decision.gate.kind === "refuse";
    return !isWanted || isUnavailable || (decision.phase !== "Pending" && decision.phase !== "Initializing");
  }

  /** Null if the lists were read, or if the backend should not run. */
  get unlisted(): Omit<CatalogSource, "listings"> | null {
    const { isWanted, name, config } = this.#state;
    if (!isWanted || !this.published.isUnlisted) return null;
    const { filters, toolOverrides } = config;
    return { backend: name, filters, toolOverrides };
  }

  /** True if the backend's lists are missing but may still arrive. */
  get isComing(): boolean {
    return this.unlisted !== null && this.#state.stopped === null && !this.isStarted;
  }

  /** Reads the lists that are due, and wakes no server. Resolves when they are published; null: nothing is waited for. */
  readDueLists(...due: Parameters<BackendInstance["readDueLists"]>): Promise<unknown> | null {
    const { serving, decision } = this.#shared;
    return decision.gate.kind === "open" ? (serving?.instance.readDueLists(...due) ?? null) : null;
  }

  /** For how long clients may still keep the published list. */
  remainingMs(list: keyof Listings): number {
    return this.#shared.serving?.instance.remainingMs(list) ?? this.published.remainingMs(list);
  }

  /** The time limit of all requests but tool calls. */
  get otherMs(): number {
    const { callMs, otherMs = callMs } = this.#state.config.timeouts;
    return otherMs;
  }

  get runsOnce(): boolean {
    return this.#state.config.replace === "stop-first";
  }

  /** True if another process still runs the backend. */
  get runsInPrevious(): boolean {
    return this.#state.runsInPrevious;
  }

  get waitsForData(): boolean {
    return this.#shared.decision.gate.kind !== "open";
  }

  get name(): string {
    return this.#state.name;
  }

  /** Each user has an own account at the server. */
  get hasAccounts(): boolean {
    return this.#state.config.accounts === "each";
  }

  get isGone(): boolean {
    return !this.#state.isConfigured && this.#instances.length === 0;
  }

  get pids(): readonly number[] {
    return this.#instances.flatMap(({ pid }) => pid ?? []);
  }

  get programs(): readonly DataPrograms[] {
    const { requires } = this.#state.config;
    return requires.length === 0 ? [] : [{ requires, pids: this.pids }];
  }

  get inFlight(): number {
    return inFlightOf(this.#reconcilers);
  }

  /** Null removes the backend. Changes that need no new connection take effect before the call returns. */
  configure(next: ServedBackend | null): void {
    const state = this.#state;
    const { config: before, isConfigured } = state;
    if (next === null ? !isConfigured : isConfigured && isDeepStrictEqual(next, before)) return;
    state.isConfigured = next !== null;
    if (next !== null) {
      state.config = next;
      state.noticeMounts(true);
      state.resolve();
      if (!state.hasChoice) state.refuseRequested(ONE_ROUTE);
      if (this.#shared.serving === null) this.#recall();
      this.published.applyShape();
    }
    state.revision++;
    this.#shared.isDue = true;
    if (!state.isWanted) this.#subscriptions.clear();
    else if (before.instances !== state.config.instances) this.#changeInstances();
    if (state.isWanted && state.isPerClient) this.#clients.backendChanged();
    else this.#clients.release();
    this.published.publish(this.#shared.decision);
    this.#shared.trigger("config");
  }

  /** The lists that the server had before are published before the first decision. */
  #recall(): void {
    const { published } = this;
    const { needs, tools } = this.#state;
    if (tools.isOfAccount === true) {
      this.#awaitStart();
      return;
    }
    const { decision } = this.#shared;
    published.recall();
    const isFirst = decision.memory.revision === NEW_BACKEND.revision;
    if (!isFirst || published.listedAtMs === null || (needs !== null && needs.data.kind !== "there")) return;
    this.#shared.decision = { ...decision, calls: { kind: "wait" } };
  }

  /** Calls of a user's account wait for its next start. */
  #awaitStart(): void {
    const { decision } = this.#shared;
    const memory: BackendMemory = { ...decision.memory, waitReason: "crash" };
    this.#shared.decision = { ...decision, memory, calls: { kind: "wait" } };
  }

  recheck(): void {
    this.#shared.trigger("config");
    this.#clients.backendChanged();
  }

  recheckData(): void {
    const state = this.#state;
    if (state.config.requires.length === 0) return;
    state.noticeMounts(false);
    this.#shared.trigger("data");
    this.#clients.backendChanged();
  }

  /** Never rejects. */
  call(call: PoolCall): Promise<Reply> {
    const state = this.#state;
    const callMs = call.method === "tools/call" ? state.config.timeouts.callMs : this.otherMs;
    if (call.taskLocation !== undefined) {
      const { handle, signal, taskLocation } = call;
      const client = handle?.client ?? null;
      return this.#withAbsence(
        this.#at(taskLocation, client, signal, (entry, remainingMs) => entry.send(call, remainingMs)),
      );
    }
    return state.hasChoice ? this.#overRoutes(call, callMs) : this.#call(call, callMs);
  }

  /** Tries an unsent call over the next route that serves, until the call's deadline. A sent call is never repeated. */
  async #overRoutes(call: PoolCall, deadlineMs: number): Promise<Reply> {
    const state = this.#state;
    const { clock } = state.tools;
    const untilMs = clock.monotonicMs() + deadlineMs;
    for (;;) {
      const losses: CallLoss[] = [];
      const { serving } = this.#shared;
      const onLoss = (loss: CallLoss): void => void losses.push(loss);
      const reply = await this.#call({ ...call, onLoss }, Math.max(1, untilMs - clock.monotonicMs()));
      const loss = losses.at(-1);
      if (loss === undefined || !isError(reply)) return reply;
      if (loss.wasSent) {
        if (loss.failure.kind !== "closed") return reply;
        serving?.instance.check();
        return notRepeated(reply);
      }
      if (clock.monotonicMs() >= untilMs) return reply;
      // A client's own instance has one route. The shared one chooses the next if its check also fails.
      if (state.isPerClient) serving?.instance.check();
      // Lets the loop check the instance before that instance gets another call.
      this.#shared.suspect = serving;
      this.#shared.trigger("check");
    }
  }

  #call(call: PoolCall, deadlineMs: number): Promise<Reply> {
    const state = this.#state;
    const { serving, decision, suspect } = this.#shared;
    const isShared = state.config.instances === "shared";
    const isPlain = isShared && this.published.source !== null && state.stopped === null;
    const isOpen = decision.gate.kind === "open" && suspect === null;
    if (serving?.isReady === true && isPlain && isOpen)
      return this.#withAbsence(serving.send(call, deadlineMs));
    const { signal, handle } = call;
    const hasStarted = serving === null && this.published.source !== null;
    const waits = hasStarted ? reportStart(state.tools.clock, state.name, call) : null;
    const run = (entry: PoolInstance, remainingMs: number): Promise<Reply> => {
      waits?.[Symbol.dispose]();
      // `renew` is called only for a wanted backend: for a removed backend, `renew` would refuse a call that was
      // accepted earlier.
      const renewed = (state.isWanted ? call.renew?.(hasStarted) : null) ?? {
        params: call.params,
        answer: null,
      };
      return renewed.answer ?? entry.send({ ...call, params: renewed.params }, remainingMs);
    };
    const reply = this.#dispatch({ client: handle?.client ?? null, signal, deadlineMs, run });
    if (waits !== null) void reply.then(() => waits[Symbol.dispose]());
    return this.#withAbsence(reply);
  }

  subscribe(uri: string, client: ClientHandle): Promise<Reply> {
    const run = async (entry: PoolInstance): Promise<Reply> => {
      const reply = await entry.watch(entry.instance.subscribe(uri, client));
      if (isError(reply) || client.ended.aborted) return reply;
      this.#subscriptions.add(client, uri);
      // A replacement that has since taken over lacks this subscription.
      this.#instanceOf(client)?.instance.adopt(new Map([[uri, new Set([client])]]));
      return reply;
    };
    return this.#dispatch({ client, signal: client.ended, deadlineMs: this.otherMs, run });
  }

  watchTask({ taskLocation, ...task }: WatchedTask, client: ClientHandle): Promise<Reply> {
    return this.#at(taskLocation, client, client.ended, (entry) =>
      entry.watch(entry.instance.watchTask(task, client)),
    );
  }

  async unsubscribe(uri: string, client: ClientHandle): Promise<Reply> {
    this.#subscriptions.delete(client, uri);
    const entry = this.#instanceOf(client);
    if (entry?.isReady !== true) return { result: {} };
    return entry.watch(entry.instance.unsubscribe(uri, client));
  }

  notifyOwn(client: ClientHandle, method: string, params: JsonObject | undefined): void {
    if (this.#state.isPerClient) this.#clients.ready(client)?.instance.notify(method, params);
  }

  setLogLevel(level: McpLogLevel | null): void {
    for (const instance of this.#instances) instance.setLogLevel(level);
  }

  hasStateOf(client: ClientHandle): boolean {
    return (
      this.#subscriptions.has(client) ||
      this.#clients.has(client) ||
      this.#shared.instances.values().some(({ instance }) => instance.hasTaskOf(client))
    );
  }

  forget(client: ClientHandle): void {
    this.#subscriptions.forget(client);
    for (const { instance } of this.#shared.instances.values()) instance.forget(client);
    this.#clients.forget(client);
  }

  view(): BackendView {
    const { config } = this.#state;
    const { decision, serving, drainingInFlight } = this.#shared;
    const { memory, retryAtMs } = decision;
    const now = this.#state.now();
    const initialized = serving?.instance.initializeResult ?? this.published.initialized;
    const clients = this.#clients.all;
    return {
      name: config.name,
      group: config.group,
      type: serving?.base.connection.type ?? config.connection.type,
      enabled: config.enabled,
      phase: decision.phase,
      reason: decision.phase === "Initializing" ? this.#startingText() : decision.reason,
      sinceMs: this.#all.phase.since.wallMs,
      pid: serving?.instance.pid ?? null,
      server: initialized?.serverInfo ?? null,
      protocolVersion: initialized?.protocolVersion ?? null,
      instances: this.#instances.length,
      inFlight: this.inFlight,
      longWaits: longWaitsOf(this.#instances),
      draining: clients.reduce((sum, reconciler) => sum + reconciler.drainingInFlight, drainingInFlight),
      restarts: memory.crashes + this.#clients.ends,
      retryAtMs: retryAtMs === null ? null : now.wallMs + retryAtMs - now.monotonicMs,
      lastError: memory.lastError ?? this.#clients.observed.down?.failure.message ?? null,
      conditions: decision.conditions,
      explanation: inWallTime(decision.explanation, now.wallMs - now.monotonicMs),
      routes: routesView(this.#state, memory),
    };
  }

  /** How long the program has been starting, and the last line that it wrote. */
  #startingText(): string {
    const starting = this.#instances.find(({ observed }) => observed.state.kind === "starting");
    if (starting === undefined) return BEING_STARTED;
    const { observed, logLines } = starting;
    const seconds = Math.round((this.#state.now().monotonicMs - observed.startedAtMs) / 1_000);
    const line = logLines.at(-1);
    return `starting for ${seconds} s${line === undefined ? "" : `: ${oneLine(line)}`}`;
  }

  /** Switches to the route `to`. null: ends the override. Never rejects. */
  switchRoute(to: string | null, signal: AbortSignal): Promise<SwitchOutcome> {
    return this.#all.switchRoute(this.#shared, to, signal);
  }

  restart(): void {
    const state = this.#state;
    if (!state.isWanted) return;
    state.isStartRequested = true;
    state.epoch++;
    state.revision++;
    this.#shared.isDue = true;
    if (state.tools.isOfAccount === true && this.#shared.serving === null) this.#awaitStart();
    this.#shared.trigger("user");
  }

  logLines(): readonly string[] {
    const lines = this.#shared.logLines();
    if (this.#clients.observed.down === null || this.#clients.failedLog.length === 0) return lines;
    return [...lines, "--- a client's own instance that did not start:", ...this.#clients.failedLog];
  }

  /** Calls in flight continue. */
  stop(message: string): void {
    this.#reachability[Symbol.dispose]();
    this.#state.stopped = message;
    this.#state.refuseRequested(message);
    this.#shared.stop(message);
    this.#clients.stop(message);
  }

  /** Calls in flight end with the error `message`. */
  async close(message: string): Promise<void> {
    await Promise.all([this.#shared.close(message), this.#clients.close(message)]);
  }

  get #instances(): readonly BackendInstance[] {
    return this.#reconcilers.flatMap(({ instances }) =>
      [...instances.values()].map(({ instance }) => instance),
    );
  }

  get #reconcilers(): readonly InstanceReconciler[] {
    return [this.#shared, ...this.#clients.all];
  }

  #watchAddress(reconciler: InstanceReconciler, isUnreachable: boolean): void {
    if (isUnreachable) this.#unreachable.add(reconciler);
    else this.#unreachable.delete(reconciler);
    this.#reachability.watch(this.#unreachable.size > 0 ? this.#state.spec.origin : null);
  }

  /** The subscriptions go to the shared instance, or to an instance of each client. */
  #changeInstances(): void {
    const shared = this.#shared.serving?.instance ?? null;
    if (!this.#state.isPerClient) this.#subscriptions.move(null, shared);
    else
      for (const client of this.#subscriptions.clients) {
        this.#clients.ensure(client);
        this.#subscriptions.move(shared, null, client);
      }
  }

  /** A request about a task goes only to the process or address that has the task. */
  #at(
    taskLocation: string,
    client: ClientHandle | null,
    signal: CallSignal,
    run: Dispatched["run"],
  ): Promise<Reply> {
    const state = this.#state;
    const { callMs } = state.config.timeouts;
    const { serving, decision } = this.#shared;
    const isIt = (entry: PoolInstance): boolean => entry.isReady && entry.taskLocation === taskLocation;
    const all = [
      ...(serving === null ? [] : [serving]),
      ...this.#reconcilers.flatMap(({ instances }) => [...instances.values()]),
    ];
    const found = all.find(isIt);
    if (found !== undefined && state.stopped === null && decision.gate.kind === "open") {
      return run(found, callMs);
    }
    const otherwise = errorReply(...notThere(state.name, taskLocation));
    if (found === undefined && !mayComeBack(taskLocation)) return Promise.resolve(otherwise);
    const runThere = async (entry: PoolInstance, remainingMs: number): Promise<Reply> => {
      const there = entry.taskLocation === taskLocation ? entry : found?.isReady === true ? found : null;
      return there === null ? otherwise : run(there, remainingMs);
    };
    return this.#dispatch({ client, signal, deadlineMs: callMs, run: runThere });
  }

  /** Runs the request on a ready instance, makes it wait for one, or refuses it. */
  #dispatch(request: Dispatched): Promise<Reply> {
    const { client, deadlineMs, run } = request;
    const state = this.#state;
    const shared = this.#shared;
    const { calls, gate, isUnreachable } = shared.decision;
    if (state.needs?.data.kind === "away") state.tools.data?.want?.(state.config.requires);
    const isRunning = state.stopped === null && state.isWanted;
    const again = (remainingMs: number): Promise<Reply> =>
      this.#dispatch({ ...request, deadlineMs: remainingMs });
    if (isUnreachable && gate.kind !== "refuse" && isRunning)
      return this.#onceReached(shared, request, again);
    if (!isRunning || calls.kind === "refuse" || gate.kind === "refuse") return refusal(shared.unavailable);
    if (gate.kind === "wait" || shared.suspect !== null) return shared.wait(again, request);
    const owner = state.isPerClient ? client : null;
    const serving = owner === null ? shared.serving : this.#clients.ready(owner);
    if (serving?.isReady === true) return run(serving, deadlineMs);
    if (owner === null || shared.serving === null) return shared.wait(again, request);
    const reconciler = this.#clients.ensure(owner);
    if (typeof reconciler === "string") return refusal(reconciler);
    if (reconciler.decision.isUnreachable) return this.#onceReached(reconciler, request, again);
    if (reconciler.decision.calls.kind === "refuse") return refusal(reconciler.unavailable);
    // An accepted call continues at the instance that starts, though the backend is no longer wanted.
    const atNewest = (remainingMs: number): Promise<Reply> =>
      state.isWanted || reconciler.newest === null ? again(remainingMs) : run(reconciler.newest, remainingMs);
    return reconciler.wait(atNewest, request);
  }

  /** Probes the address, with one probe for all concurrent calls. If the address answers, waits for an instance. */
  async #onceReached(
    reconciler: InstanceReconciler,
    { signal, deadlineMs }: WaitLimits,
    run: (remainingMs: number) => Promise<Reply>,
  ): Promise<Reply> {
    const { clock } = this.#state.tools;
    const untilMs = clock.monotonicMs() + deadlineMs;
    const isReached = await this.#reachability.check();
    const remainingMs = Math.max(1, untilMs - clock.monotonicMs());
    return isReached
      ? reconciler.waiting.add(run, { deadlineMs: remainingMs, signal })
      : refusal(reconciler.unavailable);
  }

  /** Adds to the answer of a failed call that required data was absent. The server cannot know that. */
  #withAbsence(answer: Promise<Reply>): Promise<Reply> {
    const state = this.#state;
    if (state.config.requires.length === 0) return answer;
    const { turns } = state.absence;
    return answer.then(async (reply) => {
      if (indicatesLostData(reply)) await state.tools.data?.refresh?.(state.config.requires);
      const data = state.needs?.data ?? null;
      if (data !== null && data.kind !== "there") return withAbsence(reply, data, "now");
      const { absence } = state;
      if (absence.turns === turns || absence.data === null) return reply;
      return withAbsence(reply, absence.data, "meanwhile");
    });
  }

  #instanceOf(client: ClientHandle): PoolInstance | null {
    return this.#state.isPerClient ? this.#clients.ready(client) : this.#shared.serving;
  }
}

function longWaitsOf(instances: readonly BackendInstance[]): LongWaits | null {
  const found = instances.flatMap(({ longWaits }) => longWaits ?? []);
  return found.length === 0
    ? null
    : {
        calls: found.reduce((sum, { calls }) => sum + calls, 0),
        longestMs: Math.max(...found.map(({ longestMs }) => longestMs)),
      };
}

function inFlightOf(reconcilers: readonly InstanceReconciler[]): number {
  return reconcilers.reduce((sum, { inFlight }) => sum + inFlight, 0);
}

/** Before the first decision. `override`: the route to which a person has fixed the backend. */
function undecided(override: string | null): BackendDecision {
  const { memory } = UNDECIDED;
  return { ...UNDECIDED, memory: { ...memory, routes: { ...memory.routes, override } } };
}
