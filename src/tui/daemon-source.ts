// The Sync screen's data from the daemon, over the management API, across the daemon's restarts.
import { connectToDaemon, type DaemonClient } from "../api/client/client.ts";
import { followDaemon } from "../api/client/follow-daemon.ts";
import { requireSameConfig } from "../api/client/same-config.ts";
import type { StreamEvent } from "../api/contract.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import { onceMore } from "../runtime/once-more.ts";
import { systemClock } from "../runtime/time/clock.ts";
import type { ApprovalsSource } from "./approve/approve-session.ts";
import type { GatewayGlance, SyncListener, SyncSource } from "./status/sync-source.ts";

/** As following a daemon says it, too. */
const NO_DAEMON = "no daemon runs for this home";

/** Transitions after which the gateway is another one. */
const OF_GATEWAY = /^(backend|catalog|gateway)\./;

const LOOKS = 3;
const BETWEEN_LOOKS_MS = 300;

interface DaemonSourceOptions {
  /** Absolute. */
  readonly home: string;
  /** What `--config` names, absolute: `follow` rejects with `usage` when the daemon uses another; null: any. */
  readonly configPath: string | null;
}

/** Nothing is asked of the daemon before the first call. */
export function createDaemonSource({ home, configPath }: DaemonSourceOptions): SyncSource & ApprovalsSource {
  let current: DaemonClient | null = null;

  const daemon = async (): Promise<DaemonClient> => {
    const client = current ?? (await connectToDaemon(home));
    if (client === null) throw new MountaineerError("daemon_unreachable", NO_DAEMON);
    return client;
  };
  const lookAfresh = async (
    client: DaemonClient,
    listener: SyncListener,
    signal: AbortSignal,
  ): Promise<void> => {
    for (let look = 1; ; look += 1) {
      try {
        const report = await client.sync(signal);
        if (configPath !== null) await requireSameConfig(report.config_path, configPath);
        listener.present(report);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof MountaineerError) || error.code === "usage") throw error;
        listener.absent(errorText(error));
        // One that has just ended: the stream ends, too, and the next daemon is looked at. Else it may be busy.
        if (look === LOOKS) return;
      }
      await systemClock.sleep(BETWEEN_LOOKS_MS, signal).catch(() => {});
    }
  };

  return {
    async follow(listener, signal) {
      const glanceAgain = createGlances(() => current, listener, signal);
      for await (const notice of followDaemon(home, { signal })) {
        switch (notice.kind) {
          case "connected":
            current = notice.client;
            await lookAfresh(notice.client, listener, signal);
            glanceAgain();
            break;
          case "lost":
            current = null;
            listener.gateway(null);
            listener.absent(
              notice.reason === NO_DAEMON ? `${NO_DAEMON}; mountaineer monitor starts one` : notice.reason,
            );
            break;
          case "event":
            if (notice.event.kind === "sync") listener.event(notice.event.event);
            else if (notice.event.kind === "sync_state") listener.state(notice.event.sync);
            else if (notice.event.kind === "gap" && current !== null)
              await lookAfresh(current, listener, signal);
            if (touchesGateway(notice.event)) glanceAgain();
        }
      }
    },
    config: async (signal) => (await daemon()).config(signal),
    edit: async (request, signal) => (await daemon()).edit(request, signal),
    reload: async (signal) => (await daemon()).reload({}, signal),
    approvals: async (signal) => (await daemon()).approvals(signal),
    approve: async (request, signal) => (await daemon()).approve(request, signal),
  };
}

/** A reload may have brought a gateway, or taken it away. */
function touchesGateway(event: StreamEvent): boolean {
  if (event.kind === "transition") return OF_GATEWAY.test(event.transition.name);
  return event.kind === "gap" || (event.kind === "sync" && event.event.type === "changed");
}

/** Gives what asks for a fresh glance at the gateway. */
function createGlances(
  current: () => DaemonClient | null,
  listener: SyncListener,
  signal: AbortSignal,
): () => void {
  return onceMore(async () => {
    const client = current();
    if (client === null) return;
    try {
      const glance = await glanceOf(client, signal);
      if (current() === client) listener.gateway(glance);
    } catch (error) {
      // Following tells what became of the daemon; it is looked at again when it is there.
      if (!(error instanceof MountaineerError)) throw error;
    }
  }, signal);
}

async function glanceOf(client: DaemonClient, signal: AbortSignal): Promise<GatewayGlance | null> {
  const { gateway, backends = [] } = await client.status(signal);
  return gateway === undefined ? null : { gateway, backends };
}
