// The connection to the daemon that a face keeps, over restarts of the daemon, with the newest status.

import { coalesce } from "../../runtime/coalesce.ts";
import { isOwnError, MountaineerError, recoverFrom } from "../../runtime/errors.ts";
import { createStore } from "../../runtime/store.ts";
import { type Clock, localClock, systemClock } from "../../runtime/time/clock.ts";
import type { StatusReport } from "../contract/contract.ts";
import { connectToDaemon, connectToEndpoint, type DaemonClient } from "./client.ts";
import { type FollowNotice, followDaemon } from "./follow-daemon.ts";
import type { HttpEndpoint } from "./http-exchange.ts";

/** The state of the connection to the daemon. */
export type ConnectionStatus =
  | { readonly kind: "connecting" }
  | { readonly kind: "connected" }
  /** No daemon answers. `sinceMs`: since when, wall time, ms since the epoch. */
  | { readonly kind: "waiting"; readonly reason: string; readonly sinceMs: number };

/** "not connected since 14:32:05: no daemon runs", local time; null while a daemon answers, or may soon. */
export function absenceText(connection: ConnectionStatus): string | null {
  if (connection.kind !== "waiting") return null;
  return `not connected since ${localClock(new Date(connection.sinceMs))}: ${connection.reason}`;
}

/** Equals the text that `followDaemon` gives. */
const NO_DAEMON = "no daemon runs for this home";

const BETWEEN_STATUS_MS = 250;

export type DaemonConnection = ReturnType<typeof startDaemonConnection>;

interface ConnectionOptions {
  /** Called at each connection; resolves with null if no daemon runs. */
  readonly connect: () => Promise<DaemonClient | null>;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/**
 * Returns a function that connects to the daemon at `endpoint`. If `endpoint` is null, it connects to the daemon of
 * `home`.
 */
export function connectionTo(
  home: string,
  endpoint: HttpEndpoint | null,
  signal: AbortSignal,
): ConnectionOptions["connect"] {
  return () => (endpoint === null ? connectToDaemon(home) : connectToEndpoint(endpoint, signal));
}

/** Follows the daemon from the next turn of the event loop until `signal` aborts. */
export function startDaemonConnection({ connect, signal, clock = systemClock }: ConnectionOptions) {
  const connection = createStore<ConnectionStatus>({ kind: "connecting" });
  const status = createStore<StatusReport | null>(null);
  const listeners = new Set<(notice: FollowNotice) => void>();
  let current: DaemonClient | null = null;

  const readStatus = coalesce(async () => {
    const client = current;
    if (client === null) return;
    // Ignores a failed request: `connection` shows the loss, and the next connection reads the status.
    const report = await client.call("status", null, signal).catch(recoverFrom(isOwnError, null));
    if (report !== null && current === client) status.set(report);
    await clock.sleep(BETWEEN_STATUS_MS, signal).catch(() => {});
  }, signal);

  const handle = (notice: FollowNotice): void => {
    if (notice.kind === "connected") {
      current = notice.client;
      connection.set({ kind: "connected" });
      readStatus();
    } else if (notice.kind === "lost") {
      current = null;
      const before = connection.get();
      const sinceMs = before.kind === "waiting" ? before.sinceMs : clock.wallMs();
      const reason = notice.reason === NO_DAEMON ? `${NO_DAEMON}; mountaineer up starts one` : notice.reason;
      connection.set({ kind: "waiting", reason, sinceMs });
    } else if (notice.event.kind !== "sync") readStatus();
    for (const listener of [...listeners]) listener(notice);
  };
  const follow = async (): Promise<void> => {
    for await (const notice of followDaemon(connect, { signal, clock })) handle(notice);
  };
  void follow();

  const call: DaemonClient["call"] = async (name, input, until) => {
    const client = current ?? (await connect());
    if (client === null) throw new MountaineerError("daemon_unreachable", NO_DAEMON);
    return client.call(name, input, until);
  };
  return {
    connection,
    /** The newest status, kept while the daemon is away; null before the first one. */
    status,
    /** Asks the daemon; rejects with `daemon_unreachable` while none runs. */
    call,
    /**
     * Calls `listener`, which must not throw, with every notice from now on, in order. Returns a function
     * that unregisters it.
     */
    listen(listener: (notice: FollowNotice) => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    /** Reads the status soon, for figures whose changes no event announces. */
    refresh: readStatus,
  };
}
