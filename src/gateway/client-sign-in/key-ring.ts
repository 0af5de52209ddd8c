// An issuer's current keys. They are read again regularly, and when a token names an unknown key; if the
// issuer does not answer, the last ones are used for a limited time.
import { isDeepStrictEqual } from "node:util";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import { settlesWithin, type Timer } from "../../runtime/time/clock.ts";
import type { KeySet, KeyState, LastKeys } from "../middleware/incoming-auth.ts";
import type { KeySource } from "./key-source.ts";

/**
 * Time until keys are read again: the default, and the limits within which the issuer's max-age is followed.
 */
const REFRESH_MS = { usual: 600_000, least: 60_000, most: 3_600_000 };
const RETRY_MS = { first: 1_000, most: 60_000 };
/**
 * Minimum time between two reads that tokens with unknown keys cause: clients can send any number of these.
 */
export const UNKNOWN_KEY_PAUSE_MS = 30_000;
/** How long a request waits for a reading of the keys that is under way, ms. */
const WAIT_MS = 5_000;

type ReadKeys = Omit<LastKeys, "from">;

interface KeyRingOptions extends RuntimeTools {
  readonly source: KeySource;
  readonly issuer: string;
  /** How long keys are used after their last successful read. */
  readonly maxAgeMs: number;
  /** The keys of an earlier ring for the same issuer. */
  readonly last?: ReadKeys | null;
}

export class KeyRing implements Disposable {
  /** The keys of the last successful read, which an earlier ring may have made; null: there was none. */
  last: ReadKeys | null;
  readonly #options: KeyRingOptions;
  readonly #ended = new AbortController();
  #requestedAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;
  #failure: { readonly reason: string; readonly sinceMs: number } | null = null;
  #failures = 0;
  #timer: Timer | null = null;

  constructor(options: KeyRingOptions) {
    this.#options = options;
    this.last = options.last ?? null;
  }

  start(): void {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = null;
    });
  }

  /** Null: no keys were read, or they are too old. */
  get current(): KeySet | null {
    const { clock, maxAgeMs } = this.#options;
    if (this.last === null || clock.monotonicMs() - this.last.readAtMs > maxAgeMs) return null;
    return this.last.set;
  }

  get state(): KeyState {
    const isUsable = this.current !== null;
    if (this.#failure === null) return { kind: isUsable ? "good" : "reading" };
    return { kind: isUsable ? "aging" : "none", ...this.#failure };
  }

  /** The current keys. If there are none, waits a bounded time for a read that is under way. */
  async ready(): Promise<KeySet | null> {
    if (this.current === null) await this.#whenLoaded();
    return this.current;
  }

  /**
   * Returns a key set that is newer than `than`, after reading the keys if necessary; null: there is none. Call it
   * for a token whose key is not in `than`.
   */
  async newerThan(than: KeySet): Promise<KeySet | null> {
    const { clock } = this.#options;
    if (this.current === than && clock.monotonicMs() - this.#requestedAtMs >= UNKNOWN_KEY_PAUSE_MS)
      this.start();
    await this.#whenLoaded();
    return this.current === than ? null : this.current;
  }

  [Symbol.dispose](): void {
    this.#ended.abort();
    this.#timer?.[Symbol.dispose]();
  }

  async #whenLoaded(): Promise<void> {
    if (this.#reading !== null) await settlesWithin(this.#options.clock, WAIT_MS, this.#reading);
  }

  async #readOnce(): Promise<void> {
    const { source, clock, logger, issuer } = this.#options;
    const { signal } = this.#ended;
    if (signal.aborted) return;
    this.#timer?.[Symbol.dispose]();
    this.#requestedAtMs = clock.monotonicMs();
    const loaded = await source(signal);
    if (signal.aborted) return;
    if (!loaded.ok) {
      if (this.#failure?.reason !== loaded.reason) {
        logger.warn("an issuer's keys cannot be read", { issuer, reason: loaded.reason });
      }
      this.#failure = { reason: loaded.reason, sinceMs: this.#failure?.sinceMs ?? clock.wallMs() };
      this.#failures += 1;
      this.#readAfter(backoffMs(RETRY_MS, this.#failures));
      return;
    }
    if (this.#failure !== null) logger.info("an issuer's keys are read again", { issuer });
    this.#failure = null;
    this.#failures = 0;
    const before = this.last?.set;
    const isSame = before !== undefined && isDeepStrictEqual(before.keys, loaded.keys);
    this.last = { set: isSame ? before : { keys: loaded.keys }, readAtMs: clock.monotonicMs() };
    const { usual, least, most } = REFRESH_MS;
    this.#readAfter(Math.min(Math.max(loaded.maxAgeMs ?? usual, least), most));
  }

  #readAfter(delayMs: number): void {
    this.#timer = this.#options.clock.setTimer(delayMs, () => this.start());
  }
}
