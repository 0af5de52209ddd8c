// One backend with its instances, and how a call reaches the instance that serves.
import { isDeepStrictEqual } from "node:util";
import { routesOf } from "../../../config/backend-routes.ts";
import type { ServedBackend } from "../../../config/snapshot.ts";
import type { CallSignal } from "../../call-signal.ts";
import type { CatalogSource } from "../../catalog/catalog.ts";
import type { ClientPort } from "../../client-port.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  INVALID_PARAMS,
  isError,
  type JsonObject,
  type Reply,
  type RpcError,
} from "../../json-rpc.ts";
import type { McpLogLevel } from "../../protocol.ts";
import type { CallLoss } from "../instance/backend-instance.ts";
import type { LongWaits } from "../instance/pending.ts";
import type { BackendInstance } from "../instance/start-backend-instance.ts";
import type { BackendView, PoolCall, Readiness, WatchedTask } from "../policy/backend-pool-contract.ts";
import { type DataPrograms, looksCutOff, withAbsence } from "../policy/required-data.ts";
import type { LaneTools } from "./backend-lane-contract.ts";
import { ClientInstances, PoolSubscriptions } from "./client-instances.ts";
import { createLaneCycles, type LaneCycles } from "./lane-cycles.ts";
import { createSharedInstances, Published, type SharedInstances } from "./lane-instances.ts";
import { LaneState, routesView, type SwitchOutcome } from "./lane-state.ts";
import { mayComeBack, type PoolInstance } from "./pool-instance.ts";
import { createReachWatch, type ReachWatch } from "./reach-watch.ts";
import { createWaitingCalls, type WaitingCalls, type WaitLimits } from "./waiting-calls.ts";

const ONE_ROUTE = "it has one route alone";
const GIVEN_UP = "it was given up";

interface Dispatched extends WaitLimits {
  readonly client: ClientPort | null;
  readonly run: (entry: PoolInstance, leftMs: number) => Promise<Reply>;
}

export class BackendLane {
  readonly published: Published;
  readonly #state: LaneState;
  readonly #waiting: WaitingCalls;
  readonly #subscriptions = new PoolSubscriptions();
  readonly #own: ClientInstances;

  readonly #shared: SharedInstances;
  readonly #cycles: LaneCycles;
  readonly #reach: ReachWatch;

  constructor(tools: LaneTools, name: string, config: ServedBackend) {
    this.#state = new LaneState(tools, name, config, () => this.#cycles());
    this.#waiting = createWaitingCalls(tools.clock, name);
    this.#own = new ClientInstances(this.#state, this.#subscriptions);
    this.published = new Published(this.#state, this.#subscriptions, this.#own);
    this.#shared = createSharedInstances(this.#state, this.published);
    this.#reach = createReachWatch(tools.clock, () => {
      this.#state.isReached = true;
      this.#state.trigger("check");
    });
    this.#cycles = createLaneCycles({
      state: this.#state,
      waiting: this.#waiting,
      own: this.#own,
      shared: this.#shared,
      published: this.published,
      reach: this.#reach,
    });
    this.configure(config);
  }

  /** The first attempt to start has ended, or none is due. */
  get isSettled(): boolean {
    const { isWanted, decision, isDue } = this.#state;
    if (isDue) return false;
    // A backend whose required data is away counts as settled, because the data may be away for days.
    const isAway = decision.gate.kind === "refuse";
    return !isWanted || isAway || (decision.phase !== "Pending" && decision.phase !== "Initializing");
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
    return this.unlisted !== null && this.#state.stopped === null && !this.isSettled;
  }

  get callMs(): number {
    return this.#state.config.timeouts.callMs;
  }

  get runsOnce(): boolean {
    return this.#state.spec.replace === "stop-first";
  }

  /** True if another process still runs the backend. */
  get isHeldBack(): boolean {
    return this.runsOnce && this.#state.spec.runsElsewhere === true;
  }

  get waitsForData(): boolean {
    return this.#state.decision.gate.kind !== "open";
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

  /** `waits` promises nothing: a call that waits may still be refused. */
  get readiness(): Readiness {
    const { decision, isWanted, serving, doubted, stopped } = this.#state;
    const { calls, gate } = decision;
    if (stopped !== null || !isWanted || calls.kind === "refuse" || gate.kind === "refuse") return "refuses";
    return serving?.isReady === true && gate.kind === "open" && doubted === null ? "ready" : "waits";
  }

  get inFlight(): number {
    return inFlightOf(this.#instances);
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
      if (!state.hasRoutes) state.refuseAsked(ONE_ROUTE);
      this.published.applyShape();
    }
    state.revision++;
    state.isDue = true;
    if (!state.isWanted) {
      this.#own.retire(() => false, state.isConfigured ? "disabled" : "removed");
      this.#subscriptions.clear();
    } else this.published.changeInstances(before.instances);
    this.published.publish();
    state.trigger("config");
  }

  lookAgain(): void {
    this.#state.trigger("config");
  }

  lookAtData(): void {
    const state = this.#state;
    if (state.config.requires.length === 0) return;
    state.noticeMounts(false);
    state.trigger("data");
  }

  /** Never rejects. */
  call(call: PoolCall): Promise<Reply> {
    const state = this.#state;
    const { callMs } = state.config.timeouts;
    if (call.home !== undefined) {
      const { port, signal, home } = call;
      const client = port?.client ?? null;
      return this.#withAbsence(this.#at(home, client, signal, (entry, leftMs) => entry.send(call, leftMs)));
    }
    return state.hasRoutes ? this.#overRoutes(call, callMs) : this.#call(call, callMs);
  }

  /** Tries an unsent call over the next route that serves, until the call's deadline. A sent call is never repeated. */
  async #overRoutes(call: PoolCall, deadlineMs: number): Promise<Reply> {
    const state = this.#state;
    const { clock } = state.tools;
    const untilMs = clock.monotonicMs() + deadlineMs;
    for (;;) {
      const losses: CallLoss[] = [];
      const { serving } = state;
      const onLoss = (loss: CallLoss): void => {
        losses.push(loss);
        call.onLoss?.(loss);
      };
      const reply = await this.#call({ ...call, onLoss }, Math.max(1, untilMs - clock.monotonicMs()));
      const loss = losses.at(-1);
      if (loss === undefined || !isError(reply)) return reply;
      if (loss.wasSent) {
        if (loss.failure.kind !== "closed") return reply;
        serving?.instance.check();
        return notRepeated(reply);
      }
      if (clock.monotonicMs() >= untilMs) return reply;
      // Lets the lane check the instance before that instance gets another call.
      state.doubted = serving;
      state.trigger("check");
    }
  }

  #call(call: PoolCall, deadlineMs: number): Promise<Reply> {
    const state = this.#state;
    const { serving, config } = state;
    const isPlain = config.instances === "shared" && this.published.source !== null && state.stopped === null;
    const isOpen = state.decision.gate.kind === "open" && state.doubted === null;
    if (serving?.isReady === true && isPlain && isOpen)
      return this.#withAbsence(serving.send(call, deadlineMs));
    const { signal, port } = call;
    const run = (entry: PoolInstance, leftMs: number): Promise<Reply> => {
      // `renew` is called only for a wanted backend: for a removed backend, `renew` would refuse a call that was
      // accepted earlier.
      const renewed = (state.isWanted ? call.renew?.() : null) ?? { params: call.params, answer: null };
      return renewed.answer ?? entry.send({ ...call, params: renewed.params }, leftMs);
    };
    return this.#withAbsence(this.#dispatch({ client: port?.client ?? null, signal, deadlineMs, run }));
  }

  subscribe(uri: string, client: ClientPort): Promise<Reply> {
    const run = async (entry: PoolInstance): Promise<Reply> => {
      const reply = await entry.watch(entry.instance.subscribe(uri, client));
      if (isError(reply) || client.ended.aborted) return reply;
      this.#subscriptions.add(client, uri);
      // A replacement that took over meanwhile lacks this subscription.
      this.#instanceOf(client)?.instance.adopt(new Map([[uri, new Set([client])]]));
      return reply;
    };
    return this.#dispatch({ client, signal: client.ended, deadlineMs: this.callMs, run });
  }

  watchTask({ home, ...task }: WatchedTask, client: ClientPort): Promise<Reply> {
    return this.#at(home, client, client.ended, (entry) =>
      entry.watch(entry.instance.watchTask(task, client)),
    );
  }

  async unsubscribe(uri: string, client: ClientPort): Promise<Reply> {
    this.#subscriptions.delete(client, uri);
    const entry = this.#instanceOf(client);
    if (entry?.isReady !== true) return { result: {} };
    return entry.watch(entry.instance.unsubscribe(uri, client));
  }

  notifyOwn(client: ClientPort, method: string, params: JsonObject | undefined): void {
    if (this.#state.isPerClient) this.#own.ready(client)?.instance.notify(method, params);
  }

  setLogLevel(level: McpLogLevel | null): void {
    for (const instance of this.#instances) instance.setLogLevel(level);
  }

  forget(client: ClientPort): void {
    this.#subscriptions.forget(client);
    for (const { instance } of this.#shared.instances.values()) instance.forget(client);
    this.#own.forget(client);
  }

  view(): BackendView {
    const { config, decision, serving, phase } = this.#state;
    const { memory, retryAtMs } = decision;
    const now = this.#state.now();
    const sharedOnes = [...this.#shared.instances.values()].map(({ instance }) => instance);
    const own = this.#own.all.map(({ instance }) => instance);
    const draining = sharedOnes.filter(({ id }) => memory.draining.some((leaving) => leaving.id === id));
    const initialized = serving?.instance.initializeResult ?? null;
    return {
      name: config.name,
      group: config.group,
      type: serving?.base.connection.type ?? config.connection.type,
      enabled: config.enabled,
      phase: decision.phase,
      reason: decision.reason,
      sinceMs: phase.since.wallMs,
      pid: serving?.instance.pid ?? null,
      server: initialized?.serverInfo ?? null,
      protocolVersion: initialized?.protocolVersion ?? null,
      instances: sharedOnes.length + own.length,
      inFlight: inFlightOf([...sharedOnes, ...own]),
      longWaits: longWaitsOf([...sharedOnes, ...own]),
      draining: inFlightOf(draining) + this.#own.drainingInFlight,
      restarts: memory.ends,
      retryAtMs: retryAtMs === null ? null : now.wallMs + retryAtMs - now.monotonicMs,
      lastError: memory.lastError,
      conditions: decision.conditions,
      routes: routesView(this.#state),
    };
  }

  /** Switches to the route `to`. null: no route is held by hand any more. Never rejects. */
  async switchRoute(to: string | null, signal: AbortSignal): Promise<SwitchOutcome> {
    const state = this.#state;
    const failed = (reason: string): SwitchOutcome => ({ ok: false, reason });
    const names = routesOf(state.config).map(({ name }) => name);
    const used = state.decision.memory.routes.used ?? names[0] ?? "";
    if (!state.hasRoutes) return failed(ONE_ROUTE);
    if (to !== null && !names.includes(to)) return failed(`it has the routes ${names.join(", ")}`);
    if (!state.isWanted) return failed(state.unavailable);
    if (to === null) {
      state.release();
      return { ok: true, route: used, changed: false };
    }
    if (signal.aborted) return failed(GIVEN_UP);
    state.refuseAsked("another route was asked for");
    const { promise, resolve } = Promise.withResolvers<SwitchOutcome>();
    const asked = { route: to, settle: resolve };
    const onAbort = (): void => {
      if (state.asked !== asked) return;
      state.refuseAsked(GIVEN_UP);
      state.trigger("user");
    };
    signal.addEventListener("abort", onAbort, { once: true });
    state.asked = asked;
    state.trigger("user");
    return promise;
  }

  restart(): void {
    const state = this.#state;
    if (!state.isWanted) return;
    state.epoch++;
    state.revision++;
    state.isDue = true;
    state.trigger("user");
  }

  logLines(): readonly string[] {
    return this.#shared.logLines();
  }

  /** Calls in flight go on. */
  stop(message: string): void {
    this.#reach[Symbol.dispose]();
    this.#state.stop(message);
    this.#state.refuseAsked(message);
    this.#waiting.fail(message);
  }

  /** Calls in flight end with the error `message`. */
  async close(message: string): Promise<void> {
    await Promise.all([this.#shared.close(message), this.#own.close(message)]);
  }

  get #instances(): readonly BackendInstance[] {
    return [...this.#shared.instances.values(), ...this.#own.all].map(({ instance }) => instance);
  }

  /** A request about a task goes only to the process or address that has the task. */
  #at(home: string, client: ClientPort | null, signal: CallSignal, run: Dispatched["run"]): Promise<Reply> {
    const state = this.#state;
    const { callMs } = state.config.timeouts;
    const { serving } = state;
    const isIt = (entry: PoolInstance): boolean => entry.isReady && entry.home === home;
    const all = [
      ...(serving === null ? [] : [serving]),
      ...this.#shared.instances.values(),
      ...this.#own.all,
    ];
    const found = all.find(isIt);
    if (found !== undefined && state.stopped === null && state.decision.gate.kind === "open") {
      return run(found, callMs);
    }
    const otherwise = errorReply(...noHome(state.name, home));
    if (found === undefined && !mayComeBack(home)) return Promise.resolve(otherwise);
    const runThere = async (entry: PoolInstance, leftMs: number): Promise<Reply> => {
      const there = entry.home === home ? entry : found?.isReady === true ? found : null;
      return there === null ? otherwise : run(there, leftMs);
    };
    return this.#dispatch({ client, signal, deadlineMs: callMs, run: runThere });
  }

  /** Runs the request on a ready instance, makes it wait for one, or refuses it. */
  #dispatch(request: Dispatched): Promise<Reply> {
    const { client, deadlineMs, run } = request;
    const state = this.#state;
    const own = this.#own;
    const { calls, gate } = state.decision;
    const isRefused = calls.kind === "refuse" || gate.kind === "refuse";
    if (state.needs?.data.kind === "away") state.tools.data?.want?.(state.config.requires);
    const again = (leftMs: number): Promise<Reply> => this.#dispatch({ ...request, deadlineMs: leftMs });
    if (state.decision.isAway && gate.kind !== "refuse" && state.stopped === null && state.isWanted)
      return this.#onceReached(request, again);
    if (state.stopped !== null || !state.isWanted || isRefused) {
      return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, state.unavailable));
    }
    const isWaiting = gate.kind === "wait" || state.doubted !== null;
    if (isWaiting) return this.#waiting.add(again, request);
    const ownClient = state.isPerClient ? client : null;
    if (ownClient !== null) {
      const ready = own.ready(ownClient);
      if (ready !== null) return run(ready, deadlineMs);
      // Whether clients have their own instances, and whether calls may pass, can change while the request waits.
      const isOver = (): boolean => !state.isPerClient || state.decision.gate.kind !== "open";
      const runOrAgain = (entry: PoolInstance, leftMs: number): Promise<Reply> =>
        state.isWanted && isOver() ? again(leftMs) : run(entry, leftMs);
      if (state.serving !== null) return own.call(ownClient, request, runOrAgain);
    } else if (state.serving?.isReady === true) return run(state.serving, deadlineMs);
    return this.#waiting.add(again, request);
  }

  /** Probes the address, with one probe for all concurrent calls. If the address answers, waits for an instance. */
  async #onceReached(
    { signal, deadlineMs }: WaitLimits,
    run: (leftMs: number) => Promise<Reply>,
  ): Promise<Reply> {
    const state = this.#state;
    const { clock } = state.tools;
    const untilMs = clock.monotonicMs() + deadlineMs;
    const isReached = await this.#reach.ask();
    const leftMs = Math.max(1, untilMs - clock.monotonicMs());
    if (isReached) return this.#waiting.add(run, { deadlineMs: leftMs, signal });
    return errorReply(BACKEND_UNAVAILABLE, state.unavailable);
  }

  /** Adds to the answer of a failed call that required data was absent. The server cannot know that. */
  #withAbsence(answer: Promise<Reply>): Promise<Reply> {
    const state = this.#state;
    if (state.config.requires.length === 0) return answer;
    const { turns } = state.absence;
    return answer.then(async (reply) => {
      if (looksCutOff(reply)) await state.tools.data?.lookNow?.(state.config.requires);
      const data = state.needs?.data ?? null;
      if (data !== null && data.kind !== "there") return withAbsence(reply, data, "now");
      const { absence } = state;
      if (absence.turns === turns || absence.data === null) return reply;
      return withAbsence(reply, absence.data, "meanwhile");
    });
  }

  #instanceOf(client: ClientPort): PoolInstance | null {
    const state = this.#state;
    return state.isPerClient ? this.#own.ready(client) : state.serving;
  }
}

function noHome(backend: string, home: string): [code: number, message: string] {
  return mayComeBack(home)
    ? [BACKEND_UNAVAILABLE, `backend ${backend} has this task at another address than the one in use`]
    : [INVALID_PARAMS, `the task has ended: the process of backend ${backend} that had it has`];
}

function notRepeated({ error }: { readonly error: RpcError }): Reply {
  const text = `${error.message}; the call had been sent and was not repeated, as it may have taken effect`;
  return errorReply(error.code, text, error.data);
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

function inFlightOf(instances: readonly BackendInstance[]): number {
  return instances.reduce((sum, { seen }) => sum + seen.inFlight, 0);
}
