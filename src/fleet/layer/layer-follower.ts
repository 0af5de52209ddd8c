// What becomes of the fleet's layer on this machine: what stands in the bucket is read, held against the operator's key and
// what was accepted before, applied by the service, and kept. One at a time; only the newest counts.
import type { X509Certificate } from "node:crypto";
import type { Condition } from "../../api/contract.ts";
import type { MachineLayer } from "../../api/fleet-contract.ts";
import type { ConfigLayer } from "../../config/layer/layer.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import { type Clock, isoTime, type Timer } from "../../runtime/time/clock.ts";
import { authorityFingerprint } from "./authority.ts";
import { keepLayer, keptLayerBy } from "./kept-layer.ts";
import type { LayerBucket, StoredLayer } from "./layer-bucket.ts";
import type { OperatorTrust } from "./operator-trust.ts";
import type { SignedLayer } from "./signed-layer.ts";

/** News may be lost, and a bucket may come later: it is looked at so often, ms. */
const LOOK_MS = 60_000;
/** From one look to the next, ms: whoever says so all the time holds up nothing. */
const APART_MS = 200;
const RETRY_MS = { first: 1_000, most: 60_000 };

export type LayerOutcome =
  | { readonly kind: "applied" }
  /** It is wrong here, and stays so until something else changes; `reason` names the place. */
  | { readonly kind: "rejected"; readonly reason: string }
  /** What is in the way may pass. */
  | { readonly kind: "failed"; readonly reason: string };

/** What a service does with layers. */
export interface LayerPort {
  /** Of the layer that lies under what runs; null: none does. */
  readonly revision: () => number | null;
  /** Lays it under the machine's own file, whole or not at all. Never rejects but when the service ends. */
  readonly apply: (layer: ConfigLayer) => Promise<LayerOutcome>;
}

interface FollowerOptions {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  /** Whose word counts here; null: nobody's. */
  readonly trust: OperatorTrust | null;
  readonly port: LayerPort;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The fleet's server is about to have another authority; resolves with whether this machine knows it now. */
  readonly onAuthority: (authority: X509Certificate) => Promise<boolean>;
  /** Something is otherwise than it was told. */
  readonly onChange: () => void;
}

type Trouble = Pick<Condition, "code" | "severity" | "title" | "hint" | "since"> & {
  /** null: of what stands there, none can be believed. */
  readonly revision: number | null;
  readonly reason: string;
};

export class LayerFollower {
  readonly #options: FollowerOptions;
  readonly #ending = new AbortController();
  #bucket: LayerBucket | null = null;
  /** The newest that was accepted, read from the disk once. */
  #accepted: SignedLayer | null = null;
  #isRead = false;
  /** The server's next authority that this machine knows, SHA-256 in hex. */
  #authority: string | null = null;
  #trouble: Trouble | null = null;
  #working: Promise<void> | null = null;
  #again = false;
  #failures = 0;
  #nextAtMs = 0;
  /** What does not fit the file that runs; null: nothing like that. */
  #unfit: Pick<StoredLayer, "sequence"> | null = null;
  #timer: Timer | null = null;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#working = this.#resume().finally(() => this.#rest());
  }

  /** A link is there; null: it is gone. */
  link(bucket: LayerBucket | null): void {
    this.#bucket = bucket;
    // Another server may count anew.
    this.#unfit = null;
    if (bucket === null) this.#schedule(null);
    else this.look();
  }

  /** Another file runs: what did not fit may fit. */
  noteConfig(): void {
    this.#unfit = null;
    this.look();
  }

  /** There may be something new in the bucket. */
  look(): void {
    if (this.#bucket === null || this.#ending.signal.aborted) return;
    if (this.#working !== null) {
      this.#again = true;
      return;
    }
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs < this.#nextAtMs) {
      this.#schedule(this.#nextAtMs - nowMs);
      return;
    }
    this.#nextAtMs = nowMs + APART_MS;
    this.#schedule(null);
    this.#working = this.#work(this.#bucket).finally(() => this.#rest());
  }

  #rest(): void {
    this.#working = null;
    if (!this.#again) return;
    this.#again = false;
    this.look();
  }

  /** What was accepted last lies under the file again, whether or not a server can be asked. */
  async #resume(): Promise<void> {
    const { port } = this.#options;
    const { signal } = this.#ending;
    try {
      await unlessAborted(this.#readKept(), signal);
      const kept = this.#accepted;
      if (kept === null || port.revision() !== null) return;
      const operator = (await this.#options.trust?.read())?.line ?? kept.operator;
      const outcome = await unlessAborted(port.apply({ ...kept, operator }), signal);
      if (outcome.kind !== "applied") this.#refuse(kept.revision, outcome.reason);
    } catch (error) {
      // Whoever asks the bucket next finds out.
      if (!signal.aborted) this.#unread(errorText(error));
    }
  }

  /** What a layer that is signed next must be above. */
  async highest(): Promise<number> {
    await this.#readKept();
    return this.#accepted?.revision ?? 0;
  }

  report(): MachineLayer {
    const trouble = this.#trouble;
    return {
      revision: this.#options.port.revision(),
      refused: trouble === null ? null : { revision: trouble.revision, reason: trouble.reason },
      ...(this.#authority === null ? {} : { authority: this.#authority }),
    };
  }

  conditions(): Condition[] {
    if (this.#trouble === null) return [];
    const { code, severity, title, hint, since } = this.#trouble;
    return [{ code, severity, title, hint, since }];
  }

  /** What is under way comes to nothing any more. */
  end(): void {
    this.#ending.abort();
    this.link(null);
  }

  async #work(bucket: LayerBucket): Promise<void> {
    const { signal } = this.#ending;
    let isSettled = false;
    try {
      const stored = await unlessAborted(bucket.newest(), signal);
      isSettled = stored === null ? this.#settle() : await this.#take(stored);
    } catch (error) {
      // A link that is gone says nothing of what stands there; who has no operator asks for nothing.
      if (signal.aborted || bucket !== this.#bucket || this.#options.trust === null) return;
      this.#unread(errorText(error));
    }
    this.#failures = isSettled ? 0 : this.#failures + 1;
    this.#schedule(isSettled ? LOOK_MS : backoffMs(RETRY_MS, this.#failures));
  }

  /** Whether there is nothing left to try. */
  async #take({ sequence, document }: StoredLayer): Promise<boolean> {
    const { trust, port, logger } = this.#options;
    const { signal } = this.#ending;
    if (trust === null) return this.#unheeded();
    await this.#readKept();
    const reading = await trust.believe(document);
    if (!reading.ok) return this.#distrust(reading.problem);
    await this.#learn(reading.authority);
    const { layer } = reading;
    const { revision, text } = layer;
    const accepted = this.#accepted;
    if (accepted !== null && revision < accepted.revision) {
      return this.#distrust(`it is revision ${revision}, and ${accepted.revision} was accepted here before`);
    }
    if (revision === accepted?.revision && text !== accepted.text) {
      return this.#distrust(`it is another revision ${revision} than the one that was accepted here`);
    }
    if (port.revision() === revision) {
      await this.#keep(layer, document);
      return this.#settle();
    }
    if (this.#unfit?.sequence === sequence) return true;
    // It lies under a file that names the key of then.
    const { line } = await trust.read();
    const outcome = await unlessAborted(port.apply({ text, revision, operator: line }), signal);
    if (outcome.kind !== "applied") {
      const isRejected = outcome.kind === "rejected";
      if (isRejected) this.#unfit = { sequence };
      this.#refuse(revision, outcome.reason);
      return isRejected;
    }
    logger.info("the fleet's configuration is applied", { revision, signed_by: layer.by });
    await this.#keep(layer, document);
    return this.#settle();
  }

  async #learn(authority: X509Certificate | null): Promise<void> {
    if (authority === null) return;
    const fingerprint = authorityFingerprint(authority);
    if (fingerprint === this.#authority || !(await this.#options.onAuthority(authority))) return;
    this.#authority = fingerprint;
    this.#options.onChange();
  }

  /** Kept after it was applied: a crash in between leaves the one before, and it is heard again. */
  async #keep(layer: SignedLayer, document: Uint8Array): Promise<void> {
    if (this.#accepted?.revision === layer.revision && this.#accepted.operator === layer.operator) return;
    await keepLayer(this.#options.home, document);
    this.#accepted = layer;
  }

  async #readKept(): Promise<void> {
    const { home, trust, logger } = this.#options;
    if (this.#isRead || trust === null) return;
    const { layer, problem } = await keptLayerBy(home, await trust.read());
    if (problem !== null)
      logger.warn("the fleet's configuration that was kept is not used", { reason: problem });
    this.#accepted = layer;
    this.#isRead = true;
  }

  #settle(): true {
    this.#tell(null);
    return true;
  }

  #unheeded(): true {
    this.#tell({
      code: "fleet_layer_unheeded",
      severity: "warning",
      title: "The fleet has a configuration, and this machine takes none",
      hint: "[fleet].operator says whose word counts; the machine where it is signed has the same line",
      revision: null,
      reason: "[fleet].operator is not set",
    });
    return true;
  }

  #distrust(problem: string): true {
    this.#tell({
      code: "fleet_layer_not_trusted",
      severity: "error",
      title: `What stands as the fleet's configuration is not trusted: ${problem}`,
      hint: "what ran before runs on; see who may write to the fleet's server",
      revision: null,
      reason: problem,
    });
    return true;
  }

  #refuse(revision: number, reason: string): void {
    this.#tell({
      code: "fleet_layer_refused",
      severity: "warning",
      title: `Revision ${revision} of the fleet's configuration is not taken: ${reason}`,
      hint: "what ran before runs on; `mountaineer fleet config set` corrects it for all",
      revision,
      reason,
    });
  }

  #unread(reason: string): void {
    this.#tell({
      code: "fleet_layer_unread",
      severity: "warning",
      title: `The fleet's configuration cannot be read: ${reason}`,
      hint: "what was accepted last runs on; docs/fleet.md lists what a machine needs",
      revision: null,
      reason,
    });
  }

  #tell(trouble: Omit<Trouble, "since"> | null): void {
    const { clock, logger, onChange } = this.#options;
    const isSame = trouble?.title === this.#trouble?.title;
    const since = isSame && this.#trouble !== null ? this.#trouble.since : isoTime(clock.wallMs());
    this.#trouble = trouble === null ? null : { ...trouble, since };
    if (trouble !== null && !isSame) logger.warn("the fleet's configuration", { reason: trouble.title });
    onChange();
  }

  #schedule(delayMs: number | null): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = null;
    if (delayMs === null || this.#bucket === null || this.#ending.signal.aborted) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#timer = null;
      this.look();
    });
  }
}
