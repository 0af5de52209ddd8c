// How long to wait before something that failed is tried again.

export interface BackoffMs {
  readonly first: number;
  readonly most: number;
}

/** After `failures` (≥ 1) in a row, ms: doubled each time, up to `most`. */
export function backoffMs({ first, most }: BackoffMs, failures: number): number {
  // The exponent is bounded so that it cannot overflow; the wait is at its limit long before.
  return Math.min(most, first * 2 ** Math.min(failures - 1, 30));
}
