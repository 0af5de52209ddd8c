// What was learned of servers that a probe harms, and which version each backend spoke last; for the daemon's life.
import type { SpokenVersion } from "../../../protocol.ts";

const MOST = 1_000;

export type StartKind = "probed" | "plain";

export class EraMemory {
  /** By connection key: what the server said it was when that was learned; null: it has not said anything yet. */
  readonly #unprobed = new Map<string, string | null>();
  readonly #late = new Set<string>();
  /** Programs that ended at their start with a probe and without: which of both the next start tries alone. */
  readonly #ending = new Map<string, StartKind>();
  readonly #spoken = new Map<string, SpokenVersion>();

  /** It ends, hangs or is silent at a probe: it gets `initialize` first. */
  isUnprobed(key: string): boolean {
    return this.#unprobed.has(key);
  }

  leaveUnprobed(key: string): void {
    const [oldest] = this.#unprobed.keys();
    if (this.#unprobed.size >= MOST && oldest !== undefined) this.#unprobed.delete(oldest);
    this.#unprobed.set(key, null);
  }

  /** The next start probes it again. */
  probeAgain(key: string): void {
    this.#unprobed.delete(key);
  }

  /** Null: one after the other, where need be. */
  onlyStart(key: string): StartKind | null {
    return this.#ending.get(key) ?? null;
  }

  /** It ended at such a start, and not because of it as far as is known: the next one is of the other kind. */
  endedAt(key: string, kind: StartKind): void {
    if (this.#ending.size >= MOST && !this.#ending.has(key)) this.#ending.clear();
    this.#ending.set(key, kind === "probed" ? "plain" : "probed");
  }

  started(key: string): void {
    this.#ending.delete(key);
  }

  /** It was initialized without a probe. Another program, or another version of it, is probed at its next start. */
  initialized(key: string, server: string): void {
    const known = this.#unprobed.get(key);
    if (known === null) this.#unprobed.set(key, server);
    else if (known !== undefined && known !== server) this.#unprobed.delete(key);
  }

  /** It answers the probe, but is so slow at its start that it must be waited for. */
  isLate(key: string): boolean {
    return this.#late.has(key);
  }

  waitFor(key: string): void {
    if (this.#late.size < MOST) this.#late.add(key);
  }

  /** What it spoke before: null for the first time. */
  spoke(backend: string, version: SpokenVersion): SpokenVersion | null {
    const before = this.#spoken.get(backend) ?? null;
    this.#spoken.set(backend, version);
    return before;
  }
}
