// Autonomous mode: the relay's own decisions, most of them only while no daemon answers: stay, take the other route,
// wait, or close.
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { ShareRelay } from "../connections/share-relay.ts";
import type { RelayedMount } from "../relay.ts";
import type { NegotiateServer } from "../smb/negotiate-proof.ts";
import type { RelayService } from "./relay-service.ts";

const CHECK_EVERY_MS = 500;
const UNPROVED_FOR_MS = 2_000;
const UNANSWERED_FOR_MS = 2_000;
/** When a request has waited this long, the daemons are pinged. */
const STALLED_FOR_MS = 300;
const PROOF_MS = 1_000;
/**
 * The relay becomes autonomous only after this time. A daemon that restarts, or is busy for a moment, answers sooner,
 * and knows more than the relay.
 */
const AUTONOMOUS_AFTER_MS = 3_000;
const UNBOUND_AT_MOST_MS = 60_000;
const CHECK_MOUNT_EVERY_MS = 2_000;
const FAILED_CHECKS = 2;
const LEARN_AGAIN_MS = 5_000;
const MOVE_WITHIN_MS = 5_000;

interface AutonomousModeOptions {
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
  readonly relay: ShareRelay;
  busy: boolean;
  learnNotBeforeMs: number;
  mountNotBeforeMs: number;
  failedChecks: number;
  /** True once the journal says that the share waits. */
  waits: boolean;
}

export class AutonomousMode implements Disposable {
  readonly #options: AutonomousModeOptions;
  readonly #watched = new Map<ShareRelay, Watched>();
  #daemons = 0;
  /** Since when no daemon is connected, or a ping is unanswered, monotonic ms; null: a daemon answers. */
  #silentSinceMs: number | null;
  #timer: Timer | null = null;
  #ended = false;

  constructor(options: AutonomousModeOptions) {
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
    if (![...service.served.values()].some((relay) => this.#isTroubled(relay))) return;
    if (ping()) this.#silentSinceMs = clock.monotonicMs();
  }

  #isTroubled(relay: ShareRelay): boolean {
    return relay.state().phase !== "carrying" || this.#unansweredMs(relay) >= STALLED_FOR_MS;
  }

  /** For how long requests have waited while the server has answered none. */
  #unansweredMs(relay: ShareRelay): number {
    const { unansweredSinceMs, lastAnswerAtMs } = relay.state();
    if (unansweredSinceMs === null) return 0;
    return this.#agoMs(Math.max(unansweredSinceMs, lastAnswerAtMs ?? unansweredSinceMs));
  }

  /** Sets no timer while a daemon answers and no share is troubled, so that an idle relay is not woken. */
  #arm(): void {
    if (this.#ended || this.#timer !== null) return;
    const served = [...this.#options.service.served.values()];
    const isAtRest = (relay: ShareRelay): boolean => relay.settings.guid !== null && !this.#isTroubled(relay);
    if (this.#silentSinceMs === null && served.every(isAtRest)) return;
    this.#timer = this.#options.clock.setTimer(CHECK_EVERY_MS, () => this.#checkAll());
  }

  #checkAll(): void {
    const { service, logger } = this.#options;
    this.#timer = null;
    this.#pingIfTroubled();
    const present = new Set(service.served.values());
    for (const relay of this.#watched.keys()) if (!present.has(relay)) this.#watched.delete(relay);
    for (const relay of present) {
      const watch = this.#watched.get(relay) ?? {
        relay,
        busy: false,
        learnNotBeforeMs: 0,
        mountNotBeforeMs: 0,
        failedChecks: 0,
        waits: false,
      };
      this.#watched.set(relay, watch);
      if (watch.busy) continue;
      watch.busy = true;
      const { share } = relay.settings;
      this.#check(watch)
        .catch((error: unknown) =>
          logger.warn("a relayed share cannot be checked", { share, error: errorText(error) }),
        )
        .finally(() => {
          watch.busy = false;
        });
    }
    this.#arm();
  }

  async #check(watch: Watched): Promise<void> {
    await this.#learn(watch);
    if (!this.#isTroubled(watch.relay)) watch.waits = false;
    // A daemon that was pinged just now still has time to answer.
    if (this.#silentMs() < CHECK_EVERY_MS) return;
    if (await this.#closeIfUnused(watch)) return;
    const reason = await this.#whyGone(watch.relay);
    if (reason === null) return;
    const remainingMs = AUTONOMOUS_AFTER_MS - this.#silentMs();
    if (remainingMs > PROOF_MS) return;
    if (remainingMs > 0) await this.#options.clock.sleep(remainingMs);
    if (this.isDaemonGone && !this.#ended && this.#isTroubled(watch.relay)) await this.#act(watch, reason);
  }

  /** True when no daemon has answered for so long that the relay is autonomous. */
  get isDaemonGone(): boolean {
    return this.#silentMs() >= AUTONOMOUS_AFTER_MS;
  }

  /** Asks for the server's GUID once, to compare the GUIDs of later servers with it. */
  async #learn(watch: Watched): Promise<void> {
    const { relay } = watch;
    const { guid, endpoints, route } = relay.settings;
    const endpoint = endpoints[route];
    if (guid !== null || endpoint === undefined || this.#agoMs(watch.learnNotBeforeMs) < 0) return;
    watch.learnNotBeforeMs = this.#options.clock.monotonicMs() + LEARN_AGAIN_MS;
    if (relay.state().phase !== "carrying") return;
    const proof = await this.#options.prove(endpoint, PROOF_MS);
    if (proof.ok) relay.learn(proof.guid);
  }

  /** Resolves with true if the share was closed. */
  async #closeIfUnused(watch: Watched): Promise<boolean> {
    const { clock, logger, service, isPresent } = this.#options;
    const { relay } = watch;
    const { share, mount } = relay.settings;
    const nowMs = clock.monotonicMs();
    if (mount === null) {
      // A mount may still exist: a daemon that was killed right after mounting had no time to name the mount to the
      // relay.
      if (relay.state().connections > 0) return false;
      if (Math.min(this.#silentMs(), nowMs - relay.openedAtMs) < UNBOUND_AT_MOST_MS) return false;
    } else {
      if (nowMs < watch.mountNotBeforeMs) return false;
      watch.mountNotBeforeMs = nowMs + CHECK_MOUNT_EVERY_MS;
      watch.failedChecks = (await isPresent(mount)) ? 0 : watch.failedChecks + 1;
      if (watch.failedChecks < FAILED_CHECKS || this.#silentSinceMs === null) return false;
    }
    logger.info("a share's mount is gone", { share });
    await service.close(share);
    return true;
  }

  /** Why the route in use cannot be relied on; null: it can, or it is too soon to know. */
  async #whyGone(relay: ShareRelay): Promise<string | null> {
    const { unprovedAtMs } = relay;
    if (unprovedAtMs !== null) {
      if (this.#agoMs(unprovedAtMs) < UNPROVED_FOR_MS) return null;
      const isThere = relay.state().routeLostAtMs === null;
      return isThere ? "the server may have changed while it was away" : "the route accepts no connections";
    }
    const { endpoints, route } = relay.settings;
    const endpoint = endpoints[route];
    if (this.#unansweredMs(relay) < UNANSWERED_FOR_MS || endpoint === undefined) return null;
    const { ok } = await this.#options.prove(endpoint, PROOF_MS);
    return ok ? null : "the server does not answer over the route";
  }

  /**
   * Decides without a daemon. Moves the share only to a server that a daemon has proved, and only if the
   * relay's connection to that server is still open.
   */
  async #act(watch: Watched, reason: string): Promise<void> {
    const { clock, logger, service } = this.#options;
    const { relay } = watch;
    const { share, route: from } = relay.settings;
    if (relay.isConfirmedByTraffic) {
      relay.beginAutonomous();
      relay.confirm(null);
      return;
    }
    const { standby } = relay;
    if (standby !== null && (await standby.sentinel.stillThere(PROOF_MS))) {
      if (!this.isDaemonGone) return;
      relay.beginAutonomous();
      const { route: to, endpoint, id: witness } = standby;
      const untilMs = clock.monotonicMs() + MOVE_WITHIN_MS;
      const outcome = await service.move({ share, to, endpoint, planned: false, witness }, untilMs);
      if (outcome.ok) service.recordDecision({ share, at: clock.wallMs(), from, to, reason });
      return;
    }
    if (watch.waits || !this.isDaemonGone) return;
    watch.waits = true;
    relay.beginAutonomous();
    if (relay.state().phase === "carrying") relay.pause();
    const text = `${reason}, and the server behind the other is unknown`;
    logger.warn("a share waits for its daemon", { share, reason: text });
    service.recordDecision({ share, at: clock.wallMs(), from, to: from, reason: text });
  }
}
