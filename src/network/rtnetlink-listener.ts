// Owns the life of the rtnetlink thread: its start, its ending within a deadline, and the end of the process.
import { closeSync, writeSync } from "node:fs";
import { endianness } from "node:os";
import { Worker } from "node:worker_threads";
import type { NetworkEventHearer, NetworkEventSource, RunningEventSource } from "./network-event-source.ts";
import { CONTROL_BYTES, EVENT_FD_SLOT, type RtnetlinkWorkerMessage, STOP_SLOT } from "./rtnetlink-thread.ts";

/** The thread ends in 2 ms; one that does not is left behind, as nothing can end it. */
const STOP_DEADLINE_MS = 2_000;
/** Enough for koffi and the messages; a bound so that a mistake in the thread ends the thread, not the daemon. */
const WORKER_LIMITS = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };

/** Linux's network events, by way of koffi in a thread of its own. `threadUrl`: the thread's program, for tests. */
export function rtnetlinkSource(threadUrl: URL = ownThreadUrl()): NetworkEventSource {
  return { name: "rtnetlink", start: (hearer) => startThread(threadUrl, hearer) };
}

/** The compiler rewrites import paths, not strings: the published thread is `.js`, the checkout's `.ts`. */
function ownThreadUrl(): URL {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`./rtnetlink-worker.${extension}`, import.meta.url);
}

function startThread(threadUrl: URL, hearer: NetworkEventHearer): RunningEventSource {
  if (endianness() !== "LE")
    return endedAtOnce(hearer, "unavailable", "only little-endian machines are read");
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_BYTES));
  let worker: Worker;
  try {
    worker = new Worker(threadUrl, {
      name: "rtnetlink",
      workerData: { control: control.buffer },
      env: {},
      execArgv: [],
      resourceLimits: WORKER_LIMITS,
      trackUnmanagedFds: false,
    });
  } catch (error) {
    return endedAtOnce(hearer, "crashed", error);
  }

  const exited = Promise.withResolvers<void>();
  let failure: { kind: "unavailable" | "crashed"; error: unknown } | null = null;
  let stopping = false;

  // The flag goes first: the thread looks at it before each poll, or finds the eventfd written.
  const wake = (): void => {
    Atomics.store(control, STOP_SLOT, 1);
    const eventFd = Atomics.load(control, EVENT_FD_SLOT) - 1;
    if (eventFd >= 0) writeSync(eventFd, ONE);
  };
  // A thread waiting in poll would hold up the end of the process.
  process.on("exit", wake);

  worker.on("message", (message: RtnetlinkWorkerMessage) => {
    if (stopping) return;
    if (message.kind === "ready") hearer.onReady();
    else if (message.kind === "deltas") hearer.onChange(message.deltas);
    else failure = { kind: "unavailable", error: new Error(message.text) };
  });
  worker.on("error", (error) => {
    failure = { kind: "crashed", error };
  });
  worker.on("exit", (code) => {
    process.off("exit", wake);
    const eventFd = Atomics.exchange(control, EVENT_FD_SLOT, 0) - 1;
    if (eventFd >= 0) closeSync(eventFd);
    exited.resolve();
    if (stopping) return;
    hearer.onEnd(failure ?? { kind: "crashed", error: new Error(`the thread ended with code ${code}`) });
  });

  return {
    async [Symbol.asyncDispose]() {
      stopping = true;
      wake();
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

/** The number 1 as an eventfd takes it. */
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

function endedAtOnce(
  hearer: NetworkEventHearer,
  kind: "unavailable" | "crashed",
  error: unknown,
): RunningEventSource {
  let stopped = false;
  queueMicrotask(() => {
    if (!stopped) hearer.onEnd({ kind, error });
  });
  return {
    async [Symbol.asyncDispose]() {
      stopped = true;
    },
  };
}
