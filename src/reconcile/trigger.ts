// Why a cycle runs. A trigger names only its reason: each cycle looks at everything again.

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
  /** A request of a carried mount has waited too long for its answer. */
  | "stalled"
  /** The carrier has reported a change. */
  | "carrier"
  /** A proof of which server is behind the routes has ended. */
  | "proof"
  /** What a backend works on has arrived, or is gone. */
  | "data"
  /** A backend's instance became ready, ended, or has answered. */
  | "instance"
  /** A backend's instance is due to be asked whether it lives. */
  | "check"
  /** Calls that an old instance still serves have ended, or are out of time. */
  | "drain";

export interface Trigger {
  readonly reason: TriggerReason;
  /** Monotonic ms at which it came: what is observed must not be older. */
  readonly atMs: number;
  /** What happened, for the log: `tb0 went down`. */
  readonly details: readonly string[];
}

/** Triggers that outside events cause; they come through the debounce window and are logged. */
export function isOutsideEvent(reason: TriggerReason): boolean {
  return reason === "network" || reason === "wake";
}
