// Network changes: picks this system's events, and polls while there are none.
import { endianness } from "node:os";
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import { type InterfaceSnapshot, readInterfaces } from "../interfaces.ts";
import { scdynamicstoreSource } from "./darwin/scdynamicstore-listener.ts";
import { compareInterfaces, type NetworkDelta } from "./events/network-delta.ts";
import {
  linkDetail,
  type NetworkEventSource,
  type RunningEventSource,
} from "./events/network-event-source.ts";
import { rtnetlinkSource } from "./linux/rtnetlink-listener.ts";

export interface NetworkListener extends AsyncDisposable {
  /** How changes are noticed now; "polling" is the fallback, which may be seconds late. */
  readonly source: "rtnetlink" | "scdynamicstore" | "polling";
}

interface NetworkListenerOptions {
  clock: Clock;
  logger: Logger;
  /** Never called after disposal began, and never with an empty list. */
  onChange: (deltas: readonly NetworkDelta[]) => void;
  /** How often interfaces are compared while the system's events do not flow, ms. Default 2,000. */
  pollIntervalMs?: number;
  /** The source of network events. null: the listener polls instead. Default: the platform's source. */
  eventSource?: NetworkEventSource | null;
  read?: (nowMs: number) => InterfaceSnapshot;
}

const DEFAULT_POLL_INTERVAL_MS = 2_000;
const RESTART_DELAYS_MS = [100, 1_000, 5_000, 30_000, 60_000];
/** A source that worked for this long, ms, counts as sound: its next crash counts as the first. */
const SOUND_AFTER_MS = 60_000;

/**
 * Listens from now on. Polls until the system's events flow, and whenever they do not. A source that crashes is started
 * again after growing delays; a source that this system does not have is reported once. Never throws.
 */
export function startNetworkListener(options: NetworkListenerOptions): NetworkListener {
  const { clock, logger, onChange, read = readInterfaces } = options;
  const { pollIntervalMs = DEFAULT_POLL_INTERVAL_MS, eventSource = platformSource() } = options;
  let last = read(clock.monotonicMs());
  let ready = false;
  let crashes = 0;
  let readyAtMs = 0;
  let running: RunningEventSource | null = null;
  let restart: Timer | null = null;
  let poll: Timer | null = null;
  let again: Timer | null = null;
  let ending: Promise<void> | null = null;

  /** Emits the changes since the last check, and the `details` of an event that these do not explain. */
  const check = (details: readonly string[] = []): void => {
    if (ending !== null) return;
    const now = read(clock.monotonicMs());
    again?.[Symbol.dispose]();
    // An empty list may come from a system that refused to give one, and an event may never follow: all interfaces
    // would stay down.
    if (ready && now.names.size === 0) again = clock.setTimer(pollIntervalMs, () => check());
    const observed = compareInterfaces(last, now);
    last = now;
    const unknown = details
      .filter((detail) => observed.length === 0 || isUnseenLink(detail, observed))
      .map((detail) => ({ kind: "unknown", detail }) as const);
    const deltas = [...observed, ...unknown];
    if (deltas.length > 0) onChange(deltas);
  };
  const startPolling = (): void => {
    poll = clock.setTimer(pollIntervalMs, () => {
      startPolling();
      check();
    });
  };

  const start = (source: NetworkEventSource): void => {
    running = source.start({
      onReady() {
        ready = true;
        readyAtMs = clock.monotonicMs();
        poll?.[Symbol.dispose]();
        // A change between the last poll and the first event would otherwise be missed.
        check();
        logger.info("network events flow", { source: source.name });
      },
      onBell: check,
      onEnd(end) {
        if (ending !== null) return;
        if (ready && clock.monotonicMs() - readyAtMs >= SOUND_AFTER_MS) crashes = 0;
        if (ready) startPolling();
        ready = false;
        check();
        const error = errorText(end.error);
        const fields = { source: source.name, error, poll_interval_ms: pollIntervalMs };
        const delayMs = RESTART_DELAYS_MS[crashes];
        if (end.kind === "unavailable") {
          logger.warn("network events are not available; polling instead", fields);
        } else if (delayMs === undefined) {
          logger.error("network events ended for good; polling instead", fields);
        } else {
          crashes += 1;
          const restarting = { ...fields, restart_in_ms: delayMs };
          logger.warn("network events ended; polling until they are back", restarting);
          restart = clock.setTimer(delayMs, () => start(source));
        }
      },
    });
  };

  startPolling();
  if (eventSource !== null) start(eventSource);
  else logger.info("network changes are noticed by polling", { poll_interval_ms: pollIntervalMs });

  return {
    get source() {
      return ready && eventSource !== null ? eventSource.name : "polling";
    },
    [Symbol.asyncDispose]() {
      ending ??= (async () => {
        restart?.[Symbol.dispose]();
        poll?.[Symbol.dispose]();
        again?.[Symbol.dispose]();
        await running?.[Symbol.asyncDispose]();
      })();
      return ending;
    },
  };
}

/** A cable behind a bridge, say: that another interface changed at the same moment says nothing of it. */
function isUnseenLink(detail: string, deltas: readonly NetworkDelta[]): boolean {
  const isOf = (delta: NetworkDelta) =>
    delta.kind !== "unknown" && detail === linkDetail(delta.interfaceName);
  return detail.startsWith(linkDetail("")) && !deltas.some(isOf);
}

function platformSource(): NetworkEventSource | null {
  if (process.platform === "darwin") return scdynamicstoreSource();
  // The messages of rtnetlink are read in the byte order of little-endian machines.
  return process.platform === "linux" && endianness() === "LE" ? rtnetlinkSource() : null;
}
