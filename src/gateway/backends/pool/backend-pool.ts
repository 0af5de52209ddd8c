// All backends. Each has its own reconcile loops, so that a slow or dead one delays no other.
import { isDeepStrictEqual } from "node:util";
import type { ServedBackend } from "../../../config/snapshot.ts";
import { errorText } from "../../../runtime/errors.ts";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import type { CatalogSource, Listings } from "../../catalog/catalog.ts";
import type { ClientHandle } from "../../client-handle.ts";
import { BACKEND_UNAVAILABLE, errorReply, type JsonObject, type Reply } from "../../json-rpc.ts";
import type { ListKind, McpLogLevel } from "../../protocol.ts";
import { LIST_WAIT_MS, type ListUse } from "../instance/list-age.ts";
import type {
  BackendInitializeResult,
  BackendView,
  PoolCall,
  PoolSettings,
  WatchedTask,
} from "../policy/backend-pool-contract.ts";
import type { FailbackPolicy } from "../policy/route-memory.ts";
import { AccountBackends } from "./account-backends.ts";
import { Backend } from "./backend.ts";
import type { PoolTools, Settings } from "./backend-contract.ts";
import type { SwitchOutcome } from "./backend-state.ts";
import { refusal } from "./refusals.ts";

/** How long a stop waits for calls in flight, and how long it may take in total, ms. */
const STOP_DRAIN_MS = 3_000;
const STOP_LIMIT_MS = 4_400;
const FIRST_LIST_MS = 5_000;
const ACCOUNTS_CHANGED = "whose account the server uses was changed in the configuration";
const NO_USER = "the server is only for users of the file";
const STOPPING = "the gateway is stopping";

export type PoolOptions = Omit<PoolTools, "logLevel" | "settings" | "takeTurn" | "onChanged">;

const FAILBACK: FailbackPolicy = { isAutomatic: true, stableMs: 30_000 };

/** Starts nothing before the first `apply`. */
export class BackendPool implements AsyncDisposable {
  /** In the file's order. The same object until a change. */
  published: readonly CatalogSource[] = [];
  /** See `AccountBackends`. */
  accountLists: ReadonlyMap<CatalogSource, string> = new Map();
  readonly #options: PoolOptions;
  readonly #backendTools: PoolTools;
  /** In the order of the file; then removed backends that still drain. Of one with an account for each user: the owner's. */
  readonly #backends = new Map<string, Backend>();
  readonly #accounts: AccountBackends;
  readonly #listeners = new Set<() => void>();
  readonly #watchers = new Set<() => void>();
  readonly #programsChanged: (() => void) | undefined;
  /** Programs that wait for their start. One starts in each turn of the event loop. */
  readonly #turns: (() => void)[] = [];
  #order: readonly string[] = [];
  #settings: Settings = { drainTimeoutMs: 0, failback: FAILBACK };
  #logLevel: McpLogLevel | null = null;
  #applying = false;
  #stopping: Promise<void> | null = null;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#backendTools = {
      ...options,
      logLevel: () => this.#logLevel,
      settings: () => this.#settings,
      takeTurn: (start) => {
        this.#turns.push(start);
        if (this.#turns.length === 1) setImmediate(this.#nextTurn);
      },
      onChanged: (name) => this.#changed(name),
    };
    this.#accounts = new AccountBackends(this.#backendTools);
    this.#programsChanged = options.data?.watchPrograms?.(() =>
      this.#everything.flatMap(({ programs }) => programs),
    );
    options.data?.onChange(() => {
      for (const backend of this.#everything) backend.recheckData();
    });
  }

  /** Also those of all accounts. */
  get #everything(): readonly Backend[] {
    return [...this.#backends.values(), ...this.#accounts.all];
  }

  /** `configs` is in the file's order. Changes that need no new connection take effect before this returns. */
  apply(
    configs: readonly ServedBackend[],
    { drainTimeoutMs, failback = FAILBACK, accounts = new Map() }: PoolSettings,
  ): void {
    if (this.#stopping !== null) return;
    const settings = { drainTimeoutMs, failback };
    const isChanged = !isDeepStrictEqual(settings, this.#settings);
    this.#settings = settings;
    this.#order = configs.map(({ name }) => name);
    this.#applying = true;
    try {
      const wanted = new Map(configs.map((config) => [config.name, config]));
      this.#configure(wanted);
      this.#accounts.configure(wanted, accounts);
      if (isChanged) for (const backend of this.#everything) backend.recheck();
    } finally {
      this.#applying = false;
    }
    this.#publish();
  }

  /**
   * Calls `listener` when the published lists change, also from within `apply`. Returns a function that unregisters
   * the listener.
   */
  onPublished(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Never rejects. Waits within the call's deadline for an instance that is being started. */
  call(name: string, call: PoolCall): Promise<Reply> {
    const { client = null, declared = client?.capabilities } = call.handle ?? {};
    return this.#at(name, client, (backend) => backend.call(call), declared);
  }

  subscribe(name: string, uri: string, client: ClientHandle): Promise<Reply> {
    return this.#at(name, client, (backend) => backend.subscribe(uri, client));
  }

  unsubscribe(name: string, uri: string, client: ClientHandle): Promise<Reply> {
    return this.#at(name, client, (backend) => backend.unsubscribe(uri, client));
  }

  watchTask(task: WatchedTask, client: ClientHandle): Promise<Reply> {
    return this.#at(task.backend, client, (backend) => backend.watchTask(task, client));
  }

  /** The only way from a client to an instance: at a server with an account for each user, to the client's own. */
  #at(
    name: string,
    client: ClientHandle | null,
    run: (backend: Backend) => Promise<Reply>,
    declared: JsonObject = {},
  ): Promise<Reply> {
    const shared = this.#backends.get(name);
    if (shared === undefined) return this.#unknown(name);
    if (!shared.hasAccounts || client?.principal.kind === "owner") return run(shared);
    if (this.#stopping !== null) return refusal(STOPPING);
    return client === null ? refusal(NO_USER) : this.#accounts.run(name, client, declared, run);
  }

  /** Notifies only the client's own instances (`per-client`). */
  notifyOwn(
    client: ClientHandle,
    method: string,
    params: JsonObject | undefined,
    isIncluded: (backend: string) => boolean,
  ): void {
    for (const backend of this.#everything)
      if (isIncluded(backend.name)) backend.notifyOwn(client, method, params);
  }

  setLogLevel(level: McpLogLevel | null): void {
    if (level === this.#logLevel) return;
    this.#logLevel = level;
    for (const backend of this.#everything) backend.setLogLevel(level);
  }

  /** Whether a server has something of the client that only this process knows: an own instance, a subscription, a task. */
  hasStateOf(client: ClientHandle): boolean {
    return this.#everything.some((backend) => backend.hasStateOf(client));
  }

  /** Call it at the end of the client's session. */
  forget(client: ClientHandle): void {
    for (const backend of this.#everything) backend.forget(client);
  }

  initializeResults(): readonly BackendInitializeResult[] {
    return this.#order.flatMap((name) => this.#backends.get(name)?.published.initializeResult ?? []);
  }

  /** In the file's order; then removed backends that still drain. */
  view(): readonly BackendView[] {
    return [...this.#backends.values()].map((backend) => {
      const [view, own] = [backend.view(), this.#accounts.of(backend.name)];
      const instances = own.reduce((sum, { pids }) => sum + pids.length, view.instances);
      return {
        ...view,
        instances,
        inFlight: own.reduce((sum, { inFlight }) => sum + inFlight, view.inFlight),
      };
    });
  }

  /**
   * Restarts the backend at once, without backoff; the old instance serves until the new one is ready. Returns false
   * if there is no such backend. `user`: only the instance of this user's account; null: all.
   */
  restart(name: string, user: string | null = null): boolean {
    const backend = this.#order.includes(name) ? this.#backends.get(name) : undefined;
    if (backend === undefined) return false;
    for (const one of [...(user === null ? [backend] : []), ...this.#accounts.of(name, user)]) one.restart();
    return true;
  }

  /** If `to` is null, ends the override. Never rejects. */
  async switchRoute(name: string, to: string | null, signal: AbortSignal): Promise<SwitchOutcome> {
    const backend = this.#order.includes(name) ? this.#backends.get(name) : undefined;
    if (backend === undefined) return { ok: false, reason: "it is not configured" };
    const outcome = await backend.switchRoute(to, signal);
    await this.#options.routeOverrides?.whenWritten();
    return outcome;
  }

  recheck(name: string): void {
    this.#backends.get(name)?.recheck();
  }

  /** Oldest first; null: no such backend. */
  logLines(name: string): readonly string[] | null {
    return this.#backends.get(name)?.logLines() ?? null;
  }

  /** Resolves when each backend has started or failed once, or when the signal aborts. */
  whenStarted(signal: AbortSignal): Promise<void> {
    return this.#until(() => [...this.#backends.values()].every(({ isStarted }) => isStarted), signal);
  }

  /** Like `whenStarted`, but does not wait for backends whose remembered lists are published. */
  listed(signal: AbortSignal): Promise<void> {
    const isDone = (backend: Backend): boolean => backend.isStarted || backend.published.source !== null;
    return this.#until(() => [...this.#backends.values()].every(isDone), signal);
  }

  /** Like `whenStarted`, but does not wait for backends whose required share is away or that another process still runs. */
  whenStartedIfPossible(signal: AbortSignal): Promise<void> {
    const isDone = (backend: Backend): boolean =>
      backend.isStarted || backend.runsInPrevious || backend.waitsForData;
    return this.#until(() => [...this.#backends.values()].every(isDone), signal);
  }

  connectionOf(...account: Parameters<AccountBackends["connectionOf"]>) {
    return this.#accounts.connectionOf(...account);
  }

  isComing(name: string): boolean {
    return this.#backends.get(name)?.isComing === true;
  }

  /** Resolves when the backend has listed, or when calls no longer wait for that. */
  async firstList(name: string): Promise<void> {
    const backend = this.#backends.get(name);
    if (backend?.isComing !== true) return;
    // Another process still runs the backend, so the call may wait until its time limit.
    const limitMs = backend.runsInPrevious ? backend.otherMs : Math.min(FIRST_LIST_MS, backend.otherMs);
    await this.#untilOrAfter(limitMs, () => !backend.isComing);
  }

  /**
   * Reads the lists of these kinds that are due, for the use that `purposeOf` gives for each backend; null: the backend is not asked.
   * Resolves when they are published, or after the longest wait; null: nothing is waited for.
   */
  readDueLists(
    kinds: readonly ListKind[],
    purposeOf: (backend: string) => ListUse | null = () => "list",
  ): Promise<void> | null {
    const readings: Promise<unknown>[] = [];
    for (const [name, backend] of this.#backends) {
      const use = purposeOf(name);
      const reading = use === null ? null : backend.readDueLists(use, kinds);
      if (reading !== null) readings.push(reading);
    }
    if (readings.length === 0) return null;
    return settlesWithin(this.#options.clock, LIST_WAIT_MS, Promise.all(readings)).then(() => {});
  }

  /** For how long clients may still keep the list of all published backends. */
  remainingMs(list: keyof Listings): number {
    return Math.min(
      ...this.published.map(({ backend }) => this.#backends.get(backend)?.remainingMs(list) ?? 0),
    );
  }

  /** The process groups of `stop-first` backends. */
  get runOncePids(): readonly number[] {
    return [...this.#backends.values()].flatMap((backend) => (backend.runsOnce ? backend.pids : []));
  }

  /** The process groups of all backends. */
  get pids(): readonly number[] {
    return this.#everything.flatMap(({ pids }) => pids);
  }

  get runsOnce(): boolean {
    return this.#backends.values().some(({ runsOnce }) => runsOnce);
  }

  /** Ends the `stop-first` backends. Calls in flight have `graceMs` to end. */
  async endRunOnce(graceMs: number): Promise<void> {
    const backends = [...this.#backends.values()].filter(({ runsOnce }) => runsOnce);
    for (const backend of backends) backend.stop(STOPPING);
    await this.#untilOrAfter(graceMs, () => backends.every((backend) => backend.inFlight === 0));
    await Promise.all(backends.map((backend) => backend.close(STOPPING)));
  }

  recheckAll(): void {
    for (const backend of this.#everything) backend.recheck();
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
    const before = new Map(this.#backends);
    for (const [name, backend] of before) if (!wanted.has(name)) backend.configure(null);
    for (const [name, config] of wanted) {
      const known = this.#backends.get(name);
      // Instances of all must not run on as the owner's, nor the owner's for all.
      const isOther = known?.hasAccounts === (config.accounts !== "each");
      if (known !== undefined && isOther) this.#accounts.close(known, ACCOUNTS_CHANGED);
      const backend = isOther ? undefined : known;
      backend?.configure(config);
      // A Map keeps the order of insertion, here that of the file.
      this.#backends.delete(name);
      this.#backends.set(name, backend ?? new Backend(this.#backendTools, name, config));
    }
    for (const [name, backend] of [...this.#backends]) {
      if (wanted.has(name)) continue;
      this.#backends.delete(name);
      this.#backends.set(name, backend);
    }
  }

  #changed(name: string): void {
    const backend = this.#backends.get(name);
    if (backend?.isGone === true && !this.#order.includes(name)) this.#backends.delete(name);
    if (!this.#applying) this.#publish();
    this.#notifyWatchers();
  }

  #notifyWatchers(): void {
    this.#programsChanged?.();
    for (const watcher of [...this.#watchers]) watcher();
  }

  async #unknown(name: string): Promise<Reply> {
    const message = this.#stopping === null ? `there is no server of the name ${name}` : STOPPING;
    return errorReply(BACKEND_UNAVAILABLE, message);
  }

  /** The last lists of the backends whose required shares are away, or whose server failed. */
  get unavailable(): readonly CatalogSource[] {
    return this.#order.flatMap((name) => this.#backends.get(name)?.published.unavailable ?? []);
  }

  get unlisted(): readonly Omit<CatalogSource, "listings">[] {
    return this.#order.flatMap((name) => this.#backends.get(name)?.unlisted ?? []);
  }

  #publish(): void {
    if (this.#stopping !== null) return;
    const sources = this.#order.flatMap((name) => this.#backends.get(name)?.published.source ?? []);
    const { lists } = this.#accounts;
    const isSame = areSame(sources, this.published);
    if (isSame && areSame([...lists.keys()], [...this.accountLists.keys()])) return;
    if (!isSame) this.published = sources;
    this.accountLists = lists;
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        // The listener's failure must not interrupt a reconcile loop.
        this.#options.logger.error("a change of the published lists was not applied", {
          reason: errorText(error),
        });
      }
    }
  }

  /** Resolves when `isDone` returns true, which is checked after each change, or when the signal aborts. */
  #until(isDone: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const check = (): void => {
        if (!isDone() && !signal.aborted) return;
        this.#watchers.delete(check);
        signal.removeEventListener("abort", check);
        resolve();
      };
      this.#watchers.add(check);
      signal.addEventListener("abort", check, { once: true });
      check();
    });
  }

  async #untilOrAfter(limitMs: number, isDone: () => boolean): Promise<void> {
    const late = new AbortController();
    using _ = this.#options.clock.setTimer(limitMs, () => late.abort());
    await this.#until(isDone, late.signal);
  }

  async #end(): Promise<void> {
    const { clock, logger } = this.#options;
    const all = this.#everything;
    for (const backend of all) backend.stop(STOPPING);
    // In parallel: a backend without calls ends at once, while others still finish theirs.
    const closed = all.map(async (backend) => {
      await this.#untilOrAfter(STOP_DRAIN_MS, () => backend.inFlight === 0);
      await backend.close(STOPPING);
    });
    if (!(await settlesWithin(clock, STOP_LIMIT_MS, Promise.all(closed)))) {
      logger.warn("some servers did not end in time; the warden ends them", {});
    }
    this.#backends.clear();
    this.#notifyWatchers();
    this.#watchers.clear();
  }
}

function areSame(one: readonly CatalogSource[], other: readonly CatalogSource[]): boolean {
  return one.length === other.length && one.every((source, at) => source === other[at]);
}
