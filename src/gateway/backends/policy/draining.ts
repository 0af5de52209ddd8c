// Instances that get no more calls. Calls in flight continue until `drain_timeout`, then get an error.

export type DataReason = "data_away" | "data_moves";

export type DrainReason =
  | "replaced"
  | "restarted"
  | "not_answering"
  | "removed"
  | "disabled"
  | "route"
  | "idle"
  | DataReason;

export interface InstanceRef {
  readonly id: number;
  readonly key: string;
  readonly epoch: number;
}

export interface Draining extends InstanceRef {
  readonly why: DrainReason;
  /** Monotonic ms. */
  readonly sinceMs: number;
}

const CAUSES: Readonly<Record<DrainReason, string>> = {
  replaced: "was replaced by a change of the configuration",
  restarted: "was restarted",
  not_answering: "has stopped answering",
  removed: "was removed from the configuration",
  disabled: "was disabled in the configuration",
  route: "goes over another route now",
  idle: "was stopped, as no client used it",
  data_away: "was stopped, as a share that it requires is away",
  data_moves: "was stopped, as a share that it requires is being remounted",
};

export function drainMessage(backend: string, why: DrainReason, drainTimeoutMs: number): string {
  const limit = `${drainTimeoutMs / 1000} s`;
  return `server ${backend} ${CAUSES[why]}; the call was ended after drain_timeout (${limit})`;
}

export function unwantedMessage(backend: string, why: DrainReason): string {
  return `server ${backend} ${CAUSES[why]}`;
}
