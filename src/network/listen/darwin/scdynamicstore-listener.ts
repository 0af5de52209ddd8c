// The SCDynamicStore thread as a source of network events.
import { programBeside } from "../../../runtime/process/program-beside.ts";
import { startNativeEventThread } from "../events/native-event-thread.ts";
import { CONTROL_BYTES, type NetworkEventSource, STOP_SLOT } from "../events/network-event-source.ts";
import { MACOS_LIBRARIES, type StoreLibraries, type StoreWorkerData } from "./scdynamicstore-binding.ts";

/** How long to wait for the thread's end, ms: it reads its stop flag four times a second. */
const STOP_DEADLINE_MS = 1_500;

/** macOS's network events, through koffi and a run loop in a separate thread. */
export function scdynamicstoreSource(libraries: StoreLibraries = MACOS_LIBRARIES): NetworkEventSource {
  return {
    name: "scdynamicstore",
    start(listener) {
      const control = new SharedArrayBuffer(CONTROL_BYTES);
      const workerData: StoreWorkerData = { control, libraries };
      return startNativeEventThread(
        {
          name: "scdynamicstore",
          get url() {
            return programBeside(import.meta.url, "scdynamicstore-worker");
          },
          workerData,
          stop: () => void Atomics.store(new Int32Array(control), STOP_SLOT, 1),
          stopDeadlineMs: STOP_DEADLINE_MS,
        },
        listener,
      );
    },
  };
}
