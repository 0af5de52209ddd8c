// Owns what the SCDynamicStore thread is given, and the memory by which the main thread has it end.
import type { StoreLibraries } from "./scdynamicstore-binding.ts";

/** Slot of the shared Int32Array: stop is asked for by 1. */
export const STOP_SLOT = 0;
export const CONTROL_BYTES = 4;

export interface StoreWorkerData {
  readonly control: SharedArrayBuffer;
  readonly libraries: StoreLibraries;
}
