// Owns the running service: the engine, what wakes it, and what it tells. It starts in order and ends in reverse.
import type { Condition, StatusReport } from "../api/contract.ts";
import type { DaemonControl } from "../api/control.ts";
import { packageVersion } from "../api/version.ts";
import type { ConfigSnapshot } from "../config/snapshot.ts";
import { createClockWatch } from "../network/clock-jump.ts";
import { createTriggerWindow } from "../network/debounce-window.ts";
import { deltaMayTouch, describeDelta, type NetworkDelta } from "../network/network-delta.ts";
import { startNetworkListener } from "../network/network-listener.ts";
import type { Memory } from "../reconcile/memory.ts";
import { startTicker } from "../reconcile/ticker.ts";
import { type Bus, createBus } from "../runtime/bus.ts";
import { type Clock, isoTime } from "../runtime/clock.ts";
import { createDisposalStack } from "../runtime/disposal.ts";
import { errorText } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log.ts";
import type { ShareSpec } from "../shares/share-spec.ts";
import { type EngineParts, startEngineParts } from "./engine-parts.ts";
import type { ServiceTransition } from "./service-transitions.ts";
import { createShareControl } from "./share-control.ts";
import { shareStatus } from "./share-status.ts";
import { shareSubjects } from "./share-subjects.ts";
import { logTransition } from "./transition-log.ts";

/** A stop takes at most this long, ms; what is not done by then is left to the next start. */
const STOP_DEADLINE_MS = 5000;

export interface ServiceOptions {
  readonly home: string;
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
  readonly state: "starting" | "running" | "stopping";
  readonly control: DaemonControl;
  readonly bus: Bus<ServiceTransition>;
  /** Ends what a stop would wait for. */
  forceStop(): void;
}

export async function startSentinelService(options: ServiceOptions): Promise<SentinelService> {
  const { home, snapshot, memory, clock, logger, environment, redact, intervalMs } = options;
  const { global } = snapshot.config;
  const startedAt = isoTime(clock.wallMs());
  const checkIntervalMs = intervalMs ?? global.checkIntervalMs;
  const force = new AbortController();
  const stack = createDisposalStack((error) =>
    logger.warn("stop was not clean", { reason: errorText(error) }),
  );
  const bus = createBus<ServiceTransition>({
    onListenerError: (error) => logger.error("a listener failed", { reason: errorText(error) }),
  });
  stack.defer(bus.subscribe((transition) => logTransition(logger, transition)));
  let state: SentinelService["state"] = "starting";

  const parts: EngineParts = startEngineParts({
    home,
    clock,
    logger,
    memory,
    forceStop: force.signal,
    mayChange: true,
    announce: (transition) => bus.publish(transition),
  });
  stack.use(parts);
  const { engine, hostProber, drivers } = parts;
  engine.apply(shareSubjects(snapshot.config, { environment, drivers, redact, intervalMs }));
  const shareControl = createShareControl(engine, clock);

  let touching: readonly NetworkDelta[] = [];
  let woke = false;
  const window = stack.use(
    createTriggerWindow({
      clock,
      windowMs: global.networkDebounceMs,
      onCycle(reasons) {
        const deltas = touching;
        const trigger = woke ? "wake" : "network";
        touching = [];
        woke = false;
        bus.publish({ name: "network.changed", reasons, trigger });
        engine.triggerAll(trigger, clock.monotonicMs(), reasons, (spec) =>
          deltas.some((delta) => mayTouch(delta, spec)),
        );
      },
    }),
  );

  const mayTouch = (delta: NetworkDelta, spec: ShareSpec): boolean => {
    const { seen } = engine.view(spec.name);
    return (["tb", "fallback"] as const).some((route) => {
      const { host, interfaceName } = spec.routes[route];
      if (host === null) return false;
      return deltaMayTouch(delta, {
        addresses: hostProber.addressesOf(host),
        interfaceName: interfaceName ?? seen?.routes[route].probe.interfaceName ?? null,
      });
    });
  };

  const listener = stack.use(
    startNetworkListener({
      clock,
      logger,
      onChange(deltas) {
        hostProber.networkChanged();
        touching = [...touching, ...deltas].slice(-MAX_DELTAS);
        for (const delta of deltas) window.trigger(describeDelta(delta));
      },
    }),
  );

  const clockWatch = createClockWatch({ clock });
  const ticker = stack.use(
    startTicker(clock, checkIntervalMs, (dueMs) => {
      const jump = clockWatch.observe(checkIntervalMs);
      if (jump !== null) {
        woke = true;
        hostProber.networkChanged();
        window.trigger(jump.text);
      }
      engine.triggerAll("tick", dueMs);
    }),
  );
  stack.defer(() => {
    state = "stopping";
  });
  engine.triggerAll("start", clock.monotonicMs());
  state = "running";
  logger.info("running", {
    pid: process.pid,
    version: packageVersion(),
    shares: engine.names.length,
    config: snapshot.path,
  });

  const globalConditions = (): Condition[] => {
    const unsaved = memory.unsavedBecause;
    const conditions: Condition[] = [];
    const add = (code: string, title: string, hint: string | null, since: string): void => {
      conditions.push({ code, severity: "warning", title, hint, since });
    };
    if (unsaved !== null) {
      add(
        "state_not_saved",
        `state.json cannot be written: ${unsaved.message}`,
        "Mounts go on; it is written as soon as it can be.",
        startedAt,
      );
    }
    if (listener.source === "polling") {
      add(
        "network_polling",
        "Network changes are learnt by polling every 2 s",
        "The system's own events are not available; see the log.",
        startedAt,
      );
    }
    for (const { path, text, hint } of snapshot.warnings)
      add(`config:${path}`, `${path}: ${text}`, hint, startedAt);
    return conditions;
  };

  const control: DaemonControl = {
    status: (): StatusReport => ({
      global: {
        version: packageVersion(),
        pid: process.pid,
        started_at: startedAt,
        config_path: snapshot.path,
        home,
        check_interval_secs: checkIntervalMs / 1000,
        auto_failback: global.autoFailback,
        auto_failback_stable_secs: global.autoFailbackStableMs / 1000,
        lsof_recheck: global.lsofRecheck,
        network_events: listener.source,
        conditions: globalConditions(),
      },
      shares: engine.names.map((name) => shareStatus(engine.view(name))),
    }),
    ...shareControl,
    unmount: (selection, { force: cut }, signal) =>
      shareControl.unmount(selection, { force: cut, hold: true }, signal),
  };

  const stop = async (): Promise<void> => {
    state = "stopping";
    using _deadline = clock.setTimer(STOP_DEADLINE_MS, () => force.abort());
    ticker[Symbol.dispose]();
    window[Symbol.dispose]();
    if (options.unmountOnExit) await unmountAll();
    await stack[Symbol.asyncDispose]();
    await memory.flush();
  };

  const unmountAll = async (): Promise<void> => {
    const results = await shareControl.unmount(null, { force: false, hold: false }, force.signal);
    for (const { share, result, detail } of results) {
      if (result !== "unmounted" && result !== "skipped")
        logger.warn("left mounted at exit", { share, reason: detail });
    }
  };

  let stopping: Promise<void> | null = null;
  return {
    get state() {
      return state;
    },
    control,
    bus,
    forceStop: () => force.abort(),
    [Symbol.asyncDispose]() {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** Deltas kept for the order of looks while a link flaps. */
const MAX_DELTAS = 100;
