// A value of the home of which its store says whether it can be trusted: read again until it can be, and written until it is.
import { errorText } from "../../runtime/errors.ts";
import { shareWrites } from "../../runtime/files/durable-value.ts";
import type { Timer } from "../../runtime/time/clock.ts";
import type { GatewayTools } from "../gateway-tools.ts";
import type { KeptPins, PinStore } from "./pin-store.ts";

const TRY_AGAIN_MS = 60_000;

/** What was read. `claimed`: what stands there, whoever wrote it; null: nothing that can be read. */
export type ReadValue<Value> =
  | { readonly kind: "none" }
  | { readonly kind: "kept"; readonly value: Value }
  | { readonly kind: "lost"; readonly reason: string; readonly claimed: Value | null };

interface KeptOptions<Value> extends GatewayTools {
  readonly store: PinStore;
  /** For the log: it cannot be read yet, cannot be trusted, cannot be written. */
  readonly words: Readonly<Record<"unread" | "untrusted" | "unwritten", string>>;
  /** Null: it is not of a form that this version reads. */
  readonly parse: (value: unknown) => Value | null;
  readonly take: (read: ReadValue<Value>) => void;
  /** What is to be written now: plain JSON. */
  readonly plain: () => unknown;
  /** It was read later than at the start. */
  readonly onChanged: () => void;
}

export class KeptValue<Value> implements AsyncDisposable {
  /** What was kept could not be read yet: nothing may take its place. */
  isUnread = false;
  /** Null: it is on disk, or is about to be. */
  unsavedBecause: string | null = null;
  readonly #options: KeptOptions<Value>;
  readonly #writes = shareWrites(() => this.#write());
  #loaded: Promise<void> | null = null;
  #isStale = false;
  #tryAgain: Timer | null = null;
  #isDisposed = false;

  constructor(options: KeptOptions<Value>) {
    this.#options = options;
  }

  /** Reads it once, where it is wanted; resolves when a read that was begun is over. */
  async load(isWanted = true): Promise<void> {
    if (isWanted) this.#loaded ??= this.#read();
    await this.#loaded;
  }

  /** Reads it again, if it was read: what another process has written since, too. It is this one's from `begin` on. */
  async reload(begin: () => void = () => {}): Promise<void> {
    await this.#loaded;
    const kept = this.#loaded === null ? null : await this.#options.store.read();
    begin();
    if (kept === null || this.#isDisposed) return;
    this.#take(kept);
    this.#options.onChanged();
  }

  /** It is another one. */
  save(): void {
    this.#isStale = true;
    void this.flush();
  }

  /** Writes what is not written yet, where it may; resolves when no write is under way. Never rejects. */
  async flush(): Promise<void> {
    const { isOurs = true } = this.#options.store;
    await (this.#isStale && isOurs && !this.isUnread ? this.#writes.write() : this.#writes.settled);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#tryAgain?.[Symbol.dispose]();
    await this.#writes.settled;
  }

  async #read(): Promise<void> {
    const kept = await this.#options.store.read();
    if (!this.#isDisposed) this.#take(kept);
  }

  #take(kept: KeptPins): void {
    const { logger, words, parse, take, onChanged } = this.#options;
    const wasUnread = this.isUnread;
    this.isUnread = kept.kind === "unanswered";
    const value = kept.kind === "kept" ? parse(kept.value) : null;
    if (kept.kind === "none") take(kept);
    else if (value !== null) take({ kind: "kept", value });
    else {
      const isKept = kept.kind === "kept";
      const reason = isKept ? "they are not of a form that this version reads" : kept.reason;
      take({ kind: "lost", reason, claimed: isKept ? null : parse(kept.claimed) });
      if (!this.isUnread) logger.error(words.untrusted, { reason });
      else if (!wasUnread) logger.warn(words.unread, { reason });
    }
    if (!this.isUnread) return;
    this.#later(async () => {
      await this.#read();
      if (!this.isUnread && !this.#isDisposed) onChanged();
    });
  }

  async #write(): Promise<void> {
    const { store, logger, words, plain } = this.#options;
    this.#isStale = false;
    try {
      await store.write(plain());
      this.unsavedBecause = null;
    } catch (error) {
      const reason = errorText(error);
      if (this.unsavedBecause === null) logger.error(words.unwritten, { reason });
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
