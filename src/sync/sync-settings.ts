// The section `sync` of the configuration, for the engine.

/** What counts as a change: another mtime or size, another SHA-256, or what the OS tells, confirmed by content. */
export type Detection = "mtime" | "hash" | "inotify";

/** What a failed reload leads to: retries further and further apart, retries at the normal pace, or the end. */
type OnFailure = "backoff" | "fixed" | "stop";

export interface SyncSettings {
  readonly enabled: boolean;
  /** > 0. */
  readonly pollIntervalMs: number;
  /** ≥ 0; restarts on each further change, for at most MAX_WAIT_FACTOR times its length. */
  readonly debounceMs: number;
  readonly detection: Detection;
  readonly onFailure: OnFailure;
}

/** A file that never rests is reloaded after this many debounce windows all the same. */
export const MAX_WAIT_FACTOR = 10;
