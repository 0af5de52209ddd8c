// Exponential backoff.

export interface BackoffMs {
  readonly first: number;
  readonly most: number;
}

/** Delay after `failures` failures in a row (≥ 1), ms: doubled each time, up to `most`. */
export function backoffMs({ first, most }: BackoffMs, failures: number): number {
  return Math.min(most, first * 2 ** Math.min(failures - 1, 30));
}
