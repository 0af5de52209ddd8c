// The interface to a system's network events, with one implementing file for each system. The worker threads that wait
// for the events also load this file.

export interface NetworkEventSource {
  readonly name: "rtnetlink" | "scdynamicstore";
  /** Never throws; errors, immediate or later, are passed to `onEnd`. */
  start(listener: NetworkEventListener): RunningEventSource;
}

/** A detail for `onBell`: something about this link, which a list of interfaces shows only if the link has an address. */
export const linkDetail = (name: string): string => `the link of ${name}`;

export interface NetworkEventListener {
  /** Called once the source works: from now on, every change leads to a call of `onBell`. */
  onReady(): void;
  /**
   * Called when something may have changed. `details`: texts for people about changes that a list of
   * interfaces may not show.
   */
  onBell(details: readonly string[]): void;
  /** Called at most once, and not after disposal: `unavailable` does not recover, `crashed` may. */
  onEnd(end: NetworkEventEnd): void;
}

export interface NetworkEventEnd {
  readonly kind: "unavailable" | "crashed";
  readonly error: unknown;
}

/** Disposing resolves within two seconds, whatever the source's thread or process does. */
export type RunningEventSource = AsyncDisposable;

/** A slot of the Int32Array that a source shares with its thread; 1 asks the thread to stop. */
export const STOP_SLOT = 0;
/** This slot holds the eventfd's descriptor plus one; 0: there is no eventfd yet. The eventfd wakes the thread. */
export const EVENT_FD_SLOT = 1;
export const CONTROL_BYTES = 8;
