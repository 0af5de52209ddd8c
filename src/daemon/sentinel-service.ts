// The running service: the share engine, its triggers, the configuration, the gateway and the events. It starts in
// order and ends in reverse.
import type { Duplex } from "node:stream";
import type { Condition, FlowEvent, ReloadReport, StatusReport } from "../api/contract.ts";
import type { Control } from "../api/operations.ts";
import { packageVersion } from "../api/version.ts";
import type { ConfigLayer } from "../config/layer/layer.ts";
import type { ConfigSnapshot, ServerConfig } from "../config/snapshot.ts";
import { type StartReader, startReaderProcess } from "../config/worker/reader-process.ts";
import type { GatewayView, GivenDoor } from "../gateway/serving/gateway-contract.ts";
import type { Memory } from "../reconcile/memory.ts";
import type { Bus } from "../runtime/bus.ts";
import { createDisposalStack, type DisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import { type Clock, isoTime, settledWithin } from "../runtime/time/clock.ts";
import { createMountTable } from "../shares/mounts/mount-table.ts";
import type { Prober } from "../shares/prober/prober.ts";
import { startProber } from "../shares/prober/prober-process.ts";
import { type OpenedApprovals, startApprovals } from "./approvals/start-approvals.ts";
import { type EngineParts, startEngineParts } from "./compose/engine-parts.ts";
import type { RejectedFile } from "./compose/home.ts";
import { createPrivatePlaces, type PrivatePlaces } from "./compose/private-places.ts";
import { shareSubjects } from "./compose/share-subjects.ts";
import { homeSecrets, startSecretRetry } from "./compose/stored-secrets.ts";
import { withWaiting } from "./control/gateway-status.ts";
import { createGlobalConditions, globalSettings } from "./control/global-conditions.ts";
import { aliasStatus, openPlaces } from "./control/place-control.ts";
import { createRequiredShares } from "./control/required-shares.ts";
import { createShareControl } from "./control/share-control.ts";
import { shareStatus } from "./control/share-status.ts";
import { gatewayFindings, globalFindings } from "./control/verify.ts";
import { announcements, type EventStream } from "./events/event-stream.ts";
import { createFlow, flowOf } from "./events/flow.ts";
import type { ApprovalTransition, ServiceTransition } from "./events/service-transitions.ts";
import { createShareMetrics } from "./events/share-metrics.ts";
import { createFleetPart } from "./fleet-part.ts";
import { type GatewayHomeOptions, gatewayHome } from "./gateway-home.ts";
import { createGatewayPart, type GatewayPart, loadAhead } from "./gateway-part.ts";
import { createHanding, type Handing } from "./handover/handing.ts";
import { desktopNotifier } from "./notify/notification-command.ts";
import { createNotifications } from "./notify/notifications.ts";
import { openConfigFile, openLocalFiles } from "./reload/config-file.ts";
import { createConfigService } from "./reload/config-service.ts";
import type { LayerUnder } from "./reload/layer-under.ts";
import { shareSection } from "./share-section.ts";
import { startTriggers } from "./triggers.ts";

/**
 * What is not done so long after a stop began is left to the next start, ms. The rest of the 5 s that a stop takes
 * at most is for ending what hangs, a prober that the system holds for example.
 */
const STOP_DEADLINE_MS = 3800;
/**
 * How long `--unmount-on-exit` waits for unsent writes and unmounts, ms; with a stop after it, it stays under the 20 s
 * that service managers give.
 */
const UNMOUNT_DEADLINE_MS = 10_000;

/** How long a daemon that follows one which has given up the home waits for its backends, ms: shares wait meanwhile. */
const NEEDED_MS = 5_000;

/** Nothing is asked before the shares are looked after. */
const NO_PROBER = { folderLook: async () => null };

/** Resolves when the home is this daemon's; `build` starts what needs no home. */
export type TakeHome = (build: () => Promise<GatewayView | null>) => Promise<TakenHome>;

interface TakenHome {
  readonly memory: Memory;
  /** Of the daemon that was in charge before; null: the gateway opens its own. */
  readonly door: GivenDoor | null;
}

interface ServiceOptions extends GatewayHomeOptions {
  /** Default: starts one. */
  readonly prober?: Prober;
  /** Of the fleet, under the snapshot's text. Default: none. */
  readonly layer?: ConfigLayer | null;
  /** The file, where it was rejected and `snapshot` stands in for it; null, and by default: it was accepted. */
  readonly rejected?: Omit<RejectedFile, "acceptedAt"> | null;
  /** Or, for a daemon that takes over, what is called for it once all is built that needs no home. */
  readonly memory: Memory | TakeHome;
  /** Beats the file's check interval, ms. */
  readonly intervalMs: number | null;
  readonly unmountOnExit: boolean;
  /** Opened while the configuration was read. */
  readonly approvals?: Promise<OpenedApprovals>;
  /** Default: the configuration is read and edited in processes of their own. */
  readonly startReader?: StartReader;
}

export interface SentinelService extends AsyncDisposable {
  readonly state: "starting" | "running" | "reloading" | "stopping";
  readonly control: ReturnType<typeof createServiceControl>;
  readonly stream: EventStream & { readonly flow: ReturnType<typeof createFlow> };
  readonly callMinutes: GatewayPart["callMinutes"];
  /** Serves one MCP client over lines of JSON-RPC, as the home's owner. */
  serveLines(stream: Duplex): void;
  readonly bus: Bus<ServiceTransition>;
  /** The share was looked at since the start: before that its status is what was remembered. */
  readonly isSeen: (share: string) => boolean;
  readonly handing: Handing;
  /** As it runs; null: the file has no such section. */
  server(): ServerConfig | null;
  /** Reads the configuration file again and applies what differs; resolves at commit. Never rejects for the file. */
  reload(signal: AbortSignal): Promise<ReloadReport>;
  /** Ends what a stop would wait for. */
  forceStop(): void;
}

/** Resolves when it runs and no later change of the file can be missed. What was begun ends when it rejects. */
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

async function startWith(options: ServiceOptions, stack: DisposalStack): Promise<SentinelService> {
  const { clock, logger } = options;
  const parts = await startParts(options, stack);
  const { engine, aliases, notifications, gateway, config, secrets, keeper, snapshot, force, door } = parts;
  let state: SentinelService["state"] = "starting";

  engine.triggerAll("start", clock.monotonicMs());
  aliases.trigger("start");
  notifications.start();
  await gateway.start(snapshot.config, door);
  auditApprovals(parts, clock, stack);
  const control = createServiceControl(options, parts);
  await parts.fleet.start(snapshot.config, () => control.status());
  state = "running";
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
    if (await keeper.readAgain()) await config.judgeAgain();
  };
  stack.use(startSecretRetry({ isDue: () => keeper.mayPass, clock, logger, refresh: judgeAgain }));

  let stopping: Promise<void> | null = null;
  return {
    get state() {
      return state === "running" && config.watcher.busy ? "reloading" : state;
    },
    control,
    stream: { ...parts.stream, flow: createFlow({ clock, logger, read: () => readFlow(control, parts) }) },
    callMinutes: () => gateway.callMinutes(),
    serveLines: (stream) => gateway.serveLines(stream),
    bus: parts.bus,
    isSeen: (share) => engine.view(share).seen !== null,
    handing: createHanding({ ...parts, clock, elsewhere: options.elsewhere }, () => {
      state = "stopping";
    }),
    server: () => config.watcher.running.snapshot.config.server,
    reload: (signal) => control.reload({}, signal),
    forceStop: () => force.abort(),
    [Symbol.asyncDispose]() {
      state = "stopping";
      stopping ??= stop(options, parts, stack);
      return stopping;
    },
  };
}

async function readFlow(
  control: SentinelService["control"],
  { parts }: Pick<ServiceParts, "parts">,
): Promise<FlowEvent> {
  await parts.recount();
  const status = control.status();
  const { clients } = status.gateway === undefined ? { clients: [] } : await control.clients();
  return flowOf(status, clients);
}

/** Also what waited before, of which the audit may have heard nothing. */
function auditApprovals({ keeper, gateway, bus }: ServiceParts, clock: Clock, stack: DisposalStack): void {
  const note = ({ name, entry, summary }: ApprovalTransition): void =>
    gateway.note({ time: isoTime(clock.wallMs()), event: name, entry, summary });
  for (const transition of keeper.announcements()) note(transition);
  stack.defer(
    bus.subscribe((transition) => {
      if (transition.name === "config.entry_waits" || transition.name === "config.entry_approved") {
        note(transition);
      }
    }),
  );
}

type ServiceParts = Awaited<ReturnType<typeof startParts>>;

/** Everything the service consists of; it ends with `stack`. */
async function startParts(options: ServiceOptions, stack: DisposalStack) {
  const { home, place, clock, logger, redact, intervalMs } = options;
  loadAhead(options.snapshot.config);
  const secrets = homeSecrets({ home, environment: options.environment, clock, logger });
  const startedAt = isoTime(clock.wallMs());
  const force = new AbortController();
  const { bus, publish, stream } = announcements(clock, logger, stack);
  const gatewayOwn = gatewayHome(options);
  const { writes } = gatewayOwn;
  stack.defer(() => writes.end());
  const onGrant = (): void => writes.noteChange();
  stack.defer(
    bus.subscribe(({ name }) => {
      if (name === "catalog.tools_approved") onGrant();
    }),
  );
  const approvals = await startApprovals(
    // Beside a daemon that is in charge nothing is written.
    { ...options, opened: options.approvals, publish, writes: typeof options.memory !== "function", onGrant },
    force.signal,
  );
  const keeper = stack.use(approvals.keeper);
  const snapshot = await secrets.bind(approvals.snapshot);
  const environment = secrets.values;
  const notifications = stack.use(
    createNotifications({ ...options, settings: snapshot.config.notify, notifier: desktopNotifier }),
  );
  stack.defer(bus.subscribe(notifications.handle));

  const forceStop = force.signal;
  let parts: EngineParts | null = null;
  const probing = Promise.withResolvers<EngineParts["prober"]>();
  let shareMetrics: ReturnType<typeof createShareMetrics> | null = null;
  const required = createRequiredShares({
    clock,
    engine: () => parts?.engine ?? null,
    prober: () => parts?.prober ?? NO_PROBER,
  });
  stack.use(required);
  const gateway: GatewayPart = stack.use(
    createGatewayPart({
      ...gatewayOwn,
      environment,
      announce: publish,
      data: required,
      // Calls may come a moment before there is one.
      places: async (paths, waitMs) =>
        (await settledWithin(clock, waitMs, probing.promise))
          ? (await probing.promise).places(paths, waitMs)
          : null,
      measured: () => shareMetrics?.measured() ?? [],
      openMachine: (backend, onEnd) => fleet.openMachine(backend, onEnd),
      peers: () => fleet.peers,
    }),
  );
  const layers = (): LayerUnder => config.layers;
  const fleet = stack.use(
    createFleetPart({ home, gateway, values: environment, clock, logger, redact, bus, layers }),
  );
  const prober = options.prober ?? stack.use(startProber({ clock, logger }));
  const files = openLocalFiles({ prober, mountTable: createMountTable({ clock }), clock });
  const privacy = createPrivatePlaces({ home, look: files.exposures, clock, logger });
  const build = () => buildFirst(options, { snapshot, gateway, privacy }, force.signal);
  const { memory: given } = options;
  const { memory, door } = typeof given === "function" ? await given(build) : { memory: given, door: null };
  gatewayOwn.takeOver(gateway);
  const begin = (): void => writes.begin();
  if (gateway.handing === null) begin();
  else await gateway.handing.takeHome(begin);
  const isStale = typeof given === "function" && (await keeper.takeHome());
  void options.elsewhere?.ended.then(() => gatewayOwn.runsOnlyHere(gateway));
  const onCycle = (share: string): void => {
    required.noteCycle(share);
    fleet.noteShare();
  };
  const watched = { forceStop, announce: publish, onCycle, programs: required };
  parts = stack.use(startEngineParts({ home, clock, logger, memory, prober, ...watched }));
  probing.resolve(prober);
  required.noteConfig(snapshot.config.backends.flatMap(({ requires }) => requires));
  const { engine, hostProber, drivers, rcloneLogs, noteKeeper } = parts;
  await privacy.require(snapshot);
  const context = { environment, drivers, redact, intervalMs };
  engine.apply(shareSubjects(snapshot.config, context));
  const shareControl = createShareControl(engine, clock, parts, home);
  const places = stack.use(
    await openPlaces({ home, clock, logger, parts, readOnly: false, first: snapshot.config, publish }),
  );
  const { aliases } = places;
  const triggers = startTriggers(
    {
      clock,
      logger,
      engine,
      aliases,
      rcloneLogs,
      noteKeeper,
      hostProber,
      place: parts.place,
      intervalMs,
      first: snapshot.config,
      publish,
    },
    stack,
  );
  shareMetrics = createShareMetrics(engine);
  stack.defer(bus.subscribe(shareMetrics.handle));
  // Ends before the shares do.
  stack.use(gateway);
  const shares = shareSection({ engine, aliases, triggers, clock, context, required, publish });
  const config = stack.use(
    createConfigService({
      home,
      place,
      snapshot,
      file: await openConfigFile(snapshot.path, files),
      realPath: files.realPath,
      appliers: [gateway.applier, shares, notifications.applier, fleet.applier],
      approvals: keeper,
      loadedFile: options.snapshot,
      rejected: options.rejected ?? null,
      layer: options.layer ?? null,
      bindSecrets: (loaded, signal) => secrets.bind(loaded, signal),
      requirePrivate: (loaded) => privacy.require(loaded),
      startReader: options.startReader ?? startReaderProcess,
      clock,
      logger,
      stream,
      publish,
    }),
  );
  return {
    memory,
    door,
    isStale,
    parts,
    gatewayOwn,
    secrets,
    keeper,
    privacy,
    snapshot,
    startedAt,
    force,
    bus,
    stream,
    notifications,
    engine,
    required,
    shareControl,
    places,
    aliases,
    triggers,
    gateway,
    fleet,
    config,
  };
}

interface FirstParts {
  readonly snapshot: ConfigSnapshot;
  readonly gateway: GatewayPart;
  readonly privacy: PrivatePlaces;
}

/** What needs no home; what the gateway serves then, or null. */
async function buildFirst(
  options: ServiceOptions,
  { snapshot, gateway, privacy }: FirstParts,
  signal: AbortSignal,
): Promise<GatewayView | null> {
  const { clock, elsewhere } = options;
  const isWaitedFor = elsewhere?.isNeeded === true;
  // It starts programs.
  await privacy.require(snapshot);
  const late = new AbortController();
  using _ = isWaitedFor ? clock.setTimer(NEEDED_MS, () => late.abort()) : null;
  await gateway.build(snapshot.config, AbortSignal.any([signal, late.signal]), !isWaitedFor);
  return gateway.handing?.view() ?? null;
}

/** Ends the service: calls drain, steps end, and what is asked for is unmounted. */
async function stop(
  { clock, logger, unmountOnExit }: ServiceOptions,
  { memory, force, engine, shareControl, triggers, gateway, fleet, config, gatewayOwn }: ServiceParts,
  stack: DisposalStack,
): Promise<void> {
  const unmounts = unmountOnExit && !gatewayOwn.isHandedOver();
  const deadline = clock.setTimer(unmounts ? UNMOUNT_DEADLINE_MS : STOP_DEADLINE_MS, () => force.abort());
  triggers.stop();
  // A config that is applied now would begin cycles, and mount again what is unmounted here.
  await config[Symbol.asyncDispose]();
  // Tells how this machine is while that is known; the stack below waits for its end.
  void fleet[Symbol.asyncDispose]();
  // Calls drain while mounts are seen to; the stack below waits for the same end.
  Promise.resolve(gateway[Symbol.asyncDispose]()).catch(() => {});
  if (unmounts) {
    // A cycle under way may carry out the request that the next one was begun for.
    engine.rest();
    const { results } = await shareControl.unmountAtExit(force.signal);
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

/** The service's operations in the API. */
function createServiceControl(
  { home, clock, intervalMs }: ServiceOptions,
  {
    memory,
    parts: { drivers, formerShares },
    startedAt,
    snapshot,
    privacy,
    notifications,
    engine,
    shareControl: { control: shares },
    places,
    aliases,
    triggers,
    gateway,
    fleet,
    config,
    keeper,
  }: ServiceParts,
) {
  const conditions = createGlobalConditions({
    clock,
    memory,
    networkEvents: triggers.networkEvents,
    running: () => config.watcher.running.snapshot,
    sync: () => config.watcher.state,
    historyUnsavedBecause: () => config.historyUnsavedBecause,
    rcloneAdvice: () => drivers.rclone.advice?.() ?? null,
    formerUnsent: () => formerShares.known(engine.names),
  });
  const globalConditions = (): Condition[] => [
    ...conditions(),
    ...aliases.conditions(),
    ...notifications.conditions(),
    ...keeper.conditions(),
    ...privacy.conditions(),
    ...fleet.conditions(),
  ];

  return {
    ...shares,
    ...places.control,
    ...gateway.control,
    ...config.control,
    ...fleet.control,
    status: (): StatusReport => {
      const { global } = config.watcher.running.snapshot.config;
      return {
        global: {
          version: packageVersion(),
          pid: process.pid,
          started_at: startedAt,
          config_path: snapshot.path,
          home,
          ...globalSettings({ ...global, checkIntervalMs: intervalMs ?? global.checkIntervalMs }),
          network_events: triggers.networkEvents(),
          conditions: globalConditions(),
        },
        shares: engine.names.map((name) => shareStatus(engine.view(name))),
        ...aliasStatus(aliases),
        ...withWaiting(gateway.status(), keeper.conditions()),
      };
    },
    reconcile(request, signal) {
      aliases.trigger("user");
      return shares.reconcile(request, signal);
    },
    async verify(request, signal) {
      const report = await shares.verify(request, signal);
      if ((request.shares ?? null) !== null) return report;
      const status = gateway.status();
      const findings = [
        ...globalFindings(globalConditions()),
        ...gatewayFindings(status),
        ...report.findings,
      ];
      const backends = (status.backends ?? []).filter(({ enabled }) => enabled).length;
      return {
        ok: findings.every(({ severity }) => severity !== "error"),
        findings,
        looked_at: { shares: report.looked_at?.shares ?? 0, backends },
      };
    },
  } satisfies Partial<Control>;
}
