// The daemon in the foreground: one per home, serving until it is told to stop.

import { join } from "node:path";
import type { Duplex } from "node:stream";
import { ManagementDoor } from "../api/http/management-door.ts";
import type { MonitorOptions } from "../api/in-process.ts";
import type { Control } from "../api/operations.ts";
import { startManagementServer } from "../api/server/server.ts";
import { readDaemonNote, removeDaemonNote, writeDaemonNote } from "../api/socket/daemon-note.ts";
import { createMcpConnections, type McpConnections, startMcpSocket } from "../api/socket/mcp-socket.ts";
import { requireSocketPlace } from "../api/socket/private-socket.ts";
import { packageVersion } from "../api/version.ts";
import { findPlace } from "../config/locate.ts";
import { mistakesError } from "../config/values/mistakes.ts";
import { type ReaderProcess, startReaderProcess } from "../config/worker/reader-process.ts";
import type { GivenDoor } from "../gateway/serving/gateway-contract.ts";
import type { Memory } from "../reconcile/memory.ts";
import { openMemory } from "../reconcile/state-file.ts";
import { unlessAborted, whenAborted } from "../runtime/abort.ts";
import { createDisposalStack, type DisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { ensurePrivateFolder } from "../runtime/files/durable-file.ts";
import type { Logger } from "../runtime/log/log.ts";
import { startLog } from "../runtime/log/log-file.ts";
import { acquireHomeLock, type HomeLock } from "../runtime/process/home-lock.ts";
import { findServiceKeeper, type ServiceKeeper } from "../runtime/process/service-keeper.ts";
import { type Clock, isoTime, settledWithin, systemClock } from "../runtime/time/clock.ts";
import { startProber } from "../shares/prober/prober-process.ts";
import { openApprovals } from "./approvals/start-approvals.ts";
import { wantsGateway } from "./compose/gateway-config.ts";
import { openHome, type RejectedFile } from "./compose/home.ts";
import { logFilePath, logLevel } from "./compose/log-settings.ts";
import { createClientConnections } from "./control/client-connections.ts";
import { createLoginControl } from "./control/login-control.ts";
import { createLogReader } from "./control/record-pages.ts";
import { createSetupControl } from "./control/setup-control.ts";
import { keepTimeline } from "./events/timeline-file.ts";
import { keptLayerOf } from "./fleet-part.ts";
import { Handover } from "./handover/hand-over.ts";
import { findPredecessor, type Predecessor } from "./handover/predecessor.ts";
import { refused, Successor } from "./handover/successor.ts";
import { settleHeap, trimHeapAfterStart } from "./heap-settings.ts";
import { openBackendSignIn } from "./in-process-sign-in.ts";
import { openManagement } from "./management.ts";
import { mistakesText } from "./reload/reload-report.ts";
import { type SentinelService, startSentinelService, type TakeHome } from "./sentinel-service.ts";

/** How long a single-shot command's lock is waited for, ms. */
const LOCK_WAIT_MS = 10_000;
/** How long a handover waits for commands that are under way, ms. */
const COMMANDS_MS = 5_000;
/** A disk that gives no answer holds up no handover, ms. */
const NOTE_MS = 1_000;
/** How long calls may go on here when the daemon that has taken over has ended, ms. */
const ORPHANED_MS = 3_000;

/** Resolves when the daemon has stopped, or another one is in charge; rejects with what keeps it from starting. */
export async function runMonitor(options: MonitorOptions): Promise<void> {
  const predecessor = findPredecessor(process, systemClock);
  const keeper = findServiceKeeper(process.env);
  if (predecessor === null) keeper?.takeCharge();
  try {
    await run({ ...options, predecessor, keeper });
  } catch (error) {
    await (options.signal.aborted ? predecessor?.stopped() : predecessor?.failed(error));
    throw error;
  }
}

interface RunOptions extends MonitorOptions {
  readonly predecessor: Predecessor | null;
  readonly keeper: ServiceKeeper | null;
}

async function run(options: RunOptions): Promise<void> {
  const { home, configPath, intervalMs, unmountOnExit, signal, predecessor } = options;
  const clock = systemClock;
  const environment = process.env;
  settleHeap();
  await ensurePrivateFolder(home);
  // A mount, or a folder that is unmounted one day, must not be held by the daemon's own working directory.
  process.chdir("/");
  const stack = createDisposalStack((error) =>
    process.stderr.write(`stop was not clean: ${errorText(error)}\n`),
  );
  // What one daemon alone may have; it is given up before the rest ends when another one takes over.
  const charge = stack.use(
    createDisposalStack((error) => process.stderr.write(`stop was not clean: ${errorText(error)}\n`)),
  );
  try {
    let held: HomeLock | null = null;
    const lock = async (): Promise<HomeLock> => {
      const followsMonitor = predecessor !== null;
      held = await acquireHomeLock(home, {
        command: "monitor",
        waitMs: LOCK_WAIT_MS,
        followsMonitor,
        clock,
        signal,
      });
      return held;
    };
    if (predecessor === null) charge.use(await lock());
    // The engine would mount what nobody can then ask about.
    await requireSocketPlace(home);
    const place = findPlace({ ...environment, MOUNTAINEER_HOME: home });
    const { userHome } = place;
    const filePath = logFilePath({ home, userHome, environment });
    const log = stack.use(startLog({ filePath, stderr: true, level: logLevel(environment), clock }));
    const { logger } = log;
    // Asks the keyring, while the configuration is read.
    const approvals = openApprovals({ home, clock, environment }, signal);
    approvals.catch(() => {});
    const isFirst = predecessor === null;
    let ahead: ReaderProcess | null = options.reader;
    const startReader = (): ReaderProcess => {
      const reader = ahead?.isRunning === true ? ahead : startReaderProcess(clock);
      ahead = null;
      return reader;
    };
    // With a mistake in the file, one that was to take over leaves the other one in charge, as long as that is.
    const fallsBack = isFirst || predecessor.isNeeded;
    // A disk that hangs must not make a start deaf.
    const { snapshot, rejected, starterWritten, layer, leftOut } = await unlessAborted(
      openLayered({ home, configPath, environment, writesStarter: isFirst, fallsBack, clock, startReader }),
      signal,
    );
    tellOpened({ rejected, starterWritten, leftOut }, snapshot.path, logger);
    const hasShares = snapshot.config.shares.length > 0;
    const prober = stack.use(startProber({ clock, logger, startsAhead: hasShares }));
    const path = join(home, "state.json");
    const remember = async (): Promise<Memory> => {
      return charge.use(stack.use(await unlessAborted(openMemory({ path, clock, logger }), signal)));
    };
    const takeHome: TakeHome = async (build) => {
      // What this version cannot read is to be known while another daemon is in charge.
      await openMemory({ path, clock, logger, readOnly: true });
      const door = await takeTurn(options, { build, logger });
      charge.use(await lock());
      return { memory: await remember(), door };
    };
    // Ended after the service: until then it answers on them what is in flight.
    const connections = stack.use(createMcpConnections(clock));
    const door = new ManagementDoor({ clock, logger, page: options.page ?? null });
    const service = stack.use(
      await startSentinelService({
        beside: door.take,
        home,
        place,
        environment,
        prober,
        snapshot,
        rejected,
        layer,
        memory: predecessor === null ? await remember() : takeHome,
        elsewhere: predecessor ?? undefined,
        clock,
        logger,
        redact: (secret) => log.redact(secret),
        intervalMs,
        unmountOnExit,
        approvals,
      }),
    );
    if (!hasShares && !wantsGateway(snapshot.config)) {
      logger.info("nothing is configured yet; add a [[shares]] or a [backends.NAME] section", {
        path: snapshot.path,
      });
    }
    const isLocked = (): boolean => held?.isHeld === true;
    const daemonLog = createLogReader(filePath, clock);
    await serve(options, { service, door, daemonLog, charge, isLocked, connections, logger, clock, stack });
  } finally {
    await stack[Symbol.asyncDispose]();
  }
}

/** With what the home has kept of a fleet's configuration; `leftOut`: why that is of no use. */
async function openLayered(options: Omit<Parameters<typeof openHome>[0], "keptLayer">) {
  const leftOut: string[] = [];
  const keptLayer = keptLayerOf(options.home, (reason) => void leftOut.push(reason));
  const opened = await openHome({ ...options, keptLayer });
  if (opened.layerMistakes.length > 0) leftOut.push(mistakesText(opened.layerMistakes));
  return { ...opened, leftOut };
}

type Opened = Pick<Awaited<ReturnType<typeof openLayered>>, "rejected" | "starterWritten" | "leftOut">;

function tellOpened({ rejected, starterWritten, leftOut }: Opened, path: string, logger: Logger): void {
  if (starterWritten) logger.info("wrote a commented configuration to begin with", { path });
  if (rejected !== null) tellRejected(rejected, path, logger);
  for (const reason of leftOut)
    logger.warn("the fleet's configuration that was kept is not used", { reason });
}

/** Every mistake to whoever started it, and that it runs all the same. */
function tellRejected(rejected: RejectedFile, path: string, logger: Logger): void {
  const { mistakes, unreadable, acceptedAt } = rejected;
  process.stderr.write(`mountaineer: ${unreadable ?? mistakesError(mistakes).message}\n`);
  const why = unreadable === null ? "has mistakes" : "cannot be read";
  logger.error(`the configuration file ${why}; what was accepted last runs until it is mended`, {
    path,
    accepted_at: acceptedAt,
  });
}

/** Builds what needs no home beside the daemon that is in charge, and waits until that gives it up. */
async function takeTurn(
  { predecessor, keeper, signal }: RunOptions,
  { build, logger }: { readonly build: Parameters<TakeHome>[0]; readonly logger: Logger },
): Promise<GivenDoor | null> {
  const view = await unlessAborted(build(), signal);
  const backends = Object.fromEntries((view?.backends ?? []).map(({ name, phase }) => [name, phase]));
  logger.info("ready to take over", { pid: process.pid, version: packageVersion() });
  const turn = predecessor?.turn({ version: packageVersion(), backends }) ?? null;
  const door = await unlessAborted(Promise.resolve(turn), signal);
  keeper?.takeCharge();
  return door;
}

interface ServeParts {
  readonly service: SentinelService;
  /** The log of this process. */
  readonly daemonLog: Control["daemonLog"];
  /** Beside MCP, at the gateway's address. */
  readonly door: ManagementDoor;
  readonly charge: DisposalStack;
  /** This process still has the home's lock. */
  readonly isLocked: () => boolean;
  readonly connections: McpConnections;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly stack: DisposalStack;
}

/** Opens the sockets; resolves when it is to stop, or, all who were there served, when another daemon is in charge. */
async function serve(options: RunOptions, parts: ServeParts): Promise<void> {
  const { home, configPath, signal, forceSignal, reloadRequests, predecessor, keeper, program } = options;
  const { service, door, daemonLog, charge, isLocked, connections, logger, clock, stack } = parts;
  const noteFailure = (error: unknown): void =>
    logger.warn("stop was not clean", { reason: errorText(error) });
  forceSignal.addEventListener("abort", () => service.forceStop(), { once: true });
  const handover = stack.use(
    new Handover({
      program,
      keeper,
      charge: {
        ...service.handing,
        async giveUp() {
          // Nobody can be asked to sign in within seconds.
          logins[Symbol.dispose]();
          // Commands under way end first, so that whoever gave one hears what came of it.
          const settled = Promise.all([management.settled(), overHttp.settled()]);
          await settledWithin(clock, COMMANDS_MS, settled);
          door.handsOver();
          await closeForNext(home, { sockets, stack, clock, noteFailure });
          await service.handing.giveUp(() => handover.successor);
          await charge[Symbol.asyncDispose]();
          // Nobody can follow while this process has it, and its end frees it.
          if (isLocked()) throw refused("the lock of the home could not be released", null);
        },
      },
      clock,
      logger,
    }),
  );
  const sockets = stack.use(createDisposalStack(noteFailure));
  const mcpSocketPath = await openMcpSocket(home, service, { connections, logger, stack: sockets });
  const timeline = sockets.use(
    await keepTimeline({
      home,
      follows: predecessor !== null,
      clock,
      logger,
      bus: service.bus,
      status: () => service.control.status(),
      isSeen: service.isSeen,
      minutes: () => service.callMinutes(),
    }),
  );
  const logins = sockets.use(
    createLoginControl({
      signIn: openBackendSignIn({ home, configPath }),
      restart: service.control.restart,
    }),
  );
  const common = {
    ...service.control,
    ...logins.control,
    ...createSetupControl({ home, configPath, reload: service.control.reload }),
    ...createClientConnections({
      ...{ home, configPath, launcher: program.command },
      ...{ environment: process.env, status: service.control.status },
    }),
    daemonLog,
    timeline: () => timeline.timeline(),
    handOver: (_: null, asker: AbortSignal) => handover.begin(asker),
  };
  const events = service.stream;
  const overHttp = sockets.use(
    await openManagement({ home, door, service, control: common, events, clock, logger }),
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
  predecessor?.taken(service.handing.door() !== null);
  stack.use(trimHeapAfterStart(clock));
  sockets.defer(
    reloadRequests(() => {
      // What came of it is in the log, as an event like any other.
      service
        .reload(signal)
        .catch((error: unknown) => logger.warn("reload failed", { reason: errorText(error) }));
    }),
  );
  const next = await Promise.race([whenAborted(signal), handover.done]);
  if (next instanceof Successor) {
    keeper?.giveUpCharge();
    predecessor?.movedOn();
    // Whoever ends the one in charge wants no other to stay for long.
    const shortly = next.gone.then(async () => {
      await predecessor?.stopped();
      await clock.sleep(ORPHANED_MS);
    });
    const left = service.handing.leave(next);
    door.hasMoved();
    await Promise.race([left, whenAborted(signal), shortly]);
    next.letGo();
  }
  logger.info("stopping");
}

/** Whoever looks for a daemon between this one and the next finds a note, and waits: nobody runs a gateway beside them. */
async function closeForNext(
  home: string,
  parts: Pick<ServeParts, "stack" | "clock"> & {
    readonly sockets: DisposalStack;
    readonly noteFailure: (error: unknown) => void;
  },
): Promise<void> {
  const { sockets, stack, clock, noteFailure } = parts;
  const note = await readDaemonNote(home);
  await sockets[Symbol.asyncDispose]();
  if (note?.pid !== process.pid) return;
  // Of another life: nobody takes the next one, at the same socket, for this one.
  const started_at = isoTime(clock.wallMs());
  const written = writeDaemonNote(home, { ...note, started_at }).catch(noteFailure);
  await settledWithin(clock, NOTE_MS, written);
  // By then it is the next one's, unless none has come.
  stack.defer(() => removeDaemonNote(home, process.pid));
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
