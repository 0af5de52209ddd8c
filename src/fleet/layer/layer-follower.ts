// Applies the fleet's common configuration ("layer") on this machine: reads the newest one from the bucket,
// checks its signature and revision, has the service apply it, and keeps it in the home.
import type { Condition } from "../../api/contract/contract.ts";
import type { MachineLayer } from "../../api/contract/fleet.ts";
import type { ConfigLayer } from "../../config/layer/layer.ts";
import { unlessAborted } from "../../runtime/abort.ts";
import { coalesce } from "../../runtime/coalesce.ts";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { backoffMs } from "../../runtime/time/backoff.ts";
import { type Clock, isoTime, type Timer } from "../../runtime/time/clock.ts";
import { createThrottle } from "../../runtime/time/throttle.ts";
import { keptLayerBy, storeAcceptedLayer } from "./accepted-layer.ts";
import type { LayerBucket, StoredLayer } from "./layer-bucket.ts";
import type { OperatorTrust } from "./operator-trust.ts";
import type { SignedLayer } from "./signed-layer.ts";

/**
 * Interval at which the fleet's stored layer is checked, ms. The checks are needed because an announcement may be
 * lost, and the store may be made later.
 */
const LOOK_MS = 60_000;
/**
 * Minimum time between two checks of the NATS bucket for a new layer, ms. It holds however often members announce a
 * layer.
 */
const APART_MS = 200;
const RETRY_MS = { first: 1_000, most: 60_000 };

export type LayerOutcome =
  | { readonly kind: "applied" }
  /**
   * The layer is wrong for this machine until the machine's own file changes; `reason` names the place of the
   * mistake.
   */
  | { readonly kind: "rejected"; readonly reason: string }
  /** A later attempt may succeed. */
  | { readonly kind: "failed"; readonly reason: string };

export interface LayerPort {
  /** The revision of the layer that is applied; null: none is. */
  readonly revision: () => number | null;
  /**
   * Applies the whole layer or nothing. Where the machine's own file sets a value, that value counts. Rejects
   * only when the service ends.
   */
  readonly apply: (layer: ConfigLayer) => Promise<LayerOutcome>;
}

interface FollowerOptions {
  /** Mountaineer's own folder, absolute. */
  readonly home: string;
  /** null: no operator is configured, so no layer is trusted. */
  readonly trust: OperatorTrust | null;
  readonly port: LayerPort;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called when the report may have changed. */
  readonly onChange: () => void;
}

interface Problem extends Omit<Condition, "since"> {
  /** The revision that has the problem; null: it is unknown, or not trusted. */
  readonly revision: number | null;
  readonly reason: string;
  /** True: a later attempt may succeed, although neither the layer nor the machine's file has changed. */
  readonly mayPass: boolean;
}

export class LayerFollower {
  readonly #options: FollowerOptions;
  readonly #ending = new AbortController();
  readonly #lookSoon;
  readonly #resumed: Promise<void>;
  #bucket: LayerBucket | null = null;
  /** The newest layer that was accepted. */
  #accepted: SignedLayer | null = null;
  /** True once `#accepted` has been read from the disk. */
  #isRead = false;
  #problem: (Problem & Pick<Condition, "since">) | null = null;
  #failures = 0;
  /** A layer that does not fit the machine's current file: its sequence number in the bucket, and the problem. */
  #rejected: { readonly sequence: number; readonly problem: Problem } | null = null;
  #nextLook: Timer | null = null;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#resumed = this.#resume();
    const work = coalesce(() => this.#work(), this.#ending.signal);
    this.#lookSoon = createThrottle(options.clock, APART_MS, work);
  }

  /** Follows the layers in this bucket from now on; null: the link is lost. */
  link(bucket: LayerBucket | null): void {
    this.#bucket = bucket;
    // On another server, the same sequence number may belong to another layer.
    this.#rejected = null;
    this.#nextLook?.[Symbol.dispose]();
    this.look();
  }

  /**
   * Checks a rejected layer again. Call it when the machine's own file has changed, because the layer may be
   * valid now.
   */
  noteConfig(): void {
    this.#rejected = null;
    this.look();
  }

  /** Reads the bucket soon, if there is a link. Call it when the bucket may have a new layer. */
  look(): void {
    if (this.#bucket !== null && !this.#ending.signal.aborted) this.#lookSoon.due();
  }

  /** Applies the layer that is kept in the home, whether or not a server can be reached. */
  async #resume(): Promise<void> {
    const { port, trust } = this.#options;
    const { signal } = this.#ending;
    try {
      await unlessAborted(this.#readKept(), signal);
      const kept = this.#accepted;
      if (trust === null || kept === null || port.revision() !== null) return;
      const { line: operator } = await trust.read();
      const outcome = await unlessAborted(port.apply({ ...kept, operator }), signal);
      if (outcome.kind !== "applied") this.#setProblem(notApplied(kept.revision, outcome));
    } catch (error) {
      if (!signal.aborted) this.#setProblem(unread(errorText(error)));
    }
  }

  /** The revision that the next signed layer must exceed. */
  async highest(): Promise<number> {
    await this.#readKept();
    return this.#accepted?.revision ?? 0;
  }

  report(): MachineLayer {
    const problem = this.#problem;
    return {
      revision: this.#options.port.revision(),
      refused: problem === null ? null : { revision: problem.revision, reason: problem.reason },
    };
  }

  conditions(): Condition[] {
    if (this.#problem === null) return [];
    const { code, severity, title, hint, since } = this.#problem;
    return [{ code, severity, title, hint, since }];
  }

  /** Stops following layers. Work in progress has no effect any more. */
  end(): void {
    this.#ending.abort();
    this.link(null);
    this.#lookSoon[Symbol.dispose]();
  }

  async #work(): Promise<void> {
    await this.#resumed;
    const { signal } = this.#ending;
    const bucket = this.#bucket;
    if (bucket === null) return;
    this.#nextLook?.[Symbol.dispose]();
    let problem: Problem | null = null;
    try {
      const stored = await unlessAborted(bucket.newest(), signal);
      problem = stored === null ? null : await this.#take(stored);
    } catch (error) {
      if (signal.aborted || bucket !== this.#bucket) return;
      // Without an operator's key (`trust`) no layer is applied, so one that cannot be read is no problem.
      problem = this.#options.trust === null ? this.#problem : unread(errorText(error));
    }
    this.#setProblem(problem);
    this.#failures = problem?.mayPass === true ? this.#failures + 1 : 0;
    if (this.#bucket === null) return;
    const delayMs = this.#failures > 0 ? backoffMs(RETRY_MS, this.#failures) : LOOK_MS;
    this.#nextLook = this.#options.clock.setTimer(delayMs, () => this.look());
  }

  /** Checks and applies an entry of the bucket. Resolves with the problem; null: the layer is applied. */
  async #take({ sequence, document }: StoredLayer): Promise<Problem | null> {
    const { trust, port, logger } = this.#options;
    const { signal } = this.#ending;
    if (trust === null) return UNHEEDED;
    await this.#readKept();
    const reading = await trust.check(document);
    if (!reading.ok) return notTrusted(reading.problem);
    const { layer } = reading;
    const { revision, text } = layer;
    const accepted = this.#accepted;
    if (accepted !== null && revision < accepted.revision) {
      return notTrusted(`it is revision ${revision}, and ${accepted.revision} was accepted here before`);
    }
    if (revision === accepted?.revision && text !== accepted.text) {
      return notTrusted(`it is another revision ${revision} than the one that was accepted here`);
    }
    if (port.revision() !== revision) {
      if (this.#rejected?.sequence === sequence) return this.#rejected.problem;
      // The service applies a layer only for the operator key in the machine's own file. `line` is that key, so it is
      // passed even if a later key has signed.
      const { line } = await trust.read();
      const outcome = await unlessAborted(port.apply({ text, revision, operator: line }), signal);
      if (outcome.kind !== "applied") {
        const problem = notApplied(revision, outcome);
        if (outcome.kind === "rejected") this.#rejected = { sequence, problem };
        return problem;
      }
      logger.info("the fleet's configuration is applied", { revision, signed_by: layer.by });
    }
    await this.#keep(layer, document);
    return null;
  }

  /**
   * Keeps the layer, once it is applied. After a crash before this call, the next daemon reads the same layer
   * again.
   */
  async #keep(layer: SignedLayer, document: Uint8Array): Promise<void> {
    if (this.#accepted?.revision === layer.revision && this.#accepted.operator === layer.operator) return;
    await storeAcceptedLayer(this.#options.home, document);
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

  #setProblem(problem: Problem | null): void {
    const { clock, logger, onChange } = this.#options;
    const before = this.#problem;
    const isSame = before !== null && problem?.title === before.title;
    this.#problem = problem && { ...problem, since: isSame ? before.since : isoTime(clock.wallMs()) };
    if (problem !== null && !isSame) logger.warn("the fleet's configuration", { reason: problem.title });
    onChange();
  }
}

const UNHEEDED: Problem = {
  code: "fleet_layer_unheeded",
  severity: "warning",
  title: "The fleet has a common configuration, and this machine does not use it",
  hint: "set [fleet].operator to the key that signs it, as in the file of the machine where it is signed",
  revision: null,
  reason: "[fleet].operator is not set",
  mayPass: false,
};

function notTrusted(reason: string): Problem {
  return {
    code: "fleet_layer_not_trusted",
    severity: "error",
    title: `The configuration that the fleet's server has is not trusted: ${reason}`,
    hint: "the last accepted revision stays in use; check who may write to the fleet's server",
    revision: null,
    reason,
    mayPass: false,
  };
}

function notApplied(revision: number, { kind, reason }: Exclude<LayerOutcome, { kind: "applied" }>): Problem {
  return {
    code: "fleet_layer_refused",
    severity: "warning",
    title: `Revision ${revision} of the fleet's configuration is not applied: ${reason}`,
    hint: "the last accepted revision stays in use; `mountaineer fleet config set` corrects it for all machines",
    revision,
    reason,
    mayPass: kind === "failed",
  };
}

function unread(reason: string): Problem {
  return {
    code: "fleet_layer_unread",
    severity: "warning",
    title: `The fleet's configuration cannot be read: ${reason}`,
    hint: "the last accepted revision stays in use; docs/fleet.md lists the permissions that a machine needs",
    revision: null,
    reason,
    mayPass: true,
  };
}
