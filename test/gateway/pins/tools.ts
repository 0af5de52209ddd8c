// Made-up tools, and a store of pins in memory, for tests.
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import type { KeptPins, PinStore } from "../../../src/gateway/pins/pin-store.ts";
import { source } from "../catalog/sources.ts";

export function tool(name: string, more: JsonObject = {}): JsonObject {
  return { name, description: `Does ${name}.`, inputSchema: { type: "object" }, ...more };
}

/** What a backend publishes when it lists these. */
export function listing(backend: string, tools: readonly JsonObject[]): CatalogSource {
  const empty = source(backend, {});
  return { ...empty, listings: { ...empty.listings, tools } };
}

export interface MemoryStore extends PinStore {
  kept: KeptPins;
  /** Why it cannot be written; null: it can. */
  fails: string | null;
  writes: number;
}

export function memoryStore(kept: KeptPins = { kind: "none" }): MemoryStore {
  const store: MemoryStore = {
    kept,
    fails: null,
    writes: 0,
    read: async () => store.kept,
    async write(value) {
      if (store.fails !== null) throw new Error(store.fails);
      store.writes += 1;
      store.kept = { kind: "kept", value: JSON.parse(JSON.stringify(value)) };
    },
  };
  return store;
}
