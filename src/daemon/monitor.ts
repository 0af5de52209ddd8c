// The daemon in the foreground: one for each home. It serves until it is stopped, or has handed over.
import { dirname, join } from "node:path";
import type { Duplex } from "node:stream";
import { HttpApi } from "../api/http/http-api.ts";
import type { MonitorOptions } from "../api/in-process.ts";
import type { Control } from "../api/operations/operations.ts";
import { startManagementServer } from "../api/server/server.ts";
import { readDaemonInfo, removeDaemonInfo, writeDaemonInfo } from "../api/socket/daemon-info.ts";
import { createMcpConnections, type McpConnections, startMcpSocket } from "../api/socket/mcp-socket.ts";
import { requireSocketPlace } from "../api/socket/private-socket.ts";
import { findHomeContext } from "../config/home-context.ts";
import { mistakesError } from "../config/values/mistakes.ts";
import type { InheritedListener } from "../gateway/serving/gateway-contract.ts";
import { openStateStore } from "../reconcile/state-file.ts";
import type { StateStore } from "../reconcile/state-store.ts";
import { unlessAborted, whenAborted } from "../runtime/abort.ts";
import { createDisposalStack, type DisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { ensurePrivateFolder, entryExists } from "../runtime/files/durable-file.ts";
import type { Logger } from "../runtime/log/log.ts";
import { startLog } from "../runtime/log/log-file.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import { copyBuild } from "../runtime/process/build-copy.ts";
import { acquireHomeLock, type HomeLock, homeLost } from "../runtime/process/home-lock.ts";
import { findServiceSupervisor, type ServiceSupervisor } from "../runtime/process/service-supervisor.ts";
import { isoTime, settlesWithin, systemClock } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import { openSealedFile } from "../secrets/sealed-file.ts";
import { startProber } from "../shares/prober/prober-process.ts";
import { openApprovals } from "./approvals/start-approvals.ts";
import { openBackendSignIn } from "./backend-sign-in.ts";
import { isTrustedKey, openCheckedConfig } from "./compose/checked-config.ts";
import { wantsGateway } from "./compose/gateway-config.ts";
import { openHome, type RejectedFile } from "./compose/home.ts";
import { logFilePath, logLevel } from "./compose/log-settings.ts";
import { createClientConnections } from "./control/client-connections.ts";
import { createLoginControl } from "./control/login-control.ts";
import { createLogReader } from "./control/record-pages.ts";
import { createSetupControl } from "./control/setup-control.ts";
import { type SentinelService, startSentinelService } from "./daemon-service.ts";
import { keepTimeline } from "./events/timeline-file.ts";
import { Handover } from "./handover/handover.ts";
import { findPredecessor, type Predecessor } from "./handover/predecessor.ts";
import { refused, Successor } from "./handover/successor.ts";
import { limitHeapAfterStart } from "./heap-settings.ts";
import { watchHome } from "./home-watch.ts";
import { openManagement } from "./management.ts";
import type { TakeHome } from "./service-parts.ts";

/** Longest wait for the home's lock while a single-shot command holds it, ms. */
const LOCK_WAIT_MS = 10_000;
/** How long a handover waits for commands under way, ms. */
const COMMANDS_MS = 5_000;
/** How long a handover waits until the daemon's note is written, ms. Limited because the disk may not answer. */
const INFO_MS = 1_000;
/** The deadline of the keyring, ms: reading the configuration takes less. */
const KEY_MS = 1_000;
/** When the configuration is kept for the next start, ms after this one: later than clients wait for. */
const KEEP_MS = 1_000;
/** Time that calls in flight in this daemon get after the successor has ended, ms. */
const ORPHANED_MS = 3_000;

/** Resolves when the daemon has stopped, or another one is in charge; rejects if the daemon cannot start. */
export async function runMonitor(options: MonitorOptions): Promise<void> {
  const predecessor = findPredecessor(process, systemClock);
  const supervisor = findServiceSupervisor(process.env);
  if (predecessor === null) supervisor?.takeCharge();
  try {
    await run({ ...options, predecessor, supervisor });
  } catch (error) {
    await (options.signal.aborted ? predecessor?.stopped() : predecessor?.failed(error));
    throw error;
  }
}

interface RunOptions extends MonitorOptions {
  readonly predecessor: Predecessor | null;
  readonly supervisor: ServiceSupervisor | null;
}

async function run(options: RunOptions): Promise<void> {
  const { home, configPath, intervalMs, unmountOnExit, signal, predecessor, supervisor } = options;
  const clock = systemClock;
  const environment = process.env;
  // A service does not recreate a home that was moved or removed.
  if (supervisor === null) await ensurePrivateFolder(home);
  else if (!(await entryExists(home))) throw homeLost(home);
  // A working directory inside a mount would keep it from being unmounted.
  process.chdir("/");
  const onFailure = (error: unknown): void =>
    void process.stderr.write(`stop was not clean: ${errorText(error)}\n`);
  const stack = createDisposalStack(onFailure);
  // The home's lock and state, which only one daemon may have. A handover gives them up before the rest ends.
  const owned = stack.use(createDisposalStack(onFailure));
  try {
    let homeLock: HomeLock | null = null;
    const followsMonitor = predecessor !== null;
    const lock = async (): Promise<void> => {
      const options = { command: "monitor", waitMs: LOCK_WAIT_MS, followsMonitor, clock, signal };
      homeLock = owned.use(await acquireHomeLock(home, options));
    };
    if (predecessor === null) await lock();
    const buildCopy = stack.use(createDisposalStack(onFailure));
    // Checked before anything starts: a daemon without its socket would mount shares that no command can
    // control.
    await requireSocketPlace(home);
    const { userHome } = findHomeContext({ ...environment, MOUNTAINEER_HOME: home });
    const filePath = logFilePath({ home, userHome, environment });
    const level = logLevel(environment);
    // A home that was moved or removed must not be created again.
    const makesFolder = dirname(filePath) !== home;
    const log = stack.use(startLog({ filePath, stderr: true, level, clock, makesFolder }));
    const { logger } = log;
    // Begun here, so that the keyring answers while the configuration is read.
    const approvals = openApprovals({ home, clock, environment }, signal);
    approvals.catch(() => {});
    const isFirst = predecessor === null;
    const sealing = openSealedFile({ home, clock, environment, name: "checked" });
    const checkedKey = async (makes: boolean): Promise<string | null> => {
      const { loaded, file } = await approvals;
      if (loaded.kind !== "known") return null;
      const key = await sealing.key({ deadlineMs: KEY_MS }, makes);
      return isTrustedKey(sealing.keyStorage, file.keyStorage) ? key : null;
    };
    const checked = openCheckedConfig({ home, key: checkedKey });
    // A successor rejects a file with errors, and its predecessor then stays in charge. Any other start falls back
    // to the last accepted content.
    const fallsBack = isFirst || predecessor.isNeeded;
    // The disk may hang, so a stop ends the wait.
    const opened = await unlessAborted(
      openHome({
        home,
        configPath,
        environment,
        writesStarter: isFirst,
        fallsBack,
        clock,
        checked,
      }),
      signal,
    );
    const { snapshot, rejected, homeContext } = opened;
    logOpened(opened, logger);
    const hasShares = snapshot.config.shares.length > 0;
    const prober = stack.use(startProber({ clock, logger, startsAhead: hasShares }));
    const path = join(home, "state.json");
    const endAsLost = async (): Promise<never> => {
      logger.error("the home was moved or removed, so the daemon ends; shares stay mounted", { home });
      await log[Symbol.asyncDispose]();
      // The process ends at once, as by a kill: files that an orderly end writes or removes are not its own now.
      throw homeLost(home);
    };
    let homeWatch: Awaited<ReturnType<typeof watchHome>> | null = null;
    const remember = async (): Promise<StateStore> => {
      homeWatch = owned.use(await watchHome(home, clock, () => void endAsLost()));
      return owned.use(stack.use(await unlessAborted(openStateStore({ path, clock, logger }), signal)));
    };
    const takeHome: TakeHome = async (build) => {
      // If this version cannot read the state, the start must fail while the other daemon is still in charge.
      await openStateStore({ path, clock, logger, readOnly: true });
      const listener = await takeTurn(options, { build, logger });
      await lock();
      return { memory: await remember(), listener };
    };
    // Created before the service and so ended after it: the service still answers requests on these
    // connections.
    const connections = stack.use(createMcpConnections(clock));
    const httpApi = new HttpApi({ clock, logger, page: options.page ?? null });
    const service = stack.use(
      await startSentinelService({
        handleFirst: httpApi.take,
        home,
        homeContext,
        environment,
        prober,
        snapshot,
        rejected,
        memory: predecessor === null ? await remember() : takeHome,
        previous: predecessor ?? undefined,
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
    const isLocked = (): boolean => homeLock?.isLocked === true;
    const daemonLog = createLogReader(filePath, clock);
    const keepChecked = async (): Promise<void> => {
      if ((await homeWatch?.isThere()) === true && isLocked()) await checked.keep(snapshot, homeContext);
    };
    if (rejected === null) stack.use(clock.setTimer(KEEP_MS, () => void keepChecked()));
    await serve(options, {
      service,
      httpApi,
      daemonLog,
      owned,
      isLocked,
      connections,
      buildCopy,
      logger,
      clock,
      stack,
    });
  } finally {
    await stack[Symbol.asyncDispose]();
  }
}

function logOpened(
  { rejected, starterWritten, snapshot: { path } }: Awaited<ReturnType<typeof openHome>>,
  logger: Logger,
): void {
  if (starterWritten) logger.info("wrote a commented configuration to begin with", { path });
  if (rejected !== null) logRejected(rejected, path, logger);
}

/** Writes every error to stderr, for the person who starts the daemon. */
function logRejected(
  { mistakes, reason, isSuspect, acceptedAt }: RejectedFile,
  path: string,
  logger: Logger,
): void {
  process.stderr.write(`mountaineer: ${reason ?? mistakesError(mistakes).message}\n`);
  const unused = isSuspect ? "looks like half a file" : "cannot be read";
  const why = reason === null ? "has mistakes" : unused;
  logger.error(
    `the configuration file ${why}; the last accepted configuration runs until the file is corrected`,
    {
      path,
      accepted_at: acceptedAt,
    },
  );
}

/**
 * Builds the parts that need no home while the other daemon is in charge, and waits until that daemon gives
 * up the home.
 */
async function takeTurn(
  { predecessor, supervisor, signal }: RunOptions,
  { build, logger }: { readonly build: Parameters<TakeHome>[0]; readonly logger: Logger },
): Promise<InheritedListener | null> {
  const view = await unlessAborted(build(), signal);
  const backends = Object.fromEntries((view?.backends ?? []).map(({ name, phase }) => [name, phase]));
  logger.info("ready to take over", { pid: process.pid, version: packageVersion() });
  const turn = predecessor?.turn({ version: packageVersion(), backends }) ?? null;
  const listener = await unlessAborted(Promise.resolve(turn), signal);
  supervisor?.takeCharge();
  return listener;
}

interface ServeParts extends RuntimeTools {
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
async function serve(options: RunOptions, parts: ServeParts): Promise<void> {
  const { home, configPath, signal, forceSignal, reloadRequests, predecessor, supervisor, program } = options;
  const { service, httpApi, daemonLog, owned, isLocked, connections, buildCopy, logger, clock, stack } =
    parts;
  const reportFailure = (error: unknown): void =>
    logger.warn("stop was not clean", { reason: errorText(error) });
  forceSignal.addEventListener("abort", () => service.forceStop(), { once: true });
  const sockets = createDisposalStack(reportFailure);
  const logins = sockets.use(
    createLoginControl({
      signIn: openBackendSignIn({ home, configPath }),
      restart: service.control.restart,
    }),
  );
  /** They answer commands; `sockets` closes them. */
  const servers: { whenIdle(): Promise<unknown> }[] = [];
  const handover = stack.use(
    new Handover({
      program,
      supervisor,
      owned: {
        ...service.handing,
        async giveUp() {
          // Sign-ins under way are aborted, because they wait for people.
          logins[Symbol.dispose]();
          // Commands under way end first, so that their callers get answers.
          const whenIdle = servers.map((server) => server.whenIdle());
          await settlesWithin(clock, COMMANDS_MS, Promise.all(whenIdle));
          httpApi.handsOver();
          await closeForNext(home, { sockets, stack, clock, reportFailure });
          await service.handing.giveUp();
          await owned[Symbol.asyncDispose]();
          // While this process holds the lock, no successor can start. The error ends this process, which
          // releases the lock.
          if (isLocked()) throw refused("the lock of the home could not be released", null);
        },
      },
      clock,
      logger,
    }),
  );
  // Ended before `handover`, so that no command begins another one.
  stack.use(sockets);
  const mcpSocketPath = await openMcpSocket(home, service, { connections, logger, stack: sockets });
  // Reads all files of the build, so it waits until clients can connect.
  const copy = copyBuild(home, options.neededPrograms);
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
  const timeline = sockets.use(
    await keepTimeline({
      home,
      follows: predecessor !== null,
      clock,
      logger,
      bus: service.bus,
      status: () => service.control.status(),
      isObserved: service.isObserved,
    }),
  );
  const common = {
    ...service.control,
    status: () => service.measuredStatus(),
    ...logins.control,
    ...createSetupControl({ home, configPath, reload: service.control.reload }),
    ...createClientConnections({
      ...{ home, configPath, launcher: program.command },
      ...{ environment: process.env, status: service.control.status },
      editText: service.control.editText,
    }),
    daemonLog,
    timeline: () => timeline.timeline(),
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
  if (next instanceof Successor) {
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
  logger.info("stopping");
}

/**
 * Writes a note for the time between this daemon and the next. A command that finds the note waits and does not run a
 * gateway itself.
 */
async function closeForNext(
  home: string,
  parts: Pick<ServeParts, "stack" | "clock"> & {
    readonly sockets: DisposalStack;
    readonly reportFailure: (error: unknown) => void;
  },
): Promise<void> {
  const { sockets, stack, clock, reportFailure } = parts;
  const info = await readDaemonInfo(home);
  await sockets[Symbol.asyncDispose]();
  if (info?.pid !== process.pid) return;
  // A new start time, so that clients do not take the next daemon, at the same socket, for this one.
  const started_at = isoTime(clock.wallMs());
  const written = writeDaemonInfo(home, { ...info, started_at }).catch(reportFailure);
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
