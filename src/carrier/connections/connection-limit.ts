// Holds new connections back while the server refuses more than it has. The number is learned from the refusals.
import type { Socket } from "node:net";
import { resetSocket } from "../../runtime/reset-socket.ts";
import type { Timer } from "../../runtime/time/clock.ts";
import type { CarriedConnection } from "./carried-connection.ts";
import type { ShareContext } from "./share-settings.ts";

const LOOK_MS = 500;
/** The limit is forgotten when no connection has waited for this long, ms. */
const FORGET_MS = 30_000;

/** `isRefusing`: no connection may wait any more. `admit`: adds the client to the share's connections. */
export function createConnectionLimit(
  { clock, connections, events, logger, settings }: ShareContext,
  isRefusing: () => boolean,
  admit: (client: Socket) => void,
) {
  /** The clients that wait, in order of arrival, and since when, monotonic ms. */
  const waiting = new Map<Socket, number>();
  /** `most`: the most connections that the server has taken at once. Times are monotonic ms; null: no limit is known. */
  let limit: { most: number; tryAtMs: number; lastWaitMs: number } | null = null;
  let timer: Timer | null = null;

  const mayEnter = (): boolean => {
    if (limit === null) return true;
    const places = [...connections].map(({ place }) => place).filter((place) => place !== "none");
    const taken = places.filter((place) => place === "taken").length;
    limit.most = Math.max(limit.most, taken);
    // One connection is left for the daemon's proofs, which log in by themselves.
    if (places.length < Math.max(limit.most - 1, Math.min(limit.most, 1))) return true;
    // The server may take more by now; one after the other is tried.
    return taken === places.length && clock.monotonicMs() >= limit.tryAtMs;
  };
  const letIn = (): void => {
    for (const [client] of waiting) {
      if (!mayEnter()) break;
      waiting.delete(client);
      admit(client);
    }
    for (const each of connections) each.yieldPlace(waiting.size > 0);
  };
  const look = (): void => {
    const nowMs = clock.monotonicMs();
    timer = null;
    for (const [client, sinceMs] of waiting) {
      if (!client.destroyed && !isRefusing() && nowMs - sinceMs < settings.patienceMs) continue;
      waiting.delete(client);
      resetSocket(client);
    }
    letIn();
    if (limit !== null && waiting.size > 0) limit.lastWaitMs = nowMs;
    if (limit !== null && nowMs - limit.lastWaitMs >= FORGET_MS) limit = null;
    if (limit !== null) timer = clock.setTimer(LOOK_MS, look);
    events.counted();
  };

  return {
    letIn,
    get seen() {
      return limit && { most: limit.most, waiting: waiting.size };
    },
    enter(client: Socket): void {
      waiting.set(client, clock.monotonicMs());
      letIn();
    },
    /** Call when the server has refused this connection. Returns false if the reason is another one than the limit. */
    refused(connection: CarriedConnection, isCertain: boolean): boolean {
      const others = [...connections].filter((each) => each !== connection && each.place === "taken");
      const most = others.length;
      if (!isCertain && most === 0) return false;
      const nowMs = clock.monotonicMs();
      // A try is rare, because a program that is refused may get an error.
      limit = { most, tryAtMs: nowMs + settings.patienceMs, lastWaitMs: nowMs };
      timer ??= clock.setTimer(LOOK_MS, look);
      logger.info("the server takes no more connections", { share: settings.share, connections: most });
      events.notice("phase");
      return true;
    },
    [Symbol.dispose](): void {
      timer?.[Symbol.dispose]();
      for (const [client] of waiting) resetSocket(client);
    },
  };
}
