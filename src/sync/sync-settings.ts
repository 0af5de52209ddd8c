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

/** What keeps the file's content from running. It stands until a content runs again. */
export interface SyncProblem {
  /** The file cannot be read; its content is wrong; it could not be applied. */
  readonly kind: "unreadable" | "rejected" | "failed";
  /** For people, with the place in the file where there is one. */
  readonly reason: string;
  /** ISO 8601 UTC: when it was first met. */
  readonly since: string;
}

export interface SyncState {
  /**
   * `live`: watching. `idle`: not started yet, or ended. `stopped`: ended by a failed reload (`on_failure = "stop"`)
   * until a reload by hand succeeds. `off`: `enabled = false`.
   */
  readonly watching: "live" | "idle" | "stopped" | "off";
  /** ISO 8601 UTC: when the file's content was last applied, or found to be the running one; null: not yet. */
  readonly lastSync: string | null;
  readonly lastError: SyncProblem | null;
  /** SHA-256 of the running content, hexadecimal. */
  readonly hash: string;
  /** There was no file at the last look; only known while watching. */
  readonly fileMissing: boolean;
  readonly detector: {
    readonly detection: Detection;
    /** Why it only polls instead of hearing from the OS; null: it works as named, or does not run. */
    readonly degraded: string | null;
  };
}
