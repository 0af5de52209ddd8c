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
  /** The server has been slow to answer a request of a mount that goes through the relay. */
  | "stalled"
  /** The relay, which forwards mounts and moves them between routes, has reported a change. */
  | "carrier"
  /** An attempt to prove which server the routes lead to has ended. */
  | "proof"
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
