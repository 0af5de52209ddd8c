// The interface of a system's network events; one file per system implements it.
import type { NetworkDelta } from "./network-delta.ts";

export interface NetworkEventSource {
  readonly name: "rtnetlink" | "scdynamicstore";
  /** Never throws; what goes wrong, at once or later, is told to `onEnd`. */
  start(listener: NetworkEventListener): RunningEventSource;
}

export interface NetworkEventListener {
  /** Every change from now on is told. */
  onReady(): void;
  onChange(deltas: readonly NetworkDelta[]): void;
  /** Told at most once, and not after disposal: `unavailable` will not mend by itself, `crashed` may. */
  onEnd(end: NetworkEventEnd): void;
}

export interface NetworkEventEnd {
  readonly kind: "unavailable" | "crashed";
  readonly error: unknown;
}

/** Disposing resolves within two seconds, whatever the source's thread or process does. */
export type RunningEventSource = AsyncDisposable;
