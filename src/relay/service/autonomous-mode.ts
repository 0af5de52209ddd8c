// Autonomous mode: the relay's own decisions, most of them only while no daemon answers: stay, take the other route, wait,
// or close.
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { ShareRelay } from "../connections/share-relay.ts";
import type { RelayedMount } from "../relay.ts";
import type { NegotiateServer } from "../smb/negotiate-proof.ts";
import type { RelayService } from "./relay-service.ts";

const LOOK_EVERY_MS = 500;
const DOUBTED_FOR_MS = 2_000;
const UNANSWERED_FOR_MS = 2_000;
/** When a request has waited this long, the daemons are pinged. */
const STALLED_FOR_MS = 300;
const PROOF_MS = 1_000;
/**
 * The relay becomes autonomous only after this time. A daemon that restarts, or is busy for a moment, answers sooner,
 * and knows more than the relay.
 */
const ALONE_FOR_MS = 3_000;
const UNBOUND_AT_MOST_MS = 60_000;
const LOOK_AT_MOUNT_EVERY_MS = 2_000;
const GONE_LOOKS = 2;
const LEARN_AGAIN_MS = 5_000;
const MOVE_WITHIN_MS = 5_000;

interface AloneWatchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly service: Pick<RelayService, "served" | "close" | "move" | "recordDecision">;
  readonly prove: NegotiateServer;
  readonly isPresent: (mount: RelayedMount) => Promise<boolean>;
  /** Pings the daemons; false: none is connected. */
  readonly ping: () => boolean;
}

/** What the watch remembers of one share. Times are monotonic ms. */
interface Watched {
  readonly carrier: ShareRelay;
  busy: boolean;
  learnNotBeforeMs: number;
  mountNotBeforeMs: number;
  goneLooks: number;
  /** True once the journal says that the share waits. */
  waits: boolean;
}

export class AutonomousMode implements Disposable {
  readonly #options: AloneWatchOptions;
  readonly #watched = new Map<ShareRelay, Watched>();
  #daemons = 0;
  /** Since when no daemon is connected, or a ping is unanswered, monotonic ms; null: a daemon answers. */
  #silentSinceMs: number | null;
  #timer: Timer | null = null;
  #ended = false;

  constructor(options: AloneWatchOptions) {
    this.#options = options;
    this.#silentSinceMs = options.clock.monotonicMs();
    this.#arm();
  }

  daemons(count: number): void {
    if (count > this.#daemons) this.#silentSinceMs = null;
    if (count === 0) this.#silentSinceMs ??= this.#options.clock.monotonicMs();
    this.#daemons = count;
    this.changed();
  }

  /** Call on each message of a daemon. */
  heard(): void {
    this.#silentSinceMs = null;
  }

  changed(): void {
    this.#pingIfTroubled();
    this.#arm();
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#timer?.[Symbol.dispose]();
  }

  #agoMs(atMs: number): number {
    return this.#options.clock.monotonicMs() - atMs;
  }

  #silentMs(): number {
    return this.#silentSinceMs === null ? 0 : this.#agoMs(this.#silentSinceMs);
  }

  #pingIfTroubled(): void {
    const { clock, service, ping } = this.#options;
    if (this.#silentSinceMs !== null) return;
    if (![...service.served.values()].some((carrier) => this.#isTroubled(carrier))) return;
    if (ping()) this.#silentSinceMs = clock.monotonicMs();
  }

  #isTroubled(carrier: ShareRelay): boolean {
    return carrier.state().phase !== "carrying" || this.#unansweredMs(carrier) >= STALLED_FOR_MS;
  }

  /** For how long requests have waited while the server has answered none. */
  #unansweredMs(carrier: ShareRelay): number {
    const { unansweredSinceMs, lastAnswerAtMs } = carrier.state();
    if (unansweredSinceMs === null) return 0;
    return this.#agoMs(Math.max(unansweredSinceMs, lastAnswerAtMs ?? unansweredSinceMs));
  }

  /** Sets no timer while a daemon answers and no share is troubled, so that an idle relay is not woken. */
  #arm(): void {
    if (this.#ended || this.#timer !== null) return;
    const served = [...this.#options.service.served.values()];
    const isAtRest = (carrier: ShareRelay): boolean =>
      carrier.settings.guid !== null && !this.#isTroubled(carrier);
    if (this.#silentSinceMs === null && served.every(isAtRest)) return;
    this.#timer = this.#options.clock.setTimer(LOOK_EVERY_MS, () => this.#lookAtAll());
  }

  #lookAtAll(): void {
    const { service, logger } = this.#options;
    this.#timer = null;
    this.#pingIfTroubled();
    const present = new Set(service.served.values());
    for (const carrier of this.#watched.keys()) if (!present.has(carrier)) this.#watched.delete(carrier);
    for (const carrier of present) {
      const watch = this.#watched.get(carrier) ?? {
        carrier,
        busy: false,
        learnNotBeforeMs: 0,
        mountNotBeforeMs: 0,
        goneLooks: 0,
        waits: false,
      };
      this.#watched.set(carrier, watch);
      if (watch.busy) continue;
      watch.busy = true;
      const { share } = carrier.settings;
      this.#look(watch)
        .catch((error: unknown) =>
          logger.warn("a relayed share cannot be checked", { share, error: errorText(error) }),
        )
        .finally(() => {
          watch.busy = false;
        });
    }
    this.#arm();
  }

  async #look(watch: Watched): Promise<void> {
    await this.#learn(watch);
    if (!this.#isTroubled(watch.carrier)) watch.waits = false;
    // A daemon that was pinged just now still has time to answer.
    if (this.#silentMs() < LOOK_EVERY_MS) return;
    if (await this.#closeIfUnused(watch)) return;
    const reason = await this.#whyGone(watch.carrier);
    if (reason === null) return;
    const leftMs = ALONE_FOR_MS - this.#silentMs();
    if (leftMs > PROOF_MS) return;
    if (leftMs > 0) await this.#options.clock.sleep(leftMs);
    if (this.isDaemonGone && !this.#ended && this.#isTroubled(watch.carrier)) await this.#act(watch, reason);
  }

  /** True when no daemon has answered for so long that the relay is autonomous. */
  get isDaemonGone(): boolean {
    return this.#silentMs() >= ALONE_FOR_MS;
  }

  /** Asks for the server's GUID once, to compare the GUIDs of later servers with it. */
  async #learn(watch: Watched): Promise<void> {
    const { carrier } = watch;
    const { guid, endpoints, route } = carrier.settings;
    const endpoint = endpoints[route];
    if (guid !== null || endpoint === undefined || this.#agoMs(watch.learnNotBeforeMs) < 0) return;
    watch.learnNotBeforeMs = this.#options.clock.monotonicMs() + LEARN_AGAIN_MS;
    if (carrier.state().phase !== "carrying") return;
    const proof = await this.#options.prove(endpoint, PROOF_MS);
    if (proof.ok) carrier.learn(proof.guid);
  }

  /** Resolves with true if the share was closed. */
  async #closeIfUnused(watch: Watched): Promise<boolean> {
    const { clock, logger, service, isPresent } = this.#options;
    const { carrier } = watch;
    const { share, mount } = carrier.settings;
    const nowMs = clock.monotonicMs();
    if (mount === null) {
      // A mount may still exist: a daemon that was killed right after mounting had no time to name the mount to the
      // relay.
      if (carrier.state().connections > 0) return false;
      if (Math.min(this.#silentMs(), nowMs - carrier.openedAtMs) < UNBOUND_AT_MOST_MS) return false;
    } else {
      if (nowMs < watch.mountNotBeforeMs) return false;
      watch.mountNotBeforeMs = nowMs + LOOK_AT_MOUNT_EVERY_MS;
      watch.goneLooks = (await isPresent(mount)) ? 0 : watch.goneLooks + 1;
      if (watch.goneLooks < GONE_LOOKS || this.#silentSinceMs === null) return false;
    }
    logger.info("a share's mount is gone", { share });
    await service.close(share);
    return true;
  }

  /** Why the route in use cannot be relied on; null: it can, or it is too soon to know. */
  async #whyGone(carrier: ShareRelay): Promise<string | null> {
    const { doubtedAtMs } = carrier;
    if (doubtedAtMs !== null) {
      if (this.#agoMs(doubtedAtMs) < DOUBTED_FOR_MS) return null;
      const isThere = carrier.state().routeLostAtMs === null;
      return isThere ? "the server may be another since it was away" : "the route takes no connections";
    }
    const { endpoints, route } = carrier.settings;
    const endpoint = endpoints[route];
    if (this.#unansweredMs(carrier) < UNANSWERED_FOR_MS || endpoint === undefined) return null;
    const { ok } = await this.#options.prove(endpoint, PROOF_MS);
    return ok ? null : "the server does not answer over the route";
  }

  /**
   * Decides without a daemon. Moves the share only to a server that a daemon has proved, and only if the
   * relay's connection to that server is still open.
   */
  async #act(watch: Watched, reason: string): Promise<void> {
    const { clock, logger, service } = this.#options;
    const { carrier } = watch;
    const { share, route: from } = carrier.settings;
    if (carrier.isConfirmedByTraffic) {
      carrier.beginAutonomous();
      carrier.confirm(null);
      return;
    }
    const { standby } = carrier;
    if (standby !== null && (await standby.witness.stillThere(PROOF_MS))) {
      if (!this.isDaemonGone) return;
      carrier.beginAutonomous();
      const { route: to, endpoint, id: witness } = standby;
      const untilMs = clock.monotonicMs() + MOVE_WITHIN_MS;
      const outcome = await service.move({ share, to, endpoint, planned: false, witness }, untilMs);
      if (outcome.ok) service.recordDecision({ share, at: clock.wallMs(), from, to, reason });
      return;
    }
    if (watch.waits || !this.isDaemonGone) return;
    watch.waits = true;
    carrier.beginAutonomous();
    if (carrier.state().phase === "carrying") carrier.hold();
    const text = `${reason}, and nothing shows who is behind the other`;
    logger.warn("a share waits for its daemon", { share, reason: text });
    service.recordDecision({ share, at: clock.wallMs(), from, to: from, reason: text });
  }
}
