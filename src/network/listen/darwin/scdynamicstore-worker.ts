// The thread that runs macOS's run loop for SCDynamicStore.
import { parentPort, workerData } from "node:worker_threads";
import { errorText } from "../../../runtime/errors.ts";
import type { NativeEventMessage } from "../events/native-event-thread.ts";
import { loadStoreBinding, type WatchedStore } from "./scdynamicstore-binding.ts";
import {
  createStoreReader,
  type StoreReader,
  WATCHED_KEYS,
  WATCHED_PATTERNS,
} from "./scdynamicstore-keys.ts";
import { STOP_SLOT, type StoreWorkerData } from "./scdynamicstore-thread.ts";

/** How late a stop is noticed, which bounds how long the end of the process waits for this thread. */
const TURN_SECONDS = 0.25;

async function run({ control, libraries }: StoreWorkerData): Promise<void> {
  const flags = new Int32Array(control);
  const stopped = (): boolean => Atomics.load(flags, STOP_SLOT) !== 0;
  const emit = (message: NativeEventMessage): void => parentPort?.postMessage(message);

  let reader: StoreReader | null = null;
  const onKeys = (keys: readonly string[]): void => {
    if (reader === null || stopped()) return;
    const deltas = reader.changed(keys);
    if (deltas.length > 0) emit({ kind: "deltas", deltas });
  };

  let store: WatchedStore;
  try {
    const binding = await loadStoreBinding(libraries);
    store = binding.open({ keys: WATCHED_KEYS, patterns: WATCHED_PATTERNS, onKeys });
  } catch (error) {
    emit({ kind: "unavailable", text: errorText(error) });
    return;
  }
  try {
    reader = createStoreReader(store);
    reader.learn();
    emit({ kind: "ready" });
    while (!stopped()) store.run(TURN_SECONDS);
  } finally {
    store[Symbol.dispose]();
  }
}

// Our own listener, the same version, started this thread.
await run(workerData as StoreWorkerData);
