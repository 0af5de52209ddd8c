// Owns what the rtnetlink thread and the main thread say to each other.
import type { NetworkDelta } from "./network-delta.ts";

/** Slots of the shared Int32Array: stop is asked for by 1. */
export const STOP_SLOT = 0;
/** The eventfd that wakes the thread, plus one; 0 while there is none. */
export const EVENT_FD_SLOT = 1;
export const CONTROL_BYTES = 8;

export type RtnetlinkWorkerMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "deltas"; readonly deltas: readonly NetworkDelta[] }
  | { readonly kind: "unavailable"; readonly text: string };
