// The interface of a system's network events; one file per system implements it.
import type { NetworkDelta } from "./network-delta.ts";

export interface NetworkEventSource {
  readonly name: "rtnetlink" | "scdynamicstore" | "scutil";
  /** Never throws; what goes wrong, at once or later, is passed to `onEnd`. */
  start(listener: NetworkEventListener): RunningEventSource;
}

export interface NetworkEventListener {
  /** Called for every change from now on. */
  onReady(): void;
  onChange(deltas: readonly NetworkDelta[]): void;
  /** Called at most once, and not after disposal: `unavailable` will not recover by itself, `crashed` may. */
  onEnd(end: NetworkEventEnd): void;
}

export interface NetworkEventEnd {
  readonly kind: "unavailable" | "crashed";
  readonly error: unknown;
}

/** Disposing resolves within two seconds, whatever the source's thread or process does. */
export type RunningEventSource = AsyncDisposable;
