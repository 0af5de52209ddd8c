// The running service: the share engine, its triggers, the configuration, the gateway and the events. It starts in
// order and ends in reverse.
import type { Duplex } from "node:stream";
import type { Condition, ReloadReport, StatusReport } from "../api/contract.ts";
import type { ConfigControl, DaemonControl, GatewayControl, PlaceControl } from "../api/control.ts";
import { packageVersion } from "../api/version.ts";
import type { ConfigPlace } from "../config/locate.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import type { Memory } from "../reconcile/memory.ts";
import { type Bus, createBus } from "../runtime/bus.ts";
import { createDisposalStack, type DisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log/log.ts";
import { type Clock, isoTime } from "../runtime/time/clock.ts";
import type { ShareEngine } from "../shares/engine/share-engine.ts";
import type { AliasLinks } from "../shares/links/alias-links.ts";
import { startEngineParts } from "./compose/engine-parts.ts";
import { lineageBelow } from "./compose/gateway-lineage.ts";
import { shareSubjects } from "./compose/share-subjects.ts";
import { homeSecrets, startSecretRetry } from "./compose/stored-secrets.ts";
import { aliasStatuses } from "./control/alias-status.ts";
import { createGlobalConditions } from "./control/global-conditions.ts";
import { openPlaces } from "./control/place-control.ts";
import { createShareControl, type ShareControl } from "./control/share-control.ts";
import { shareStatus } from "./control/share-status.ts";
import { gatewayFindings, globalFindings } from "./control/verify.ts";
import { createEventStream } from "./events/event-stream.ts";
import type { ServiceTransition } from "./events/service-transitions.ts";
import { logTransition } from "./events/transition-log.ts";
import { createGatewayPart, type GatewayPart } from "./gateway-part.ts";
import { desktopNotifier } from "./notify/notification-command.ts";
import { createNotifications, type Notifications } from "./notify/notifications.ts";
import { openConfigFile, realPathThrough } from "./reload/config-file.ts";
import { type ConfigService, createConfigService } from "./reload/config-service.ts";
import { shareSection } from "./share-section.ts";
import { startWakeSources, type WakeSources } from "./wake-sources.ts";

/**
 * What is not done so long after a stop began is left to the next start, ms. The rest of the 5 s that a stop takes
 * at most is for ending what hangs, a prober that the system holds for example.
 */
const STOP_DEADLINE_MS = 3800;

interface ServiceOptions {
  readonly home: string;
  readonly place: ConfigPlace;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly snapshot: ConfigSnapshot;
  readonly memory: Memory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly redact: (secret: string) => void;
  /** Beats the file's check interval, ms. */
  readonly intervalMs: number | null;
  readonly unmountOnExit: boolean;
}

export interface SentinelService extends AsyncDisposable {
  readonly state: "starting" | "running" | "reloading" | "stopping";
  readonly control: DaemonControl;
  readonly config: ConfigControl;
  readonly gateway: GatewayControl;
  readonly places: PlaceControl;
  /** Serves one MCP client over lines of JSON-RPC, as the home's owner. */
  serveLines(stream: Duplex): void;
  readonly bus: Bus<ServiceTransition>;
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
  const { home, place, memory, clock, logger, redact, intervalMs } = options;
  const secrets = homeSecrets({ home, environment: options.environment, clock, logger });
  const snapshot = await secrets.bind(options.snapshot);
  const environment = secrets.values;
  const { global } = snapshot.config;
  const startedAt = isoTime(clock.wallMs());
  const force = new AbortController();
  const onListenerError = (error: unknown): void =>
    logger.error("a listener failed", { reason: errorText(error) });
  const bus = createBus<ServiceTransition>({ onListenerError });
  const publish = (transition: ServiceTransition): void => bus.publish(transition);
  const stream = createEventStream({ idsAfter: Math.floor(clock.wallMs()), onListenerError });
  stack.defer(bus.subscribe((transition) => logTransition(logger, transition)));
  stack.defer(bus.subscribe((transition) => stream.publish({ kind: "transition", transition })));
  const notifications = stack.use(
    createNotifications({
      settings: snapshot.config.notify,
      notifier: desktopNotifier,
      environment: options.environment,
      clock,
      logger,
    }),
  );
  stack.defer(bus.subscribe(notifications.hear));
  let state: "starting" | "running" | "stopping" = "starting";

  const parts = stack.use(
    startEngineParts({
      home,
      clock,
      logger,
      memory,
      forceStop: force.signal,
      announce: publish,
    }),
  );
  const { engine, hostProber, drivers, rcloneLogs, noteKeeper } = parts;
  const context = { environment, drivers, redact, intervalMs };
  engine.apply(shareSubjects(snapshot.config, context));
  const shareControl = createShareControl(engine, clock);
  const places = stack.use(
    await openPlaces({
      home,
      clock,
      logger,
      parts,
      readOnly: false,
      first: snapshot.config,
      publish,
    }),
  );
  const { aliases } = places;
  const wakes = startWakeSources(
    {
      clock,
      logger,
      engine,
      aliases,
      rcloneLogs,
      noteKeeper,
      hostProber,
      checkIntervalMs: intervalMs ?? global.checkIntervalMs,
      networkDebounceMs: global.networkDebounceMs,
      publish,
    },
    stack,
  );
  const gateway = stack.use(
    createGatewayPart({
      clock,
      logger,
      environment,
      programEnvironment: lineageBelow(snapshot.path, options.environment),
      redact,
      announce: publish,
      version: packageVersion(),
      listens: true,
    }),
  );
  const config = stack.use(
    createConfigService({
      home,
      place,
      snapshot,
      file: await openConfigFile(snapshot.path, { ...parts, clock }),
      realPath: realPathThrough(parts.prober),
      appliers: [
        gateway.applier,
        shareSection({
          engine,
          aliases,
          ticker: wakes.ticker,
          window: wakes.window,
          clock,
          context,
          publish,
        }),
        notifications.applier,
      ],
      bindSecrets: (loaded, signal) => secrets.bind(loaded, signal),
      clock,
      logger,
      stream,
      publish,
    }),
  );

  engine.triggerAll("start", clock.monotonicMs());
  aliases.trigger("start");
  notifications.start();
  await gateway.start(snapshot.config);
  state = "running";
  logger.info("running", {
    pid: process.pid,
    version: packageVersion(),
    shares: engine.names.length,
    config: snapshot.path,
  });
  await config.start();
  stack.use(startSecretRetry({ secrets, clock, logger, refresh: () => config.refreshSecrets() }));
  const control = createServiceControl({
    startedAt,
    home,
    memory,
    clock,
    intervalMs,
    snapshot,
    notifications,
    engine,
    shareControl,
    aliases,
    wakes,
    gateway,
    config,
  });

  const leave = (): void => {
    state = "stopping";
  };
  const stop = createStop({
    options,
    stack,
    memory,
    clock,
    logger,
    force,
    engine,
    shareControl,
    wakes,
    gateway,
    config,
    leave,
  });

  let stopping: Promise<void> | null = null;
  return {
    get state() {
      return state === "running" && config.watcher.busy ? "reloading" : state;
    },
    control,
    config: config.control,
    gateway: gateway.control,
    places: places.control,
    serveLines: (stream) => gateway.serveLines(stream),
    bus,
    reload: (signal) => config.control.reload({}, signal),
    forceStop: () => force.abort(),
    [Symbol.asyncDispose]() {
      stopping ??= stop();
      return stopping;
    },
  };
}

interface StopParts {
  readonly options: ServiceOptions;
  readonly stack: DisposalStack;
  readonly memory: Memory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly force: AbortController;
  readonly engine: ShareEngine;
  readonly shareControl: ShareControl;
  readonly wakes: WakeSources;
  readonly gateway: GatewayPart;
  readonly config: ConfigService;
  readonly leave: () => void;
}

/** Ends the service: calls drain, steps end, and what is asked for is unmounted. */
function createStop({
  options,
  stack,
  memory,
  clock,
  logger,
  force,
  engine,
  shareControl,
  wakes,
  gateway,
  config,
  leave,
}: StopParts) {
  const stop = async (): Promise<void> => {
    leave();
    const deadline = clock.setTimer(STOP_DEADLINE_MS, () => force.abort());
    wakes.stop();
    // A config that is applied now would begin cycles, and mount again what is unmounted here.
    await config[Symbol.asyncDispose]();
    // Calls drain while mounts are seen to; the stack below waits for the same end.
    Promise.resolve(gateway[Symbol.asyncDispose]()).catch(() => {});
    if (options.unmountOnExit) {
      // A cycle under way may carry out the request that the next one was begun for.
      engine.rest();
      await unmountAll();
    }
    await stack[Symbol.asyncDispose]();
    await memory.flush();
    deadline[Symbol.dispose]();
  };

  const unmountAll = async (): Promise<void> => {
    const results = await shareControl.unmount(null, { force: false, hold: false }, force.signal);
    for (const { share, result, detail } of results) {
      if (result !== "unmounted" && result !== "skipped") {
        logger.warn("left mounted at exit", { share, reason: detail });
      }
    }
  };

  return stop;
}

interface ServiceControlParts {
  readonly startedAt: string;
  readonly home: string;
  readonly memory: Memory;
  readonly clock: Clock;
  readonly intervalMs: number | null;
  readonly snapshot: ConfigSnapshot;
  readonly notifications: Notifications;
  readonly engine: ShareEngine;
  readonly shareControl: ShareControl;
  readonly aliases: AliasLinks;
  readonly wakes: WakeSources;
  readonly gateway: GatewayPart;
  readonly config: ConfigService;
}

/** What the API asks of the service. */
function createServiceControl({
  startedAt,
  home,
  memory,
  clock,
  intervalMs,
  snapshot,
  notifications,
  engine,
  shareControl,
  aliases,
  wakes,
  gateway,
  config,
}: ServiceControlParts) {
  const conditions = createGlobalConditions({
    clock,
    memory,
    listener: wakes.listener,
    running: () => config.watcher.running.snapshot,
    sync: () => config.watcher.state,
    historyUnsavedBecause: () => config.historyUnsavedBecause,
  });
  const globalConditions = (): Condition[] => [
    ...conditions(),
    ...aliases.conditions(),
    ...notifications.conditions(),
  ];

  const control: DaemonControl = {
    status: (): StatusReport => {
      const running = config.watcher.running.snapshot.config.global;
      return {
        global: {
          version: packageVersion(),
          pid: process.pid,
          started_at: startedAt,
          config_path: snapshot.path,
          home,
          check_interval_secs: (intervalMs ?? running.checkIntervalMs) / 1000,
          auto_failback: running.autoFailback,
          auto_failback_stable_secs: running.autoFailbackStableMs / 1000,
          lsof_recheck: running.lsofRecheck,
          network_events: wakes.listener.source,
          conditions: globalConditions(),
        },
        shares: engine.names.map((name) => shareStatus(engine.view(name))),
        ...aliasStatus(aliases),
        ...gateway.status(),
      };
    },
    ...shareControl,
    reconcile(selection, signal) {
      aliases.trigger("user");
      return shareControl.reconcile(selection, signal);
    },
    async verify(selection, signal) {
      const report = await shareControl.verify(selection, signal);
      if (selection !== null) return report;
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
    unmount: (selection, { force: cut }, signal) =>
      shareControl.unmount(selection, { force: cut, hold: true }, signal),
  };

  return control;
}

function aliasStatus(aliases: AliasLinks): Pick<StatusReport, "aliases"> {
  const told = aliasStatuses(aliases.status());
  return told.length === 0 ? {} : { aliases: told };
}
