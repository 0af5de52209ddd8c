// The state of the configuration's watch, whose settings are the section `[sync]`.
import type { SyncSettings } from "../config/snapshot.ts";

/** How a change is noticed: `mtime` by time or size, `hash` by content, `inotify` by an event that the content confirms. */
export type Detection = SyncSettings["detection"];

/** A file that changes all the time is reloaded after this many debounce times. */
export const MAX_WAIT_FACTOR = 10;

/** The reason why the file's content does not run. Kept until the file's content runs again. */
export interface SyncProblem {
  /**
   * `unreadable`: the file cannot be read. `rejected`: its content is wrong. `failed`: its content could not
   * be applied. `cut_short`: it was written in place, and waits for other bytes or a person, because it is half a file
   * or drops what keeps others out.
   */
  readonly kind: "unreadable" | "rejected" | "failed" | "cut_short";
  /** For people, with the place in the file if known. */
  readonly reason: string;
  /** ISO 8601 UTC, of the first occurrence. */
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
  /** There was no file at the last check; always false while not watching. */
  readonly fileMissing: boolean;
  readonly detector: {
    readonly detection: Detection;
    /**
     * Why the detector only polls instead of using events of the OS; null: it works as `detection` says, or
     * no detector runs.
     */
    readonly degraded: string | null;
  };
}
