// The one connection of all screens to the daemon: followed over its restarts, with the newest status.
import { connectToDaemon, connectToEndpoint, type DaemonClient } from "../../api/client/client.ts";
import { type FollowNotice, followDaemon } from "../../api/client/follow-daemon.ts";
import type { HttpEndpoint } from "../../api/client/http-exchange.ts";
import type { StatusReport, StreamEvent } from "../../api/contract.ts";
import { expecting, isOwnError, MountaineerError } from "../../runtime/errors.ts";
import { onceMore } from "../../runtime/once-more.ts";
import { type Clock, systemClock } from "../../runtime/time/clock.ts";
import type { Connection } from "../terminal/connection.ts";
import { createStore, type Readable } from "../terminal/store.ts";

/** As following a daemon says it, too. */
export const NO_DAEMON = "no daemon runs for this home";

/** A status is read at most four times a second, however much happens. */
const BETWEEN_STATUS_MS = 250;

export interface DaemonLink {
  readonly connection: Readable<Connection>;
  /** The newest that was read; kept while the daemon is away. null: none yet. */
  readonly status: Readable<StatusReport | null>;
  /** The client to ask; rejects with `daemon_unreachable` while no daemon is there. */
  daemon(): Promise<DaemonClient>;
  /** Hears every notice in order from now on; must not throw. Returns its unregister. */
  listen(listener: (notice: FollowNotice) => void): () => void;
  /** Reads the status soon: for what no event tells. */
  refresh(): void;
}

interface LinkOptions {
  /** Finds the daemon anew at each connection; null: none is there. */
  readonly connect: () => Promise<DaemonClient | null>;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

export function homeConnection(home: string): LinkOptions["connect"] {
  return () => connectToDaemon(home);
}

/** Connects to a daemon over HTTP. */
export function endpointConnection(endpoint: HttpEndpoint, signal: AbortSignal): LinkOptions["connect"] {
  return () => connectToEndpoint(endpoint, signal);
}

/** Follows from the next turn on, until `signal` aborts. */
export function startDaemonLink({ connect, signal, clock = systemClock }: LinkOptions): DaemonLink {
  const connection = createStore<Connection>({ kind: "connecting" });
  const status = createStore<StatusReport | null>(null);
  const listeners = new Set<(notice: FollowNotice) => void>();
  let current: DaemonClient | null = null;

  const readStatus = onceMore(async () => {
    const client = current;
    if (client === null) return;
    // Following tells what became of the daemon; its next status is read when it is there.
    const report = await client.ask("status", null, signal).catch(expecting(isOwnError, null));
    if (report !== null && current === client) status.set(report);
    await clock.sleep(BETWEEN_STATUS_MS, signal).catch(() => {});
  }, signal);

  const hear = (notice: FollowNotice): void => {
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
    } else if (changesStatus(notice.event)) readStatus();
    for (const listener of [...listeners]) listener(notice);
  };
  const follow = async (): Promise<void> => {
    for await (const notice of followDaemon(connect, { signal, clock })) hear(notice);
  };
  void follow();

  return {
    connection,
    status,
    async daemon() {
      const client = current ?? (await connect());
      if (client === null) throw new MountaineerError("daemon_unreachable", NO_DAEMON);
      return client;
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    refresh: readStatus,
  };
}

function changesStatus({ kind }: StreamEvent): boolean {
  return kind !== "sync";
}
