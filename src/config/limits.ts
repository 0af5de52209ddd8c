// What one principal may use of the gateway, as the configuration says.

export interface PrincipalLimits {
  /** null: as many as come. */
  readonly callsPerSecond: number | null;
  /** Calls that may come at once after a quiet time; at least 1. */
  readonly burst: number;
  readonly callsInFlight: number;
  readonly sessions: number;
  /** Of one result, as JSON; null: as large as a backend's message may be. */
  readonly resultBytes: number | null;
}

/** For some principals; the first that fits one is the one that counts. */
export interface LimitsOverride {
  /** Globs over names; null: everybody. */
  readonly users: readonly string[] | null;
  /** Globs over roles; null: whatever. */
  readonly roles: readonly string[] | null;
  readonly limits: PrincipalLimits;
}

export interface LimitsConfig extends PrincipalLimits {
  readonly overrides: readonly LimitsOverride[];
}

/** `burst`, where the file does not say: so many times the calls of a second. */
export const BURST_SECONDS = 5;

/** About half of what the gateway can do on a small machine. */
const CALLS_PER_SECOND = 5_000;

export const DEFAULT_LIMITS: LimitsConfig = {
  callsPerSecond: CALLS_PER_SECOND,
  burst: CALLS_PER_SECOND * BURST_SECONDS,
  callsInFlight: 512,
  sessions: 500,
  resultBytes: 16 * 1024 * 1024,
  overrides: [],
};
