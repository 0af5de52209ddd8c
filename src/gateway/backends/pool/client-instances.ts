// The reconcile loops of single clients (`instances = "per-client"`), each from the client's first call to the end of its session.
import { isDeepStrictEqual } from "node:util";
import { ofLargest } from "../../../runtime/bounded-map.ts";
import { type ClientHandle, principalKey } from "../../client-handle.ts";
import {
  type BackendMemory,
  type BackendSpec,
  type ClientsObservation,
  NEW_BACKEND,
  NO_CLIENTS,
} from "../policy/backend-situation.ts";
import {
  type ClientStarts,
  isTurnOf,
  NEVER_STARTED,
  NO_STARTS,
  type OtherStarts,
  OWN_ROUTE,
  type OwnStarts,
  restoreStarts,
  SEPARATE_STARTS,
  sharesFailures,
  updateStarts,
} from "../policy/client-starts.ts";
import { UNDECIDED } from "../policy/decide-backend.ts";
import { unwantedMessage } from "../policy/draining.ts";
import { firstAttempt, lastRetries, NO_RETRIES, type RetryState } from "../policy/route-memory.ts";
import type { BackendState } from "./backend-state.ts";
import { clientFolderOf } from "./client-folder.ts";
import { InstanceReconciler, type ReconcilerOwner } from "./instance-reconciler.ts";
import type { InstanceBase, PoolInstance } from "./pool-instance.ts";
import type { PoolSubscriptions } from "./pool-subscriptions.ts";

/** Maximum number of clients with a loop; above it, the loop of an idle client is ended. */
const MAX_CLIENTS = 64;

const NO_FOLDER = "and this client has not reported any: start it as `mountaineer mcp` in a project";

/** What the loops of clients need of the backend. */
interface ClientInstancesParts {
  readonly state: BackendState;
  readonly subscriptions: PoolSubscriptions;
  /** The shared instance serves, so that clients' own may start. */
  readonly mayStart: () => boolean;
  /** Called when `observed` has changed. */
  readonly onChange: () => void;
  /** Called after each decision. */
  readonly onDecided: (reconciler: InstanceReconciler) => void;
  /** Called when a loop has made its last decision. */
  readonly onEnd: (reconciler: InstanceReconciler) => void;
}

export class ClientInstances {
  readonly parts: ClientInstancesParts;
  starts: ClientStarts = NO_STARTS;
  /** Log lines of the last instance that failed to start. */
  failedLog: readonly string[] = [];
  /** The configuration that `starts` is about. */
  #startsOf = "";
  /** How often instances whose clients have left had exited unasked. */
  #endsBefore = 0;
  #observed: ClientsObservation = NO_CLIENTS;
  readonly #owners = new Map<ClientHandle, OneClient>();
  /** Loops whose instances are being closed. */
  readonly #closing = new Map<InstanceReconciler, Promise<void>>();

  constructor(parts: ClientInstancesParts) {
    this.parts = parts;
  }

  get all(): readonly InstanceReconciler[] {
    return [...[...this.#owners.values()].map(({ reconciler }) => reconciler), ...this.#closing.keys()];
  }

  get ends(): number {
    return this.all.reduce((sum, { decision }) => sum + decision.memory.crashes, this.#endsBefore);
  }

  get observed(): ClientsObservation {
    const instances = this.all.reduce((sum, reconciler) => sum + reconciler.instances.size, 0);
    const down = [...this.#owners.values()].filter(({ isDown }) => isDown);
    const own = down.map(({ tries: ofOne }) => ofOne);
    const tries = sharesFailures(this.starts, NEVER_STARTED) ? [this.starts.tries, ...own] : own;
    const { failures, failure } = tries.find((one) => one.failures > 0) ?? NO_RETRIES;
    return { instances, down: failure === null ? null : { clients: down.length, failures, failure } };
  }

  /** null: the client has no ready client instance. */
  ready(client: ClientHandle): PoolInstance | null {
    const owner = this.#owners.get(client);
    if (owner?.reconciler.serving?.isReady !== true) return null;
    owner.usedMs = this.parts.state.now().monotonicMs;
    return owner.reconciler.serving;
  }

  /** The client's loop, which starts an instance if there is none. Returns the reason as a text if there can be none. */
  ensure(client: ClientHandle): InstanceReconciler | string {
    const { state, mayStart } = this.parts;
    const known = this.#owners.get(client);
    if (known !== undefined) {
      void this.#findFolder(known);
      return known.reconciler;
    }
    if (client.ended.aborted) return "the session has ended";
    if (state.base === null || !mayStart()) return `server ${state.name} is not running`;
    this.#endIdle();
    if (this.#owners.size >= MAX_CLIENTS)
      return `server ${state.name} runs ${MAX_CLIENTS} instances for its clients already, which is the limit`;
    this.#renewStarts();
    const owner = new OneClient(this, client);
    this.#owners.set(client, owner);
    void this.#findFolder(owner);
    owner.reconciler.trigger("start");
    return owner.reconciler;
  }

  /** The backend has changed. Idle instances of an earlier connection end; their clients' next calls start new ones. */
  backendChanged(): void {
    const { state, subscriptions, mayStart } = this.parts;
    this.#renewStarts();
    // Each subscribed client needs its own instance, to get updates even without a call.
    if (state.isPerClient && mayStart()) for (const client of subscriptions.clients) this.ensure(client);
    for (const owner of [...this.#owners.values()]) {
      void this.#findFolder(owner);
      if (owner.isCurrent || !owner.isIdle) owner.reconciler.trigger("config");
      else this.#end(owner, unwantedMessage(state.name, "replaced"));
    }
  }

  /** The failures of all have changed, or it is another client's turn. */
  reconsider(): void {
    for (const { reconciler } of this.#owners.values()) reconciler.trigger("retry");
  }

  /** The backend is no longer wanted, or is shared again: waiting calls continue where they can. */
  release(): void {
    for (const { reconciler } of [...this.#owners.values()]) reconciler.waiting.begin();
    this.backendChanged();
  }

  has(client: ClientHandle): boolean {
    return this.#owners.has(client);
  }

  forget(client: ClientHandle): void {
    const owner = this.#owners.get(client);
    if (owner !== undefined) this.#end(owner, "the session has ended");
  }

  stop(message: string): void {
    for (const { reconciler } of this.#owners.values()) reconciler.stop(message);
  }

  /** Calls in flight get the error. */
  async close(message: string): Promise<void> {
    for (const owner of [...this.#owners.values()]) this.#end(owner, message);
    await Promise.all(this.#closing.values());
  }

  /** The instances start in their clients' folders. */
  get startsInFolders(): boolean {
    const { base } = this.parts.state;
    return base?.connection.type === "stdio" && base.connection.clientFolders !== undefined;
  }

  get newStarts(): OwnStarts {
    return this.startsInFolders ? SEPARATE_STARTS.own : NEVER_STARTED;
  }

  /** Of the clients that go by the failures of all, one starts after each wait. */
  isTurnOf(owner: OneClient): boolean {
    const { starts } = this;
    if (starts.tries.failures === 0 || !sharesFailures(starts, owner.starts)) return true;
    const all = [...this.#owners.values()];
    const at = all.indexOf(owner);
    const others = all.flatMap((other, index): OtherStarts[] =>
      other === owner || other.reconciler.serving !== null || !sharesFailures(starts, other.starts)
        ? []
        : [{ starts: other.starts, isStarting: other.isStarting, isEarlier: index < at }],
    );
    return isTurnOf(owner.starts, others);
  }

  /** Called when a loop has nothing left to do. */
  rested(owner: OneClient): void {
    const { state, onChange } = this.parts;
    const { reconciler } = owner;
    if (reconciler.failedLog.length > 0) this.failedLog = reconciler.failedLog;
    const isOver = !owner.isWanted || (reconciler.decision.memory.asleep && reconciler.waiting.size === 0);
    if (isOver && reconciler.instances.size === 0) this.#end(owner, state.unavailable(reconciler.decision));
    const before = this.#observed;
    this.#observed = this.observed;
    if (!isDeepStrictEqual(before, this.#observed)) onChange();
    if (state.stopped !== null || reconciler.decision.gate.kind !== "open") state.changed();
  }

  /** What failed with another configuration says nothing. */
  #renewStarts(): void {
    const { base, revision } = this.parts.state;
    const of = `${revision} ${base?.epoch} ${base?.key}`;
    if (of === this.#startsOf) return;
    this.#startsOf = of;
    this.starts = this.startsInFolders ? SEPARATE_STARTS.all : NO_STARTS;
    for (const owner of this.#owners.values()) {
      const wasReady = owner.isCurrent && owner.reconciler.serving !== null;
      owner.starts = { ...this.newStarts, wasReady, wentByAll: !wasReady };
    }
  }

  /** Finds the folder of a client whose instance starts there, and then lets it start; without one, its calls fail. */
  async #findFolder(owner: OneClient): Promise<void> {
    if (!owner.lacksFolder || owner.isFindingFolder) return;
    const { name, tools } = this.parts.state;
    owner.isFindingFolder = true;
    owner.folder = await clientFolderOf(owner.client, tools.clock, owner.client.ended);
    owner.isFindingFolder = false;
    if (this.#owners.get(owner.client) !== owner) return;
    if (owner.folder !== null) owner.reconciler.trigger("start");
    else this.#end(owner, `server ${name} starts in its client's folder, ${NO_FOLDER}`);
  }

  #end(owner: OneClient, message: string): void {
    const { state, onChange } = this.parts;
    const { reconciler } = owner;
    this.#owners.delete(owner.client);
    const ended = reconciler.close(message).then(() => {
      this.#closing.delete(reconciler);
      this.#endsBefore += reconciler.decision.memory.crashes;
      onChange();
      state.changed();
    });
    this.#closing.set(reconciler, ended);
    this.parts.onEnd(reconciler);
    // It may have been this client's turn.
    this.reconsider();
  }

  /** Ends the loop that was idle for longest: its client has probably left. */
  #endIdle(): void {
    if (this.#owners.size < MAX_CLIENTS) return;
    const own = ofLargest(this.#owners.values(), ({ client }) => principalKey(client.principal));
    const idle = own.filter(({ isIdle, isBusy }) => isIdle && !isBusy);
    const first = idle.toSorted((one, other) => one.usedMs - other.usedMs)[0];
    if (first === undefined) return;
    const { name: backend, tools } = this.parts.state;
    tools.logger.info("the instance of an idle client was stopped for a newer client's", { backend });
    this.#end(first, `server ${backend}: the instance of this client was stopped for a newer one`);
  }
}

class OneClient implements ReconcilerOwner {
  readonly client: ClientHandle;
  readonly reconciler: InstanceReconciler;
  starts: OwnStarts;
  /** When it was used last, monotonic ms. */
  usedMs: number;
  /** The client's folder; null: not known. */
  folder: string | null = null;
  isFindingFolder = false;
  readonly #instances: ClientInstances;

  constructor(instances: ClientInstances, client: ClientHandle) {
    const { state } = instances.parts;
    this.client = client;
    this.#instances = instances;
    this.starts = instances.newStarts;
    this.usedMs = state.now().monotonicMs;
    const isLater =
      sharesFailures(instances.starts, this.starts) && this.usedMs < instances.starts.tries.notBeforeMs;
    // Calls wait for the first start, unless that is due later.
    const memory: BackendMemory = { ...NEW_BACKEND, waitReason: isLater ? null : "crash" };
    this.reconciler = new InstanceReconciler(state, this, { ...UNDECIDED, memory, calls: { kind: "wait" } });
  }

  get isWanted(): boolean {
    const { state } = this.#instances.parts;
    return state.isWanted && state.isPerClient && state.base !== null;
  }

  /** Its instance starts in the client's folder, which is not known yet. */
  get lacksFolder(): boolean {
    return this.folder === null && this.#instances.startsInFolders;
  }

  get isStarting(): boolean {
    return firstAttempt(this.reconciler.decision.memory.routes) !== null;
  }

  /** It has no instance, because its start failed. */
  get isDown(): boolean {
    const { serving } = this.reconciler;
    return serving === null && this.tries.failures > 0;
  }

  get tries(): RetryState {
    return lastRetries(this.reconciler.decision.memory.routes);
  }

  /** Nothing serves that is of an earlier connection. */
  get isCurrent(): boolean {
    const { base } = this.#instances.parts.state;
    const { serving } = this.reconciler;
    return serving === null || (serving.base.key === base?.key && serving.base.epoch === base.epoch);
  }

  get isIdle(): boolean {
    const { clients } = this.#instances.parts.subscriptions;
    return (
      this.reconciler.inFlight === 0 && this.reconciler.waiting.size === 0 && !clients.includes(this.client)
    );
  }

  /** The client listens, and has an instance. */
  get isBusy(): boolean {
    return this.client.busy && !this.isDown;
  }

  spec(): BackendSpec {
    const { state, mayStart } = this.#instances.parts;
    const { spec, base } = state;
    const isOver = base === null || !state.isPerClient;
    const own = isOver
      ? ({ kind: "nothing", because: "replaced" } as const)
      : ({ kind: "connection" } as const);
    const isHttp = base !== null && "url" in base.connection;
    return {
      ...spec,
      wanted: spec.wanted.kind === "nothing" ? spec.wanted : own,
      epoch: base?.epoch ?? spec.epoch,
      origin: isHttp ? spec.origin : null,
      hasPrograms: base?.connection.type === "stdio",
      routes: { ...spec.routes, list: [{ name: OWN_ROUTE, key: base?.key ?? null }], requested: null },
      isOwned: true,
      // A client's loop begins with a call, and ends when its instance is stopped.
      sleep: { ...spec.sleep, startsOnDemand: false, listedAtMs: state.now().wallMs },
      isBlocked: spec.isBlocked || this.lacksFolder || !mayStart() || !this.#instances.isTurnOf(this),
    };
  }

  clients(): ClientsObservation {
    return NO_CLIENTS;
  }

  get subscribers(): number {
    return this.#instances.parts.subscriptions.clients.includes(this.client) ? 1 : 0;
  }

  isNeeded(): boolean {
    return this.subscribers > 0;
  }

  recall({ decision }: InstanceReconciler): BackendMemory {
    return restoreStarts(
      this.#instances.starts,
      this.starts,
      decision.memory,
      this.#instances.parts.state.revision,
    );
  }

  baseOf(key: string): InstanceBase | null {
    const { base } = this.#instances.parts.state;
    if (base?.key !== key) return null;
    const { connection } = base;
    if (this.folder === null || connection.type !== "stdio" || !this.#instances.startsInFolders) return base;
    return { ...base, connection: { ...connection, clientFolder: this.folder } };
  }

  onServing(next: PoolInstance, before: PoolInstance | null): void {
    this.#instances.parts.subscriptions.move(before?.instance ?? null, next.instance, this.client);
  }

  onDecided(reconciler: InstanceReconciler, before: BackendMemory): void {
    const { state, onDecided } = this.#instances.parts;
    const { memory, events } = reconciler.decision;
    const { all, own } = updateStarts(this.#instances.starts, this.starts, before, memory, state.now());
    const isOther = all !== this.#instances.starts;
    this.starts = own;
    this.#instances.starts = all;
    for (const event of events) {
      if (event.kind !== "ended") continue;
      const retry_in_ms = event.retryInMs === null ? null : Math.round(event.retryInMs);
      const reason = `the instance of a client: ${event.reason}`;
      state.tools.announce({ name: "backend.ended", backend: state.name, reason, retry_in_ms });
    }
    onDecided(reconciler);
    if (isOther) this.#instances.reconsider();
  }

  onRest(): void {
    this.#instances.rested(this);
  }

  onListings(): void {}

  unavailable({ decision }: InstanceReconciler): string {
    const { wasReady, triedAtMs } = this.starts;
    const why = wasReady
      ? "the instance of this client has ended: "
      : Number.isFinite(triedAtMs)
        ? "the instance of this client could not be started: "
        : "the instances of other clients could not be started: ";
    const { state } = this.#instances.parts;
    return state.unavailable(decision, this.tries.failures > 0 ? why : "");
  }
}
