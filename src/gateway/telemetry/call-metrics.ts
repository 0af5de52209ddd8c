// Counts requests and their durations for each kind: a method, a backend and a target. The number of kinds is
// bounded.

export const DURATION_BOUNDS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;
/** Maximum number of kinds; requests of further kinds are counted together, with the target `(other)`. */
export const MOST_KINDS = 2_000;
const OTHER = "(other)";

export interface RequestLabels {
  /** A method of the protocol, or `other`. */
  readonly method: string;
  /** Empty: no backend. */
  readonly backend: string;
  /** A published name; empty: none. */
  readonly target: string;
}

export interface RequestKind extends RequestLabels {
  /** By outcome: `ok`, `tool_error`, `cancelled`, or a JSON-RPC code. */
  readonly outcomes: Map<string, number>;
  /**
   * The number of calls in each duration range: one range for each of `DURATION_BOUNDS_S`, and one for longer
   * durations.
   */
  readonly buckets: number[];
  count: number;
  sumS: number;
}

export class CallMetrics {
  readonly #kinds = new Map<string, RequestKind>();

  get kinds(): Iterable<Readonly<RequestKind>> {
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

  #kindOf({ method, backend, target }: RequestLabels): RequestKind {
    const key = `${method}\n${backend}\n${target}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    if (this.#kinds.size >= MOST_KINDS && target !== OTHER && target !== "") {
      return this.#kindOf({ method, backend, target: OTHER });
    }
    const made: RequestKind = {
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
