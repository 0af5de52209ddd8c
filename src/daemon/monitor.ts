// The daemon in the foreground: one for each home. It serves until it is stopped, or has handed over.
import { dirname } from "node:path";
import { HttpApi } from "../api/http/http-api.ts";
import type { MonitorOptions } from "../api/in-process.ts";
import { createMcpConnections } from "../api/socket/mcp-socket.ts";
import { requireSocketPlace } from "../api/socket/private-socket.ts";
import { findHomeContext } from "../config/home-context.ts";
import { mistakesError } from "../config/values/mistakes.ts";
import { unlessAborted } from "../runtime/abort.ts";
import { createDisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { ensurePrivateFolder, entryExists } from "../runtime/files/durable-file.ts";
import type { Logger } from "../runtime/log/log.ts";
import { startLog } from "../runtime/log/log-file.ts";
import { homeLost } from "../runtime/process/home-lock.ts";
import { findServiceSupervisor } from "../runtime/process/service-supervisor.ts";
import { systemClock } from "../runtime/time/clock.ts";
import { openSealedFile } from "../secrets/sealed-file.ts";
import { startProber } from "../shares/prober/prober-process.ts";
import { openApprovals } from "./approvals/start-approvals.ts";
import { requireNotMoved } from "./compose/backup-records.ts";
import { type CheckedConfig, isTrustedKey, openCheckedConfig } from "./compose/checked-config.ts";
import { wantsGateway } from "./compose/gateway-config.ts";
import { openHome, type RejectedFile } from "./compose/home.ts";
import { logFilePath, logLevel } from "./compose/log-settings.ts";
import { DAEMON_CONDITIONS } from "./conditions/condition-rows.ts";
import { createLogReader } from "./control/record-pages.ts";
import { startSentinelService } from "./daemon-service.ts";
import { findPredecessor } from "./handover/predecessor.ts";
import { noticeCopy } from "./home-origin.ts";
import { HomeOwner, lockHome } from "./home-owner.ts";
import { type RunOptions, serve } from "./serve-daemon.ts";

/** The deadline of the keyring, ms: reading the configuration takes less. */
const KEY_MS = 1_000;
/** When the configuration is kept for the next start, ms after this one: later than clients wait for. */
const KEEP_MS = 1_000;

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

async function run(options: RunOptions): Promise<void> {
  const { home, intervalMs, unmountOnExit, signal, predecessor, supervisor } = options;
  const clock = systemClock;
  const environment = process.env;
  // A service does not recreate a home that was moved or removed.
  if (supervisor === null) await ensurePrivateFolder(home);
  else if (!(await entryExists(home))) throw homeLost(home);
  await requireNotMoved(home);
  // A working directory inside a mount would keep it from being unmounted.
  process.chdir("/");
  const onFailure = (error: unknown): void =>
    void process.stderr.write(`stop was not clean: ${errorText(error)}\n`);
  const stack = createDisposalStack(onFailure);
  // A handover gives them up before the rest ends.
  const owned = stack.use(createDisposalStack(onFailure));
  try {
    const homeLock = predecessor === null ? await lockHome(options, owned) : null;
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
    const checked = openChecked(home, approvals);
    const opened = await openConfiguration(options, checked);
    const { snapshot, rejected, homeContext } = opened;
    logOpened(opened, logger);
    const copiedFrom = predecessor === null ? await unlessAborted(reportCopy(home, logger), signal) : null;
    const hasShares = snapshot.config.shares.length > 0;
    const prober = stack.use(startProber({ clock, logger, startsAhead: hasShares }));
    const endAsLost = async (): Promise<never> => {
      logger.error("the home was moved or removed, so the daemon ends; shares stay mounted", { home });
      await log[Symbol.asyncDispose]();
      // The process ends at once, as by a kill: files that an orderly end writes or removes are not its own now.
      throw homeLost(home);
    };
    const owner = new HomeOwner(options, { homeLock, owned, stack, logger, onLost: () => void endAsLost() });
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
        copiedFrom,
        memory: predecessor === null ? await owner.openState() : owner.take,
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
    const keepChecked = async (): Promise<void> => {
      if ((await owner.isThere()) && owner.isLocked) await checked.keep(snapshot, homeContext);
    };
    if (rejected === null) stack.use(clock.setTimer(KEEP_MS, () => void keepChecked()));
    await serve(options, {
      service,
      httpApi,
      daemonLog: createLogReader(filePath, clock),
      owned,
      isLocked: () => owner.isLocked,
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

/** The configuration that was checked last, sealed with the keyring's key if the approvals have one. */
function openChecked(home: string, approvals: ReturnType<typeof openApprovals>): CheckedConfig {
  const sealing = openSealedFile({ home, clock: systemClock, environment: process.env, name: "checked" });
  const key = async (makes: boolean): Promise<string | null> => {
    const { loaded, file } = await approvals;
    if (loaded.kind !== "known") return null;
    const known = await sealing.key({ deadlineMs: KEY_MS }, makes);
    return isTrustedKey(sealing.keyStorage, file.keyStorage) ? known : null;
  };
  return openCheckedConfig({ home, key });
}

/** The disk may hang, so a stop ends the wait. */
function openConfiguration(
  { home, configPath, predecessor, signal }: RunOptions,
  checked: CheckedConfig,
): ReturnType<typeof openHome> {
  const isFirst = predecessor === null;
  // A successor rejects a file with errors, and its predecessor then stays in charge. Any other start falls back
  // to the last accepted content.
  const fallsBack = isFirst || predecessor.isNeeded;
  const reading = { configPath, writesStarter: isFirst, fallsBack, checked };
  return unlessAborted(openHome({ home, environment: process.env, clock: systemClock, ...reading }), signal);
}

/** Never rejects: a full disk does not prevent the start. */
async function reportCopy(home: string, logger: Logger): Promise<string | null> {
  try {
    const from = await noticeCopy(home);
    if (from !== null) {
      const { hint } = DAEMON_CONDITIONS.home_copied(from);
      logger.warn("this home was copied by hand", { from, hint });
    }
    return from;
  } catch (error) {
    logger.warn("where this home was started is not recorded", { reason: errorText(error) });
    return null;
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
