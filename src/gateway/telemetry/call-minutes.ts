// How much each backend is asked, and how fast it answers: numbers of each minute of the last day, and since the start.
import type { Clock } from "../../runtime/time/clock.ts";
import type { PoolCall } from "../backends/policy/backend-pool-contract.ts";
import { isError, type Reply } from "../json-rpc.ts";
import type { RoutingServices } from "../middleware/routing-services.ts";

export const MINUTE_MS = 60_000;
/** A day. */
export const MINUTES = 1_440;
/** The first to be counted makes room for another one. */
export const MOST_COUNTED = 500;
/** Of these last minutes `latencyMs` speaks. */
const RECENT_MINUTES = 5;

/** Durations in steps of a quarter, from 0.1 ms to 127 s: what is told is never wrong by more than an eighth. */
const SHORTEST_MS = 0.1;
const STEP = 1.25;
const BUCKETS = 64;
const LOG_STEP = Math.log(STEP);

export interface Latency {
  readonly p50: number;
  readonly p99: number;
}

export interface CallMinute {
  /** Wall ms of its beginning. */
  readonly atMs: number;
  readonly calls: number;
  readonly errors: number;
  /** ms; null: no call of that minute was answered. */
  readonly latencyMs: Latency | null;
}

/** Since the start of the gateway. */
export interface CallCounts {
  readonly calls: number;
  readonly errors: number;
  /** ms, of the last five minutes; null: nothing was answered in them. */
  readonly latencyMs: Latency | null;
}

const NO_CALLS: CallCounts = { calls: 0, errors: 0, latencyMs: null };

/** A call costs two looks at the clock and a few additions. Errors are those of the protocol, and of tools. */
export class CallMinutes {
  readonly #clock: Clock;
  readonly #backends = new Map<string, BackendMinutes>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The same pool, whose calls are counted. */
  counted(pool: RoutingServices["pool"]): RoutingServices["pool"] {
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

  /** By backend, oldest first: the minutes of the last day that have a call. */
  get minutes(): ReadonlyMap<string, readonly CallMinute[]> {
    const now = this.#minute;
    return new Map([...this.#backends].map(([name, counted]) => [name, counted.minutes(now)]));
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

  /** `reply` null: it failed within. */
  #count(backend: string, { signal }: PoolCall, reply: Reply | null, startedMs: number): void {
    // How long a client waited before it gave up says nothing of the backend.
    const isCancelled = signal.aborted;
    const isFailed = reply === null || isError(reply) || reply.result["isError"] === true;
    const tookMs = isCancelled ? null : this.#clock.monotonicMs() - startedMs;
    this.#backendOf(backend).record(this.#minute, isFailed && !isCancelled, tookMs);
  }

  #backendOf(name: string): BackendMinutes {
    const known = this.#backends.get(name);
    if (known !== undefined) return known;
    const [first] = this.#backends.keys();
    if (first !== undefined && this.#backends.size >= MOST_COUNTED) this.#backends.delete(first);
    const made = new BackendMinutes();
    this.#backends.set(name, made);
    return made;
  }
}

/** 23 KiB: of a minute that is over, four numbers are kept. */
class BackendMinutes {
  #calls = 0;
  #errors = 0;
  /** By minute modulo a day; `#minuteAt` says which one it is. */
  readonly #minuteAt = new Float64Array(MINUTES).fill(-1);
  readonly #callsAt = new Uint32Array(MINUTES);
  readonly #errorsAt = new Uint32Array(MINUTES);
  readonly #p50At = new Float32Array(MINUTES);
  readonly #p99At = new Float32Array(MINUTES);
  /** The newest last. */
  #recent: { readonly minute: number; readonly buckets: Uint32Array }[] = [];

  record(minute: number, isFailed: boolean, tookMs: number | null): void {
    const slot = minute % MINUTES;
    if (this.#minuteAt[slot] !== minute) this.#begin(minute, slot);
    this.#calls += 1;
    this.#callsAt[slot] = (this.#callsAt[slot] ?? 0) + 1;
    if (isFailed) {
      this.#errors += 1;
      this.#errorsAt[slot] = (this.#errorsAt[slot] ?? 0) + 1;
    }
    const buckets = tookMs === null ? undefined : this.#bucketsOf(minute);
    if (buckets === undefined || tookMs === null) return;
    const bucket = bucketOf(tookMs);
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }

  counts(now: number): CallCounts {
    const all = new Uint32Array(BUCKETS);
    for (const { minute, buckets } of this.#recent) {
      if (minute <= now - RECENT_MINUTES || minute > now) continue;
      for (let at = 0; at < BUCKETS; at++) all[at] = (all[at] ?? 0) + (buckets[at] ?? 0);
    }
    return { calls: this.#calls, errors: this.#errors, latencyMs: latencyOf(all) };
  }

  minutes(now: number): readonly CallMinute[] {
    for (const one of this.#recent) this.#keepLatency(one);
    const minutes: CallMinute[] = [];
    for (let minute = now - MINUTES + 1; minute <= now; minute++) {
      const slot = minute % MINUTES;
      if (this.#minuteAt[slot] !== minute) continue;
      const p50 = this.#p50At[slot] ?? 0;
      const p99 = this.#p99At[slot] ?? 0;
      minutes.push({
        atMs: minute * MINUTE_MS,
        calls: this.#callsAt[slot] ?? 0,
        errors: this.#errorsAt[slot] ?? 0,
        latencyMs: p99 === 0 ? null : { p50: rounded(p50), p99: rounded(p99) },
      });
    }
    return minutes;
  }

  #begin(minute: number, slot: number): void {
    this.#minuteAt[slot] = minute;
    this.#callsAt[slot] = 0;
    this.#errorsAt[slot] = 0;
    this.#p50At[slot] = 0;
    this.#p99At[slot] = 0;
    const oldest = this.#recent.length < RECENT_MINUTES ? undefined : this.#recent.shift();
    if (oldest !== undefined) this.#keepLatency(oldest);
    this.#recent.push({ minute, buckets: new Uint32Array(BUCKETS) });
  }

  /** Undefined where a wall clock that was set back comes upon a minute long over: it keeps the latency it had. */
  #bucketsOf(minute: number): Uint32Array | undefined {
    return this.#recent.findLast((one) => one.minute === minute)?.buckets;
  }

  #keepLatency({ minute, buckets }: { readonly minute: number; readonly buckets: Uint32Array }): void {
    const slot = minute % MINUTES;
    const latency = latencyOf(buckets);
    if (latency === null || this.#minuteAt[slot] !== minute) return;
    this.#p50At[slot] = latency.p50;
    this.#p99At[slot] = latency.p99;
  }
}

function bucketOf(ms: number): number {
  if (ms <= SHORTEST_MS) return 0;
  return Math.min(BUCKETS - 1, Math.ceil(Math.log(ms / SHORTEST_MS) / LOG_STEP));
}

/** Null: nothing is in them. */
function latencyOf(buckets: Uint32Array): Latency | null {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const at = (share: number): number => {
    let left = Math.ceil(total * share);
    const bucket = buckets.findIndex((count) => {
      left -= count;
      return left <= 0;
    });
    // The middle of what the bucket holds.
    return rounded(SHORTEST_MS * STEP ** (bucket - 0.5));
  };
  return { p50: at(0.5), p99: at(0.99) };
}

/** To three digits. */
function rounded(ms: number): number {
  return Number(ms.toPrecision(3));
}
