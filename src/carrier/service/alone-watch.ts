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
  readonly service: CarrierService;
  readonly prove: ProveServer;
  readonly isPresent: (mount: CarriedMount) => Promise<boolean>;
}

interface AloneWatch extends Disposable {
  /** How many daemons are connected now. */
  daemons(count: number): void;
  /** The server of a share that is not confirmed answers again. */
  answersAgain(one: ServedShare): void;
}

interface Watched {
  busy: boolean;
  learnNotBeforeMs: number;
  mountNotBeforeMs: number;
  goneLooks: number;
}

export function startAloneWatch(options: AloneWatchOptions): AloneWatch {
  const { clock, logger, service, prove } = options;
  const watched = new Map<ServedShare, Watched>();
  let aloneSinceMs: number | null = clock.monotonicMs();
  let timer: Timer | null = null;
  let ended = false;

  const otherRoute = (route: CarriedRoute): CarriedRoute => (route === "tb" ? "fallback" : "tb");

  /** The server's GUID is asked for once: later ones are compared with it. */
  const learn = async (one: ServedShare, watch: Watched): Promise<void> => {
    const { settings } = one.carrier;
    const endpoint = settings.endpoints[settings.route];
    if (settings.guid !== null || endpoint === undefined || clock.monotonicMs() < watch.learnNotBeforeMs)
      return;
    watch.learnNotBeforeMs = clock.monotonicMs() + LEARN_AGAIN_MS;
    if (one.carrier.state().phase !== "carrying") return;
    const proof = await prove(endpoint, PROOF_MS);
    if (proof.ok) one.carrier.learn(proof.guid);
  };
  /** True when it was closed. */
  const closeIfUnused = async (one: ServedShare, watch: Watched, aloneMs: number): Promise<boolean> => {
    const { settings } = one.carrier;
    const nowMs = clock.monotonicMs();
    if (settings.mount === null) {
      if (Math.min(aloneMs, nowMs - one.openedAtMs) < UNBOUND_AT_MOST_MS) return false;
    } else {
      if (nowMs < watch.mountNotBeforeMs) return false;
      watch.mountNotBeforeMs = nowMs + LOOK_AT_MOUNT_EVERY_MS;
      watch.goneLooks = (await options.isPresent(settings.mount)) ? 0 : watch.goneLooks + 1;
      if (watch.goneLooks < GONE_LOOKS || aloneSinceMs === null) return false;
    }
    logger.info("a share's mount is gone", { share: settings.share });
    await service.close(settings.share);
    return true;
  };
  /** The same server as before, as far as its GUID tells. */
  const confirmIfKnown = (one: ServedShare, aloneMs: number): void => {
    const { settings } = one.carrier;
    const state = one.carrier.state();
    const isDoubted = state.phase === "unconfirmed" || state.phase === "refusing";
    if (!isDoubted || state.routeLostAtMs !== null) return;
    if (settings.guid === null || one.seenGuid !== settings.guid || one.seenOutage !== state.outage) return;
    if (aloneMs >= ALONE_FOR_MS || one.wasConfirmed) service.confirm(settings.share, state.outage);
  };
  /** Why the route in use is taken for gone; null: it is not. */
  const whyGone = async (one: ServedShare): Promise<string | null> => {
    const { settings } = one.carrier;
    const { routeLostAtMs, unansweredSinceMs, lastAnswerAtMs } = one.carrier.state();
    const nowMs = clock.monotonicMs();
    if (routeLostAtMs !== null)
      return nowMs - routeLostAtMs >= LOST_FOR_MS ? "the route takes no connections" : null;
    if (unansweredSinceMs === null) return null;
    const silentMs = nowMs - Math.max(unansweredSinceMs, lastAnswerAtMs ?? unansweredSinceMs);
    const endpoint = settings.endpoints[settings.route];
    if (silentMs < UNANSWERED_FOR_MS || endpoint === undefined) return null;
    return (await prove(endpoint, PROOF_MS)).ok ? null : "the server does not answer over the route";
  };
  const leaveRouteIfGone = async (one: ServedShare): Promise<void> => {
    const { settings } = one.carrier;
    const reason = await whyGone(one);
    if (reason === null || aloneSinceMs === null) return;
    const from = settings.route;
    const to = otherRoute(from);
    const endpoint = settings.endpoints[to];
    const proof = endpoint === undefined ? null : await prove(endpoint, PROOF_MS);
    if (aloneSinceMs === null) return;
    if (endpoint === undefined || proof?.ok !== true || proof.guid !== settings.guid) {
      if (one.carrier.state().routeLostAtMs === null) service.hold(settings.share);
      return;
    }
    const untilMs = clock.monotonicMs() + MOVE_WITHIN_MS;
    const outcome = await service.move({ share: settings.share, to, endpoint, planned: false }, untilMs);
    if (outcome.ok) service.note({ share: settings.share, at: clock.wallMs(), from, to, reason });
  };

  const look = async (one: ServedShare, watch: Watched): Promise<void> => {
    await learn(one, watch);
    if (aloneSinceMs === null) return;
    const aloneMs = clock.monotonicMs() - aloneSinceMs;
    if (await closeIfUnused(one, watch, aloneMs)) return;
    confirmIfKnown(one, aloneMs);
    if (aloneMs >= ALONE_FOR_MS) await leaveRouteIfGone(one);
  };
  const lookAtAll = (): void => {
    const present = new Set(service.served.values());
    for (const one of watched.keys()) if (!present.has(one)) watched.delete(one);
    for (const one of present) {
      let watch = watched.get(one);
      if (watch === undefined) {
        watch = { busy: false, learnNotBeforeMs: 0, mountNotBeforeMs: 0, goneLooks: 0 };
        watched.set(one, watch);
      }
      if (watch.busy) continue;
      const looked = watch;
      looked.busy = true;
      look(one, looked)
        .catch((error: unknown) => {
          logger.warn("a carried share cannot be looked after", {
            share: one.carrier.settings.share,
            error: errorText(error),
          });
        })
        .finally(() => {
          looked.busy = false;
        });
    }
    arm();
  };
  const arm = (): void => {
    if (!ended) timer = clock.setTimer(LOOK_EVERY_MS, lookAtAll);
  };
  arm();
  return {
    daemons(count) {
      if (count > 0) aloneSinceMs = null;
      else aloneSinceMs ??= clock.monotonicMs();
    },
    answersAgain(one) {
      if (aloneSinceMs !== null) confirmIfKnown(one, clock.monotonicMs() - aloneSinceMs);
    },
    [Symbol.dispose]() {
      ended = true;
      timer?.[Symbol.dispose]();
    },
  };
}
