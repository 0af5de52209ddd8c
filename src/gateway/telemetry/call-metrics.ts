// Counts and durations of requests, by method, backend and target: of a bounded number of kinds.

export const DURATION_BOUNDS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;
/** More kinds are counted together, as target `(other)`. */
export const MOST_KINDS = 2_000;
const OTHER = "(other)";

export interface RequestLabels {
  /** One that the protocol knows, or `other`. */
  readonly method: string;
  /** Empty: none. */
  readonly backend: string;
  /** A published name; empty: none. */
  readonly target: string;
}

export interface RequestKind extends RequestLabels {
  /** By outcome: `ok`, `tool_error`, `cancelled`, or a JSON-RPC code. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** One more than there are bounds: the last is beyond all of them. */
  readonly buckets: readonly number[];
  readonly count: number;
  readonly sumS: number;
}

interface Counted extends RequestLabels {
  readonly outcomes: Map<string, number>;
  readonly buckets: number[];
  count: number;
  sumS: number;
}

export class CallMetrics {
  readonly #kinds = new Map<string, Counted>();

  get kinds(): Iterable<RequestKind> {
    return this.#kinds.values();
  }

  record(labels: RequestLabels, outcome: string, seconds: number): void {
    const kind = this.#kindOf(labels);
    kind.outcomes.set(outcome, (kind.outcomes.get(outcome) ?? 0) + 1);
    const at = DURATION_BOUNDS_S.findIndex((bound) => seconds <= bound);
    const bucket = at === -1 ? DURATION_BOUNDS_S.length : at;
    kind.buckets[bucket] = (kind.buckets[bucket] ?? 0) + 1;
    kind.count += 1;
    kind.sumS += seconds;
  }

  #kindOf({ method, backend, target }: RequestLabels): Counted {
    const key = `${method}\n${backend}\n${target}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    if (this.#kinds.size >= MOST_KINDS && target !== OTHER && target !== "") {
      return this.#kindOf({ method, backend, target: OTHER });
    }
    const made: Counted = {
      method,
      backend,
      target,
      outcomes: new Map(),
      buckets: Array.from({ length: DURATION_BOUNDS_S.length + 1 }, () => 0),
      count: 0,
      sumS: 0,
    };
    this.#kinds.set(key, made);
    return made;
  }
}
