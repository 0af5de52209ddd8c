// Network changes: picks this system's listener, and polls while it is unavailable.

import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { type InterfaceSnapshot, readInterfaces } from "../interfaces.ts";
import { scdynamicstoreSource } from "./darwin/scdynamicstore-listener.ts";
import { compareInterfaces, type NetworkDelta } from "./events/network-delta.ts";
import type { NetworkEventSource, RunningEventSource } from "./events/network-event-source.ts";
import { rtnetlinkSource } from "./linux/rtnetlink-listener.ts";

export interface NetworkListener extends AsyncDisposable {
  /** How changes are learnt now; "polling" is the fallback and may be seconds late. */
  readonly source: "rtnetlink" | "scdynamicstore" | "polling";
}

interface NetworkListenerOptions {
  clock: Clock;
  logger: Logger;
  /** Never called after disposal began, and never with an empty list. */
  onChange: (deltas: readonly NetworkDelta[]) => void;
  /** How often interfaces are compared while the system's own events are not there. Default 2,000. */
  pollIntervalMs?: number;
  /** The source of this system's events; null polls. Default: what the platform has. */
  eventSource?: NetworkEventSource | null;
}

const DEFAULT_POLL_INTERVAL_MS = 2_000;
const RESTART_DELAYS_MS = [100, 1_000, 5_000, 30_000, 60_000];
/** A source that worked for this long counts as sound: its next crash is a first one. */
const SOUND_AFTER_MS = 60_000;

/**
 * Listens from now on. Polls until the system's events flow, and whenever they do not. A source that crashes is started
 * again after growing delays; a source that this system does not have is reported once. Never throws.
 */
export function startNetworkListener(options: NetworkListenerOptions): NetworkListener {
  const { clock, logger, onChange, pollIntervalMs = DEFAULT_POLL_INTERVAL_MS } = options;
  const eventSource = options.eventSource === undefined ? platformSource() : options.eventSource;
  let ready = false;
  let crashes = 0;
  let readyAtMs = 0;
  let running: RunningEventSource | null = null;
  let restart: Timer | null = null;
  let ending: Promise<void> | null = null;

  const announce = (deltas: readonly NetworkDelta[]): void => {
    if (ending === null && deltas.length > 0) onChange(deltas);
  };
  const poll = startInterfacePoll({ clock, intervalMs: pollIntervalMs, onChange: announce });

  const start = (source: NetworkEventSource): void => {
    restart = null;
    running = source.start({
      onReady() {
        if (ending !== null) return;
        ready = true;
        readyAtMs = clock.monotonicMs();
        // Compares once more: a change between the last poll and the first event would otherwise be missed.
        poll.pause();
        logger.info("network events flow", { source: source.name });
      },
      onChange: announce,
      onEnd(end) {
        running = null;
        if (ending !== null) return;
        ready = false;
        poll.resume();
        if (end.kind === "unavailable") {
          logger.warn("network events are not available; polling instead", {
            source: source.name,
            error: errorText(end.error),
            poll_interval_ms: pollIntervalMs,
          });
          return;
        }
        crashed(source, end.error);
      },
    });
  };

  const crashed = (source: NetworkEventSource, error: unknown): void => {
    if (readyAtMs > 0 && clock.monotonicMs() - readyAtMs >= SOUND_AFTER_MS) crashes = 0;
    readyAtMs = 0;
    const delayMs = RESTART_DELAYS_MS[crashes];
    crashes += 1;
    const fields = { source: source.name, error: errorText(error), poll_interval_ms: pollIntervalMs };
    if (delayMs === undefined) {
      logger.error("network events ended for good; polling instead", fields);
      return;
    }
    logger.warn("network events ended; polling until they are back", { ...fields, restart_in_ms: delayMs });
    restart = clock.setTimer(delayMs, () => start(source));
  };

  if (eventSource !== null) start(eventSource);
  else logger.info("network changes are learnt by polling", { poll_interval_ms: pollIntervalMs });

  return {
    get source() {
      return ready && eventSource !== null ? eventSource.name : "polling";
    },
    [Symbol.asyncDispose]() {
      ending ??= (async () => {
        restart?.[Symbol.dispose]();
        poll[Symbol.dispose]();
        await running?.[Symbol.asyncDispose]();
      })();
      return ending;
    },
  };
}

function platformSource(): NetworkEventSource | null {
  if (process.platform === "darwin") return scdynamicstoreSource();
  return process.platform === "linux" ? rtnetlinkSource() : null;
}

interface InterfacePollOptions {
  clock: Clock;
  intervalMs: number;
  onChange: (deltas: readonly NetworkDelta[]) => void;
  /** The interfaces now; the system's by default. */
  read?: (nowMs: number) => InterfaceSnapshot;
}

/** Runs from the start. `onChange` is called from a timer, or from `pause` and `resume`, never with an empty list. */
export function startInterfacePoll(options: InterfacePollOptions) {
  const { clock, intervalMs, onChange, read = readInterfaces } = options;
  let last = read(clock.monotonicMs());
  let timer: Timer | null = null;
  let disposed = false;

  const compare = (): void => {
    const now = read(clock.monotonicMs());
    const deltas = compareInterfaces(last, now);
    last = now;
    if (deltas.length > 0) onChange(deltas);
  };
  const schedule = (): void => {
    timer = clock.setTimer(intervalMs, () => {
      schedule();
      compare();
    });
  };
  const rest = (): void => {
    timer?.[Symbol.dispose]();
    timer = null;
  };

  schedule();
  return {
    /** Compares once more, then rests. */
    pause(): void {
      if (timer === null) return;
      rest();
      compare();
    },
    /** Compares with the last reading at once, and goes on. */
    resume(): void {
      if (timer !== null || disposed) return;
      schedule();
      // What changed while the event source ran was reported by it, or was lost with it: better reported twice than never.
      compare();
    },
    [Symbol.dispose]() {
      disposed = true;
      rest();
    },
  };
}
