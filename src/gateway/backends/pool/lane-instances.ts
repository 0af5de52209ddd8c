// The shared instances of one backend with their log lines, and the lists that the backend publishes.
import { isDeepStrictEqual } from "node:util";
import type { ServedBackend } from "../../../config/snapshot.ts";
import { type CatalogSource, type ListFreshness, NO_LISTINGS } from "../../catalog/catalog.ts";
import { BACKEND_UNAVAILABLE } from "../../json-rpc.ts";
import { LATEST_VERSION } from "../../protocol.ts";
import type { BackendStep } from "../policy/backend-decision-builder.ts";
import type { BackendInitializeResult } from "../policy/backend-pool-contract.ts";
import { type DrainReason, drainMessage } from "../policy/draining.ts";
import type { ClientInstances, PoolSubscriptions } from "./client-instances.ts";
import type { LaneState } from "./lane-state.ts";
import type { InstanceBase, PoolInstance } from "./pool-instance.ts";

export class SharedInstances {
  readonly instances = new Map<number, PoolInstance>();
  readonly #state: LaneState;
  readonly #published: Published;
  /** Log lines of the last closed instance, and of the last failed start. */
  #lastLog: readonly string[] = [];
  #failedLog: readonly string[] = [];
  /** Log lines of the last instance that ended unexpectedly while it served. */
  #endedLog: readonly string[] = [];

  constructor(state: LaneState, published: Published) {
    this.#state = state;
    this.#published = published;
  }

  start(base: InstanceBase): void {
    const state = this.#state;
    const entry = state.startInstance(base, null, {
      onChange: () => state.trigger("instance"),
      onListings: (changed) => this.#published.relist(changed),
      onSettled: (settled) => {
        const isAwaited =
          state.decision.memory.routes.pending !== null && settled.instance.seen.inFlight === 0;
        if (settled !== state.serving || isAwaited) state.trigger("drain");
        if (state.stopped !== null) state.changed();
      },
      onDoubt: (doubtful) => {
        if (doubtful === state.serving) state.askCheck();
      },
    });
    this.instances.set(entry.id, entry);
  }

  async end(entry: PoolInstance, drained: Extract<BackendStep, { kind: "close" }>["drained"]): Promise<void> {
    const { name, tools } = this.#state;
    const { instance } = entry;
    const { seen } = instance;
    const cut = drained?.isLate === true ? seen.inFlight : 0;
    const message =
      drained === null
        ? `backend ${name}: this instance has ended`
        : drainMessage(name, drained.why, tools.settings().drainTimeoutMs);
    if (seen.state.kind === "ended") {
      if (seen.state.wasReady) this.#endedLog = [...instance.logLines];
      else this.#failedLog = [...instance.logLines];
    }
    await entry.close({ code: BACKEND_UNAVAILABLE, message });
    this.#lastLog = [...instance.logLines];
    this.instances.delete(entry.id);
    if (drained !== null) {
      const took_ms = Math.round(tools.clock.monotonicMs() - drained.sinceMs);
      tools.announce({ name: "backend.drained", backend: name, took_ms, cut });
    }
    this.#state.trigger("drain");
  }

  /** Ends all instances; calls in flight get the error. */
  async close(message: string): Promise<void> {
    const all = [...this.instances.values()];
    await Promise.all(all.map((entry) => entry.close({ code: BACKEND_UNAVAILABLE, message })));
    this.instances.clear();
  }

  logLines(): readonly string[] {
    const { serving, decision } = this.#state;
    const newest = serving ?? [...this.instances.values()].at(-1) ?? null;
    const isAfterEnd = newest !== null && this.#endedLog.length > 0;
    const before = isAfterEnd
      ? [...this.#endedLog, "--- the instance that was started when that had ended:"]
      : [];
    const lines = [...before, ...(newest?.instance.logLines ?? this.#lastLog)];
    const isChangeFailed = serving !== null && decision.memory.changeFailure !== null;
    if (!isChangeFailed || this.#failedLog.length === 0) return lines;
    return [...lines, "--- the instance that did not come up:", ...this.#failedLog];
  }
}

const NOTHING_SAID: ListFreshness = {};

/** The last published lists, and the key of their connection. */
interface Shape extends Omit<CatalogSource, "backend"> {
  readonly key: string;
}

/** The published lists of one backend; moves clients and subscriptions when another instance serves. */
export class Published {
  /** Null: nothing is published. The same object until a change. */
  source: CatalogSource | null = null;
  /** The lists that are unpublished only because required data is away; null: none. */
  hidden: CatalogSource | null = null;
  /** The lists that were published until the server failed; null: none. */
  down: CatalogSource | null = null;
  readonly #state: LaneState;
  readonly #subscriptions: PoolSubscriptions;
  readonly #own: ClientInstances;
  #shape: Shape | null = null;
  #initializeResult: BackendInitializeResult | null = null;

  constructor(state: LaneState, subscriptions: PoolSubscriptions, own: ClientInstances) {
    this.#state = state;
    this.#subscriptions = subscriptions;
    this.#own = own;
  }

  /** No instance has listed anything yet. */
  get isUnlisted(): boolean {
    return this.#shape === null;
  }

  get initializeResult(): BackendInitializeResult | null {
    return this.source === null ? null : this.#initializeResult;
  }

  publish(): void {
    const { name, isWanted, decision, changed } = this.#state;
    const { calls, gate } = decision;
    const isAway = gate.kind === "refuse" && gate.mode !== "error";
    const shape = isWanted && !isAway && calls.kind !== "refuse" ? this.#shape : null;
    const unpublished =
      isWanted && shape === null && this.#shape !== null ? { backend: name, ...this.#shape } : null;
    this.hidden = isAway ? unpublished : null;
    this.down = isAway ? null : unpublished;
    const { source } = this;
    if (shape === null) {
      if (source === null) return;
      this.source = null;
    } else {
      const { filters, toolOverrides, listings, instructions = null, freshness = NOTHING_SAID } = shape;
      const isSame =
        source !== null &&
        source.listings === listings &&
        source.instructions === instructions &&
        source.freshness === freshness &&
        source.filters === filters &&
        source.toolOverrides === toolOverrides;
      if (isSame) return;
      this.source = { backend: name, filters, toolOverrides, listings, instructions, freshness };
    }
    changed();
  }

  /** After an instance has read its lists again. */
  relist({ instance }: PoolInstance): void {
    if (instance !== this.#state.serving?.instance || this.#shape === null) return;
    const { freshness } = instance;
    this.#shape = { ...this.#shape, listings: instance.listings ?? this.#shape.listings, freshness };
    this.publish();
  }

  /** Applies changed filters and overrides to the published connection. */
  applyShape(): void {
    const { config } = this.#state;
    const { filters, toolOverrides } = config;
    const shape = this.#shape;
    if (shape === null || this.#state.outcomeOf(shape.key) === null) return;
    const isSame =
      isDeepStrictEqual(filters, shape.filters) && isDeepStrictEqual(toolOverrides, shape.toolOverrides);
    if (!isSame) this.#shape = { ...shape, filters, toolOverrides };
  }

  /** Makes the lists of the new serving instance the next to publish, and moves clients and subscriptions. */
  takeOver(next: PoolInstance, before: PoolInstance | null): void {
    const state = this.#state;
    const { base } = state;
    this.#show(next);
    state.base = next.base;
    if (!state.isPerClient) {
      this.#subscriptions.move(before?.instance ?? null, next.instance);
      return;
    }
    const isOf = (other: PoolInstance["base"]): boolean =>
      other.key === next.base.key && other.epoch === next.base.epoch;
    if (base === null || isOf(base)) return;
    const why: DrainReason = base.key === next.base.key ? "restarted" : "replaced";
    this.#own.retire((entry) => isOf(entry.base), why);
    // Subscribed clients get their updates without a call.
    for (const client of this.#subscriptions.clients) this.#own.ensure(client);
  }

  /** Moves subscriptions after a change of `instances`. */
  changeInstances(before: ServedBackend["instances"]): void {
    const { config, isPerClient, serving } = this.#state;
    if (before === config.instances) return;
    const shared = serving?.instance ?? null;
    if (!isPerClient) {
      this.#subscriptions.move(null, shared);
      return;
    }
    for (const client of this.#subscriptions.clients) {
      this.#own.ensure(client);
      this.#subscriptions.move(shared, null, client);
    }
  }

  #show({ base, instance }: PoolInstance): void {
    const { name, config } = this.#state;
    const { filters, toolOverrides } = config;
    const {
      capabilities = {},
      instructions = null,
      protocolVersion = LATEST_VERSION,
    } = instance.initializeResult ?? {};
    this.#initializeResult = { backend: name, capabilities, protocolVersion };
    const { freshness } = instance;
    const listings = instance.listings ?? NO_LISTINGS;
    this.#shape = { key: base.key, filters, toolOverrides, listings, instructions, freshness };
  }
}
