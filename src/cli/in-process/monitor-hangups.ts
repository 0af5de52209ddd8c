// Owns what a SIGHUP means to the daemon: read the configuration again.
import type { MonitorOptions } from "../../api/control.ts";

/** What signals come from. */
interface SignalSource {
  on(signal: "SIGHUP", listener: () => void): unknown;
}

/** Hears SIGHUP from now on, for as long as the process lives; see `MonitorOptions.reloadRequests`. */
export function listenForHangups(source: SignalSource): MonitorOptions["reloadRequests"] {
  const listeners = new Set<() => void>();
  let cameBefore = false;
  source.on("SIGHUP", () => {
    if (listeners.size === 0) cameBefore = true;
    for (const listener of [...listeners]) listener();
  });
  return (listener) => {
    // Wrapped, so that the same function registered twice is two listeners.
    const own = (): void => listener();
    listeners.add(own);
    if (cameBefore) {
      cameBefore = false;
      queueMicrotask(() => {
        if (listeners.has(own)) own();
      });
    }
    return () => void listeners.delete(own);
  };
}
