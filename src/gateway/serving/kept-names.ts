// The names that clients have used, and whose each is: read at the start, and written as soon as one is new.
import { errorText } from "../../runtime/errors.ts";
import { shareWrites } from "../../runtime/files/shared-writes.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { NamedEntry, NameOwners } from "../catalog/names.ts";
import { NO_PIN_STORE, type PinStore } from "../pins/pin-store.ts";

/** Of one backend: more of it makes nobody else's forgotten. */
const MOST_OF_BACKEND = 5_000;
/** Beyond, those of former backends are forgotten. */
const MOST_NAMES = 20_000;
const TRY_AGAIN_MS = 60_000;

interface NamesOptions {
  /** Absent: nothing is kept beyond this process. */
  readonly nameStore?: PinStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What is known is another. */
  readonly onChanged: () => void;
}

export class KeptNames implements AsyncDisposable {
  owners: NameOwners = new Map();
  readonly #options: NamesOptions;
  readonly #store: PinStore;
  readonly #writes = shareWrites(() => this.#write());
  #loaded: Promise<void> | null = null;
  /** What was kept could not be read yet: nothing may take its place. */
  #isUnread = false;
  #isStale = false;
  #tryAgain: Timer | null = null;
  #isDisposed = false;

  constructor(options: NamesOptions) {
    this.#options = options;
    this.#store = options.nameStore ?? NO_PIN_STORE;
  }

  /** To be awaited before anything is named. */
  load(): Promise<void> {
    this.#loaded ??= this.#read();
    return this.#loaded;
  }

  /** Reads again: what another process has written since, too. */
  async reload(): Promise<void> {
    if (this.#loaded === null) return;
    await this.#read();
    if (!this.#isDisposed) this.#options.onChanged();
  }

  /** These are in use from now on. */
  use(fresh: NameOwners, isConfigured: (backend: string) => boolean): void {
    const given = new Set([...fresh.values()].map(ownerKey));
    const owners = new Map([...this.owners].filter(([, entry]) => !given.has(ownerKey(entry))));
    for (const [key, entry] of fresh) {
      owners.delete(key);
      owners.set(key, entry);
    }
    this.owners = withinBounds(owners, isConfigured);
    this.#isStale = true;
    void this.flush();
  }

  /** Writes what is not written yet, where it may; resolves when no write is under way. Never rejects. */
  async flush(): Promise<void> {
    const mayWrite = !this.#isUnread && (this.#store.isOurs ?? true);
    await (mayWrite && this.#isStale ? this.#writes.write() : this.#writes.settled);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    this.#tryAgain?.[Symbol.dispose]();
    await this.#writes.settled;
  }

  async #read(): Promise<void> {
    const { logger } = this.#options;
    const kept = await this.#store.read();
    if (this.#isDisposed) return;
    const wasUnread = this.#isUnread;
    this.#isUnread = kept.kind === "unanswered";
    if (kept.kind === "unanswered") {
      if (!wasUnread) logger.warn("the names of tools cannot be read yet", { reason: kept.reason });
      this.#later(() => this.reload());
      return;
    }
    if (kept.kind === "none") return;
    const owners = kept.kind === "kept" ? readOwners(kept.value) : null;
    if (owners !== null) {
      const others = [...this.owners].filter(([key]) => !owners.has(key));
      this.owners = new Map([...others, ...owners]);
    } else {
      const reason =
        kept.kind === "untrusted" ? kept.reason : "they are not of a form that this version reads";
      logger.error("the names of tools cannot be trusted, and are given anew", { reason });
    }
  }

  async #write(): Promise<void> {
    this.#isStale = false;
    try {
      await this.#store.write({ version: 1, names: [...this.owners].map(plainEntry) });
    } catch (error) {
      this.#isStale = true;
      this.#options.logger.warn("the names of tools are not kept over a restart", {
        reason: errorText(error),
      });
      this.#later(() => this.flush());
    }
  }

  #later(again: () => unknown): void {
    if (this.#isDisposed) return;
    this.#tryAgain?.[Symbol.dispose]();
    this.#tryAgain = this.#options.clock.setTimer(TRY_AGAIN_MS, again);
  }
}

function ownerKey({ kind, backend, plainName }: NamedEntry): string {
  return JSON.stringify([kind, backend, plainName]);
}

function withinBounds(owners: NameOwners, isConfigured: (backend: string) => boolean): NameOwners {
  if (owners.size <= MOST_OF_BACKEND) return owners;
  const isFull = owners.size > MOST_NAMES;
  const byBackend = [...Map.groupBy(owners, ([, { backend }]) => backend)];
  return new Map(
    byBackend.flatMap(([backend, names]) =>
      isFull && !isConfigured(backend) ? [] : names.slice(-MOST_OF_BACKEND),
    ),
  );
}

function plainEntry([key, { kind, backend, plainName }]: readonly [string, NamedEntry]): unknown {
  return [key, kind, backend, plainName];
}

/** Null: it is not of this form. */
function readOwners(value: unknown): NameOwners | null {
  const { version, names } = objectOf(value) as Readonly<Record<string, unknown>>;
  if (version !== 1 || !Array.isArray(names)) return null;
  const owners = new Map<string, NamedEntry>();
  for (const entry of names) {
    if (!Array.isArray(entry)) return null;
    const [key, kind, backend, plainName]: readonly unknown[] = entry;
    const isNamed = kind === "tool" || kind === "prompt";
    if (!isNamed || typeof key !== "string" || typeof backend !== "string" || typeof plainName !== "string")
      return null;
    owners.set(key, { kind, backend, plainName });
  }
  return owners;
}
