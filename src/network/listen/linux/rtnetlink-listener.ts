// The rtnetlink thread as a source of network events: its start, how it is woken to stop, and when its eventfd is closed.
import { closeSync, writeSync } from "node:fs";
import { programBeside } from "../../../runtime/process/program-beside.ts";
import { startNativeEventThread } from "../events/native-event-thread.ts";
import {
  CONTROL_BYTES,
  EVENT_FD_SLOT,
  type NetworkEventListener,
  type NetworkEventSource,
  type RunningEventSource,
  STOP_SLOT,
} from "../events/network-event-source.ts";

/** How long to wait for the thread's end, ms: far more than the 2 ms that it takes. */
const STOP_DEADLINE_MS = 2_000;
/** The number 1 as an eventfd takes it. */
const ONE = Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0);

/** Linux's network events, through koffi in a separate thread. */
export function rtnetlinkSource(): NetworkEventSource {
  return { name: "rtnetlink", start: startThread };
}

function startThread(listener: NetworkEventListener): RunningEventSource {
  const control = new Int32Array(new SharedArrayBuffer(CONTROL_BYTES));
  return startNativeEventThread(
    {
      name: "rtnetlink",
      get url() {
        return programBeside(import.meta.url, "rtnetlink-worker");
      },
      workerData: { control: control.buffer },
      // The flag is set before the eventfd is written: the write ends the thread's poll, and the thread reads
      // the flag before the next poll.
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
