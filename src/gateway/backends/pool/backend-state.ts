// What the reconcile loops of one backend have in common: its configuration, its required data, and how an instance is started.
import { routesOf } from "../../../config/backend-routes.ts";
import { shownArguments, shownCommand, shownUrl } from "../../../config/shown-values.ts";
import type { ServedBackend } from "../../../config/snapshot.ts";
import { stableFrom } from "../../../reconcile/route-health.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { CatalogSource } from "../../catalog/catalog.ts";
import type { ClientHandle } from "../../client-handle.ts";
import type { JsonObject } from "../../json-rpc.ts";
import type { InitializeResult } from "../instance/backend-instance.ts";
import type { RoutesView } from "../policy/backend-pool-contract.ts";
import type { BackendMemory, BackendSpec, Now } from "../policy/backend-situation.ts";
import { type BackendDecision, BEING_STARTED } from "../policy/decide-backend.ts";
import type { Absence, Needs } from "../policy/required-data.ts";
import { firstAttempt, NEW_ROUTE, type RoutesSpec } from "../policy/route-memory.ts";
import type { SleepSpec } from "../policy/sleep.ts";
import type { PoolTools } from "./backend-contract.ts";
import { type ConnectionOutcome, resolveConnection } from "./connection-key.ts";
import { type InstanceBase, PoolInstance, type PoolInstanceEvents } from "./pool-instance.ts";

/** Longest wait for the first output of a program, ms, on top of `timeouts.init`. */
const SILENT_MS = 45_000;
/** Longest first start of a program that has written to stderr, ms: it may fetch an image, an environment or modules. */
const FETCH_MS = 300_000;

const REMOTE = "a server over HTTP has no process here";
const FOLLOWS_SHARES = '`when_unavailable = "stop"` starts and stops it with its shares';

interface ResolvedRoute {
  readonly name: string;
  readonly connection: ServedBackend["connection"];
  readonly outcome: ConnectionOutcome;
}

export type SwitchOutcome =
  | { readonly ok: true; readonly route: string; readonly changed: boolean }
  | { readonly ok: false; readonly reason: string };

export interface RequestedRoute {
  readonly route: string;
  complete(outcome: SwitchOutcome): void;
}

/** The last lists, and the key of the connection that gave them. */
export interface LastLists {
  readonly key: string;
  readonly source: CatalogSource;
  readonly initialized: InitializeResult | null;
  /** Wall ms. */
  readonly listedAtMs: number;
}

function startOf({ key, epoch }: InstanceBase): string {
  return `${epoch} ${key}`;
}

export class BackendState {
  readonly tools: PoolTools;
  readonly name: string;
  /** Stays after a removal, for messages and draining calls. */
  config: ServedBackend;
  isConfigured = false;
  /** In order of preference. */
  resolved: readonly ResolvedRoute[] = [];
  /** The route to which a person wants to switch. */
  requestedRoute: RequestedRoute | null = null;
  revision = 0;
  epoch = 0;
  /** A person asked for a start that has not begun. */
  isStartRequested = false;
  /** The error of all calls after the stop. */
  stopped: string | null = null;
  /** What the last serving shared instance ran; clients' own instances run the same. */
  base: InstanceBase | null = null;
  nextId = 1;
  /**
   * The last absence of required data. `turns` grows with each loss, move and return, so that a call knows whether data
   * was absent during its wait.
   */
  absence: { readonly turns: number; readonly data: Absence | null; readonly isOver: boolean } = {
    turns: 0,
    data: null,
    isOver: true,
  };
  /** The last lists; null: nothing has been listed. */
  last: LastLists | null = null;
  /** Called when the phase or the published lists have changed, or calls have ended. */
  readonly changed: () => void;
  /** The mounts of the required shares as seen last; null: never seen. */
  #mounts: string | null = null;
  /** The program whose start took too long; null: none did. */
  #slowStart: string | null = null;

  constructor(tools: PoolTools, name: string, config: ServedBackend) {
    this.tools = tools;
    this.name = name;
    this.config = config;
    this.changed = () => tools.onChanged(name);
  }

  now(): Now {
    const { clock } = this.tools;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  /** `owner`: the instance's only client; null: all clients share it. */
  startInstance(base: InstanceBase, owner: ClientHandle | null, events: PoolInstanceEvents): PoolInstance {
    const { tools, name, config } = this;
    const options = {
      id: this.nextId++,
      key: base.key,
      backend: name,
      clock: tools.clock,
      logger: tools.logger,
      open: tools.openTransport(base.connection, name, base.secrets, base.route, base.key),
      secrets: base.secrets,
      initMs: config.timeouts.initMs,
      ...("url" in base.connection ? {} : { silentMs: SILENT_MS, fetchMs: this.#fetchMs(base) }),
      listings: this.last?.source.listings ?? null,
      listMs: config.timeouts.listMs,
      clientInfo: tools.clientInfo,
      owner,
      logLevel: tools.logLevel(),
      ...(tools.extensions !== undefined && { extensions: tools.extensions }),
      ...(tools.answers !== undefined && { answers: tools.answers }),
      onLog: (params: JsonObject) => tools.onLog(params, name),
      publishedUri: (uri: string) => tools.publishedUri(name, uri),
    };
    const onChange = (entry: PoolInstance): void => {
      this.#recordSlowStart(entry);
      events.onChange(entry);
    };
    return new PoolInstance(tools.startInstance, base, options, { ...events, onChange });
  }

  #fetchMs(base: InstanceBase): number {
    return this.config.isInitGiven === true || this.#slowStart === startOf(base) ? 0 : FETCH_MS;
  }

  /** A program that does not start in five minutes is not given them again. */
  #recordSlowStart({ base, instance: { observed } }: PoolInstance): void {
    const { state, startedAtMs } = observed;
    const tookMs = this.tools.clock.monotonicMs() - startedAtMs;
    if (state.kind === "ended" && !state.wasReady && tookMs >= FETCH_MS) this.#slowStart = startOf(base);
  }

  refuseRequested(reason: string): void {
    const { requestedRoute } = this;
    this.requestedRoute = null;
    requestedRoute?.complete({ ok: false, reason });
  }

  get isPerClient(): boolean {
    return this.config.instances === "per-client";
  }

  get isWanted(): boolean {
    return this.isConfigured && this.config.enabled;
  }

  get spec(): BackendSpec {
    const { connection, replace, instances } = this.config;
    const hasPrograms = this.resolved.some((route) => route.connection.type === "stdio");
    return {
      name: this.name,
      origin: "url" in connection ? (URL.parse(connection.url)?.origin ?? null) : null,
      hasPrograms,
      wanted: this.#wanted(),
      revision: this.revision,
      epoch: this.epoch,
      replace,
      instances,
      drainTimeoutMs: this.tools.settings().drainTimeoutMs,
      signIn: this.tools.signIn?.(this.name) ?? null,
      needs: this.needs,
      isOwned: false,
      isBlocked: this.runsInPrevious,
      routes: this.#routes(),
      sleep: this.#sleep,
    };
  }

  get #sleep(): SleepSpec {
    const { start, stopWhenIdleMs, requires, whenUnavailable } = this.config;
    const isRemote = this.resolved.some(({ connection }) => connection.type !== "stdio");
    const followsShares = requires.length > 0 && whenUnavailable === "stop";
    return {
      startsOnDemand: start === "on-demand",
      stopWhenIdleMs: typeof stopWhenIdleMs === "number" ? stopWhenIdleMs : null,
      obstacle: isRemote ? REMOTE : followsShares ? FOLLOWS_SHARES : null,
      listedAtMs: null,
      forgets: false,
    };
  }

  /** True if another process still runs the backend, which may run once only. */
  get runsInPrevious(): boolean {
    return this.config.replace === "stop-first" && this.tools.runsInPrevious?.() === true;
  }

  /** True if the backend has several routes. */
  get hasChoice(): boolean {
    return this.resolved.length > 1;
  }

  resolve(): void {
    const { environment, redact } = this.tools;
    this.resolved = routesOf(this.config).map(({ name, connection }) => {
      const outcome = resolveConnection(connection, environment);
      if (outcome.ok) outcome.secrets.forEach(redact);
      return { name, connection, outcome };
    });
  }

  /** Null: no route has the key. */
  outcomeOf(key: string): InstanceBase | null {
    for (const [index, { name, outcome }] of this.resolved.entries()) {
      if (outcome.ok && outcome.key === key) {
        return { ...outcome, epoch: this.epoch, route: index === 0 ? null : name };
      }
    }
    return null;
  }

  #routes(): RoutesSpec {
    const keys = new Set<string>();
    const list = this.resolved.map(({ name, outcome }) => {
      // Of two equal routes, only the first is used.
      const key = outcome.ok && !keys.has(outcome.key) ? outcome.key : null;
      if (key !== null) keys.add(key);
      return { name, key };
    });
    return { list, failback: this.tools.settings().failback, requested: this.requestedRoute?.route ?? null };
  }

  get needs(): Needs {
    const { requires, unavailableAfterMs, whenUnavailable } = this.config;
    const { data } = this.tools;
    if (requires.length === 0 || data === undefined || !this.isConfigured) return null;
    return { data: data.status(requires), unavailableAfterMs, whenUnavailable };
  }

  /**
   * Replaces the instances when the mounts have been replaced, because programs keep files of the mount on which they
   * were started.
   */
  noticeMounts(isFirst: boolean): void {
    const data = this.needs?.data ?? null;
    const turns = this.absence.turns + 1;
    if (data !== null && data.kind !== "there") this.absence = { turns, data, isOver: false };
    else if (!this.absence.isOver) this.absence = { ...this.absence, turns, isOver: true };
    const before = isFirst ? null : this.#mounts;
    if (data?.kind !== "there") return;
    this.#mounts = data.mounts;
    if (before === null || before === data.mounts) return;
    this.epoch++;
    this.revision++;
  }

  /**
   * The error text for a call that cannot be served now, with the time of the next try. `why`: a prefix of the last
   * decision's reason.
   */
  unavailable({ calls, gate, retryAtMs, memory, isUnreachable }: BackendDecision, why = ""): string {
    const backend = `server ${this.name}`;
    if (this.stopped !== null) return this.stopped;
    if (!this.isConfigured) return `${backend} was removed from the configuration`;
    if (!this.config.enabled) return `${backend} is disabled in the configuration`;
    if (gate.kind === "refuse") return `${backend} cannot work: ${gate.reason}`;
    const reason = calls.kind === "refuse" ? calls.reason : "it is not ready";
    const remainingMs = retryAtMs === null ? 0 : retryAtMs - this.now().monotonicMs;
    const isStarting = firstAttempt(memory.routes) !== null && !reason.endsWith(BEING_STARTED);
    const next = isUnreachable
      ? "; it is tried again as soon as it can be reached"
      : remainingMs > 0
        ? `; it is tried again in ${Math.ceil(remainingMs / 1000)} s`
        : isStarting
          ? `; ${BEING_STARTED}`
          : "";
    return `${backend} is unavailable: ${why}${reason}${next}`;
  }

  #wanted(): BackendSpec["wanted"] {
    if (!this.isConfigured) return { kind: "nothing", because: "removed" };
    if (!this.config.enabled) return { kind: "nothing", because: "disabled" };
    const missing = new Set<string>();
    for (const { outcome } of this.resolved) {
      if (outcome.ok) return { kind: "connection" };
      for (const variable of outcome.missing) missing.add(variable);
    }
    return { kind: "secret_missing", variables: [...missing] };
  }
}

/** Null: the configuration lists no routes. */
export function routesView(state: BackendState, memory: BackendMemory): RoutesView | null {
  if ((state.config.routes ?? null) === null) return null;
  const { routes, serving } = memory;
  const now = state.now();
  const { stableMs } = state.tools.settings().failback;
  const { override, pending } = routes;
  const isInUse = ({ outcome }: ResolvedRoute): boolean => outcome.ok && outcome.key === serving?.key;
  const usedAt = state.resolved.findIndex(isInUse);
  const list = state.resolved.map((route, index) => {
    const { health, tries, attempt } = routes.byName.get(route.name) ?? NEW_ROUTE;
    const { outcome } = route;
    const inUse = isInUse(route);
    // Beside the route in use, only better ones are tried, and none during a hold.
    const isTried = usedAt === -1 || (index < usedAt && override === null);
    const missing = outcome.ok ? null : missingText(outcome.missing);
    const isReady = !inUse && attempt !== null && health.healthySince !== null;
    const dueMs = isReady ? stableFrom(health, stableMs) : null;
    const retryMs = tries.notBeforeMs - now.monotonicMs;
    return {
      name: route.name,
      type: route.connection.type,
      target: shownTarget(route.connection),
      inUse,
      healthySinceMs: isReady ? (health.healthySince?.wallMs ?? null) : null,
      stableAtMs: dueMs === null ? null : now.wallMs + dueMs - now.monotonicMs,
      retryAtMs: !isTried || inUse || attempt !== null || retryMs <= 0 ? null : now.wallMs + retryMs,
      lastError: missing ?? (inUse || isReady ? null : (tries.failure?.message ?? null)),
    };
  });
  const inUse = list.find((route) => route.inUse)?.name ?? null;
  const waits = pending === null ? null : { route: pending.route, reason: pending.reason };
  return { inUse, override, pending: waits, list };
}

function shownTarget(connection: ServedBackend["connection"]): string {
  if (connection.type === "fleet") return `${connection.backend} on ${connection.machine}`;
  if (connection.type !== "stdio") return shownUrl(connection.url, "log");
  const { command, args } = connection;
  return [shownCommand(command, "log"), ...shownArguments(command, args, "log")].join(" ");
}
