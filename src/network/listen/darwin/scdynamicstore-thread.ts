// The input of the SCDynamicStore thread, and the shared memory that stops it.
import type { StoreLibraries } from "./scdynamicstore-binding.ts";

/** Slot of the shared Int32Array: stop is asked for by 1. */
export const STOP_SLOT = 0;
export const CONTROL_BYTES = 4;

export interface StoreWorkerData {
  readonly control: SharedArrayBuffer;
  readonly libraries: StoreLibraries;
}
