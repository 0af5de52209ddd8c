// The gateway's files in the home, and how this daemon takes them over from the previous daemon.
import { join } from "node:path";
import type { HomeContext } from "../config/home-context.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { HandoverPeers } from "../gateway/frontend/session/handover-peers.ts";
import { SessionLines } from "../gateway/frontend/session/session-file.ts";
import { type OtherDaemon, SuspendedCalls } from "../gateway/frontend/suspended/suspended-calls.ts";
import { closeHandle, type HandleOther } from "../gateway/serving/gateway-contract.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import { openHomeWrites } from "./compose/home-writes.ts";
import { loopGuard } from "./compose/loop-guard.ts";
import { listMonitors } from "./compose/monitor-processes.ts";
import { signInHome } from "./compose/stored-secrets.ts";
import type { GatewayPart } from "./gateway-part.ts";
import type { Predecessor } from "./handover/predecessor.ts";
import { transferredSessions } from "./handover/transferred-sessions.ts";

export interface GatewayHomeOptions {
  readonly home: string;
  readonly homeContext: HomeContext;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly snapshot: ConfigSnapshot;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly redact: (secret: string) => void;
  /** The daemon that hands over to this one. It may still run backends that cannot run twice. */
  readonly previous?: PreviousDaemon | undefined;
  /** Serves requests at the gateway's address that are not MCP. */
  readonly handleFirst?: HandleOther | undefined;
}

type PreviousDaemon = Omit<Predecessor, "turn" | "failed" | "stopped" | "movedOn" | "taken">;

/** The gateway's options that depend on its home. */
export function gatewayHome(options: GatewayHomeOptions) {
  const { home, homeContext, environment, snapshot, clock, logger, redact, previous } = options;
  const writes = openHomeWrites({ home, clock, environment, logger });
  const neighbours = new HandoverPeers<OtherDaemon>();
  const suspended = new SuspendedCalls(clock, neighbours);
  let handedOver = false;
  let isPreviousRunning = previous !== undefined;
  return {
    isHandedOver: () => handedOver,
    writes,
    /** Stops all writing, because the next daemon writes from now on. Resolves when the last write has ended. */
    handOver(): Promise<void> {
      handedOver = true;
      return writes.end();
    },
    // Only the daemon in charge rotates the audit's file: a second one would rotate the file that the first
    // has just begun.
    rotates: () => writes.isOurs,
    suspended,
    neighbours,
    /** To be called when the home is free: takes over sessions, connections and waiting calls of the other daemon. */
    takeOver(gateway: GatewayPart): void {
      // These handlers must be set before the gateway listens, because clients of the other daemon's sessions may
      // connect at once.
      if (previous === undefined) return;
      previous.onSession({
        keep: async ({ hash, record }) => gateway.handing?.http.store.adopt(hash, record),
        end: (hash) => void gateway.handing?.http.store.removeOfPeer(hash),
      });
      previous.onConnection((handle, stream) => {
        if (gateway.handing === null) closeHandle(handle);
        else gateway.handing.listener.take(handle, stream);
      });
      neighbours.previous = previous.join({
        suspended,
        deliver: (message) => gateway.handing?.http.deliver(message, "previous"),
      });
      if (previous.states !== null) suspended.follow(previous.states);
    },
    runsInPrevious: () => isPreviousRunning,
    ...(previous === undefined ? {} : { previousGone: previous.gone }),
    runsOnlyHere({ handing }: GatewayPart): void {
      isPreviousRunning = false;
      handing?.pool.recheckAll();
    },
    clock,
    logger,
    redact,
    programEnvironment: loopGuard(snapshot.path, environment),
    homeOf: async (pid: number) =>
      (await listMonitors()).find((monitor) => monitor.pid === pid)?.home ?? null,
    signIn: signInHome({ home, clock, environment }),
    guarded: { homes: [home], configs: [snapshot.path], userHome: homeContext.userHome },
    version: packageVersion(),
    pinStore: writes.pinStore,
    nameStore: writes.nameStore,
    listStore: writes.listStore,
    grantStore: writes.grantStore,
    routeOverrides: writes.routeOverrides,
    sessions: transferredSessions(new SessionLines({ path: join(home, "sessions.jsonl"), clock, logger })),
    listens: true,
    handleFirst: options.handleFirst,
  };
}
