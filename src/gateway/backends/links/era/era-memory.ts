// What was learned of servers that do not answer a probe, and which version each backend spoke last; for the daemon's
// life.
import type { SpokenVersion } from "../../../protocol.ts";

const MOST = 1_000;

export class EraMemory {
  /** By connection key: what the server said it was when that was learned; null: it has not said anything yet. */
  readonly #unprobed = new Map<string, string | null>();
  readonly #spoken = new Map<string, SpokenVersion>();

  /** It is silent at a probe: it gets `initialize` first. */
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

  /** It was initialized without a probe. Another server, or another version of it, is probed at its next start. */
  initialized(key: string, server: string): void {
    const known = this.#unprobed.get(key);
    if (known === null) this.#unprobed.set(key, server);
    else if (known !== undefined && known !== server) this.#unprobed.delete(key);
  }

  /** What it spoke before: null for the first time. */
  spoke(backend: string, version: SpokenVersion): SpokenVersion | null {
    const before = this.#spoken.get(backend) ?? null;
    this.#spoken.set(backend, version);
    return before;
  }
}
