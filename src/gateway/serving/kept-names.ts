// The names that clients have used, whose each is, and the tools that a person has switched off: read at the start, and
// written as soon as one is new.
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import { shareWrites } from "../../runtime/files/shared-writes.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { objectOf } from "../../runtime/text/json-object.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { Resolved } from "../catalog/catalog.ts";
import { type NamedEntry, type NameOwners, ownKey } from "../catalog/names.ts";
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
  /** By `toolKey`. Another object when it is another. */
  off: ReadonlySet<string> = new Set();
  /** Why it is not known what was so before; null: it is. Until the next start, or until it can be read. */
  lost: string | null = null;
  readonly #options: NamesOptions;
  readonly #store: PinStore;
  readonly #writes = shareWrites(() => this.#write());
  #loaded: Promise<void> | null = null;
  /** What was kept could not be read yet: nothing may take its place. */
  #isUnread = false;
  #isStale = false;
  #unsavedBecause: string | null = null;
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
    const given = new Set([...fresh.values()].map(ownKey));
    const owners = new Map([...this.owners].filter(([, entry]) => !given.has(ownKey(entry))));
    for (const [key, entry] of fresh) {
      owners.delete(key);
      owners.set(key, entry);
    }
    this.owners = withinBounds(owners, isConfigured);
    this.#isStale = true;
    void this.flush();
  }

  /** Resolves when it is written. Rejects with `secret_unavailable`: it holds, if at all, until this process ends. */
  async switchTools(tools: readonly Resolved[], on: boolean): Promise<void> {
    const failed = (why: string): MountaineerError =>
      new MountaineerError("secret_unavailable", `what is switched off cannot be kept: ${why}`, {
        retry: "later",
      });
    if (this.#isUnread) throw failed("the keyring gives no answer; unlock it");
    const off = new Set(this.off);
    for (const { backend, originalName } of tools) {
      const key = toolKey(backend, originalName);
      if (on) off.delete(key);
      else off.add(key);
    }
    this.off = off;
    this.#isStale = true;
    this.#options.onChanged();
    await this.flush();
    if (this.#unsavedBecause !== null) throw failed(this.#unsavedBecause);
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
    // Whoever wrote it: what is said to be off is off, until it is known, or switched on.
    if (kept.kind === "unanswered" || kept.kind === "untrusted")
      this.off = new Set([...this.off, ...(readKept(kept.claimed)?.off ?? [])]);
    this.#isUnread = kept.kind === "unanswered";
    if (kept.kind === "unanswered") {
      this.lost = kept.reason;
      if (!wasUnread) logger.warn("the names of tools cannot be read yet", { reason: kept.reason });
      this.#later(() => this.reload());
      return;
    }
    this.lost = null;
    if (kept.kind === "none") return;
    const known = kept.kind === "kept" ? readKept(kept.value) : null;
    if (known !== null) {
      const others = [...this.owners].filter(([key]) => !known.owners.has(key));
      this.owners = new Map([...others, ...known.owners]);
      this.off = known.off;
    } else {
      this.lost = kept.kind === "untrusted" ? kept.reason : "they are not of a form that this version reads";
      logger.error("the names of tools cannot be trusted, and are given anew", { reason: this.lost });
    }
  }

  async #write(): Promise<void> {
    this.#isStale = false;
    try {
      await this.#store.write({ version: 1, names: [...this.owners].map(plainEntry), off: [...this.off] });
      this.#unsavedBecause = null;
    } catch (error) {
      this.#isStale = true;
      this.#unsavedBecause = errorText(error);
      this.#options.logger.warn("the names of tools are not kept over a restart", {
        reason: this.#unsavedBecause,
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

/** `tool`: as its server calls it. */
export function toolKey(backend: string, tool: string): string {
  return JSON.stringify([backend, tool]);
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
function readKept(value: unknown): Pick<KeptNames, "owners" | "off"> | null {
  const { version, names, off = [] } = objectOf(value) as Readonly<Record<string, unknown>>;
  if (version !== 1 || !Array.isArray(names) || !Array.isArray(off)) return null;
  const owners = new Map<string, NamedEntry>();
  for (const entry of names) {
    if (!Array.isArray(entry)) return null;
    const [key, kind, backend, plainName]: readonly unknown[] = entry;
    const isNamed = kind === "tool" || kind === "prompt";
    if (!isNamed || typeof key !== "string" || typeof backend !== "string" || typeof plainName !== "string")
      return null;
    owners.set(key, { kind, backend, plainName });
  }
  return { owners, off: new Set(off.filter((tool) => typeof tool === "string")) };
}
