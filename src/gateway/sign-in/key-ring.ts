// An issuer's keys as they are known now: read again before they grow old, once more for a key that is not among them,
// and kept for a while when the issuer does not answer.
import { settledWithin, type Timer } from "../../runtime/time/clock.ts";
import type { GatewayTools } from "../gateway-tools.ts";
import type { KeySet, KeyState, LastKeys } from "../middleware/incoming-auth.ts";
import type { KeySource } from "./key-source.ts";

/** How often keys are read again, where the issuer says nothing, and within which bounds it may say otherwise. */
const REFRESH_MS = 600_000;
const SOONEST_REFRESH_MS = 60_000;
const LATEST_REFRESH_MS = 3_600_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
/** Whoever sends unknown keys makes us ask the issuer so often at most. */
export const UNKNOWN_KEY_PAUSE_MS = 30_000;
/** How long a request waits for keys that are being read. */
const WAIT_MS = 5_000;

interface KeyRingOptions extends GatewayTools {
  readonly source: KeySource;
  readonly issuer: string;
  /** How long keys are used after they were read last. */
  readonly maxAgeMs: number;
  /** As another ring of the same issuer read them. */
  readonly last?: Pick<LastKeys, "set" | "readAtMs"> | null;
}

export class KeyRing implements Disposable {
  readonly #options: KeyRingOptions;
  readonly #ended = new AbortController();
  #set: KeySet | null = null;
  #readAtMs = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;
  #failure: { readonly reason: string; readonly sinceMs: number } | null = null;
  #retryMs = FIRST_RETRY_MS;
  #timer: Timer | null = null;

  constructor(options: KeyRingOptions) {
    this.#options = options;
    const { last } = options;
    if (last === undefined || last === null) return;
    this.#set = last.set;
    this.#readAtMs = last.readAtMs;
  }

  /** Null: none were ever read. */
  get last(): Pick<LastKeys, "set" | "readAtMs"> | null {
    return this.#set === null ? null : { set: this.#set, readAtMs: this.#readAtMs };
  }

  /** Begins to read; nothing waits for it. */
  start(): void {
    void this.#read();
  }

  /** Null: there are none, or they are too old. */
  get current(): KeySet | null {
    const { clock, maxAgeMs } = this.#options;
    return clock.monotonicMs() - this.#readAtMs > maxAgeMs ? null : this.#set;
  }

  get state(): KeyState {
    const isUsable = this.current !== null;
    if (this.#failure === null) return { kind: isUsable ? "good" : "reading" };
    return { kind: isUsable ? "aging" : "none", ...this.#failure };
  }

  /** The keys, once they are read; waits a bounded time, and only while they are being read. */
  async ready(): Promise<KeySet | null> {
    const { clock } = this.#options;
    if (this.current === null && this.#reading !== null) await settledWithin(clock, WAIT_MS, this.#reading);
    return this.current;
  }

  /** A token names a key that `than` lacks: the set that has been read since, or is read now. Null: there is none. */
  async newerThan(than: KeySet): Promise<KeySet | null> {
    const { clock } = this.#options;
    if (this.current === than && clock.monotonicMs() - this.#askedAtMs >= UNKNOWN_KEY_PAUSE_MS) {
      void this.#read();
    }
    if (this.#reading !== null) await settledWithin(clock, WAIT_MS, this.#reading);
    return this.current === than ? null : this.current;
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
  }

  #read(): Promise<void> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #readOnce(): Promise<void> {
    const { source, clock, logger, issuer } = this.#options;
    const { signal } = this.#ended;
    if (signal.aborted) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    this.#askedAtMs = clock.monotonicMs();
    const loaded = await source(signal);
    if (signal.aborted) return;
    if (!loaded.ok) {
      if (this.#failure?.reason !== loaded.reason) {
        logger.warn("an issuer's keys cannot be read", { issuer, reason: loaded.reason });
      }
      this.#failure = { reason: loaded.reason, sinceMs: this.#failure?.sinceMs ?? clock.wallMs() };
      this.#again(this.#retryMs);
      this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
      return;
    }
    if (this.#failure !== null) logger.info("an issuer's keys are read again", { issuer });
    this.#failure = null;
    this.#retryMs = FIRST_RETRY_MS;
    this.#readAtMs = clock.monotonicMs();
    if (!isSame(this.#set?.keys, loaded.keys)) this.#set = { keys: loaded.keys };
    const wantedMs = loaded.maxAgeMs ?? REFRESH_MS;
    this.#again(Math.min(Math.max(wantedMs, SOONEST_REFRESH_MS), LATEST_REFRESH_MS));
  }

  #again(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#read());
  }
}

export function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
