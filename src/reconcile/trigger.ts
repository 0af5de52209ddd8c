// The reason for a cycle. A trigger has no other content: each cycle observes everything again.

export type TriggerReason =
  | "start"
  | "tick"
  | "network"
  | "wake"
  | "config"
  | "user"
  | "confirm"
  | "window_end"
  | "retry"
  | "look_answered"
  | "mount_process_exit"
  /** The server has been slow to answer a request of a carried mount. */
  | "stalled"
  /** The carrier has reported a change. */
  | "carrier"
  /** A proof of which server is behind the routes has ended. */
  | "proof"
  /** The data of a backend has become available, or is gone. */
  | "data"
  /** A backend's instance became ready, ended, or has answered. */
  | "instance"
  /** A health check of a backend's instance is due. */
  | "check"
  /** The remaining calls of an old instance have ended, or have timed out. */
  | "drain";

export interface Trigger {
  readonly reason: TriggerReason;
  /** When the trigger came, monotonic ms; its cycle uses no older observations. */
  readonly atMs: number;
  /** The events, for the log: `tb0 went down`. */
  readonly details: readonly string[];
}

/** True for events from outside, which pass the debounce window and are logged. */
export function isOutsideEvent(reason: TriggerReason): boolean {
  return reason === "network" || reason === "wake";
}
