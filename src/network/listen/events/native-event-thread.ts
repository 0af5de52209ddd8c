// A worker thread that waits in the system for network events: its start, its messages, and its end within a deadline.
import { Worker } from "node:worker_threads";
import type {
  NetworkEventEnd,
  NetworkEventListener,
  NetworkEventSource,
  RunningEventSource,
} from "./network-event-source.ts";

/** The messages of a thread of native events; nothing follows `unavailable`. */
export type NativeEventMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "bell"; readonly details: readonly string[] }
  | { readonly kind: "unavailable"; readonly text: string };

export interface NativeEventThread {
  readonly name: NetworkEventSource["name"];
  /** Read once, at the start; may throw. */
  readonly url: URL;
  readonly workerData: unknown;
  /** Asks the thread to end, through shared memory: the thread reads no messages while it waits in a system call. */
  readonly stop: () => void;
  readonly stopDeadlineMs: number;
  readonly onGone?: () => void;
}

/**
 * Enough for koffi and its buffers. If the thread uses too much memory, the limits make it fail instead of the daemon.
 */
const WORKER_LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

/** Never throws: a thread that cannot be started, as when the system has none left, is reported as a crash. */
export function startNativeEventThread(
  thread: NativeEventThread,
  listener: NetworkEventListener,
): RunningEventSource {
  const { name, workerData, stop, stopDeadlineMs, onGone } = thread;
  let worker: Worker;
  try {
    worker = new Worker(thread.url, {
      name,
      workerData,
      env: {},
      execArgv: [],
      resourceLimits: WORKER_LIMITS,
      trackUnmanagedFds: false,
    });
  } catch (error) {
    return notStarted(listener, error);
  }

  const exited = Promise.withResolvers<void>();
  let failure: NetworkEventEnd | null = null;
  let stopping = false;
  // Without this, the process's end would wait for a thread that waits in the system.
  process.on("exit", stop);

  worker.on("message", (message: NativeEventMessage) => {
    if (stopping) return;
    if (message.kind === "ready") listener.onReady();
    else if (message.kind === "bell") listener.onBell(message.details);
    else failure = { kind: "unavailable", error: new Error(message.text) };
  });
  worker.on("error", (error) => {
    failure = { kind: "crashed", error };
  });
  worker.on("exit", (code) => {
    process.off("exit", stop);
    onGone?.();
    exited.resolve();
    if (stopping) return;
    listener.onEnd(failure ?? { kind: "crashed", error: new Error(`the thread ended with code ${code}`) });
  });

  return {
    async [Symbol.asyncDispose]() {
      stopping = true;
      stop();
      // Uses real time, because it waits for a real thread. The thread is not terminated: termination during a callback
      // from the system would crash the process. The thread ends when it next reads the stop flag.
      const late = setTimeout(() => {
        worker.unref();
        exited.resolve();
      }, stopDeadlineMs);
      await exited.promise;
      clearTimeout(late);
    },
  };
}

/** Reports the crash after this function has returned, unless disposal comes first. */
function notStarted(listener: NetworkEventListener, error: unknown): RunningEventSource {
  let stopped = false;
  queueMicrotask(() => {
    if (!stopped) listener.onEnd({ kind: "crashed", error });
  });
  return {
    async [Symbol.asyncDispose]() {
      stopped = true;
    },
  };
}
