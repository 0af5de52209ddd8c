// Makes lost connections known to programs only after the daemon's own requests have used up the dead idle connections
// in rclone's pool.
import { settlesWithin } from "../../runtime/time/clock.ts";
import type { ShareContext } from "./share-settings.ts";

/**
 * rclone takes connections from its pool without a check, the oldest first, and a program that gets a dead one fails.
 * So the daemon first uses up the dead idle connections with its own requests, for at most this long, ms; only then do
 * programs notice the loss.
 */
const USE_UP_AT_MOST_MS = 700;

export function createLosses({ clock, events, connections, settings }: ShareContext) {
  let losing: Promise<void> = Promise.resolve();
  let usedUp = (): void => {};

  const untilUsedUp = async (): Promise<void> => {
    const used = Promise.withResolvers<void>();
    usedUp = used.resolve;
    if (settings.mount?.repeats !== true && events.notice("lost"))
      await settlesWithin(clock, USE_UP_AT_MOST_MS, used.promise);
  };
  const loseDetached = async (): Promise<void> => {
    const detached = [...connections].filter(({ stage }) => stage === "detached");
    // On an encrypted connection, the daemon's requests look like a program's, so the connection is reset at once.
    for (const connection of detached) if (connection.ledger.isOpaque) void connection.reset();
    await untilUsedUp();
    for (const connection of detached) connection.failRequests();
  };
  const retireAll = async (): Promise<void> => {
    // Only the connections that retire now: a later move may retire others that are still in rclone's pool.
    const known = [...connections].filter((each) => each.isRetiring);
    await untilUsedUp();
    for (const connection of known) connection.retireAtReads();
  };

  return {
    /** Fails the requests of the connections that are detached now, once rclone's pool has no dead connections. */
    reportDetached(): void {
      losing = losing.then(loseDetached);
    },
    /** Lets the retiring connections end at a read, but only after the idle connections have ended. */
    retireLater(): void {
      losing = losing.then(retireAll);
    },
    usedUp: () => usedUp(),
  };
}
