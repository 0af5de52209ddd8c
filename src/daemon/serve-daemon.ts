// The daemon that is in charge of its home: its sockets, until a stop or a handover.
import type { Duplex } from "node:stream";
import type { HttpApi } from "../api/http/http-api.ts";
import type { MonitorOptions } from "../api/in-process.ts";
import type { Control } from "../api/operations/operations.ts";
import { startManagementServer } from "../api/server/server.ts";
import { readDaemonInfo, removeDaemonInfo, writeDaemonInfo } from "../api/socket/daemon-info.ts";
import { type McpConnections, startMcpSocket } from "../api/socket/mcp-socket.ts";
import { unlessAborted, whenAborted } from "../runtime/abort.ts";
import { createDisposalStack, type DisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import { copyBuild } from "../runtime/process/build-copy.ts";
import type { ServiceSupervisor } from "../runtime/process/service-supervisor.ts";
import { isoTime, settlesWithin } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import { openBackendSignIn } from "./backend-sign-in.ts";
import { createClientConnections } from "./control/client-connections.ts";
import { createLoginControl } from "./control/login-control.ts";
import { createPeopleControl } from "./control/people-control.ts";
import { createSetupControl } from "./control/setup-control.ts";
import type { SentinelService } from "./daemon-service.ts";
import { Handover } from "./handover/handover.ts";
import type { Predecessor } from "./handover/predecessor.ts";
import { refused, Successor } from "./handover/successor.ts";
import { limitHeapAfterStart } from "./heap-settings.ts";
import { openManagement } from "./management.ts";
import { keepNumbers } from "./numbers/numbers-file.ts";

/** How long a handover waits for commands under way, ms. */
const COMMANDS_MS = 5_000;
/** How long a handover waits until the daemon's note is written, ms. Limited because the disk may not answer. */
const INFO_MS = 1_000;
/** Time that calls in flight in this daemon get after the successor has ended, ms. */
const ORPHANED_MS = 3_000;

export interface RunOptions extends MonitorOptions {
  readonly predecessor: Predecessor | null;
  readonly supervisor: ServiceSupervisor | null;
}

export interface ServeParts extends RuntimeTools {
  readonly service: SentinelService;
  readonly daemonLog: Control["daemonLog"];
  /** The management API at the gateway's address. */
  readonly httpApi: HttpApi;
  readonly owned: DisposalStack;
  /** True while this process has the home's lock. */
  readonly isLocked: () => boolean;
  readonly connections: McpConnections;
  readonly buildCopy: DisposalStack;
  readonly stack: DisposalStack;
}

/** Opens the sockets; resolves at a stop, or after a handover when all requests in flight are served. */
export async function serve(options: RunOptions, parts: ServeParts): Promise<void> {
  const { home, configPath, signal, forceSignal, reloadRequests, predecessor } = options;
  const { service, httpApi, daemonLog, connections, logger, clock, stack } = parts;
  forceSignal.addEventListener("abort", () => service.forceStop(), { once: true });
  const sockets = createDisposalStack((error) => reportUnclean(logger, error));
  const signIn = openBackendSignIn({ home, configPath });
  const logins = sockets.use(createLoginControl({ signIn, restart: service.control.restart }));
  const servers: CommandServer[] = [];
  const handover = createHandover(options, {
    ...parts,
    sockets,
    servers,
    endLogins: () => logins[Symbol.dispose](),
  });
  // Ended before `handover`, so that no command begins another one.
  stack.use(sockets);
  const mcpSocketPath = await openMcpSocket(home, service, { connections, logger, stack: sockets });
  await keepBuild(options, parts);
  const numbers = sockets.use(
    await keepNumbers({
      home,
      follows: predecessor !== null,
      clock,
      logger,
      bus: service.bus,
      status: () => service.control.status(),
      isObserved: service.isObserved,
      moving: service.moving,
      takeCalls: service.takeCalls,
    }),
  );
  const common = {
    ...service.control,
    status: () => service.measuredStatus(),
    ...logins.control,
    ...createSetupControl({ home, configPath, reload: service.control.reload }),
    ...createPeopleControl({ home, configPath, signIn, control: service.control }),
    ...createClientConnections({
      ...{ home, configPath, launcher: options.program.command },
      ...{ environment: process.env, status: service.control.status },
      editText: service.control.editText,
    }),
    daemonLog,
    ...numbers.control,
    handOver: (_: null, asker: AbortSignal) => handover.begin(asker),
  };
  const events = service.stream;
  const overHttp = sockets.use(
    await openManagement({ home, httpApi, service, control: common, events, clock, logger }),
  );
  const control: Control = { ...common, ...overHttp.access };
  const management = sockets.use(
    await startManagementServer({
      home,
      control,
      events,
      mcpSocket: mcpSocketPath,
      clock,
      logger,
      version: packageVersion(),
    }),
  );
  servers.push(overHttp, management);
  predecessor?.taken();
  stack.use(limitHeapAfterStart(clock, options.keepCompiledCode));
  sockets.defer(
    reloadRequests(() => {
      // A reload's outcome is not used here, because its events are logged.
      service
        .reload(signal)
        .catch((error: unknown) => logger.warn("reload failed", { reason: errorText(error) }));
    }),
  );
  const next = await Promise.race([whenAborted(signal), handover.done]);
  if (next instanceof Successor) await leaveTo(next, handover, options, parts);
  logger.info("stopping");
}

function reportUnclean(logger: Logger, error: unknown): void {
  logger.warn("stop was not clean", { reason: errorText(error) });
}

/** A server that answers commands. */
type CommandServer = { whenIdle(): Promise<unknown> };

interface HandoverParts extends ServeParts {
  readonly sockets: DisposalStack;
  /** Closed by `sockets`. */
  readonly servers: readonly CommandServer[];
  /** Ends sign-ins under way, because they wait for people. */
  readonly endLogins: () => void;
}

/** What this daemon gives up to its successor, in this order: commands, sockets, shares, the home's lock. */
function createHandover({ home, program, supervisor }: RunOptions, parts: HandoverParts): Handover {
  const { service, httpApi, owned, isLocked, sockets, servers, endLogins, logger, clock, stack } = parts;
  const giveUp = async (): Promise<void> => {
    endLogins();
    // Commands under way end first, so that their callers get answers.
    const whenIdle = servers.map((server) => server.whenIdle());
    await settlesWithin(clock, COMMANDS_MS, Promise.all(whenIdle));
    httpApi.handsOver();
    await closeForNext(home, { sockets, stack, clock, logger });
    await service.handing.giveUp();
    await owned[Symbol.asyncDispose]();
    // While this process holds the lock, no successor can start. The error ends this process, which
    // releases the lock.
    if (isLocked()) throw refused("the lock of the home could not be released", null);
  };
  return stack.use(
    new Handover({ program, supervisor, owned: { ...service.handing, giveUp }, clock, logger }),
  );
}

/** Copies the running program. It reads all files of the build, so it waits until clients can connect. */
async function keepBuild({ home, neededPrograms, signal }: RunOptions, parts: ServeParts): Promise<void> {
  const { buildCopy, logger } = parts;
  const copy = copyBuild(home, neededPrograms);
  buildCopy.defer(() =>
    copy.then(
      (build) => build?.[Symbol.asyncDispose](),
      () => {},
    ),
  );
  const warn = (error: unknown): void =>
    logger.warn("the running program is not kept: do not remove its package before a restart", {
      reason: errorText(error),
    });
  await unlessAborted(copy.catch(warn), signal);
}

/** Resolves when the successor has all clients, at a stop, or when the successor has failed. */
async function leaveTo(
  next: Successor,
  handover: Handover,
  { signal, predecessor, supervisor }: RunOptions,
  { service, httpApi, clock }: ServeParts,
): Promise<void> {
  void handover.lasting.then((lasting) => lasting && supervisor?.giveUpCharge());
  predecessor?.movedOn();
  // If the lasting successor ends, so does this daemon, after a short time for calls in flight.
  const shortly = handover.lasting.then(async (lasting) => {
    await lasting?.gone;
    await predecessor?.stopped();
    await clock.sleep(ORPHANED_MS);
  });
  const left = Promise.all([service.handing.leave(next), handover.lasting]);
  httpApi.hasMoved();
  await Promise.race([left, whenAborted(signal), shortly]);
  handover.successor?.letGo();
}

/**
 * Writes a note for the time between this daemon and the next. A command that finds the note waits and does not run a
 * gateway itself.
 */
async function closeForNext(
  home: string,
  { sockets, stack, clock, logger }: Pick<HandoverParts, "sockets" | "stack" | "clock" | "logger">,
): Promise<void> {
  const info = await readDaemonInfo(home);
  await sockets[Symbol.asyncDispose]();
  if (info?.pid !== process.pid) return;
  // A new start time, so that clients do not take the next daemon, at the same socket, for this one.
  const started_at = isoTime(clock.wallMs());
  const written = writeDaemonInfo(home, { ...info, started_at }).catch((error: unknown) =>
    reportUnclean(logger, error),
  );
  await settlesWithin(clock, INFO_MS, written);
  // Removes the note only if no successor has replaced it.
  stack.defer(() => removeDaemonInfo(home, process.pid));
}

/**
 * The socket for MCP clients. If it cannot be created, logs a warning and resolves with null: shares and the
 * gateway's address work without it.
 */
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
