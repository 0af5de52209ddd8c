// The triggers of the share engine: the tick, network events through the debounce window, and clock jumps.
import type { MountaineerConfig } from "../config/snapshot.ts";
import { createClockWatch } from "../network/listen/clock-jump.ts";
import { createTriggerWindow } from "../network/listen/debounce-window.ts";
import { deltaMayTouch, describeDelta, type NetworkDelta } from "../network/listen/events/network-delta.ts";
import { type NetworkListener, startNetworkListener } from "../network/listen/network-listener.ts";
import type { NetworkLocation } from "../network/location/network-location.ts";
import { IN_STEP, startTicker } from "../reconcile/ticker.ts";
import type { DisposalStack } from "../runtime/disposal.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import type { AliasLinks } from "../shares/links/alias-links.ts";
import { ROUTE_NAMES, type ShareSpec } from "../shares/share-spec.ts";
import type { EngineParts } from "./compose/engine-parts.ts";
import type { NetworkTransition } from "./events/service-transitions.ts";

/** Number of network changes kept for one cycle: they show which shares to check first. */
const MAX_DELTAS = 100;

interface TriggerOptions extends Pick<EngineParts, "engine" | "hostProber" | "programLogs">, RuntimeTools {
  readonly location: Pick<NetworkLocation, "networkChanged">;
  readonly aliases: Pick<AliasLinks, "trigger">;
  /** Overrides the configuration's check interval, ms; null: no override. */
  readonly intervalMs: number | null;
  readonly first: TriggerSettings;
  readonly publish: (transition: NetworkTransition) => void;
}

type TriggerSettings = Pick<MountaineerConfig, "global" | "shares">;

export type Triggers = ReturnType<typeof startTriggers>;

/** Starts the triggers; disposing `stack` ends them. */
export function startTriggers(options: TriggerOptions, stack: DisposalStack) {
  const { clock, logger, engine, aliases, programLogs, hostProber, location, publish } = options;
  const intervalOf = ({ global }: TriggerSettings): number => options.intervalMs ?? global.checkIntervalMs;
  let checkIntervalMs = intervalOf(options.first);
  let touching: readonly NetworkDelta[] = [];
  let woke = false;

  const mayTouch = (delta: NetworkDelta, spec: ShareSpec): boolean => {
    const { observed } = engine.view(spec.name);
    return ROUTE_NAMES.some((route) => {
      const { host, interfaceName } = spec.routes[route];
      if (host === null) return false;
      return deltaMayTouch(delta, interfaceName ?? observed?.routes[route].probe.interfaceName ?? null);
    });
  };

  const window = stack.use(
    createTriggerWindow({
      clock,
      windowMs: options.first.global.networkDebounceMs,
      onCycle(reasons) {
        const deltas = touching;
        const trigger = woke ? "wake" : "network";
        touching = [];
        woke = false;
        publish({ name: "network.changed", reasons, trigger });
        engine.triggerAll(trigger, clock.monotonicMs(), reasons, (spec) =>
          deltas.some((delta) => mayTouch(delta, spec)),
        );
      },
    }),
  );

  let listener: NetworkListener | null = null;
  stack.defer(() => listener?.[Symbol.asyncDispose]());
  /** Listens only if there are shares: nothing else needs network events, and the thread takes 14 MB. */
  const listenFor = ({ shares }: TriggerSettings): void => {
    if (shares.length === 0) return;
    listener ??= startNetworkListener({
      clock,
      logger,
      onChange(deltas) {
        hostProber.networkChanged();
        location.networkChanged();
        touching = [...touching, ...deltas].slice(-MAX_DELTAS);
        for (const delta of deltas) window.trigger(describeDelta(delta));
      },
    });
  };

  const clockWatch = createClockWatch({ clock });
  const beat = (dueMs: number): void => {
    const jump = clockWatch.observe(checkIntervalMs);
    if (jump !== null) {
      woke = true;
      hostProber.networkChanged();
      location.networkChanged();
      window.trigger(jump.text);
    }
    engine.triggerAll("tick", dueMs);
    aliases.trigger("tick");
    programLogs.trigger();
  };
  const ticker = stack.use(startTicker(clock, checkIntervalMs, beat, IN_STEP));
  listenFor(options.first);

  return {
    /** Where network events come from; "off" before the first share. */
    networkEvents: (): NetworkListener["source"] | "off" => listener?.source ?? "off",
    window,
    configure(settings: TriggerSettings): void {
      listenFor(settings);
      // The first tick of the new interval may come later than the old interval allows. Without this call, that would
      // be taken for sleep of the machine.
      clockWatch.observe();
      checkIntervalMs = intervalOf(settings);
      ticker.setInterval(checkIntervalMs);
      window.setWindowMs(settings.global.networkDebounceMs);
    },
    /** No cycles are started after this call. */
    stop(): void {
      ticker[Symbol.dispose]();
      window[Symbol.dispose]();
    },
  };
}
