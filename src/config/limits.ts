// The limits of one principal at the gateway, as configured.

export interface PrincipalLimits {
  /** null: no limit. */
  readonly callsPerSecond: number | null;
  /** The number of calls that may come at once after a pause; at least 1. */
  readonly burst: number;
  readonly callsInFlight: number;
  readonly sessions: number;
  /** Size limit of a result as JSON. null: only the limit of a backend's messages applies. */
  readonly resultBytes: number | null;
}

/** The default `burst` is the number of calls in this many seconds. */
export const BURST_SECONDS = 5;

/** About half the calls that the gateway handles on a small machine. */
const CALLS_PER_SECOND = 5_000;

export const DEFAULT_LIMITS: PrincipalLimits = {
  callsPerSecond: CALLS_PER_SECOND,
  burst: CALLS_PER_SECOND * BURST_SECONDS,
  callsInFlight: 512,
  sessions: 500,
  resultBytes: 16 * 1024 * 1024,
};
