// The lists that a backend publishes.
import { isDeepStrictEqual } from "node:util";
import { type CatalogSource, NO_LISTINGS } from "../../catalog/catalog.ts";
import { LATEST_VERSION } from "../../protocol.ts";
import type { BackendInitializeResult } from "../policy/backend-pool-contract.ts";
import type { BackendDecision } from "../policy/decide-backend.ts";
import type { BackendState } from "./backend-state.ts";
import type { PoolInstance } from "./pool-instance.ts";

export class Published {
  /** Null: nothing is published. The object stays the same until a change. */
  source: CatalogSource | null = null;
  /** The last lists, not published because required data is away or because the server failed. */
  away: CatalogSource | null = null;
  readonly #state: BackendState;
  /** The last lists, and the key of the connection that gave them. */
  #last: { readonly key: string; readonly source: CatalogSource } | null = null;
  #initializeResult: BackendInitializeResult | null = null;

  constructor(state: BackendState) {
    this.#state = state;
  }

  get isUnlisted(): boolean {
    return this.#last === null;
  }

  /** Null: nothing is published. */
  get initializeResult(): BackendInitializeResult | null {
    return this.source === null ? null : this.#initializeResult;
  }

  publish({ calls, gate }: BackendDecision): void {
    const { isWanted, changed } = this.#state;
    const isAway = (gate.kind === "refuse" && gate.mode !== "error") || calls.kind === "refuse";
    const last = isWanted && this.#last !== null ? this.#last.source : null;
    this.away = isAway ? last : null;
    const source = isAway ? null : last;
    if (source === this.source) return;
    this.source = source;
    changed();
  }

  /** Takes the lists of the serving instance, which have changed. */
  relist({ instance: { freshness, listings } }: PoolInstance): void {
    this.#change({ freshness, ...(listings !== null && { listings }) });
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

  /** Shows the lists of an instance that serves from now on. */
  show({ base, instance }: PoolInstance): void {
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
