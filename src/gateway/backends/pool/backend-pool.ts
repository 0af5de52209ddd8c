// All backends of the gateway: a lane for each, so that a slow or dead one holds back no other, and what they publish
// together.
import { isDeepStrictEqual } from "node:util";
import type { ServedBackend } from "../../../config/snapshot.ts";
import { errorText } from "../../../runtime/errors.ts";
import { settledWithin } from "../../../runtime/time/clock.ts";
import type { CatalogSource } from "../../catalog/catalog.ts";
import type { ClientPort } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, type JsonObject, type Reply } from "../../json-rpc.ts";
import type { McpLogLevel } from "../../protocol.ts";
import type {
  BackendInitializeResult,
  BackendView,
  PoolCall,
  PoolSettings,
  Readiness,
  WatchedTask,
} from "../policy/backend-pool-contract.ts";
import type { FailbackPolicy } from "../policy/route-memory.ts";
import { BackendLane } from "./backend-lane.ts";
import type { LaneTools } from "./backend-lane-contract.ts";
import type { SwitchOutcome } from "./lane-state.ts";

/** How long calls in flight may go on when the gateway stops, and how long ending takes in all, ms. */
const STOP_DRAIN_MS = 3_000;
const STOP_LIMIT_MS = 4_400;
/** How long a call waits for the first list of its backend: what starts slower is told of later, ms. */
const FIRST_LIST_MS = 5_000;
const STOPPING = "the gateway is stopping";

export type PoolOptions = Omit<
  LaneTools,
  "logLevel" | "drainTimeoutMs" | "failback" | "takeTurn" | "onChanged"
>;

/** As the configuration's defaults have it. */
const FAILBACK: FailbackPolicy = { byItself: true, stableMs: 30_000 };

/** Nothing is started before the first `apply`. */
export class BackendPool implements AsyncDisposable {
  /** What is served now, in the file's order; the same object until it changes. */
  published: readonly CatalogSource[] = [];
  readonly #options: PoolOptions;
  readonly #laneTools: LaneTools;
  /** In the file's order; what is being shut down comes last. */
  readonly #lanes = new Map<string, BackendLane>();
  readonly #listeners = new Set<() => void>();
  /** Called after each change of a lane. */
  readonly #watchers = new Set<() => void>();
  readonly #programsChanged: (() => void) | undefined;
  /** Who waits to start a program: between two of them whatever has come in meanwhile is served. */
  readonly #turns: (() => void)[] = [];
  #order: readonly string[] = [];
  #drainTimeoutMs = 0;
  #failback = FAILBACK;
  #logLevel: McpLogLevel | null = null;
  #applying = false;
  #stopping: Promise<void> | null = null;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#laneTools = {
      ...options,
      logLevel: () => this.#logLevel,
      drainTimeoutMs: () => this.#drainTimeoutMs,
      failback: () => this.#failback,
      takeTurn: (start) => {
        this.#turns.push(start);
        if (this.#turns.length === 1) setImmediate(this.#nextTurn);
      },
      onChanged: (backend) => this.#changed(backend),
    };
    this.#programsChanged = options.data?.watchPrograms?.(() =>
      [...this.#lanes.values()].flatMap(({ programs }) => programs),
    );
    options.data?.onChange(() => {
      for (const lane of this.#lanes.values()) lane.lookAtData();
    });
  }

  /**
   * What is wanted from now on, in the file's order. Takes effect at once where nothing has to be connected: a removed
   * or disabled backend leaves `published` in this very call, filters and overrides of unchanged ones apply.
   */
  apply(configs: readonly ServedBackend[], { drainTimeoutMs, failback = FAILBACK }: PoolSettings): void {
    if (this.#stopping !== null) return;
    const isOther = drainTimeoutMs !== this.#drainTimeoutMs || !isDeepStrictEqual(failback, this.#failback);
    this.#drainTimeoutMs = drainTimeoutMs;
    this.#failback = failback;
    this.#order = configs.map(({ name }) => name);
    this.#applying = true;
    try {
      this.#configure(new Map(configs.map((config) => [config.name, config])));
      if (isOther) for (const lane of this.#lanes.values()) lane.lookAgain();
    } finally {
      this.#applying = false;
    }
    this.#publish();
  }

  /** Called after each change of `published`, also from within `apply`. Returns its unregister. */
  onPublished(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Never rejects. Waits, within the call's deadline, only for a stop-first replacement or a restart under way. */
  call(backend: string, call: PoolCall): Promise<Reply> {
    return this.#lanes.get(backend)?.call(call) ?? this.#unknown(backend);
  }

  subscribe(backend: string, uri: string, client: ClientPort): Promise<Reply> {
    return this.#lanes.get(backend)?.subscribe(uri, client) ?? this.#unknown(backend);
  }

  unsubscribe(backend: string, uri: string, client: ClientPort): Promise<Reply> {
    return this.#lanes.get(backend)?.unsubscribe(uri, client) ?? this.#unknown(backend);
  }

  watchTask(task: WatchedTask, client: ClientPort): Promise<Reply> {
    return this.#lanes.get(task.backend)?.watchTask(task, client) ?? this.#unknown(task.backend);
  }

  /** Tells the instance of that client alone (`per-client`); shared ones get nothing. */
  notifyOwn(client: ClientPort, method: string, params: JsonObject | undefined): void {
    for (const lane of this.#lanes.values()) lane.notifyOwn(client, method, params);
  }

  setLogLevel(level: McpLogLevel | null): void {
    if (level === this.#logLevel) return;
    this.#logLevel = level;
    for (const lane of this.#lanes.values()) lane.setLogLevel(level);
  }

  /** A session has ended: its own instances end, its subscriptions go, its calls are cancelled. */
  forget(client: ClientPort): void {
    for (const lane of this.#lanes.values()) lane.forget(client);
  }

  /** Of those that serve, in the file's order. */
  initializeResults(): readonly BackendInitializeResult[] {
    return this.#order.flatMap((name) => this.#lanes.get(name)?.initializeResult ?? []);
  }

  /** In the file's order, and then what is being shut down. */
  view(): readonly BackendView[] {
    return [...this.#lanes.values()].map((lane) => lane.view());
  }

  /** Starts it anew at once, whatever backs off; the old instance serves until the new one is ready. False: unknown. */
  restart(backend: string): boolean {
    const lane = this.#order.includes(backend) ? this.#lanes.get(backend) : undefined;
    lane?.restart();
    return lane !== undefined;
  }

  /** Over that route from now on, also after a kill; null: as the rules say. Never rejects. */
  async switchRoute(backend: string, to: string | null, signal: AbortSignal): Promise<SwitchOutcome> {
    const lane = this.#order.includes(backend) ? this.#lanes.get(backend) : undefined;
    if (lane === undefined) return { ok: false, reason: "it is not configured" };
    const outcome = await lane.switchRoute(to, signal);
    await this.#options.heldRoutes?.settled();
    return outcome;
  }

  /** What its decision reads beside its instances has changed. */
  lookAgain(backend: string): void {
    this.#lanes.get(backend)?.lookAgain();
  }

  /** The last lines beside the protocol, oldest first; null: unknown. */
  logLines(backend: string): readonly string[] | null {
    return this.#lanes.get(backend)?.logLines() ?? null;
  }

  /** Resolves when no backend is in its first attempt any more (ready or failed), or the signal aborts. */
  settled(signal: AbortSignal): Promise<void> {
    return this.#until(() => [...this.#lanes.values()].every(({ isSettled }) => isSettled), signal);
  }

  /** As `settled`, without those that wait for something else than their own start. */
  startedWhereItCan(signal: AbortSignal): Promise<void> {
    const isDone = (lane: BackendLane): boolean => lane.isSettled || lane.isHeldBack || lane.waitsForData;
    return this.#until(() => [...this.#lanes.values()].every(isDone), signal);
  }

  /** It has not listed anything yet, and is about to. */
  isComing(backend: string): boolean {
    return this.#lanes.get(backend)?.isComing === true;
  }

  /** Resolves when it is not coming any more: it has listed what it has, or that will take longer than calls wait. */
  async firstList(backend: string): Promise<void> {
    const lane = this.#lanes.get(backend);
    if (lane?.isComing !== true) return;
    const late = new AbortController();
    // What may not start yet is not slow.
    const limitMs = lane.isHeldBack ? lane.callMs : Math.min(FIRST_LIST_MS, lane.callMs);
    using _ = this.#options.clock.setTimer(limitMs, () => late.abort());
    await this.#until(() => !lane.isComing, late.signal);
  }

  readiness(backend: string): Readiness {
    return this.#lanes.get(backend)?.readiness ?? "refuses";
  }

  /** Clients' calls that it has no answer to yet. */
  inFlight(backend: string): number {
    return this.#lanes.get(backend)?.inFlight ?? 0;
  }

  /** Called after each change of a backend. Returns its unregister. */
  watch(listener: () => void): () => void {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  /** Process groups of what cannot run beside another. */
  get runOnce(): readonly number[] {
    return [...this.#lanes.values()].flatMap((lane) => (lane.runsOnce ? lane.pids : []));
  }

  /** Something is configured that cannot run beside another. */
  get runsOnce(): boolean {
    return this.#lanes.values().some(({ runsOnce }) => runsOnce);
  }

  /** Ends what cannot run beside another, calls in flight first, `graceMs` at most. */
  async endWhatRunsOnce(graceMs: number): Promise<void> {
    const lanes = [...this.#lanes.values()].filter(({ runsOnce }) => runsOnce);
    for (const lane of lanes) lane.stop(STOPPING);
    const late = new AbortController();
    using _ = this.#options.clock.setTimer(graceMs, () => late.abort());
    await this.#until(() => lanes.every((lane) => lane.view().inFlight === 0), late.signal);
    await Promise.all(lanes.map((lane) => lane.close(STOPPING)));
  }

  /** What holds for all backends has changed. */
  lookAllAgain(): void {
    for (const lane of this.#lanes.values()) lane.lookAgain();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopping ??= this.#end();
    return this.#stopping;
  }

  readonly #nextTurn = (): void => {
    this.#turns[0]?.();
    this.#turns.shift();
    if (this.#turns.length > 0) setImmediate(this.#nextTurn);
  };

  #configure(wanted: ReadonlyMap<string, ServedBackend>): void {
    const before = new Map(this.#lanes);
    for (const [name, lane] of before) if (!wanted.has(name)) lane.configure(null);
    for (const [name, config] of wanted) {
      const lane = this.#lanes.get(name);
      lane?.configure(config);
      // The order of the file.
      this.#lanes.delete(name);
      this.#lanes.set(name, lane ?? new BackendLane(this.#laneTools, name, config));
    }
    for (const [name, lane] of [...this.#lanes]) {
      if (wanted.has(name)) continue;
      this.#lanes.delete(name);
      this.#lanes.set(name, lane);
    }
  }

  #changed(backend: string): void {
    const lane = this.#lanes.get(backend);
    if (lane?.isGone === true && !this.#order.includes(backend)) {
      this.#lanes.delete(backend);
      lane.stop(`backend ${backend} was removed from the configuration`);
    }
    if (!this.#applying) this.#publish();
    this.#notifyWatchers();
  }

  #notifyWatchers(): void {
    this.#programsChanged?.();
    for (const watcher of [...this.#watchers]) watcher();
  }

  async #unknown(backend: string): Promise<Reply> {
    const message = this.#stopping === null ? `there is no backend of the name ${backend}` : STOPPING;
    return errorReply(BACKEND_UNAVAILABLE, message);
  }

  /** What is not published only because its data is away. */
  get hidden(): readonly CatalogSource[] {
    return this.#order.flatMap((name) => this.#lanes.get(name)?.hidden ?? []);
  }

  /** What was published until its server failed. */
  get down(): readonly CatalogSource[] {
    return this.#order.flatMap((name) => this.#lanes.get(name)?.down ?? []);
  }

  /** Those that have listed nothing yet. */
  get unlisted(): readonly Omit<CatalogSource, "listings">[] {
    return this.#order.flatMap((name) => this.#lanes.get(name)?.unlisted ?? []);
  }

  /** Tells the listeners when other sources are published. */
  #publish(): void {
    if (this.#stopping !== null) return;
    const sources = this.#order.flatMap((name) => this.#lanes.get(name)?.source ?? []);
    const before = this.published;
    if (sources.length === before.length && sources.every((source, at) => source === before[at])) return;
    this.published = sources;
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        // A lane is in the middle of its step, which must be taken all the same.
        this.#options.logger.error("what is published was not taken over", { reason: errorText(error) });
      }
    }
  }

  /** Resolves when `isSo`, looked at after each change, or when the signal aborts. */
  #until(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!isSo() && !signal.aborted) return;
        this.#watchers.delete(look);
        signal.removeEventListener("abort", look);
        resolve();
      };
      this.#watchers.add(look);
      signal.addEventListener("abort", look, { once: true });
      look();
    });
  }

  async #end(): Promise<void> {
    const { clock, logger } = this.#options;
    const all = [...this.#lanes.values()];
    for (const lane of all) lane.stop(STOPPING);
    const giveUp = new AbortController();
    const drain = clock.setTimer(STOP_DRAIN_MS, () => giveUp.abort());
    // Each by itself: ending a stubborn one takes as long as the calls of another may.
    const closed = all.map(async (lane) => {
      await this.#until(() => lane.inFlight === 0, giveUp.signal);
      await lane.close(STOPPING);
    });
    if (!(await settledWithin(clock, STOP_LIMIT_MS, Promise.all(closed)))) {
      logger.warn("backends are left that did not end in time; the warden ends them", {});
    }
    drain[Symbol.dispose]();
    this.#lanes.clear();
    this.#listeners.clear();
    this.#notifyWatchers();
    this.#watchers.clear();
  }
}
