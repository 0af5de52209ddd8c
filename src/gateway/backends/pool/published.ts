// The lists that a backend publishes.
import { isDeepStrictEqual } from "node:util";
import { type CatalogSource, type Listings, NO_LISTINGS } from "../../catalog/catalog.ts";
import { LATEST_VERSION } from "../../protocol.ts";
import type { InitializeResult } from "../instance/backend-instance.ts";
import type { BackendInitializeResult } from "../policy/backend-pool-contract.ts";
import type { BackendDecision } from "../policy/decide-backend.ts";
import type { BackendState } from "./backend-state.ts";
import type { PoolInstance } from "./pool-instance.ts";

export class Published {
  /** Null: nothing is published. The object stays the same until a change. */
  source: CatalogSource | null = null;
  /** The last lists, not published because required data is away or because the server failed. */
  unavailable: CatalogSource | null = null;
  /** The last lists are too long to be remembered. */
  isForgotten = false;
  readonly #state: BackendState;

  constructor(state: BackendState) {
    this.#state = state;
  }

  /** Also if it is unavailable. */
  get last(): CatalogSource | null {
    return this.source ?? this.unavailable;
  }

  get isUnlisted(): boolean {
    return this.#state.last === null;
  }

  /** Null: nothing is published. */
  get initializeResult(): BackendInitializeResult | null {
    if (this.source === null) return null;
    const { capabilities = {}, protocolVersion = LATEST_VERSION } = this.initialized ?? {};
    return { backend: this.#state.name, capabilities, protocolVersion };
  }

  /** What the server that gave the last lists said of itself. */
  get initialized(): InitializeResult | null {
    return this.#state.last?.initialized ?? null;
  }

  /** When the lists of a configured connection were read, wall ms; null: never. */
  get listedAtMs(): number | null {
    const { last } = this.#state;
    return last === null || this.#state.outcomeOf(last.key) === null ? null : last.listedAtMs;
  }

  /** For how long clients may still keep the list, if no server runs that could give a newer one. */
  remainingMs(list: keyof Listings): number {
    const freshness = this.source?.freshness?.[list];
    if (freshness === null) return Number.POSITIVE_INFINITY;
    return (freshness?.ttlMs ?? 0) + (this.listedAtMs ?? 0) - this.#state.now().wallMs;
  }

  publish({ calls, gate }: BackendDecision): void {
    const { isWanted, changed } = this.#state;
    const isUnavailable = (gate.kind === "refuse" && gate.mode !== "error") || calls.kind === "refuse";
    const last = (isWanted && this.#state.last?.source) || null;
    this.unavailable = isUnavailable ? last : null;
    const source = isUnavailable ? null : last;
    if (source === this.source) return;
    this.source = source;
    changed();
  }

  /** Takes the lists of the serving instance, which have changed. */
  relist({ instance }: PoolInstance): void {
    const { freshness, listings } = instance;
    this.#change({ freshness, ...(listings !== null && { listings }) });
    this.#remember(instance);
  }

  applyShape(): void {
    const { filters, toolOverrides } = this.#state.config;
    const { last } = this.#state;
    if (last === null || this.#state.outcomeOf(last.key) === null) return;
    const before = { filters: last.source.filters, toolOverrides: last.source.toolOverrides };
    if (!isDeepStrictEqual({ filters, toolOverrides }, before)) this.#change({ filters, toolOverrides });
  }

  #change(change: Partial<CatalogSource>): void {
    const { last } = this.#state;
    if (last !== null) this.#state.last = { ...last, source: { ...last.source, ...change } };
  }

  /** Shows the lists of an instance that serves from now on, and remembers them. */
  show({ base, instance }: PoolInstance): void {
    const { initializeResult, freshness } = instance;
    const { instructions = null } = initializeResult ?? {};
    const listings = instance.listings ?? NO_LISTINGS;
    const known = this.#state.last?.key === base.key ? this.#state.last.source : null;
    const isSame =
      known !== null &&
      isDeepStrictEqual(
        [known.listings, known.freshness, known.instructions],
        [listings, freshness, instructions],
      );
    const source = isSame ? known : this.#sourceOf({ listings, instructions, freshness });
    this.#state.last = {
      key: base.key,
      source,
      initialized: initializeResult,
      listedAtMs: this.#state.now().wallMs,
    };
    this.#remember(instance);
  }

  /** Takes the lists that the backend's connection had before, if it has listed nothing since. */
  recall(): void {
    const { name, resolved, tools } = this.#state;
    if (this.listedAtMs !== null) return;
    for (const { outcome } of resolved) {
      const found = outcome.ok ? (tools.remembered?.find(name, outcome.key) ?? null) : null;
      if (!outcome.ok || found === null) continue;
      const { initialized, listings, freshness, askedAtMs } = found;
      const source = this.#sourceOf({ listings, instructions: initialized.instructions, freshness });
      this.#state.last = { key: outcome.key, source, initialized, listedAtMs: askedAtMs };
      return;
    }
  }

  #sourceOf(lists: Pick<CatalogSource, "listings" | "instructions" | "freshness">): CatalogSource {
    const { name, config } = this.#state;
    const { filters, toolOverrides } = config;
    return { backend: name, filters, toolOverrides, ...lists };
  }

  /** A list that could not be read is not remembered, so that the earlier one stays. */
  #remember({
    listings,
    freshness,
    initializeResult: initialized,
    observed,
  }: PoolInstance["instance"]): void {
    const { name, tools, config } = this.#state;
    const { last } = this.#state;
    if (last === null || listings === null || initialized === null || observed.listsStaleBecause !== null)
      return;
    // Over HTTP, the lists may be those of the person who is signed in.
    if (config.connection.type !== "stdio") return;
    this.isForgotten =
      tools.remembered?.record(name, last.key, {
        initialized,
        listings,
        freshness,
        askedAtMs: last.listedAtMs,
      }) === false;
  }
}
