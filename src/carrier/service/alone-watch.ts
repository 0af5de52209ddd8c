// What the carrier does by itself, most of it only while no daemon answers: stay, take the other route, wait, or close.

import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { CarriedMount } from "../carrier.ts";
import type { ProveServer } from "../smb/server-proof.ts";
import type { CarrierService, ServedShare } from "./carrier-service.ts";

const LOOK_EVERY_MS = 500;
const DOUBTED_FOR_MS = 2_000;
const UNANSWERED_FOR_MS = 2_000;
/** After a request has waited this long, a daemon is asked for a sign of life. */
const STALLED_FOR_MS = 300;
const PROOF_MS = 1_000;
/** A daemon that is restarted, or held up for a moment, answers by then and judges better. */
const ALONE_FOR_MS = 3_000;
const UNBOUND_AT_MOST_MS = 60_000;
const LOOK_AT_MOUNT_EVERY_MS = 2_000;
const GONE_LOOKS = 2;
const LEARN_AGAIN_MS = 5_000;
const MOVE_WITHIN_MS = 5_000;

interface AloneWatchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly service: Pick<CarrierService, "served" | "close" | "confirm" | "hold" | "move" | "note">;
  readonly prove: ProveServer;
  readonly isPresent: (mount: CarriedMount) => Promise<boolean>;
  /** Asks the daemons for a sign of life; false: one of them could give none. */
  readonly ping: () => boolean;
}

/** A share, and when it is looked at again. */
interface Watched {
  readonly one: ServedShare;
  busy: boolean;
  learnNotBeforeMs: number;
  mountNotBeforeMs: number;
  goneLooks: number;
  /** Its waiting is in the journal already. */
  waits: boolean;
}

export class AloneWatch implements Disposable {
  readonly #options: AloneWatchOptions;
  readonly #watched = new Map<ServedShare, Watched>();
  #daemons = 0;
  /** Since when no daemon is connected, or none has answered a ping; null: a daemon is there. */
  #silentSinceMs: number | null;
  #timer: Timer | null = null;
  #ended = false;

  constructor(options: AloneWatchOptions) {
    this.#options = options;
    this.#silentSinceMs = options.clock.monotonicMs();
    this.#arm();
  }

  /** How many daemons are connected now. */
  daemons(count: number): void {
    if (count > this.#daemons) this.#silentSinceMs = null;
    if (count === 0) this.#silentSinceMs ??= this.#options.clock.monotonicMs();
    this.#daemons = count;
    this.changed();
  }

  /** A daemon has said something. */
  heard(): void {
    this.#silentSinceMs = null;
  }

  /** A share was added or has changed. */
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

  /** For how long no daemon has answered. */
  #silentMs(): number {
    return this.#silentSinceMs === null ? 0 : this.#agoMs(this.#silentSinceMs);
  }

  #pingIfTroubled(): void {
    const { clock, service, ping } = this.#options;
    if (this.#silentSinceMs !== null) return;
    if (![...service.served.values()].some((one) => this.#isTroubled(one))) return;
    if (ping()) this.#silentSinceMs = clock.monotonicMs();
  }

  #isTroubled({ carrier }: ServedShare): boolean {
    return carrier.state().phase !== "carrying" || this.#unansweredMs(carrier) >= STALLED_FOR_MS;
  }

  /** How long something has waited while nothing was answered. */
  #unansweredMs(carrier: ServedShare["carrier"]): number {
    const { unansweredSinceMs, lastAnswerAtMs } = carrier.state();
    if (unansweredSinceMs === null) return 0;
    return this.#agoMs(Math.max(unansweredSinceMs, lastAnswerAtMs ?? unansweredSinceMs));
  }

  /** While a daemon answers and all is well, nothing is due: a carrier at rest is not woken. */
  #arm(): void {
    if (this.#ended || this.#timer !== null) return;
    const served = [...this.#options.service.served.values()];
    const isAtRest = (one: ServedShare): boolean =>
      one.carrier.settings.guid !== null && !this.#isTroubled(one);
    if (this.#silentSinceMs === null && served.every(isAtRest)) return;
    this.#timer = this.#options.clock.setTimer(LOOK_EVERY_MS, () => this.#lookAtAll());
  }

  #lookAtAll(): void {
    const { service, logger } = this.#options;
    this.#timer = null;
    this.#pingIfTroubled();
    const present = new Set(service.served.values());
    for (const one of this.#watched.keys()) if (!present.has(one)) this.#watched.delete(one);
    for (const one of present) {
      const watch = this.#watched.get(one) ?? {
        one,
        busy: false,
        learnNotBeforeMs: 0,
        mountNotBeforeMs: 0,
        goneLooks: 0,
        waits: false,
      };
      this.#watched.set(one, watch);
      if (watch.busy) continue;
      watch.busy = true;
      const { share } = one.carrier.settings;
      this.#look(watch)
        .catch((error: unknown) =>
          logger.warn("a carried share cannot be looked after", { share, error: errorText(error) }),
        )
        .finally(() => {
          watch.busy = false;
        });
    }
    this.#arm();
  }

  async #look(watch: Watched): Promise<void> {
    await this.#learn(watch);
    if (!this.#isTroubled(watch.one)) watch.waits = false;
    // A daemon that was asked only just now still has time to answer.
    if (this.#silentMs() < LOOK_EVERY_MS) return;
    if (await this.#closeIfUnused(watch)) return;
    const reason = await this.#whyGone(watch.one);
    if (reason === null || this.#silentSinceMs === null) return;
    const leftMs = ALONE_FOR_MS - this.#silentMs();
    if (leftMs > PROOF_MS) return;
    if (leftMs > 0) await this.#options.clock.sleep(leftMs);
    if (this.isAlone && !this.#ended && this.#isTroubled(watch.one)) await this.#act(watch, reason);
  }

  /** No daemon has answered for so long that the carrier decides alone. */
  get isAlone(): boolean {
    return this.#silentMs() >= ALONE_FOR_MS;
  }

  /** The server's GUID is asked for once, to compare later ones with it. */
  async #learn(watch: Watched): Promise<void> {
    const { carrier } = watch.one;
    const { guid, endpoints, route } = carrier.settings;
    const endpoint = endpoints[route];
    if (guid !== null || endpoint === undefined || this.#agoMs(watch.learnNotBeforeMs) < 0) return;
    watch.learnNotBeforeMs = this.#options.clock.monotonicMs() + LEARN_AGAIN_MS;
    if (carrier.state().phase !== "carrying") return;
    const proof = await this.#options.prove(endpoint, PROOF_MS);
    if (proof.ok) carrier.learn(proof.guid);
  }

  /** True when it was closed. */
  async #closeIfUnused(watch: Watched): Promise<boolean> {
    const { clock, logger, service, isPresent } = this.#options;
    const { share, mount } = watch.one.carrier.settings;
    const nowMs = clock.monotonicMs();
    if (mount === null) {
      // A daemon that was killed just then had no time to name the mount.
      if (watch.one.carrier.state().connections > 0) return false;
      if (Math.min(this.#silentMs(), nowMs - watch.one.openedAtMs) < UNBOUND_AT_MOST_MS) return false;
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
  async #whyGone({ carrier }: ServedShare): Promise<string | null> {
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

  /** Moves only to a server that a connection has shown to be the same all the time. */
  async #act(watch: Watched, reason: string): Promise<void> {
    const { clock, logger, service } = this.#options;
    const { carrier } = watch.one;
    const { share, route: from } = carrier.settings;
    if (carrier.outlivedDoubt) {
      carrier.beginAlone();
      service.confirm(share, carrier.state().outage);
      return;
    }
    const { standby } = carrier;
    if (standby !== null && (await standby.witness.stillThere(PROOF_MS))) {
      if (!this.isAlone) return;
      carrier.beginAlone();
      const { route: to, endpoint, id: witness } = standby;
      const untilMs = clock.monotonicMs() + MOVE_WITHIN_MS;
      const outcome = await service.move({ share, to, endpoint, planned: false, witness }, untilMs);
      if (outcome.ok) service.note({ share, at: clock.wallMs(), from, to, reason });
      return;
    }
    if (watch.waits || !this.isAlone) return;
    watch.waits = true;
    carrier.beginAlone();
    if (carrier.state().phase === "carrying") service.hold(share, null);
    const text = `${reason}, and nothing shows who is behind the other`;
    logger.warn("a share waits for its daemon", { share, reason: text });
    service.note({ share, at: clock.wallMs(), from, to: from, reason: text });
  }
}
