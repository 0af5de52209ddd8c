// Owns what the SCDynamicStore thread and the main thread say to each other.
import type { NetworkDelta } from "./network-delta.ts";
import type { StoreLibraries } from "./scdynamicstore-binding.ts";

/** Slot of the shared Int32Array: stop is asked for by 1. */
export const STOP_SLOT = 0;
export const CONTROL_BYTES = 4;

export interface StoreWorkerData {
  readonly control: SharedArrayBuffer;
  readonly libraries: StoreLibraries;
}

export type StoreWorkerMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "deltas"; readonly deltas: readonly NetworkDelta[] }
  | { readonly kind: "unavailable"; readonly text: string };
