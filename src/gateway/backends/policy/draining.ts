// How an instance that is no longer wanted ends: its calls go on for a while, then those left get an error that says why.

type DataReason = "data_away" | "data_moves";

/** Why an instance gets no more calls. */
export type DrainReason =
  | "replaced"
  | "restarted"
  | "not_answering"
  | "removed"
  | "disabled"
  | "route"
  | DataReason;

/** What is remembered of an instance. */
export interface Kept {
  readonly id: number;
  readonly key: string;
  readonly epoch: number;
}

export interface Draining extends Kept {
  readonly why: DrainReason;
  /** Monotonic ms. */
  readonly sinceMs: number;
}

const WHAT_BECAME: Readonly<Record<DrainReason, string>> = {
  replaced: "was replaced by a change of the configuration",
  restarted: "was restarted",
  not_answering: "has stopped answering",
  removed: "was removed from the configuration",
  disabled: "was disabled in the configuration",
  route: "goes over another route now",
  data_away: "was stopped, as a share that it requires is away",
  data_moves: "made room, as a share that it requires is mounted anew",
};

/** What a call gets that `drain_timeout` cuts. */
export function drainMessage(backend: string, why: DrainReason, drainTimeoutMs: number): string {
  const limit = `${drainTimeoutMs / 1000} s`;
  return `backend ${backend} ${WHAT_BECAME[why]}; the call was ended after drain_timeout (${limit})`;
}

/** What a call gets that came too late. */
export function unwantedMessage(backend: string, why: DrainReason): string {
  return `backend ${backend} ${WHAT_BECAME[why]}`;
}
