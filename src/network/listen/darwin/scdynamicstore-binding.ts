// Calls into SCDynamicStore and its run loop: the store calls back on changes while this thread runs the loop.
// In tests, a library with the same ABI replaces macOS's.
import {
  type CfRef,
  CORE_FOUNDATION_PATH,
  loadCoreFoundation,
  loadKoffi,
} from "../../native/core-foundation-darwin.ts";

/** Exact keys; the store takes regular expressions only as patterns. */
export const WATCHED_KEYS: readonly string[] = ["State:/Network/Global/IPv4", "State:/Network/Global/IPv6"];
export const WATCHED_PATTERNS: readonly string[] = ["State:/Network/Interface/[^/]+/(Link|IPv4|IPv6)"];

export interface StoreWorkerData {
  readonly control: SharedArrayBuffer;
  readonly libraries: StoreLibraries;
}

export interface StoreLibraries {
  readonly coreFoundation: string;
  readonly systemConfiguration: string;
}

export const MACOS_LIBRARIES: StoreLibraries = {
  coreFoundation: CORE_FOUNDATION_PATH,
  systemConfiguration: "/System/Library/Frameworks/SystemConfiguration.framework/SystemConfiguration",
};

interface Watch {
  readonly keys: readonly string[];
  readonly patterns: readonly string[];
  readonly onKeys: (keys: readonly string[]) => void;
}

export interface WatchedStore extends Disposable {
  /**
   * Runs the loop on this thread for `seconds`, and makes callbacks during that time. Throws the error of a callback;
   * also throws if the loop has nothing to wait for.
   */
  run(seconds: number): void;
}

const SESSION_NAME = "mountaineer";
const RUN_LOOP_FINISHED = 1;

/** Rejects if koffi or a library cannot be loaded. */
export async function loadStoreBinding(libraries: StoreLibraries = MACOS_LIBRARIES) {
  const calls = await loadCalls(libraries);
  return {
    /**
     * Opens a store that calls back with the changed keys, or with no keys if any may have changed. Throws if the system
     * refuses. The store belongs to the thread that opens it.
     */
    open: (watch: Watch): WatchedStore => openStore(calls, watch),
  };
}

type Calls = Awaited<ReturnType<typeof loadCalls>>;

async function loadCalls(libraries: StoreLibraries) {
  const koffi = await loadKoffi();
  const cf = await loadCoreFoundation(libraries.coreFoundation);
  const foundation = koffi.load(libraries.coreFoundation);
  const configuration = koffi.load(libraries.systemConfiguration);
  const callBack = koffi.pointer(koffi.proto("void", ["const void *", "const void *", "void *"]));
  const mode: CfRef = koffi.decode(foundation.symbol("kCFRunLoopDefaultMode"), "void *");
  const currentLoop: () => CfRef = foundation.func("void *CFRunLoopGetCurrent()");
  const addSource: (loop: CfRef, source: CfRef, mode: CfRef) => void = foundation.func(
    "void CFRunLoopAddSource(void *, void *, const void *)",
  );
  const removeSource: (loop: CfRef, source: CfRef, mode: CfRef) => void = foundation.func(
    "void CFRunLoopRemoveSource(void *, void *, const void *)",
  );
  const runInMode: (mode: CfRef, seconds: number, afterOne: number) => number = foundation.func(
    "int32_t CFRunLoopRunInMode(const void *, double, uint8_t)",
  );
  const createStore: (allocator: null, name: CfRef, callBack: bigint, context: null) => CfRef | null =
    configuration.func("SCDynamicStoreCreate", "void *", [
      "const void *",
      "const void *",
      callBack,
      "void *",
    ]);
  const setKeys: (store: CfRef, keys: CfRef, patterns: CfRef) => number = configuration.func(
    "uint8_t SCDynamicStoreSetNotificationKeys(void *, const void *, const void *)",
  );
  const createSource: (allocator: null, store: CfRef, order: number) => CfRef | null = configuration.func(
    "void *SCDynamicStoreCreateRunLoopSource(const void *, void *, long)",
  );
  const lastError: () => number = configuration.func("int SCError()");
  return {
    cf,
    createStore,
    setKeys,
    createSource,
    addSource: (source: CfRef): void => addSource(currentLoop(), source, mode),
    removeSource: (source: CfRef): void => removeSource(currentLoop(), source, mode),
    runLoop: (seconds: number): number => runInMode(mode, seconds, 0),
    register: (call: (store: CfRef, changed: CfRef | null) => void): bigint => koffi.register(call, callBack),
    unregister: (registered: bigint): void => koffi.unregister(registered),
    refused: (what: string): Error => new Error(`SCDynamicStore refused ${what}: error ${lastError()}`),
    textsOf: (list: CfRef): readonly string[] =>
      (cf.itemsOf(list) ?? []).map((item) => cf.textOf(item)).filter((text) => text !== null),
  };
}

function openStore(calls: Calls, { keys, patterns, onKeys }: Watch): WatchedStore {
  const { cf } = calls;
  let thrown: { readonly error: unknown } | null = null;
  const registered = calls.register((_store, changed) => {
    try {
      onKeys(changed === null ? [] : calls.textsOf(changed));
    } catch (error) {
      // An exception must not pass through the system's stack frames.
      thrown ??= { error };
    }
  });
  const closers = [() => calls.unregister(registered)];
  const close = (): void => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) closer();
  };
  try {
    const store = cf.owning((own) => calls.createStore(null, own(cf.string(SESSION_NAME)), registered, null));
    if (store === null) throw calls.refused("a session");
    closers.push(() => cf.release(store));
    const accepted = cf.owning((own) => {
      const list = (texts: readonly string[]): CfRef =>
        own(cf.array(texts.map((text) => own(cf.string(text)))));
      return calls.setKeys(store, list(keys), list(patterns)) !== 0;
    });
    if (!accepted) throw calls.refused("the keys to watch");
    const source = calls.createSource(null, store, 0);
    if (source === null) throw calls.refused("a run loop source");
    closers.push(() => cf.release(source));
    calls.addSource(source);
    closers.push(() => calls.removeSource(source));
  } catch (error) {
    close();
    throw error;
  }
  return {
    run(seconds) {
      const result = calls.runLoop(seconds);
      if (thrown !== null) {
        const { error } = thrown;
        thrown = null;
        throw error;
      }
      if (result === RUN_LOOP_FINISHED) throw new Error("the run loop has nothing to wait for");
    },
    [Symbol.dispose]: close,
  };
}
