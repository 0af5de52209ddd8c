// Network events on macOS: SCDynamicStore on a thread, or `scutil` where koffi is missing.
import type {
  NetworkEventListener,
  NetworkEventSource,
  RunningEventSource,
} from "../events/network-event-source.ts";
import { scdynamicstoreSource } from "./scdynamicstore-listener.ts";
import { scutilSource } from "./scutil-listener.ts";

/** Its name says which of the two is in use. */
export function networkEventsDarwin(
  sources: readonly [NetworkEventSource, NetworkEventSource] = [scdynamicstoreSource(), scutilSource()],
): NetworkEventSource {
  const [first, second] = sources;
  let current = first;
  return {
    get name() {
      return current.name;
    },
    start: (listener) => {
      if (current === second) return second.start(listener);
      let running: RunningEventSource;
      let disposed = false;
      const orSecond: NetworkEventListener = {
        onReady: () => listener.onReady(),
        onChange: (deltas) => listener.onChange(deltas),
        onEnd(end) {
          if (disposed) return;
          if (end.kind !== "unavailable") {
            listener.onEnd(end);
            return;
          }
          // It will not recover by itself, so it is not tried again.
          current = second;
          running = second.start(listener);
        },
      };
      running = first.start(orSecond);
      return {
        async [Symbol.asyncDispose]() {
          disposed = true;
          await running[Symbol.asyncDispose]();
        },
      };
    },
  };
}
