// Owns all backends of the gateway: a lane each, so that a slow or dead one holds back no other, and what they
// publish together.
import type { BackendConfig } from "../../../config/snapshot.ts";
import { errorText } from "../../../runtime/errors.ts";
import type { Logger } from "../../../runtime/log/log.ts";
import { settledWithin } from "../../../runtime/time/clock.ts";
import type { CatalogSource } from "../../catalog/catalog.ts";
import { BACKEND_UNAVAILABLE, errorReply, type Reply } from "../../json-rpc.ts";
import type { McpLogLevel } from "../../protocol.ts";
import type { BackendPool, PoolSettings } from "../policy/backend-pool-contract.ts";
import { createBackendLane } from "./backend-lane.ts";
import type { BackendLane, LaneTools } from "./backend-lane-contract.ts";

/** How long calls in flight may go on when the gateway stops, and how long ending takes in all, ms. */
const STOP_DRAIN_MS = 3_000;
const STOP_LIMIT_MS = 4_400;
const STOPPING = "the gateway is stopping";

export type PoolOptions = Omit<LaneTools, "logLevel" | "drainTimeoutMs" | "takeTurn" | "onChanged">;

/** Nothing is started before the first `apply`. */
export function createBackendPool(options: PoolOptions): BackendPool {
  const { clock, logger } = options;
  /** In the file's order; what is being shut down comes last. */
  const lanes = new Map<string, BackendLane>();
  let order: readonly string[] = [];
  let settings: PoolSettings = { drainTimeoutMs: 0 };
  let logLevel: McpLogLevel | null = null;
  let applying = false;
  let stopping: Promise<void> | null = null;

  /** Who waits to start a program: between two of them whatever has come in meanwhile is served. */
  const turns: (() => void)[] = [];
  const nextTurn = (): void => {
    turns[0]?.();
    turns.shift();
    if (turns.length > 0) setImmediate(nextTurn);
  };

  const laneTools: LaneTools = {
    ...options,
    logLevel: () => logLevel,
    drainTimeoutMs: () => settings.drainTimeoutMs,
    takeTurn(start) {
      turns.push(start);
      if (turns.length === 1) setImmediate(nextTurn);
    },
    onChanged(lane) {
      if (lane.isGone && lanes.get(lane.name) === lane && !order.includes(lane.name)) {
        lanes.delete(lane.name);
        lane.stop(`backend ${lane.name} was removed from the configuration`);
      }
      if (!applying) publishing.publish();
      for (const watcher of [...publishing.watchers]) watcher();
    },
  };

  const unknown = (backend: string): Promise<Reply> => {
    const message = stopping === null ? `there is no backend of the name ${backend}` : STOPPING;
    return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, message));
  };
  const publishing = createPublishing({ logger, lanes, order: () => order, stopping: () => stopping });

  const end = async (): Promise<void> => {
    const all = [...lanes.values()];
    for (const lane of all) lane.stop(STOPPING);
    const giveUp = new AbortController();
    const drain = clock.setTimer(STOP_DRAIN_MS, () => giveUp.abort());
    // Each by itself: ending a stubborn one takes as long as the calls of another may.
    const closed = all.map(async (lane) => {
      await publishing.until(() => lane.inFlight === 0, giveUp.signal);
      await lane.close(STOPPING);
    });
    if (!(await settledWithin(clock, STOP_LIMIT_MS, Promise.all(closed)))) {
      logger.warn("backends are left that did not end in time; the warden ends them", {});
    }
    drain[Symbol.dispose]();
    lanes.clear();
    publishing.listeners.clear();
    for (const watcher of [...publishing.watchers]) watcher();
    publishing.watchers.clear();
  };

  return {
    apply(configs, next) {
      if (stopping !== null) return;
      const isOtherDrain = next.drainTimeoutMs !== settings.drainTimeoutMs;
      settings = next;
      order = configs.map(({ name }) => name);
      const wanted = new Map<string, BackendConfig>(configs.map((config) => [config.name, config]));
      applying = true;
      try {
        for (const [name, lane] of [...lanes]) {
          if (!wanted.has(name)) lane.configure(null);
        }
        for (const [name, config] of wanted) {
          const lane = lanes.get(name);
          lane?.configure(config);
          // The order of the file.
          lanes.delete(name);
          lanes.set(name, lane ?? createBackendLane(laneTools, name, config));
        }
        for (const [name, lane] of [...lanes]) {
          if (wanted.has(name)) continue;
          lanes.delete(name);
          lanes.set(name, lane);
        }
        if (isOtherDrain) for (const lane of lanes.values()) lane.lookAgain();
      } finally {
        applying = false;
      }
      publishing.publish();
    },
    get published() {
      return publishing.published;
    },
    onPublished(listener) {
      publishing.listeners.add(listener);
      return () => void publishing.listeners.delete(listener);
    },
    call: (backend, call) => lanes.get(backend)?.call(call) ?? unknown(backend),
    subscribe: (backend, uri, client) => lanes.get(backend)?.subscribe(uri, client) ?? unknown(backend),
    unsubscribe: (backend, uri, client) => lanes.get(backend)?.unsubscribe(uri, client) ?? unknown(backend),
    notifyOwn(client, method, params) {
      for (const lane of lanes.values()) lane.notifyOwn(client, method, params);
    },
    setLogLevel(level) {
      if (level === logLevel) return;
      logLevel = level;
      for (const lane of lanes.values()) lane.setLogLevel(level);
    },
    forget(client) {
      for (const lane of lanes.values()) lane.forget(client);
    },
    greetings: () => order.flatMap((name) => lanes.get(name)?.greeting ?? []),
    view: () => [...lanes.values()].map((lane) => lane.view()),
    restart(backend) {
      const lane = order.includes(backend) ? lanes.get(backend) : undefined;
      lane?.restart();
      return lane !== undefined;
    },
    logLines: (backend) => lanes.get(backend)?.logLines() ?? null,
    settled: (signal) =>
      publishing.until(() => [...lanes.values()].every(({ isSettled }) => isSettled), signal),
    [Symbol.asyncDispose]() {
      stopping ??= end();
      return stopping;
    },
  };
}

interface PublishingParts {
  readonly logger: Logger;
  readonly lanes: Map<string, BackendLane>;
  readonly order: () => readonly string[];
  readonly stopping: () => Promise<void> | null;
}

/** Tells what is published when that changes, and lets others wait for a change. */
function createPublishing({ logger, lanes, order, stopping }: PublishingParts) {
  const listeners = new Set<() => void>();
  /** Whoever waits for a change of any lane. */
  const watchers = new Set<() => void>();
  let published: readonly CatalogSource[] = [];

  const publish = (): void => {
    if (stopping() !== null) return;
    const sources: CatalogSource[] = [];
    for (const name of order()) {
      const source = lanes.get(name)?.source ?? null;
      if (source !== null) sources.push(source);
    }
    const isSame =
      sources.length === published.length && sources.every((source, at) => source === published[at]);
    if (isSame) return;
    published = sources;
    for (const listener of [...listeners]) {
      try {
        listener();
      } catch (error) {
        // A lane is in the middle of its step, which must be taken all the same.
        logger.error("what is published was not taken over", { reason: errorText(error) });
      }
    }
  };

  /** Resolves when `isSo`, looked at after each change, or when the signal aborts. */
  const until = (isSo: () => boolean, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!isSo() && !signal.aborted) return;
        watchers.delete(look);
        signal.removeEventListener("abort", look);
        resolve();
      };
      watchers.add(look);
      signal.addEventListener("abort", look, { once: true });
      look();
    });

  return {
    publish,
    watchers,
    until,
    listeners,
    get published() {
      return published;
    },
  };
}
