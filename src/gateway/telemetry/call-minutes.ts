// Calls, errors and latency of each backend: in the last five minutes, and since the start.
import type { Clock } from "../../runtime/time/clock.ts";
import type { PoolCall } from "../backends/policy/backend-pool-contract.ts";
import { isError, type Reply } from "../json-rpc.ts";
import type { RoutingServices } from "../middleware/routing-services.ts";

export const MINUTE_MS = 60_000;
/** Maximum number of backends; a further one replaces the backend that was counted first. */
export const MOST_BACKENDS = 500;
/** Number of minutes that are kept, and that `CallCounts.latencyMs` covers. */
const RECENT_MINUTES = 5;

/**
 * The buckets for durations, from 0.1 ms to 127 s: each is a quarter longer than the one before, so a
 * reported latency is wrong by an eighth at most.
 */
const SHORTEST_MS = 0.1;
const STEP = 1.25;
const BUCKETS = 64;
const LOG_STEP = Math.log(STEP);

interface Latency {
  readonly p50: number;
  readonly p99: number;
}

interface Counts {
  readonly calls: number;
  readonly errors: number;
}

/** Counts since the start of the gateway. */
export interface CallCounts extends Counts {
  /** ms, over the last five minutes; null: no call was answered in them. */
  readonly latencyMs: Latency | null;
  /** Counts of the last five minutes. */
  readonly recent: Counts;
}

const NONE = { calls: 0, errors: 0 };
const NO_CALLS: CallCounts = { ...NONE, latencyMs: null, recent: NONE };

/**
 * Errors of the protocol and errors of tools both count as errors. A call costs two readings of the clock and a few
 * additions.
 */
export class CallMinutes {
  readonly #clock: Clock;
  readonly #backends = new Map<string, BackendMinutes>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  counting(pool: RoutingServices["pool"]): RoutingServices["pool"] {
    return {
      call: (backend, call) => this.#call(pool, backend, call),
      subscribe: (...given) => pool.subscribe(...given),
      unsubscribe: (...given) => pool.unsubscribe(...given),
      watchTask: (...given) => pool.watchTask(...given),
    };
  }

  of(backend: string): CallCounts {
    return this.#backends.get(backend)?.counts(this.#minute) ?? NO_CALLS;
  }

  get #minute(): number {
    return Math.floor(this.#clock.wallMs() / MINUTE_MS);
  }

  #call(pool: RoutingServices["pool"], backend: string, call: PoolCall): Promise<Reply> {
    const startedMs = this.#clock.monotonicMs();
    return pool.call(backend, call).then(
      (reply) => {
        this.#count(backend, call, reply, startedMs);
        return reply;
      },
      (error: unknown) => {
        this.#count(backend, call, null, startedMs);
        throw error;
      },
    );
  }

  /** `reply` null: an internal error. */
  #count(backend: string, { signal }: PoolCall, reply: Reply | null, startedMs: number): void {
    // The duration of a cancelled call says nothing about the backend.
    const isCancelled = signal.aborted;
    const isFailed = reply === null || isError(reply) || reply.result["isError"] === true;
    const tookMs = isCancelled ? null : this.#clock.monotonicMs() - startedMs;
    this.#backendOf(backend).record(this.#minute, isFailed && !isCancelled, tookMs);
  }

  #backendOf(name: string): BackendMinutes {
    const known = this.#backends.get(name);
    if (known !== undefined) return known;
    const [first] = this.#backends.keys();
    if (first !== undefined && this.#backends.size >= MOST_BACKENDS) this.#backends.delete(first);
    const made = new BackendMinutes();
    this.#backends.set(name, made);
    return made;
  }
}

interface Minute {
  readonly minute: number;
  calls: number;
  errors: number;
  readonly buckets: Uint32Array;
}

/** The minutes of one backend. */
class BackendMinutes {
  #calls = 0;
  #errors = 0;
  /** The last minutes with calls, in the order in which they began. */
  readonly #recent: Minute[] = [];

  record(minute: number, isFailed: boolean, tookMs: number | null): void {
    const failed = isFailed ? 1 : 0;
    const current = this.#recent.find((one) => one.minute === minute) ?? this.#begin(minute);
    this.#calls += 1;
    this.#errors += failed;
    current.calls += 1;
    current.errors += failed;
    if (tookMs === null) return;
    const bucket = bucketOf(tookMs);
    current.buckets[bucket] = (current.buckets[bucket] ?? 0) + 1;
  }

  counts(now: number): CallCounts {
    const all = new Uint32Array(BUCKETS);
    const recent = { ...NONE };
    for (const { minute, buckets, calls, errors } of this.#recent) {
      if (minute <= now - RECENT_MINUTES || minute > now) continue;
      for (let at = 0; at < BUCKETS; at++) all[at] = (all[at] ?? 0) + (buckets[at] ?? 0);
      recent.calls += calls;
      recent.errors += errors;
    }
    return { calls: this.#calls, errors: this.#errors, latencyMs: latencyOf(all), recent };
  }

  #begin(minute: number): Minute {
    if (this.#recent.length >= RECENT_MINUTES) this.#recent.shift();
    const begun = { minute, calls: 0, errors: 0, buckets: new Uint32Array(BUCKETS) };
    this.#recent.push(begun);
    return begun;
  }
}

function bucketOf(ms: number): number {
  if (ms <= SHORTEST_MS) return 0;
  return Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / SHORTEST_MS) / LOG_STEP));
}

/** Null: all buckets are empty. */
function latencyOf(buckets: Uint32Array): Latency | null {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const at = (share: number): number => {
    let left = Math.ceil(total * share);
    const bucket = buckets.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    // The middle of the bucket.
    return rounded(SHORTEST_MS * STEP ** (bucket - 0.5));
  };
  return { p50: at(0.5), p99: at(0.99) };
}

/** Rounds to three significant digits. */
function rounded(ms: number): number {
  return Number(ms.toPrecision(3));
}
