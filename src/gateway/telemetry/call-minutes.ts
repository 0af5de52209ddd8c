// Calls, errors and latency of each backend: in the last five minutes, since the start, and since they were last taken.
import { createHistogram, type RecordableHistogram } from "node:perf_hooks";
import type { Clock } from "../../runtime/time/clock.ts";
import type { PoolCall } from "../backends/policy/backend-pool-contract.ts";
import { isError, type Reply } from "../json-rpc.ts";
import type { RoutingServices } from "../middleware/routing-services.ts";
import { bucketOf, CALLS, ERRORS, TALLY_LENGTH } from "./latency-buckets.ts";

export const MINUTE_MS = 60_000;
/** Maximum number of backends; a further one replaces the backend that was counted first. */
export const MOST_BACKENDS = 500;
/** Number of minutes that are kept, and that `CallCounts.latencyMs` covers. */
const RECENT_MINUTES = 5;

/** Durations are counted in tenths of a millisecond, up to 127 s; a reported one is wrong by a sixteenth at most. */
const PER_MS = 10;
const RANGE = { lowest: 1, highest: 1_270_000, figures: 1 } as const;

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

  /** Passes on what was counted since the last time; each tally is cleared when `visit` returns. */
  take(visit: (backend: string, tally: Uint32Array) => void): void {
    for (const [name, { tally }] of this.#backends) {
      if (tally[CALLS] === 0) continue;
      visit(name, tally);
      tally.fill(0);
    }
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
  readonly durations: RecordableHistogram;
}

/** The minutes of one backend. */
class BackendMinutes {
  /** Counts since they were taken last, in the order of `latency-buckets.ts`. */
  readonly tally = new Uint32Array(TALLY_LENGTH);
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
    this.#add(CALLS, 1);
    this.#add(ERRORS, failed);
    if (tookMs === null) return;
    this.#add(bucketOf(tookMs), 1);
    const tenths = Math.max(RANGE.lowest, Math.min(RANGE.highest, Math.round(tookMs * PER_MS)));
    current.durations.record(tenths);
  }

  #add(index: number, count: number): void {
    this.tally[index] = (this.tally[index] ?? 0) + count;
  }

  counts(now: number): CallCounts {
    const all = createHistogram(RANGE);
    const recent = { ...NONE };
    for (const { minute, durations, calls, errors } of this.#recent) {
      if (minute <= now - RECENT_MINUTES || minute > now) continue;
      all.add(durations);
      recent.calls += calls;
      recent.errors += errors;
    }
    return { calls: this.#calls, errors: this.#errors, latencyMs: latencyOf(all), recent };
  }

  #begin(minute: number): Minute {
    if (this.#recent.length >= RECENT_MINUTES) this.#recent.shift();
    const begun = { minute, calls: 0, errors: 0, durations: createHistogram(RANGE) };
    this.#recent.push(begun);
    return begun;
  }
}

/** Null: no duration is in it. */
function latencyOf(durations: RecordableHistogram): Latency | null {
  const at = (percent: number): number => Number((durations.percentile(percent) / PER_MS).toPrecision(3));
  return durations.count === 0 ? null : { p50: at(50), p99: at(99) };
}
