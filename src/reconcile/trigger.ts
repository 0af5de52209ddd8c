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
  | "mount_process_exit"
  /** The program of a mount that moves has reported a change. */
  | "program"
  /** A comparison of the servers behind a share's routes has ended. */
  | "servers_compared"
  /** A share is now required by a program, or a backend's required shares have changed. */
  | "data"
  /** A backend's instance became ready, ended, or has answered. */
  | "instance"
  /** A health check of a backend's instance is due. */
  | "check"
  /** A backend's server has been idle for its time. */
  | "idle"
  /** The remaining calls of an old instance have ended, or have timed out. */
  | "drain";

export interface Trigger {
  readonly reason: TriggerReason;
  /** When the trigger came, monotonic ms. The cycle that it starts uses no older observations. */
  readonly atMs: number;
  /** The events, for the log: `tb0 went down`. */
  readonly details: readonly string[];
}

/** True for changes outside Mountaineer: of the network, or when the machine wakes. */
export function isOutsideEvent(reason: TriggerReason): boolean {
  return reason === "network" || reason === "wake";
}
