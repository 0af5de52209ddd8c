// The interface of a system's network events; one file per system implements it. Their threads load this file, too.
import type { NetworkDelta } from "./network-delta.ts";

export interface NetworkEventSource {
  readonly name: "rtnetlink" | "scdynamicstore";
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

/** Slots of the Int32Array that a source shares with its thread: it is to stop when this is 1. */
export const STOP_SLOT = 0;
/** The eventfd that wakes the thread, plus one; 0 while there is none. */
export const EVENT_FD_SLOT = 1;
export const CONTROL_BYTES = 8;
