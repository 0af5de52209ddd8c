// How many connections a server takes, learned from its refusals. Connections above the limit stay in the stage
// `waiting`.
import type { Timer } from "../../runtime/time/clock.ts";
import type { RelayedConnection } from "./relayed-connection.ts";
import type { ShareContext } from "./share-settings.ts";

const CHECK_MS = 500;
/** The pause before the next try, ms, if the server took more before. Else it is the patience of programs. */
const TRY_SOON_MS = 5_000;

/** `joinWaiting`: connects waiting connections, if the route is usable. */
export function createConnectionLimit(share: ShareContext, joinWaiting: () => void) {
  const { clock, connections, events, logger, settings } = share;
  /**
   * `most`: the most connections that the server has taken at once. From `tryAtMs` on, monotonic ms, one more is tried, or
   * the limit is forgotten if none waits. null: no limit is known.
   */
  let limit: { most: number; tryAtMs: number } | null = null;
  let timer: Timer | null = null;

  const count = (wanted: RelayedConnection["slot"]): number =>
    [...connections].filter(({ slot }) => slot === wanted).length;
  const waiting = (): number => (settings.confirmed ? count("waits") : 0);
  const check = (): void => {
    timer = null;
    joinWaiting();
    // The wait for a route ends with the move to it.
    if (settings.confirmed) for (const each of connections) each.endIfWaitedFor(settings.patienceMs);
    const isIdle = count("waits") + count("requested") === 0;
    if (limit !== null && isIdle && clock.monotonicMs() >= limit.tryAtMs) limit = null;
    else timer = clock.setTimer(CHECK_MS, check);
    events.changed();
  };

  return {
    get usage() {
      return limit && { most: limit.most, waiting: waiting() };
    },
    mayJoin(): boolean {
      if (limit === null) return true;
      const taken = count("taken");
      const requested = count("requested");
      limit.most = Math.max(limit.most, taken);
      // One connection is left for the daemon's proofs, which log in separately.
      if (taken + requested < Math.max(limit.most - 1, Math.min(limit.most, 1))) return true;
      // The server may take more by now; one after the other is tried.
      return requested === 0 && clock.monotonicMs() >= limit.tryAtMs;
    },
    /** Lets pooled connections end while others wait for their places. */
    releaseIdle(): void {
      if (limit === null) return;
      const isWanted = waiting() > 0;
      for (const each of connections) each.offerSlot(isWanted);
    },
    /** Call when the server may be another one, or takes more again. */
    tryNow(): void {
      if (limit !== null) limit.tryAtMs = clock.monotonicMs();
    },
    /** Whether the server has let connections in that are still open. */
    serves: () => count("taken") > 0,
    /** Call when the server has refused a connection: the limit is lower than assumed. */
    refused(): void {
      const most = count("taken");
      // A try is rare, because a program that is refused may get an error.
      const isLess = most === 0 || (limit !== null && most < limit.most);
      const pauseMs = isLess ? Math.min(TRY_SOON_MS, settings.patienceMs) : settings.patienceMs;
      limit = { most, tryAtMs: clock.monotonicMs() + pauseMs };
      timer ??= clock.setTimer(CHECK_MS, check);
      logger.info("the server accepts no further connections", { share: settings.share, connections: most });
      events.notice("phase");
    },
    [Symbol.dispose]: () => timer?.[Symbol.dispose](),
  };
}
