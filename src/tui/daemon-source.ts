// The Sync screen's data from the daemon, over the link that all screens share.
import type { DaemonClient } from "../api/client/client.ts";
import type { FollowNotice } from "../api/client/follow-daemon.ts";
import { requireSameConfig } from "../api/client/same-config.ts";
import type { SyncEvent } from "../api/contract.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { onceMore } from "../runtime/once-more.ts";
import { systemClock } from "../runtime/time/clock.ts";
import type { ApprovalsSource } from "./approve/approve-session.ts";
import type { DaemonLink } from "./link/daemon-link.ts";
import type { SyncListener, SyncSource } from "./status/sync-source.ts";

const LOOKS = 3;
const BETWEEN_LOOKS_MS = 300;
/** Events that come while the daemon is looked at afresh; its report has as many. */
const WAITING_EVENTS = 1_000;

interface DaemonSourceOptions {
  readonly link: DaemonLink;
  /** What `--config` names, absolute: `follow` rejects with `usage` when the daemon uses another; null: any. */
  readonly configPath: string | null;
}

/** Nothing is asked of the daemon before the first call. */
export function createDaemonSource({ link, configPath }: DaemonSourceOptions): SyncSource & ApprovalsSource {
  return {
    follow: (listener, signal) => followSync(link, configPath, listener, signal),
    config: async (signal) => (await link.daemon()).ask("config", null, signal),
    edit: async (request, signal) => (await link.daemon()).ask("edit", request, signal),
    reload: async (signal) => (await link.daemon()).ask("reload", {}, signal),
    approvals: async (signal) => (await link.daemon()).ask("approvals", null, signal),
    approve: async (request, signal) => (await link.daemon()).ask("approve", request, signal),
  };
}

function followSync(
  link: DaemonLink,
  configPath: string | null,
  listener: SyncListener,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let current: DaemonClient | null = null;
  /** Events of a daemon whose whole picture is not here yet; null: it is. */
  let waiting: SyncEvent[] | null = [];

  const lookAfresh = async (client: DaemonClient): Promise<void> => {
    for (let look = 1; look <= LOOKS; look += 1) {
      if (current !== client) return;
      try {
        const report = await client.ask("sync", null, signal);
        if (configPath !== null) await requireSameConfig(report.config_path, configPath);
        if (current !== client) return;
        listener.present(report);
        break;
      } catch (error) {
        if (signal.aborted || current !== client) return;
        if (!(error instanceof MountaineerError) || error.code === "usage") throw error;
        // One that has just ended: the stream ends, too, and the next daemon is looked at. Else it may be busy.
        listener.absent(errorText(error));
      }
      await systemClock.sleep(BETWEEN_LOOKS_MS, signal).catch(() => {});
    }
    if (current !== client) return;
    for (const event of waiting ?? []) listener.event(event);
    waiting = null;
  };
  const look = onceMore(async () => {
    if (current === null) return;
    try {
      await lookAfresh(current);
    } catch (error) {
      reject(error);
    }
  }, signal);

  const hear = (notice: FollowNotice): void => {
    if (notice.kind === "connected") {
      current = notice.client;
      waiting = [];
      look();
    } else if (notice.kind === "lost") {
      current = null;
      const connection = link.connection.get();
      listener.absent(connection.kind === "waiting" ? connection.reason : notice.reason);
    } else if (notice.event.kind === "gap") {
      waiting ??= [];
      look();
    } else if (notice.event.kind === "sync_state") listener.state(notice.event.sync);
    else if (notice.event.kind === "sync") {
      if (waiting === null) listener.event(notice.event.event);
      else if (waiting.length < WAITING_EVENTS) waiting.push(notice.event.event);
    }
  };
  const unregister = link.listen(hear);
  const end = (): void => {
    unregister();
    resolve();
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  return promise;
}
