// Probes an address that refused connections, so that its backend starts as soon as the address accepts them.
import { createConnection } from "node:net";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import { addressOf, proxyFor } from "../transports/http/proxy.ts";

/** Between two probes: `OFTEN_MS` in the first `OFTEN_FOR_MS`, then `SELDOM_MS`. */
const OFTEN_MS = 2_000;
const OFTEN_FOR_MS = 10 * 60_000;
const SELDOM_MS = 30_000;
const CONNECT_MS = 2_000;

export type ReachabilityProbe = ReturnType<typeof createReachabilityProbe>;

export function createReachabilityProbe(clock: Clock, onReached: () => void) {
  /** `http://host:port` of the watched address; null: no address is watched. */
  let watched: string | null = null;
  let sinceMs = 0;
  let timer: Timer | null = null;
  let current: { readonly answer: Promise<boolean>; end(): void } | null = null;

  const checkLater = (): void => {
    const nowMs = clock.monotonicMs();
    const everyMs = nowMs - sinceMs < OFTEN_FOR_MS ? OFTEN_MS : SELDOM_MS;
    // All watches probe at the same time, so that the process wakes once for many servers.
    timer = clock.setTimer(everyMs - (nowMs % everyMs), () => void check());
  };
  const answered = (isReached: boolean): boolean => {
    current = null;
    if (!isReached) checkLater();
    else {
      watched = null;
      onReached();
    }
    return isReached;
  };
  /** Concurrent callers share one probe. Resolves with false if the probe was refused, or if nothing is watched. */
  const check = (): Promise<boolean> => {
    if (watched === null) return Promise.resolve(false);
    if (current === null) {
      timer?.[Symbol.dispose]();
      const { promise, resolve } = Promise.withResolvers<boolean>();
      const url = new URL(watched);
      const proxy = proxyFor(url, process.env);
      const socket = createConnection(proxy !== null && "address" in proxy ? proxy.address : addressOf(url));
      const late = clock.setTimer(CONNECT_MS, () => resolve(false));
      socket.once("connect", () => resolve(true)).on("error", () => resolve(false));
      const answer: Promise<boolean> = promise.then((isReached) => {
        late[Symbol.dispose]();
        socket.destroy();
        // Another address may be watched by now.
        return current === probe && answered(isReached);
      });
      const probe = { answer, end: () => resolve(false) };
      current = probe;
    }
    return current.answer;
  };
  const end = (): void => {
    watched = null;
    timer?.[Symbol.dispose]();
    current?.end();
    current = null;
  };
  return {
    /** Null ends the watch. */
    watch(origin: string | null): void {
      if (origin === watched) return;
      end();
      watched = origin;
      if (origin === null) return;
      sinceMs = clock.monotonicMs();
      checkLater();
    },
    check,
    [Symbol.dispose]: end,
  };
}
