// What is wanted of one backend, what was decided about it, and the lane in which that happens.
import { routesOf } from "../../../config/backend-routes.ts";
import { shownArguments, shownText, shownUrl } from "../../../config/shown-values.ts";
import type { ServedBackend } from "../../../config/snapshot.ts";
import { createLane, type Lane, type Wake } from "../../../reconcile/lane.ts";
import { stableFrom } from "../../../reconcile/route-health.ts";
import type { TriggerReason } from "../../../reconcile/trigger.ts";
import { errorText } from "../../../runtime/errors.ts";
import { missingText } from "../../../secrets/reference.ts";
import type { ClientPort } from "../../client-port.ts";
import type { JsonObject } from "../../json-rpc.ts";
import { type BackendSpec, NEW_BACKEND, type Now } from "../policy/backend-decision-builder.ts";
import type { RoutesView } from "../policy/backend-pool-contract.ts";
import { type BackendDecision, BEING_STARTED, UNDECIDED } from "../policy/decide-backend.ts";
import type { Absence, Needs } from "../policy/required-data.ts";
import { NEW_ROUTE, NEW_ROUTES, type RoutesSpec } from "../policy/route-memory.ts";
import type { LaneTools } from "./backend-lane-contract.ts";
import { type ConnectionOutcome, resolveConnection } from "./connection-key.ts";
import { type InstanceBase, PoolInstance, type PoolInstanceEvents } from "./pool-instance.ts";

/** How long `npx` and the like may download a server before its time to answer begins. */
const DOWNLOAD_MS = 60_000;

interface RouteOutcome {
  readonly name: string;
  readonly outcome: ConnectionOutcome;
}

export type SwitchOutcome =
  | { readonly ok: true; readonly route: string; readonly changed: boolean }
  | { readonly ok: false; readonly reason: string };

export interface AskedRoute {
  readonly route: string;
  settle(outcome: SwitchOutcome): void;
}

interface LaneEvents {
  /** One cycle. No cycle waits for anything: what is slow is begun, and triggers the lane when it is done. */
  run(): Promise<Wake | null>;
  /** What is published of it, or the phase, may be another, or calls have ended. */
  onChanged(): void;
}

export class LaneState {
  readonly tools: LaneTools;
  readonly name: string;
  /** As configured last, even when it is removed: for messages, and calls that drain. */
  config: ServedBackend;
  isConfigured = false;
  /** One for each route, in their order. */
  outcomes: readonly RouteOutcome[] = [];
  /** The route that a person asks for; null: nobody does. */
  asked: AskedRoute | null = null;
  /** What serves may be out of reach: calls wait until it has been decided about. */
  doubted: PoolInstance | null = null;
  revision = 0;
  epoch = 0;
  /** What calls get once the lane was stopped; null: it was not. */
  stopped: string | null = null;
  decision: BackendDecision = UNDECIDED;
  /** As announced. */
  /** As it was announced last. */
  phase: { readonly name: BackendDecision["phase"]; readonly since: Now; readonly reason: string | null };
  serving: PoolInstance | null = null;
  /** What the clients' own instances are made of: that of the instance that served last. */
  base: InstanceBase | null = null;
  /** Calls have gone unanswered: the serving instance is to be checked. */
  checkAsked = false;
  /** Its address takes connections again, which nobody has decided about yet. */
  isReached = false;
  /** Of the instance that is started next. */
  nextId = 1;
  /** How often its data was seen to go, to move or to come back, and what was said of it last. */
  absence: { readonly turns: number; readonly data: Absence | null; readonly isOver: boolean } = {
    turns: 0,
    data: null,
    isOver: true,
  };
  readonly changed: () => void;
  readonly #lane: Lane;
  /** What was mounted when it was last looked at; null: nothing is required, or it was never there. */
  #mounts: string | null = null;

  constructor(tools: LaneTools, name: string, config: ServedBackend, { run, onChanged }: LaneEvents) {
    const { clock, logger } = tools;
    this.tools = tools;
    this.name = name;
    this.config = config;
    this.phase = { name: NEW_BACKEND.phase, since: this.now(), reason: null };
    this.changed = onChanged;
    const held = tools.heldRoutes?.get(name) ?? null;
    if (held !== null) this.#rememberHeld(held);
    this.#lane = createLane({
      clock,
      run: async () => (this.stopped === null ? run() : null),
      onFailure: (error) => logger.error("cycle failed", { backend: name, reason: errorText(error) }),
    });
  }

  now(): Now {
    const { clock } = this.tools;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  trigger(reason: TriggerReason): void {
    this.#lane.trigger({ reason, atMs: this.tools.clock.monotonicMs(), details: [] });
  }

  askCheck(): void {
    this.checkAsked = true;
    this.trigger("check");
  }

  /** `owner`: whose it is alone; null: all clients share it. */
  startInstance(base: InstanceBase, owner: ClientPort | null, events: PoolInstanceEvents): PoolInstance {
    const { tools, name, config } = this;
    const options = {
      id: this.nextId++,
      backend: name,
      open: tools.openLink(base.connection, name, base.secrets, base.route, base.key),
      secrets: base.secrets,
      initMs: config.timeouts.initMs,
      downloadMs: "url" in base.connection ? 0 : DOWNLOAD_MS,
      listMs: config.timeouts.listMs,
      clientInfo: tools.clientInfo,
      owner,
      logLevel: tools.logLevel(),
      onLog: (params: JsonObject) => tools.onLog(params, name),
    };
    return new PoolInstance(tools, base, options, events);
  }

  /** Whoever asks for a route does not get it. */
  refuseAsked(reason: string): void {
    const { asked } = this;
    this.asked = null;
    asked?.settle({ ok: false, reason });
  }

  /** The rules go on. */
  release(): void {
    if (this.decision.memory.routes.held === null) return;
    this.#rememberHeld(null);
    this.tools.heldRoutes?.keep(this.name, null);
    this.trigger("user");
  }

  #rememberHeld(held: string | null): void {
    const { memory } = this.decision;
    const routes = { ...NEW_ROUTES, ...memory.routes, held };
    this.decision = { ...this.decision, memory: { ...memory, routes } };
  }

  stop(message: string): void {
    this.stopped = message;
    void this.#lane[Symbol.asyncDispose]();
  }

  get isPerClient(): boolean {
    return this.config.instances === "per-client";
  }

  get isWanted(): boolean {
    return this.isConfigured && this.config.enabled;
  }

  get spec(): BackendSpec {
    const { connection, replace, instances } = this.config;
    return {
      name: this.name,
      origin: "url" in connection ? (URL.parse(connection.url)?.origin ?? null) : null,
      wanted: this.#wanted(),
      revision: this.revision,
      epoch: this.epoch,
      replace,
      instances,
      drainTimeoutMs: this.tools.drainTimeoutMs(),
      signIn: this.tools.signIn?.(this.name) ?? null,
      needs: this.needs,
      runsElsewhere: this.tools.runsElsewhere?.() === true,
      routes: this.#routes(),
    };
  }

  get hasRoutes(): boolean {
    return (this.config.routes ?? null) !== null;
  }

  /** Resolves anew what the configuration refers to. */
  resolve(): void {
    const { environment, redact } = this.tools;
    this.outcomes = routesOf(this.config).map(({ name, connection }) => {
      const outcome = resolveConnection(connection, environment);
      if (outcome.ok) outcome.secrets.forEach(redact);
      return { name, outcome };
    });
  }

  /** What an instance with that key is made of; null: no route of the configuration leads there. */
  outcomeOf(key: string): InstanceBase | null {
    for (const [index, { name, outcome }] of this.outcomes.entries()) {
      if (outcome.ok && outcome.key === key) {
        return { ...outcome, epoch: this.epoch, route: index === 0 ? null : name };
      }
    }
    return null;
  }

  #routes(): RoutesSpec | null {
    if (!this.hasRoutes) return null;
    const keys = new Set<string>();
    const list = this.outcomes.map(({ name, outcome }) => {
      // Of two that lead to the same the first is used.
      const key = outcome.ok && !keys.has(outcome.key) ? outcome.key : null;
      if (key !== null) keys.add(key);
      return { name, key };
    });
    return { list, failback: this.tools.failback(), asked: this.asked?.route ?? null };
  }

  get needs(): Needs {
    const { requires, unavailableAfterMs, whenUnavailable } = this.config;
    const { data } = this.tools;
    if (requires.length === 0 || data === undefined || !this.isConfigured) return null;
    return { data: data.look(requires), unavailableAfterMs, whenUnavailable };
  }

  /** Programs that were started on what is gone are started anew when something else is mounted in its place. */
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

  /** The error of a call that cannot be served: why the backend is not there, and when it is tried next. */
  get unavailable(): string {
    const backend = `backend ${this.name}`;
    if (this.stopped !== null) return this.stopped;
    if (!this.isConfigured) return `${backend} was removed from the configuration`;
    if (!this.config.enabled) return `${backend} is disabled in the configuration`;
    const { calls, gate, retryAtMs, memory, isAway } = this.decision;
    if (gate.kind === "refuse") return `${backend} cannot work: ${gate.reason}`;
    const reason = calls.kind === "refuse" ? calls.reason : "it is not ready";
    const leftMs = retryAtMs === null ? 0 : retryAtMs - this.now().monotonicMs;
    const isStarting = memory.candidate !== null && !reason.endsWith(BEING_STARTED);
    const next = isAway
      ? "; it is tried again as soon as it can be reached"
      : leftMs > 0
        ? `; it is tried again in ${Math.ceil(leftMs / 1000)} s`
        : isStarting
          ? `; ${BEING_STARTED}`
          : "";
    return `${backend} is unavailable: ${reason}${next}`;
  }

  #wanted(): BackendSpec["wanted"] {
    if (!this.isConfigured) return { kind: "nothing", because: "removed" };
    if (!this.config.enabled) return { kind: "nothing", because: "disabled" };
    const missing = new Set<string>();
    for (const { outcome } of this.outcomes) {
      if (outcome.ok) return { kind: "connection", key: outcome.key };
      for (const variable of outcome.missing) missing.add(variable);
    }
    return { kind: "secret_missing", variables: [...missing] };
  }
}

// The routes of one backend, as people are shown them.

/** Null: it has one alone. */
export function routesView(state: LaneState): RoutesView | null {
  if (!state.hasRoutes) return null;
  const { routes, serving } = state.decision.memory;
  const now = state.now();
  const { stableMs } = state.tools.failback();
  const { held, pending } = routes;
  const keyOf = (index: number): string | null => {
    const outcome = state.outcomes[index]?.outcome;
    return outcome?.ok === true ? outcome.key : null;
  };
  const known = routesOf(state.config);
  const usedAt = serving === null ? -1 : known.findIndex((_, index) => keyOf(index) === serving.key);
  const list = known.map((route, index) => {
    const { health, tries, standby } = routes.byName.get(route.name) ?? NEW_ROUTE;
    const outcome = state.outcomes[index]?.outcome;
    const inUse = serving !== null && keyOf(index) === serving.key;
    // Worse ones are left alone, and all are while a person holds one.
    const isTried = usedAt === -1 || (index < usedAt && held === null);
    const missing = outcome?.ok === false ? missingText(outcome.missing) : null;
    const isReady = !inUse && standby !== null && health.healthySince !== null;
    const dueMs = isReady ? stableFrom(health, stableMs) : null;
    const retryMs = tries.notBeforeMs - now.monotonicMs;
    return {
      name: route.name,
      type: route.connection.type,
      target: shownTarget(route.connection),
      inUse,
      healthySinceMs: isReady ? (health.healthySince?.wallMs ?? null) : null,
      stableAtMs: dueMs === null ? null : now.wallMs + dueMs - now.monotonicMs,
      retryAtMs: !isTried || inUse || standby !== null || retryMs <= 0 ? null : now.wallMs + retryMs,
      lastError: missing ?? (inUse || isReady ? null : (tries.failure?.message ?? null)),
    };
  });
  const inUse = list.find((route) => route.inUse)?.name ?? null;
  const waits = pending === null ? null : { route: pending.route, reason: pending.reason };
  return { inUse, held, pending: waits, list };
}

function shownTarget(connection: ServedBackend["connection"]): string {
  if (connection.type === "fleet") return `${connection.backend} on ${connection.machine}`;
  if (connection.type !== "stdio") return shownUrl(connection.url, "log");
  const { command, args } = connection;
  return [shownText(command, "log"), ...shownArguments(command, args, "log")].join(" ");
}
