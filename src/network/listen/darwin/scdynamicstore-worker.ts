// The thread that runs macOS's run loop for SCDynamicStore. On each notice of the store, the listener compares
// interfaces.
import { parentPort, workerData } from "node:worker_threads";
import { errorText } from "../../../runtime/errors.ts";
import type { NativeEventMessage } from "../events/native-event-thread.ts";
import { linkDetail, STOP_SLOT } from "../events/network-event-source.ts";
import {
  loadStoreBinding,
  type StoreWorkerData,
  WATCHED_KEYS,
  WATCHED_PATTERNS,
  type WatchedStore,
} from "./scdynamicstore-binding.ts";

/** The longest delay until this thread notices a stop. The end of the process waits for the thread. */
const TURN_SECONDS = 0.25;

async function run({ control, libraries }: StoreWorkerData): Promise<void> {
  const flags = new Int32Array(control);
  const stopped = (): boolean => Atomics.load(flags, STOP_SLOT) !== 0;
  const emit = (message: NativeEventMessage): void => parentPort?.postMessage(message);

  const onKeys = (keys: readonly string[]): void => {
    if (stopped()) return;
    const details = new Set(keys.length === 0 ? ["configd restarted"] : keys.map(aboutOf));
    emit({ kind: "bell", details: [...details] });
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
    emit({ kind: "ready" });
    while (!stopped()) store.run(TURN_SECONDS);
  } finally {
    store[Symbol.dispose]();
  }
}

/** Says what a key is about: `State:/Network/Interface/tb0/Link` is about the link of tb0. */
function aboutOf(key: string): string {
  const [, name, kind] = /^State:\/Network\/Interface\/([^/]+)\/(\w+)$/.exec(key) ?? [];
  if (name === undefined) return "a default route";
  return kind === "Link" ? linkDetail(name) : `the addresses of ${name}`;
}

// A listener of the same version started this thread, so the data has this type.
await run(workerData as StoreWorkerData);
