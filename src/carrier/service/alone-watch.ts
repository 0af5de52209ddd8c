// What the carrier does by itself, most of it only while no daemon is connected: stay, take the other route, or close.

import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { CarriedMount, CarriedRoute } from "../carrier.ts";
import type { ProveServer } from "../smb/server-proof.ts";
import type { CarrierService, ServedShare } from "./carrier-service.ts";

const LOOK_EVERY_MS = 500;
const LOST_FOR_MS = 2_000;
const UNANSWERED_FOR_MS = 5_000;
const PROOF_MS = 1_000;
/** A daemon that is restarted, or has only lost its connection, is back by then and judges better. */
const ALONE_FOR_MS = 1_500;
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
}

/** A share, and when it is looked at again. */
interface Watched {
  readonly one: ServedShare;
  busy: boolean;
  learnNotBeforeMs: number;
  mountNotBeforeMs: number;
  goneLooks: number;
}

export class AloneWatch implements Disposable {
  readonly #options: AloneWatchOptions;
  readonly #watched = new Map<ServedShare, Watched>();
  #aloneSinceMs: number | null;
  #timer: Timer | null = null;
  #ended = false;

  constructor(options: AloneWatchOptions) {
    this.#options = options;
    this.#aloneSinceMs = options.clock.monotonicMs();
    this.#arm();
  }

  /** How many daemons are connected now. */
  daemons(count: number): void {
    if (count > 0) this.#aloneSinceMs = null;
    else this.#aloneSinceMs ??= this.#options.clock.monotonicMs();
    this.#arm();
  }

  /** A share came, or is another now. */
  changed(): void {
    this.#arm();
  }

  /** The server of a share that is not confirmed answers again. */
  answersAgain(one: ServedShare): void {
    if (this.#aloneSinceMs !== null) this.#confirmIfKnown(one, this.#agoMs(this.#aloneSinceMs));
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#timer?.[Symbol.dispose]();
  }

  #agoMs(atMs: number): number {
    return this.#options.clock.monotonicMs() - atMs;
  }

  /** While a daemon is connected and every server known, nothing is due: a carrier at rest is not woken. */
  #arm(): void {
    if (this.#ended || this.#timer !== null) return;
    const served = [...this.#options.service.served.values()];
    if (this.#aloneSinceMs === null && served.every(({ carrier }) => carrier.settings.guid !== null)) return;
    this.#timer = this.#options.clock.setTimer(LOOK_EVERY_MS, () => this.#lookAtAll());
  }

  #lookAtAll(): void {
    const { service, logger } = this.#options;
    this.#timer = null;
    const present = new Set(service.served.values());
    for (const one of this.#watched.keys()) if (!present.has(one)) this.#watched.delete(one);
    for (const one of present) {
      const watch = this.#watched.get(one) ?? {
        one,
        busy: false,
        learnNotBeforeMs: 0,
        mountNotBeforeMs: 0,
        goneLooks: 0,
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
    if (this.#aloneSinceMs === null) return;
    const aloneMs = this.#agoMs(this.#aloneSinceMs);
    if (await this.#closeIfUnused(watch, aloneMs)) return;
    this.#confirmIfKnown(watch.one, aloneMs);
    if (aloneMs >= ALONE_FOR_MS) await this.#leaveRouteIfGone(watch.one);
  }

  /** The server's GUID is asked for once: later ones are compared with it. */
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
  async #closeIfUnused(watch: Watched, aloneMs: number): Promise<boolean> {
    const { clock, logger, service, isPresent } = this.#options;
    const { share, mount } = watch.one.carrier.settings;
    const nowMs = clock.monotonicMs();
    if (mount === null) {
      if (Math.min(aloneMs, nowMs - watch.one.openedAtMs) < UNBOUND_AT_MOST_MS) return false;
    } else {
      if (nowMs < watch.mountNotBeforeMs) return false;
      watch.mountNotBeforeMs = nowMs + LOOK_AT_MOUNT_EVERY_MS;
      watch.goneLooks = (await isPresent(mount)) ? 0 : watch.goneLooks + 1;
      if (watch.goneLooks < GONE_LOOKS || this.#aloneSinceMs === null) return false;
    }
    logger.info("a share's mount is gone", { share });
    await service.close(share);
    return true;
  }

  /** The same server as before, as far as its GUID tells. */
  #confirmIfKnown({ carrier, seenGuid, seenOutage, wasConfirmed }: ServedShare, aloneMs: number): void {
    const { share, guid } = carrier.settings;
    const { phase, routeLostAtMs, outage } = carrier.state();
    const isDoubted = phase === "unconfirmed" || phase === "refusing";
    if (!isDoubted || routeLostAtMs !== null) return;
    if (guid === null || seenGuid !== guid || seenOutage !== outage) return;
    if (aloneMs >= ALONE_FOR_MS || wasConfirmed) this.#options.service.confirm(share, outage);
  }

  /** Why the route in use is taken for gone; null: it is not. */
  async #whyGone({ carrier }: ServedShare): Promise<string | null> {
    const { endpoints, route } = carrier.settings;
    const { routeLostAtMs, unansweredSinceMs, lastAnswerAtMs } = carrier.state();
    if (routeLostAtMs !== null)
      return this.#agoMs(routeLostAtMs) >= LOST_FOR_MS ? "the route takes no connections" : null;
    if (unansweredSinceMs === null) return null;
    const silentMs = this.#agoMs(Math.max(unansweredSinceMs, lastAnswerAtMs ?? unansweredSinceMs));
    const endpoint = endpoints[route];
    if (silentMs < UNANSWERED_FOR_MS || endpoint === undefined) return null;
    const { ok } = await this.#options.prove(endpoint, PROOF_MS);
    return ok ? null : "the server does not answer over the route";
  }

  async #leaveRouteIfGone(one: ServedShare): Promise<void> {
    const { clock, service, prove } = this.#options;
    const { settings } = one.carrier;
    const { share } = settings;
    const reason = await this.#whyGone(one);
    if (reason === null || this.#aloneSinceMs === null) return;
    const from = settings.route;
    const to: CarriedRoute = from === "tb" ? "fallback" : "tb";
    const endpoint = settings.endpoints[to];
    const proof = endpoint === undefined ? null : await prove(endpoint, PROOF_MS);
    if (this.#aloneSinceMs === null) return;
    if (endpoint === undefined || proof?.ok !== true || proof.guid !== settings.guid) {
      if (one.carrier.state().routeLostAtMs === null) service.hold(share);
      return;
    }
    const untilMs = clock.monotonicMs() + MOVE_WITHIN_MS;
    const outcome = await service.move({ share, to, endpoint, planned: false }, untilMs);
    if (outcome.ok) service.note({ share, at: clock.wallMs(), from, to, reason });
  }
}
