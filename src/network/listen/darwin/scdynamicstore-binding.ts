// Owns the calls into SCDynamicStore and its run loop: a store whose changes call back while this thread runs the
// loop. A library with the same ABI stands in for macOS in tests.
import {
  type CfRef,
  CORE_FOUNDATION_PATH,
  loadCoreFoundation,
  loadKoffi,
} from "../../native/core-foundation-darwin.ts";
import type { StoreEntry } from "./scdynamicstore-keys.ts";

export interface StoreLibraries {
  readonly coreFoundation: string;
  readonly systemConfiguration: string;
}

export const MACOS_LIBRARIES: StoreLibraries = {
  coreFoundation: CORE_FOUNDATION_PATH,
  systemConfiguration: "/System/Library/Frameworks/SystemConfiguration.framework/SystemConfiguration",
};

interface StoreBinding {
  /**
   * Opens a store that calls back with the keys that changed; with none when all may have. Throws when the system
   * refuses. The store belongs to the thread that opens it.
   */
  open(watch: {
    readonly keys: readonly string[];
    readonly patterns: readonly string[];
    readonly onKeys: (keys: readonly string[]) => void;
  }): WatchedStore;
}

export interface WatchedStore extends Disposable {
  /**
   * Blocks this thread for `seconds` and calls back meanwhile. Throws what a call-back threw, and when the loop has
   * nothing to wait for.
   */
  run(seconds: number): void;
  /** What the store says of `key`; null: it has no such entry. */
  read(key: string): StoreEntry | null;
  /** The keys that a pattern fits. */
  list(pattern: string): readonly string[];
}

const SESSION_NAME = "mountaineer";
const RUN_LOOP_FINISHED = 1;

/** Rejects when koffi or a library cannot be had. */
export async function loadStoreBinding(libraries: StoreLibraries = MACOS_LIBRARIES): Promise<StoreBinding> {
  const koffi = await loadKoffi();
  const cf = await loadCoreFoundation(libraries.coreFoundation);
  const foundation = koffi.load(libraries.coreFoundation);
  const configuration = koffi.load(libraries.systemConfiguration);
  const callBack = koffi.pointer(koffi.proto("void", ["const void *", "const void *", "void *"]));
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
  const mode: CfRef = koffi.decode(foundation.symbol("kCFRunLoopDefaultMode"), "void *");
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
  const copyValue: (store: CfRef, key: CfRef) => CfRef | null = configuration.func(
    "void *SCDynamicStoreCopyValue(void *, const void *)",
  );
  const copyKeys: (store: CfRef, pattern: CfRef) => CfRef | null = configuration.func(
    "void *SCDynamicStoreCopyKeyList(void *, const void *)",
  );
  const lastError: () => number = configuration.func("int SCError()");

  const textsOf = (list: CfRef): readonly string[] =>
    (cf.itemsOf(list) ?? []).map((item) => cf.textOf(item)).filter((text) => text !== null);

  return {
    open({ keys, patterns, onKeys }) {
      let closed = false;
      let thrown: { readonly error: unknown } | null = null;
      const registered = koffi.register((_store: CfRef, changed: CfRef | null) => {
        if (closed) return;
        try {
          onKeys(changed === null ? [] : textsOf(changed));
        } catch (error) {
          // It must not pass through the system's own frames.
          thrown ??= { error };
        }
      }, callBack);
      const refused = (what: string): Error =>
        new Error(`SCDynamicStore refused ${what}: error ${lastError()}`);

      let store: CfRef | null = null;
      let source: CfRef | null = null;
      const close = (): void => {
        closed = true;
        if (source !== null) {
          removeSource(currentLoop(), source, mode);
          cf.release(source);
        }
        if (store !== null) cf.release(store);
        source = null;
        store = null;
        koffi.unregister(registered);
      };
      try {
        store = cf.owning((own) => createStore(null, own(cf.string(SESSION_NAME)), registered, null));
        if (store === null) throw refused("a session");
        const opened = store;
        const accepted = cf.owning((own) => {
          const list = (texts: readonly string[]): CfRef =>
            own(cf.array(texts.map((text) => own(cf.string(text)))));
          return setKeys(opened, list(keys), list(patterns)) !== 0;
        });
        if (!accepted) throw refused("the keys to watch");
        const made = createSource(null, opened, 0);
        if (made === null) throw refused("a run loop source");
        addSource(currentLoop(), made, mode);
        source = made;
        return {
          run(seconds) {
            const result = runInMode(mode, seconds, 0);
            if (thrown !== null) {
              const { error } = thrown;
              thrown = null;
              throw error;
            }
            if (result === RUN_LOOP_FINISHED) throw new Error("the run loop has nothing to wait for");
          },
          read: (key) =>
            cf.owning((own) => {
              const value = own(copyValue(opened, own(cf.string(key))));
              if (value === null) return null;
              const entry = (name: string): CfRef | null => cf.valueOf(value, name);
              const active = entry("Active");
              const primary = entry("PrimaryInterface");
              const addresses = entry("Addresses");
              return {
                active: active === null ? null : cf.booleanOf(active),
                primaryInterface: primary === null ? null : cf.textOf(primary),
                addresses: addresses === null ? [] : textsOf(addresses),
              };
            }),
          list: (pattern) =>
            cf.owning((own) => {
              const found = own(copyKeys(opened, own(cf.string(pattern))));
              return found === null ? [] : textsOf(found);
            }),
          [Symbol.dispose]() {
            if (!closed) close();
          },
        };
      } catch (error) {
        close();
        throw error;
      }
    },
  };
}
