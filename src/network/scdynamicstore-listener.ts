// Owns the life of the SCDynamicStore thread: its start, and its ending within a deadline.
import { Worker } from "node:worker_threads";
import type { NetworkEventHearer, NetworkEventSource, RunningEventSource } from "./network-event-source.ts";
import { MACOS_LIBRARIES, type StoreLibraries } from "./scdynamicstore-binding.ts";
import {
  CONTROL_BYTES,
  STOP_SLOT,
  type StoreWorkerData,
  type StoreWorkerMessage,
} from "./scdynamicstore-thread.ts";

/** The thread looks at its flag four times a second; one that does not end is left behind. */
const STOP_DEADLINE_MS = 1_500;
/** Enough for koffi and the entries; a bound so that a mistake in the thread ends the thread, not the daemon. */
const WORKER_LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

export interface ScdynamicstoreOptions {
  /** Default: macOS's own. */
  readonly libraries?: StoreLibraries;
  /** The thread's program, for tests. */
  readonly threadUrl?: URL;
}

/** macOS's network events, by way of koffi and a run loop in a thread of its own. */
export function scdynamicstoreSource(options: ScdynamicstoreOptions = {}): NetworkEventSource {
  const { libraries = MACOS_LIBRARIES, threadUrl = ownThreadUrl() } = options;
  return { name: "scdynamicstore", start: (hearer) => startThread(threadUrl, libraries, hearer) };
}

/** The compiler rewrites import paths, not strings: the published thread is `.js`, the checkout's `.ts`. */
function ownThreadUrl(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`./scdynamicstore-worker.${extension}`, import.meta.url);
}

function startThread(
  threadUrl: URL,
  libraries: StoreLibraries,
  hearer: NetworkEventHearer,
): RunningEventSource {
  const control = new SharedArrayBuffer(CONTROL_BYTES);
  const workerData: StoreWorkerData = { control, libraries };
  const exited = Promise.withResolvers<void>();
  let failure: { kind: "unavailable" | "crashed"; error: unknown } | null = null;
  let stopping = false;
  const end = (kind: "unavailable" | "crashed", error: unknown): void => {
    exited.resolve();
    if (!stopping) hearer.onEnd({ kind, error });
  };

  let worker: Worker;
  try {
    worker = new Worker(threadUrl, {
      name: "scdynamicstore",
      workerData,
      env: {},
      execArgv: [],
      resourceLimits: WORKER_LIMITS,
      trackUnmanagedFds: false,
    });
  } catch (error) {
    queueMicrotask(() => end("crashed", error));
    return {
      async [Symbol.asyncDispose]() {
        stopping = true;
      },
    };
  }
  const stop = (): void => {
    Atomics.store(new Int32Array(control), STOP_SLOT, 1);
  };
  // A thread in the run loop holds up the end of the process until its turn is over.
  process.on("exit", stop);

  worker.on("message", (message: StoreWorkerMessage) => {
    if (stopping) return;
    if (message.kind === "ready") hearer.onReady();
    else if (message.kind === "deltas") hearer.onChange(message.deltas);
    else failure = { kind: "unavailable", error: new Error(message.text) };
  });
  worker.on("error", (error) => {
    failure = { kind: "crashed", error };
  });
  worker.on("exit", (code) => {
    process.off("exit", stop);
    const { kind, error } = failure ?? {
      kind: "crashed",
      error: new Error(`the thread ended with code ${code}`),
    };
    end(kind, error);
  });

  return {
    async [Symbol.asyncDispose]() {
      stopping = true;
      stop();
      // Real time, as it is a real thread that is waited for.
      const late = setTimeout(() => {
        void worker.terminate();
        worker.unref();
        exited.resolve();
      }, STOP_DEADLINE_MS);
      await exited.promise;
      clearTimeout(late);
    },
  };
}
