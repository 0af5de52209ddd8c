// The rtnetlink thread as a source of network events: what its bells mean, how it is woken to stop, and when its eventfd is
// closed.

import { closeSync, writeSync } from "node:fs";
import { endianness } from "node:os";
import { programBeside } from "../../../runtime/process/program-beside.ts";
import { readInterfaces } from "../../interfaces.ts";
import { compareInterfaces } from "../events/compare-interfaces.ts";
import { endedAtOnce, startNativeEventThread } from "../events/native-event-thread.ts";
import type {
  NetworkEventListener,
  NetworkEventSource,
  RunningEventSource,
} from "../events/network-event-source.ts";
import { CONTROL_BYTES, EVENT_FD_SLOT, STOP_SLOT } from "./rtnetlink-thread.ts";

/** The thread ends in 2 ms. */
const STOP_DEADLINE_MS = 2_000;
/** The number 1 as an eventfd takes it. */
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

/** Linux's network events, by way of koffi in a thread of its own. `threadUrl`: the thread's program, for tests. */
export function rtnetlinkSource(
  threadUrl: URL = programBeside(import.meta.url, "rtnetlink-worker"),
): NetworkEventSource {
  return { name: "rtnetlink", start: (listener) => startThread(threadUrl, comparing(listener)) };
}

/** At each bell the interfaces are read afresh: their differences are emitted, else what the bell itself says. */
function comparing(listener: NetworkEventListener): NetworkEventListener {
  let last = readInterfaces(0);
  return {
    onReady() {
      last = readInterfaces(0);
      listener.onReady();
    },
    onChange(said) {
      const now = readInterfaces(0);
      const seen = compareInterfaces(last, now);
      last = now;
      const deltas = seen.length > 0 ? seen : said;
      if (deltas.length > 0) listener.onChange(deltas);
    },
    onEnd: (end) => listener.onEnd(end),
  };
}

function startThread(url: URL, listener: NetworkEventListener): RunningEventSource {
  if (endianness() !== "LE")
    return endedAtOnce(listener, { kind: "unavailable", error: "only little-endian machines are read" });
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_BYTES));
  return startNativeEventThread(
    {
      name: "rtnetlink",
      url,
      workerData: { control: control.buffer },
      // The flag goes first: the thread looks at it before each poll, or finds the eventfd written.
      stop() {
        Atomics.store(control, STOP_SLOT, 1);
        const eventFd = Atomics.load(control, EVENT_FD_SLOT) - 1;
        if (eventFd >= 0) writeSync(eventFd, ONE);
      },
      stopDeadlineMs: STOP_DEADLINE_MS,
      onGone() {
        const eventFd = Atomics.exchange(control, EVENT_FD_SLOT, 0) - 1;
        if (eventFd >= 0) closeSync(eventFd);
      },
    },
    listener,
  );
}
