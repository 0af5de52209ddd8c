// A value in a `PinStore`. Failed reads and writes are tried again.
import { errorText } from "../../runtime/errors.ts";
import { shareWrites } from "../../runtime/files/durable-value.ts";
import type { RuntimeTools } from "../../runtime/log/runtime-tools.ts";
import type { Timer } from "../../runtime/time/clock.ts";
import { ownTurn } from "../../runtime/time/turns.ts";
import type { PinStore, StoredPins } from "./pin-store.ts";

const TRY_AGAIN_MS = 60_000;
/** Minimum time between two writes of what servers list: some list something else each time. */
const BETWEEN_MS = 60_000;

/** `claimed`: the stored value, which another program may have written; null if it cannot be read. */
export type ReadValue<Value> =
  | { readonly kind: "none" }
  | { readonly kind: "stored"; readonly value: Value }
  | { readonly kind: "lost"; readonly reason: string; readonly claimed: Value | null };

interface StoredValueOptions<Value> extends RuntimeTools {
  readonly store: PinStore;
  /** Texts for the log. */
  readonly messages: Readonly<Record<"unread" | "untrusted" | "unwritten", string>>;
  /** Null: this version cannot read the value. */
  readonly parse: (value: unknown) => Value | null;
  readonly take: (read: ReadValue<Value>) => void;
  /** As JSON, or a promise of it. */
  readonly plain: () => unknown;
  /** Called when a later read has replaced the value that was loaded first. */
  readonly onChanged: () => void;
}

export class StoredValue<Value> implements AsyncDisposable {
  /** The stored value is not verified yet, so it must not be overwritten. */
  isUnread = false;
  /** Why the last write failed. */
  unsavedBecause: string | null = null;
  readonly #options: StoredValueOptions<Value>;
  readonly #writes = shareWrites(() => this.#write());
  #loaded: Promise<void> | null = null;
  #isStale = false;
  #tryAgain: Timer | null = null;
  #waiting: Timer | null = null;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #isDisposed = false;

  constructor(options: StoredValueOptions<Value>) {
    this.#options = options;
  }

  /** Reads the value once, if `isWanted`. Resolves when no such read is under way. */
  async load(isWanted = true): Promise<void> {
    if (isWanted) this.#loaded ??= this.#read();
    await this.#loaded;
  }

  /**
   * Reads the value again, because another process may have written it. Calls `onRead` before it uses the new value.
   */
  async reload(onRead: () => void = () => {}): Promise<void> {
    await this.#loaded;
    const stored = this.#loaded === null ? null : await this.#options.store.read();
    onRead();
    if (stored === null || this.#isDisposed) return;
    this.#take(stored);
    this.#options.onChanged();
  }

  save(): void {
    this.#isStale = true;
    void this.flush();
  }

  /** Saves after `gatherMs`, or when the last write is a minute old. */
  saveLater(gatherMs = 0): void {
    const { clock } = this.#options;
    this.#isStale = true;
    const waitMs = Math.max(gatherMs, this.#writtenAtMs + BETWEEN_MS - clock.monotonicMs());
    if (waitMs > 0) this.#waiting ??= clock.setTimer(waitMs, () => this.flush());
    else void this.flush();
  }

  /** Writes all that is not written yet. Resolves when no write is under way. Never rejects. */
  async flush(): Promise<void> {
    this.#waiting?.[Symbol.dispose]();
    this.#waiting = null;
    const { isOurs = true } = this.#options.store;
    await (this.#isStale && isOurs && !this.isUnread ? this.#writes.write() : this.#writes.whenIdle);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#tryAgain?.[Symbol.dispose]();
    await (this.#waiting === null ? this.#writes.whenIdle : this.flush());
  }

  async #read(): Promise<void> {
    const stored = await this.#options.store.read();
    if (!this.#isDisposed) this.#take(stored);
  }

  #take(stored: StoredPins): void {
    const { logger, messages, parse, take, onChanged } = this.#options;
    const wasUnread = this.isUnread;
    this.isUnread = stored.kind === "unanswered";
    const value = stored.kind === "stored" ? parse(stored.value) : null;
    if (stored.kind === "none") take(stored);
    else if (value !== null) take({ kind: "stored", value });
    else {
      const isStored = stored.kind === "stored";
      const reason = isStored ? "they are not of a form that this version reads" : stored.reason;
      take({ kind: "lost", reason, claimed: isStored ? null : parse(stored.claimed) });
      if (!this.isUnread) logger.error(messages.untrusted, { reason });
      else if (!wasUnread) logger.warn(messages.unread, { reason });
    }
    if (!this.isUnread) return;
    this.#later(async () => {
      await this.#read();
      if (!this.isUnread && !this.#isDisposed) onChanged();
    });
  }

  async #write(): Promise<void> {
    const { store, logger, messages, plain } = this.#options;
    // A value of many entries is written in a separate turn.
    await ownTurn();
    this.#isStale = false;
    this.#writtenAtMs = this.#options.clock.monotonicMs();
    try {
      await store.write(await plain());
      this.unsavedBecause = null;
    } catch (error) {
      const reason = errorText(error);
      if (this.unsavedBecause === null) logger.error(messages.unwritten, { reason });
      this.unsavedBecause = reason;
      this.#isStale = true;
      this.#later(() => this.flush());
    }
  }

  #later(again: () => unknown): void {
    if (this.#isDisposed) return;
    this.#tryAgain?.[Symbol.dispose]();
    this.#tryAgain = this.#options.clock.setTimer(TRY_AGAIN_MS, again);
  }
}
