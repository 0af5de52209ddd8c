// The daemon in the foreground: one per home, serving until it is told to stop.

import { join } from "node:path";
import type { Duplex } from "node:stream";
import type { MonitorOptions } from "../api/control.ts";
import { startManagementServer } from "../api/server/server.ts";
import { createMcpConnections, type McpConnections, startMcpSocket } from "../api/socket/mcp-socket.ts";
import { requireSocketPlace } from "../api/socket/private-socket.ts";
import { packageVersion } from "../api/version.ts";
import { openMemory } from "../reconcile/state-file.ts";
import { unlessAborted, whenAborted } from "../runtime/abort.ts";
import { createDisposalStack, type DisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { ensurePrivateFolder } from "../runtime/files/durable-file.ts";
import type { Logger } from "../runtime/log/log.ts";
import { startLog } from "../runtime/log/log-file.ts";
import { acquireHomeLock } from "../runtime/process/home-lock.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { openApprovals } from "./approvals/open-approvals.ts";
import { wantsGateway } from "./compose/gateway-config.ts";
import { openHome } from "./compose/home.ts";
import { logLevel } from "./compose/log-level.ts";
import { logFilePath } from "./compose/log-path.ts";
import { type SentinelService, startSentinelService } from "./sentinel-service.ts";

/** How long a single-shot command's lock is waited for, ms. */
const LOCK_WAIT_MS = 10_000;

/** Resolves when the daemon has stopped; rejects with what keeps it from starting. */
export async function runMonitor(options: MonitorOptions): Promise<void> {
  const { home, configPath, intervalMs, unmountOnExit, signal, forceSignal, reloadRequests } = options;
  const clock = systemClock;
  const environment = process.env;
  await ensurePrivateFolder(home);
  // A mount, or a folder that is unmounted one day, must not be held by the daemon's own working directory.
  process.chdir("/");
  const stack = createDisposalStack((error) =>
    process.stderr.write(`stop was not clean: ${errorText(error)}\n`),
  );
  try {
    stack.use(await acquireHomeLock(home, { command: "monitor", waitMs: LOCK_WAIT_MS, clock, signal }));
    // The engine would mount what nobody can then ask about.
    await requireSocketPlace(home);
    // Asks the keyring, while the configuration is read.
    const approvals = openApprovals({ home, clock, environment }, signal);
    approvals.catch(() => {});
    // A disk that hangs must not make a start deaf.
    const { place, snapshot, starterWritten } = await unlessAborted(
      openHome({ home, configPath, environment, writesStarter: true, clock }),
      signal,
    );
    const log = stack.use(
      startLog({
        filePath: logFilePath({ home, userHome: place.userHome, environment, platform: process.platform }),
        stderr: true,
        level: logLevel(environment),
        clock,
      }),
    );
    const { logger } = log;
    if (starterWritten) logger.info("wrote a commented configuration to begin with", { path: snapshot.path });
    const memory = stack.use(
      await unlessAborted(openMemory({ path: join(home, "state.json"), clock, logger }), signal),
    );
    // Ended after the service: until then it answers on them what is in flight.
    const connections = stack.use(createMcpConnections(clock));
    const service = stack.use(
      await startSentinelService({
        home,
        place,
        environment,
        snapshot,
        memory,
        clock,
        logger,
        redact: (secret) => log.redact(secret),
        intervalMs,
        unmountOnExit,
        approvals,
      }),
    );
    forceSignal.addEventListener("abort", () => service.forceStop(), { once: true });
    const mcpSocketPath = await openMcpSocket(home, service, { connections, logger, stack });
    stack.use(
      await startManagementServer({
        home,
        control: service.control,
        config: service.config,
        gateway: service.gateway,
        places: service.places,
        mcpSocket: mcpSocketPath,
        clock,
        logger,
        version: packageVersion(),
      }),
    );
    stack.defer(
      reloadRequests(() => {
        // What came of it is in the log, as an event like any other.
        service
          .reload(signal)
          .catch((error: unknown) => logger.warn("reload failed", { reason: errorText(error) }));
      }),
    );
    if (snapshot.config.shares.length === 0 && !wantsGateway(snapshot.config)) {
      logger.info("nothing is configured yet; add a [[shares]] or a [backends.NAME] section", {
        path: snapshot.path,
      });
    }
    await whenAborted(signal);
    logger.info("stopping");
  } finally {
    await stack[Symbol.asyncDispose]();
  }
}

/** Null, told, where it cannot be made: shares and the gateway's address need nothing of it. */
async function openMcpSocket(
  home: string,
  service: SentinelService,
  { connections, logger, stack }: { connections: McpConnections; logger: Logger; stack: DisposalStack },
): Promise<string | null> {
  try {
    const serve = (stream: Duplex): void => service.serveLines(stream);
    return stack.use(await startMcpSocket({ home, serve, logger, connections })).socketPath;
  } catch (error) {
    logger.warn("the socket for MCP clients could not be made", { reason: errorText(error) });
    return null;
  }
}
