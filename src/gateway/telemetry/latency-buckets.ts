// Durations of calls in 64 ranges, each 26 % wider than the one before: counts of two periods can be added, quantiles cannot.

export const BUCKETS = 64;
/** Indexes in a tally: the first 64 count answered calls by duration; then all calls, and those that failed. */
export const CALLS = BUCKETS;
export const ERRORS = BUCKETS + 1;
export const TALLY_LENGTH = BUCKETS + 2;

/** Ranges begin at 0.25 ms; three of them double the duration, so the last one begins at 8.7 minutes. */
const FIRST_MS = 0.25;
const PER_DOUBLING = 3;

export function bucketOf(ms: number): number {
  if (ms <= FIRST_MS) return 0;
  return Math.min(BUCKETS - 1, Math.floor(PER_DOUBLING * Math.log2(ms / FIRST_MS)));
}

/** The middle of a range, ms: at most an eighth from any duration in it. */
export function middleOf(bucket: number): number {
  return FIRST_MS * 2 ** ((bucket + 0.5) / PER_DOUBLING);
}
