// The running service: the share engine, its triggers, the configuration, the gateway and the events. It starts in
// order and ends in reverse.
import type { ReloadReport } from "../api/contract/config.ts";
import type { Condition, FlowEvent, StatusReport } from "../api/contract/contract.ts";
import type { Control } from "../api/operations/operations.ts";
import { globalKeys } from "../config/schema/share-schema.ts";
import { sectionSettings } from "../config/section-settings.ts";
import { type ConfigSnapshot, nasOf, type ServerConfig } from "../config/snapshot.ts";
import { type StartReader, startReaderProcess } from "../config/worker/reader-process.ts";
import type { GatewayView, InheritedListener } from "../gateway/serving/gateway-contract.ts";
import type { Measured } from "../gateway/telemetry/metric-families.ts";
import type { StateStore } from "../reconcile/state-store.ts";
import { createSinceTracker, type FoundCondition } from "../runtime/conditions/conditions.ts";
import { createDisposalStack, type DisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { changedCopies } from "../runtime/process/build-copy.ts";
import { type Clock, isoTime, settlesWithin } from "../runtime/time/clock.ts";
import { packageVersion } from "../runtime/version.ts";
import { createMountTable } from "../shares/mounts/mount-table.ts";
import type { Prober } from "../shares/prober/prober.ts";
import { startProber } from "../shares/prober/prober-process.ts";
import { type OpenedApprovals, startApprovals } from "./approvals/start-approvals.ts";
import { type EngineParts, startEngineParts } from "./compose/engine-parts.ts";
import type { RejectedFile } from "./compose/home.ts";
import { createPrivatePaths, type PrivatePaths } from "./compose/private-paths.ts";
import { homeSecrets, startSecretRetry } from "./compose/stored-secrets.ts";
import type { ConditionName } from "./conditions/condition-rows.ts";
import { aliasStatus } from "./control/alias-control.ts";
import { withWaiting } from "./control/gateway-status.ts";
import { globalConditions } from "./control/global-conditions.ts";
import { createReadFaults } from "./control/read-faults.ts";
import { createRequiredShares } from "./control/required-shares.ts";
import { shareStatus } from "./control/share-status.ts";
import { verifyReport } from "./control/verify.ts";
import { announcements } from "./events/event-stream.ts";
import { createFlow, flowOf } from "./events/flow.ts";
import type { ApprovalTransition } from "./events/service-transitions.ts";
import { createFleetPart } from "./fleet-part.ts";
import { type GatewayHomeOptions, gatewayHome } from "./gateway-home.ts";
import { createGatewayPart, type GatewayPart, loadAhead } from "./gateway-part.ts";
import { createServiceRelease } from "./handover/service-release.ts";
import { desktopNotifier } from "./notify/notification-command.ts";
import { createNotifications } from "./notify/notifications.ts";
import { openConfigFile, openLocalFiles } from "./reload/config-file.ts";
import { createConfigService } from "./reload/config-service.ts";
import { startSharePart } from "./share-part.ts";

/**
 * Time for an orderly stop, ms; the next start takes care of unfinished work. A stop may take 5 s in all: the
 * rest is for ending parts that hang, such as a prober in a system call.
 */
const STOP_DEADLINE_MS = 3800;
/**
 * Time for unsent writes and unmounts of `--unmount-on-exit`, ms. Together with the stop that follows it stays below the 20 s
 * that service managers allow.
 */
const UNMOUNT_DEADLINE_MS = 10_000;

/**
 * Longest wait for backends, ms, by a daemon whose predecessor has already given up the home. Short, because shares
 * wait during that time.
 */
const NEEDED_MS = 5_000;

/**
 * Waits until this daemon is in charge of the home. Before that, calls `build`, which starts the parts that
 * need no home.
 */
export type TakeHome = (build: () => Promise<GatewayView | null>) => Promise<TakenHome>;

interface TakenHome {
  readonly memory: StateStore;
  /** The previous daemon's listening socket; null if the gateway has to open one. */
  readonly listener: InheritedListener | null;
}

interface ServiceOptions extends GatewayHomeOptions {
  /** Default: starts one. */
  readonly prober?: Prober;
  /** The configuration file, if it was rejected and `snapshot` is an earlier content. Default: none was rejected. */
  readonly rejected?: Omit<RejectedFile, "acceptedAt"> | null;
  /** The home's state. A daemon that takes over passes a function that waits until it is in charge. */
  readonly memory: StateStore | TakeHome;
  /** Overrides the configuration's check interval, ms; null: no override. */
  readonly intervalMs: number | null;
  readonly unmountOnExit: boolean;
  /** The approvals, if the caller has already begun to open them. */
  readonly approvals?: Promise<OpenedApprovals>;
  /** Default: child processes read and edit the configuration. */
  readonly startReader?: StartReader;
}

export type SentinelService = Awaited<ReturnType<typeof startWith>>;

/**
 * Starts the service. Resolves when it runs and no later change of the file can be missed. If it rejects, all
 * parts have ended.
 */
export async function startSentinelService(options: ServiceOptions): Promise<SentinelService> {
  const stack = createDisposalStack((error) =>
    options.logger.warn("stop was not clean", { reason: errorText(error) }),
  );
  try {
    return await startWith(options, stack);
  } catch (error) {
    await stack[Symbol.asyncDispose]();
    throw error;
  }
}

async function startWith(options: ServiceOptions, stack: DisposalStack) {
  const { clock, logger } = options;
  const parts = await startParts(options, stack);
  const { shares, notifications, gateway, config, secrets, approvalStore, snapshot, force, listener } = parts;
  const { engine } = parts.parts;

  engine.triggerAll("start", clock.monotonicMs());
  shares.aliasService.aliases.trigger("start");
  notifications.start();
  await gateway.start(snapshot.config, listener);
  auditApprovals(parts, clock, stack);
  const control = createServiceControl(options, parts);
  await parts.fleet.start(snapshot.config, () => control.status());
  logger.info("running", {
    pid: process.pid,
    version: packageVersion(),
    shares: engine.names.length,
    config: snapshot.path,
  });
  await config.start();
  if (parts.isStale) await config.judgeAgain();
  void parts.parts.serverProof.removeLeftovers();
  const refresh = () => config.refreshSecrets();
  const isDue = () => secrets.unreadOf(config.watcher.running.snapshot).length > 0;
  stack.use(startSecretRetry({ isDue, clock, logger, refresh }));
  // The secrets were read while another daemon was in charge, and may have changed since.
  if (typeof options.memory === "function") {
    refresh().catch((error: unknown) => logger.warn("secrets not read again", { reason: errorText(error) }));
  }
  const judgeAgain = async (): Promise<void> => {
    if (await approvalStore.readAgain()) await config.judgeAgain();
  };
  stack.use(startSecretRetry({ isDue: () => approvalStore.mayPass, clock, logger, refresh: judgeAgain }));

  let stopping: Promise<void> | null = null;
  return {
    control,
    stream: { ...parts.stream, flow: createFlow({ clock, logger, read: () => readFlow(control, parts) }) },
    callMinutes: gateway.callMinutes,
    /** Serves one MCP client over lines of JSON-RPC, as the home's owner. */
    serveLines: gateway.serveLines,
    bus: parts.bus,
    /** The status with what is measured for it. */
    async measuredStatus(): Promise<StatusReport> {
      await gateway.measure();
      return control.status();
    },
    /** True once the share was observed since the start; until then, its status is the stored one. */
    isObserved: (share: string): boolean => engine.view(share).observed !== null,
    handing: createServiceRelease({ ...parts, ...shares, clock, previous: options.previous }),
    /** The running `[server]` section; null if there is none. */
    server: (): ServerConfig | null => config.watcher.running.snapshot.config.server,
    /**
     * Reads the configuration file again and applies changes; resolves at commit. Does not reject if the file has
     * errors.
     */
    reload: (signal: AbortSignal): Promise<ReloadReport> => control.reload({}, signal),
    /** Aborts all work that a stop would wait for. */
    forceStop: (): void => force.abort(),
    [Symbol.asyncDispose](): Promise<void> {
      stopping ??= stop(options, parts, stack);
      return stopping;
    },
  };
}

async function readFlow(
  control: ReturnType<typeof createServiceControl>,
  { parts }: Pick<ServiceParts, "parts">,
): Promise<FlowEvent> {
  await parts.recount();
  const status = control.status();
  const { clients } = status.gateway === undefined ? { clients: [] } : await control.clients();
  return flowOf(status, clients);
}

function auditApprovals(
  { approvalStore, gateway, bus }: ServiceParts,
  clock: Clock,
  stack: DisposalStack,
): void {
  const audit = ({ name, entry, summary }: ApprovalTransition): void =>
    gateway.audit({ time: isoTime(clock.wallMs()), event: name, entry, summary });
  for (const transition of approvalStore.announcements()) audit(transition);
  stack.defer(
    bus.subscribe((transition) => {
      if (transition.name === "config.entry_waits" || transition.name === "config.entry_approved") {
        audit(transition);
      }
    }),
  );
}

type ServiceParts = Awaited<ReturnType<typeof startParts>>;

/** Starts the parts of the service. They end with `stack`. */
async function startParts(options: ServiceOptions, stack: DisposalStack) {
  const { home, homeContext, clock, logger, redact, previous } = options;
  const approved = await openApproved(options, stack);
  const { force, bus, stream, publish, gatewayOwn, secrets, approvalStore, snapshot, notifications } =
    approved;
  let started: EngineParts | null = null;
  let measured: Later["measured"] = () => [];
  const engineRuns = Promise.withResolvers<void>();
  const later: Later = {
    engine: () => started?.engine ?? null,
    engineRuns: engineRuns.promise,
    measured: () => measured(),
  };
  const prober = options.prober ?? stack.use(startProber({ clock, logger }));
  const { required, gateway, fleet } = createServing({ ...options, ...approved, prober, ...later }, stack);
  const files = openLocalFiles({ prober, mountTable: createMountTable({ clock }), clock });
  const privacy = createPrivatePaths({ home, check: files.exposures, clock, logger });
  const taken = await takeCharge(options, approved, { gateway, privacy });
  void previous?.ended.then(() => gatewayOwn.runsOnlyHere(gateway));
  const { memory } = taken;
  const onCycle = (share: string): void => {
    required.recordCycle(share);
    fleet.shareObserved();
  };
  const watched = { forceStop: force.signal, announce: publish, onCycle, programs: required };
  const parts = stack.use(startEngineParts({ home, clock, logger, memory, prober, ...watched }));
  started = parts;
  engineRuns.resolve();
  required.configChanged(snapshot.config.backends.flatMap(({ requires }) => requires));
  await privacy.require(snapshot);
  const { intervalMs } = options;
  const context = { environment: secrets.values, drivers: parts.drivers, redact, intervalMs };
  const first = snapshot.config;
  const shares = await startSharePart(
    { home, parts, prober, first, context, required, bus, clock, logger, publish },
    stack,
  );
  ({ measured } = shares.metrics);
  // Registered again, so that the gateway ends before the shares that its backends use.
  stack.use(gateway);
  const config = stack.use(
    createConfigService({
      home,
      homeContext,
      snapshot,
      file: await openConfigFile(snapshot.path, files),
      realPath: files.realPath,
      appliers: [gateway.applier, shares.applier, notifications.applier, fleet.applier],
      approvals: approvalStore,
      loadedFile: options.snapshot,
      rejected: options.rejected ?? null,
      bindSecrets: (loaded, signal) => secrets.bind(loaded, signal),
      requirePrivate: (loaded) => privacy.require(loaded),
      startReader: options.startReader ?? startReaderProcess,
      clock,
      logger,
      stream,
      publish,
    }),
  );
  return { ...approved, ...taken, required, gateway, fleet, privacy, parts, shares, config };
}

type Approved = Awaited<ReturnType<typeof openApproved>>;

/**
 * Opens the approved configuration with its secrets, and what all parts of the service use: the bus and the home's
 * files.
 */
async function openApproved(options: ServiceOptions, stack: DisposalStack) {
  const { home, environment, clock, logger } = options;
  loadAhead(options.snapshot.config);
  const secrets = homeSecrets({ home, environment, clock, logger });
  const startedAt = isoTime(clock.wallMs());
  const force = new AbortController();
  const { bus, publish, stream } = announcements(clock, logger, stack);
  const gatewayOwn = gatewayHome(options);
  const { writes } = gatewayOwn;
  stack.defer(() => writes.end());
  const onGrant = (): void => writes.recordChange();
  stack.defer(
    bus.subscribe(({ name }) => {
      if (name === "catalog.tools_approved") onGrant();
    }),
  );
  const approvals = await startApprovals(
    // While another daemon is in charge, nothing is written.
    { ...options, opened: options.approvals, publish, writes: typeof options.memory !== "function", onGrant },
    force.signal,
  );
  const approvalStore = stack.use(approvals.approvalStore);
  const snapshot = await secrets.bind(approvals.snapshot);
  const notifications = stack.use(
    createNotifications({ ...options, settings: snapshot.config.notify, notifier: desktopNotifier }),
  );
  stack.defer(bus.subscribe(notifications.handle));
  return {
    secrets,
    startedAt,
    force,
    bus,
    publish,
    stream,
    gatewayOwn,
    approvalStore,
    snapshot,
    notifications,
  };
}

/** The gateway and the fleet use these parts, although the parts start after both. */
interface Later {
  readonly engine: () => EngineParts["engine"] | null;
  readonly engineRuns: Promise<void>;
  readonly measured: () => readonly Measured[];
}

type ServingParts = Pick<ServiceOptions, "home" | "clock" | "logger" | "redact"> &
  Pick<Approved, "secrets" | "bus" | "publish" | "gatewayOwn"> &
  Later & { readonly prober: Prober };

function createServing(parts: ServingParts, stack: DisposalStack) {
  const { home, clock, logger, redact, secrets, bus, publish, gatewayOwn } = parts;
  const { prober, engine, engineRuns, measured } = parts;
  const { values } = secrets;
  const required = stack.use(createRequiredShares({ clock, engine, prober }));
  const gateway: GatewayPart = stack.use(
    createGatewayPart({
      ...gatewayOwn,
      environment: values,
      announce: publish,
      data: required,
      // While another daemon is in charge, a call waits for the engine, for at most `waitMs`.
      resolvePaths: async (paths, waitMs) =>
        (await settlesWithin(clock, waitMs, engineRuns)) ? prober.resolvePaths(paths, waitMs) : null,
      measured,
      openMachine: (backend, onEnd) => fleet.openMachine(backend, onEnd),
      peers: () => fleet.peers,
    }),
  );
  const fleet = stack.use(createFleetPart({ home, gateway, values, clock, logger, redact, bus }));
  return { required, gateway, fleet };
}

/** Waits until this daemon is in charge of the home, and takes over what another daemon had. */
async function takeCharge(
  options: ServiceOptions,
  { snapshot, force, gatewayOwn, approvalStore }: Approved,
  { gateway, privacy }: Pick<FirstParts, "gateway" | "privacy">,
) {
  const { memory: given } = options;
  const build = () => buildFirst(options, { snapshot, gateway, privacy }, force.signal);
  const { memory, listener } =
    typeof given === "function" ? await given(build) : { memory: given, listener: null };
  gatewayOwn.takeOver(gateway);
  const begin = (): void => gatewayOwn.writes.begin();
  if (gateway.handing === null) begin();
  else await gateway.handing.takeHome(begin);
  /** True if another process has changed the approvals since they were read. */
  const isStale = typeof given === "function" && (await approvalStore.takeHome());
  return { memory, listener, isStale };
}

interface FirstParts {
  readonly snapshot: ConfigSnapshot;
  readonly gateway: GatewayPart;
  readonly privacy: PrivatePaths;
}

/** Builds the parts that need no home. Resolves with the gateway's state; null if there is no gateway. */
async function buildFirst(
  options: ServiceOptions,
  { snapshot, gateway, privacy }: FirstParts,
  signal: AbortSignal,
): Promise<GatewayView | null> {
  const { clock, previous } = options;
  const isWaitedFor = previous?.isNeeded === true;
  // Checks first that others have no access to private files, because the gateway starts programs.
  await privacy.require(snapshot);
  const late = new AbortController();
  using _ = isWaitedFor ? clock.setTimer(NEEDED_MS, () => late.abort()) : null;
  await gateway.build(snapshot.config, AbortSignal.any([signal, late.signal]), !isWaitedFor);
  return gateway.handing?.view() ?? null;
}

async function stop(
  { clock, logger, unmountOnExit }: ServiceOptions,
  { memory, force, parts, shares, gateway, fleet, config, gatewayOwn }: ServiceParts,
  stack: DisposalStack,
): Promise<void> {
  const unmounts = unmountOnExit && !gatewayOwn.isHandedOver();
  const deadline = clock.setTimer(unmounts ? UNMOUNT_DEADLINE_MS : STOP_DEADLINE_MS, () => force.abort());
  shares.triggers.stop();
  // A configuration that is applied now would start cycles, and mount shares again.
  await config[Symbol.asyncDispose]();
  // Only begins to end the fleet's part: that part publishes this machine's last state while the other parts still
  // run. `stack` waits for the end.
  void fleet[Symbol.asyncDispose]();
  // Begins to end the gateway without waiting, so that calls end while shares are unmounted. `stack` waits for the
  // end.
  Promise.resolve(gateway[Symbol.asyncDispose]()).catch(() => {});
  if (unmounts) {
    // The engine stops its cycles, so that none follows an unmount.
    parts.engine.rest();
    const { results } = await shares.unmountAtExit(force.signal);
    for (const { share, result, detail } of results) {
      if (result !== "unmounted" && result !== "skipped") {
        logger.warn("left mounted at exit", { share, reason: detail });
      }
    }
  }
  await stack[Symbol.asyncDispose]();
  await memory.flush();
  deadline[Symbol.dispose]();
}

function createServiceControl(
  { home, clock, logger, intervalMs }: ServiceOptions,
  {
    memory,
    parts: { engine, drivers, formerShares },
    startedAt,
    snapshot,
    privacy,
    notifications,
    shares: { control: shares, aliasService, triggers, traffic },
    gateway,
    fleet,
    config,
    approvalStore,
  }: ServiceParts,
) {
  const { aliases } = aliasService;
  const sources = {
    memory,
    networkEvents: triggers.networkEvents,
    running: () => config.watcher.running.snapshot,
    sync: () => config.watcher.state,
    historyUnsavedBecause: () => config.historyUnsavedBecause,
    rcloneAdvice: () => drivers.rclone.advice?.() ?? null,
    formerUnsent: () => formerShares.known(engine.names),
    left: () => engine.knownUnconfigured,
    changedCopies,
  };
  const faults = createReadFaults(logger);
  const sinceTracker = createSinceTracker(clock);
  const found = (): FoundCondition<ConditionName>[] => [
    ...globalConditions(sources),
    ...aliases.conditions(),
    ...notifications.conditions(),
    ...approvalStore.conditions(),
    ...privacy.conditions(),
    ...fleet.conditions(),
  ];
  const conditions = (): Condition[] =>
    sinceTracker([...faults.read("the daemon", found, []), ...faults.conditions()]);

  return {
    ...shares,
    ...aliasService.control,
    ...gateway.control,
    ...config.control,
    ...fleet.control,
    status: (): StatusReport => {
      const { global, nas } = config.watcher.running.snapshot.config;
      const parts = {
        shares: engine.names.flatMap((name) =>
          faults.read(`share ${name}`, () => {
            const whose = nasOf({ nas: nas ?? {} }, name);
            return [
              {
                ...shareStatus(engine.view(name)),
                ...traffic.of(name),
                ...(whose === null ? {} : { nas: whose }),
              },
            ];
          }, []),
        ),
        ...faults.read("the aliases", () => aliasStatus(aliases), {}),
        ...faults.read(
          "the gateway",
          () => withWaiting(gateway.status(), approvalStore.waitingConditions()),
          {},
        ),
      };
      return {
        global: {
          version: packageVersion(),
          pid: process.pid,
          started_at: startedAt,
          config_path: snapshot.path,
          home,
          ...sectionSettings(globalKeys, {
            ...global,
            checkIntervalMs: intervalMs ?? global.checkIntervalMs,
          }),
          network_events: triggers.networkEvents(),
          conditions: conditions(),
        },
        ...parts,
      };
    },
    reconcile(request, signal) {
      aliases.trigger("user");
      return shares.reconcile(request, signal);
    },
    async verify(request, signal) {
      const report = await shares.verify(request, signal);
      const isWhole = (request.shares ?? null) === null;
      const { backends } = config.watcher.running.snapshot.config;
      const around = { conditions: conditions(), status: gateway.status(), backends };
      return verifyReport(report, isWhole ? around : null);
    },
  } satisfies Partial<Control>;
}
