// A backend's shared instances with their log lines, and the lists that it publishes.
import { isDeepStrictEqual } from "node:util";
import type { ServedBackend } from "../../../config/snapshot.ts";
import { type CatalogSource, NO_LISTINGS } from "../../catalog/catalog.ts";
import { BACKEND_UNAVAILABLE } from "../../json-rpc.ts";
import { LATEST_VERSION } from "../../protocol.ts";
import type { BackendStep } from "../policy/backend-decision-builder.ts";
import type { BackendInitializeResult } from "../policy/backend-pool-contract.ts";
import { type DrainReason, drainMessage } from "../policy/draining.ts";
import type { ClientInstances, PoolSubscriptions } from "./client-instances.ts";
import type { LaneState } from "./lane-state.ts";
import type { InstanceBase, PoolInstance } from "./pool-instance.ts";

export type SharedInstances = ReturnType<typeof createSharedInstances>;

export function createSharedInstances(state: LaneState, published: Published) {
  const instances = new Map<number, PoolInstance>();
  /** Log lines of the instance that was closed last. */
  let lastLog: readonly string[] = [];
  let failedLog: readonly string[] = [];
  /** Log lines of the last instance that ended by itself after it was ready. */
  let endedLog: readonly string[] = [];
  return {
    instances,
    start(base: InstanceBase): void {
      const entry = state.startInstance(base, null, {
        onChange: () => state.trigger("instance"),
        onListings: (changed) => published.relist(changed),
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
      instances.set(entry.id, entry);
    },
    async end(
      entry: PoolInstance,
      drained: Extract<BackendStep, { kind: "close" }>["drained"],
    ): Promise<void> {
      const { name, tools } = state;
      const { instance } = entry;
      const { seen } = instance;
      const message =
        drained === null
          ? `backend ${name}: this instance has ended`
          : drainMessage(name, drained.why, tools.settings().drainTimeoutMs);
      if (seen.state.kind === "ended") {
        if (seen.state.wasReady) endedLog = [...instance.logLines];
        else failedLog = [...instance.logLines];
      }
      await entry.close({ code: BACKEND_UNAVAILABLE, message });
      lastLog = [...instance.logLines];
      instances.delete(entry.id);
      if (drained !== null) {
        const took_ms = Math.round(tools.clock.monotonicMs() - drained.sinceMs);
        tools.announce({ name: "backend.drained", backend: name, took_ms, cut: seen.inFlight });
      }
      state.trigger("drain");
    },
    /** Calls in flight fail with `message`. */
    async close(message: string): Promise<void> {
      const all = [...instances.values()];
      await Promise.all(all.map((entry) => entry.close({ code: BACKEND_UNAVAILABLE, message })));
      instances.clear();
    },
    logLines(): readonly string[] {
      const { serving, decision } = state;
      const newest = serving ?? [...instances.values()].at(-1) ?? null;
      const isAfterEnd = newest !== null && endedLog.length > 0;
      const before = isAfterEnd
        ? [...endedLog, "--- the instance that was started when that had ended:"]
        : [];
      const lines = [...before, ...(newest?.instance.logLines ?? lastLog)];
      const isChangeFailed = serving !== null && decision.memory.changeFailure !== null;
      if (!isChangeFailed || failedLog.length === 0) return lines;
      return [...lines, "--- the instance that did not come up:", ...failedLog];
    },
  };
}

/** A backend's published lists. Moves clients and subscriptions when another instance serves. */
export class Published {
  /** Null: nothing is published. The object stays the same until a change. */
  source: CatalogSource | null = null;
  /** The last lists, not published because required data is away or because the server failed. */
  away: CatalogSource | null = null;
  readonly #state: LaneState;
  readonly #subscriptions: PoolSubscriptions;
  readonly #own: ClientInstances;
  /** The last lists, and the key of the connection that gave them. */
  #last: { readonly key: string; readonly source: CatalogSource } | null = null;
  #initializeResult: BackendInitializeResult | null = null;

  constructor(state: LaneState, subscriptions: PoolSubscriptions, own: ClientInstances) {
    this.#state = state;
    this.#subscriptions = subscriptions;
    this.#own = own;
  }

  get isUnlisted(): boolean {
    return this.#last === null;
  }

  /** Null: nothing is published. */
  get initializeResult(): BackendInitializeResult | null {
    return this.source === null ? null : this.#initializeResult;
  }

  publish(): void {
    const { isWanted, decision, changed } = this.#state;
    const { calls, gate } = decision;
    const isAway = (gate.kind === "refuse" && gate.mode !== "error") || calls.kind === "refuse";
    const last = isWanted && this.#last !== null ? this.#last.source : null;
    this.away = isAway ? last : null;
    const source = isAway ? null : last;
    if (source === this.source) return;
    this.source = source;
    changed();
  }

  relist({ instance }: PoolInstance): void {
    if (instance !== this.#state.serving?.instance || this.#last === null) return;
    const { freshness, listings } = instance;
    this.#change({ freshness, ...(listings !== null && { listings }) });
    this.publish();
  }

  applyShape(): void {
    const { filters, toolOverrides } = this.#state.config;
    const last = this.#last;
    if (last === null || this.#state.outcomeOf(last.key) === null) return;
    const before = { filters: last.source.filters, toolOverrides: last.source.toolOverrides };
    if (!isDeepStrictEqual({ filters, toolOverrides }, before)) this.#change({ filters, toolOverrides });
  }

  #change(change: Partial<CatalogSource>): void {
    if (this.#last !== null) this.#last = { ...this.#last, source: { ...this.#last.source, ...change } };
  }

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
    // Each subscribed client needs its new instance now, to get updates even without a call.
    for (const client of this.#subscriptions.clients) this.#own.ensure(client);
  }

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
    const { freshness } = instance;
    const listings = instance.listings ?? NO_LISTINGS;
    this.#initializeResult = { backend: name, capabilities, protocolVersion };
    // An instance that is taken back while it drains has the published lists already.
    const known = this.#last?.key === base.key ? this.#last.source : null;
    if (known?.listings === listings && known.freshness === freshness) return;
    const source = { backend: name, filters, toolOverrides, listings, instructions, freshness };
    this.#last = { key: base.key, source };
  }
}
