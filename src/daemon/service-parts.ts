// The parts of the service, and the order in which they start. Those that need no home are built first: a daemon that takes
// over does so while its predecessor is still in charge.
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { type StartReader, startReaderProcess } from "../config/worker/reader-process.ts";
import type { GatewayView, InheritedListener } from "../gateway/serving/gateway-contract.ts";
import type { Measured } from "../gateway/telemetry/metric-families.ts";
import type { StateStore } from "../reconcile/state-store.ts";
import type { DisposalStack } from "../runtime/disposal.ts";
import { isoTime, settlesWithin } from "../runtime/time/clock.ts";
import { createMountTable } from "../shares/mounts/mount-table.ts";
import type { Prober } from "../shares/prober/prober.ts";
import { startProber } from "../shares/prober/prober-process.ts";
import { type OpenedApprovals, startApprovals } from "./approvals/start-approvals.ts";
import { type EngineParts, startEngineParts } from "./compose/engine-parts.ts";
import type { RejectedFile } from "./compose/home.ts";
import { createPrivatePaths, type PrivatePaths } from "./compose/private-paths.ts";
import { homeSecrets } from "./compose/stored-secrets.ts";
import { createRequiredShares } from "./control/required-shares.ts";
import { announcements } from "./events/event-stream.ts";
import { createFleetPart } from "./fleet-part.ts";
import { type GatewayHomeOptions, gatewayHome } from "./gateway-home.ts";
import { createGatewayPart, type GatewayPart, loadAhead } from "./gateway-part.ts";
import { desktopNotifier } from "./notify/notification-command.ts";
import { createNotifications } from "./notify/notifications.ts";
import { openConfigFile, openLocalFiles } from "./reload/config-file.ts";
import { createConfigService } from "./reload/config-service.ts";
import { startSharePart } from "./share-part.ts";

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

export interface ServiceOptions extends GatewayHomeOptions {
  /** Default: starts one. */
  readonly prober?: Prober;
  /** The configuration file, if it was rejected and `snapshot` is an earlier content. Default: none was rejected. */
  readonly rejected?: Omit<RejectedFile, "acceptedAt"> | null;
  /** Where the home was copied from by hand, if this start reports it. Default: null, it does not. */
  readonly copiedFrom?: string | null;
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

export type ServiceParts = Awaited<ReturnType<typeof startParts>>;

/** Starts the parts of the service. They end with `stack`. */
export async function startParts(options: ServiceOptions, stack: DisposalStack) {
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

type ServingParts = Pick<ServiceOptions, "clock" | "logger" | "redact"> &
  Pick<Approved, "secrets" | "bus" | "publish" | "gatewayOwn"> &
  Later & { readonly prober: Prober };

function createServing(parts: ServingParts, stack: DisposalStack) {
  const { clock, logger, redact, secrets, bus, publish, gatewayOwn } = parts;
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
    }),
  );
  const fleet = stack.use(createFleetPart({ gateway, values, clock, logger, redact, bus }));
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
  await gatewayOwn.takeOver(gateway);
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
  await gateway.build(snapshot.config, AbortSignal.any([signal, late.signal]));
  return gateway.handing?.view() ?? null;
}
