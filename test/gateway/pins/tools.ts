// Made-up tools, a store of pins in memory, and pins that use it, for tests.
import type { PinMode } from "../../../src/config/snapshot.ts";
import type { CatalogSource } from "../../../src/gateway/catalog/catalog.ts";
import type { GatewayTransition } from "../../../src/gateway/gateway-transitions.ts";
import type { JsonObject } from "../../../src/gateway/json-rpc.ts";
import type { PinStore, StoredPins } from "../../../src/gateway/pins/pin-store.ts";
import { Pins } from "../../../src/gateway/pins/pins.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { createManualClock } from "../../support/manual-clock.ts";
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
  kept: StoredPins;
  /** Why it cannot be written; null: it can. */
  fails: string | null;
  writes: number;
}

export function memoryStore(kept: StoredPins = { kind: "none" }): MemoryStore {
  const store: MemoryStore = {
    kept,
    fails: null,
    writes: 0,
    read: async () => store.kept,
    async write(value) {
      if (store.fails !== null) throw new Error(store.fails);
      store.writes += 1;
      store.kept = { kind: "stored", value: JSON.parse(JSON.stringify(value)) };
    },
  };
  return store;
}

/** Loaded pins with the mode `mode`, except for the backend "loose", which is not pinned. */
export async function startPins(mode: PinMode, store = memoryStore()) {
  const clock = createManualClock();
  const announced: GatewayTransition[] = [];
  const announce = (transition: GatewayTransition): void => void announced.push(transition);
  let changes = 0;
  const onChanged = (): void => void changes++;
  const pins = new Pins({ store, clock, logger: noopLogger, announce, onChanged });
  const backends = [
    { name: "files", pin: null },
    { name: "loose", pin: "off" as const },
  ];
  const rules = { trust: { pin: mode }, backends };
  await pins.load(rules);
  return { pins, rules, clock, store, announced, changes: () => changes };
}
