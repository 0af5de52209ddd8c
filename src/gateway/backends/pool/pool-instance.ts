// An instance as the pool holds it: the configuration it was made of, and which of its changes matter to the pool.
import { errorText } from "../../../runtime/errors.ts";
import { settledWithin } from "../../../runtime/time/clock.ts";
import { isError, REQUEST_TIMEOUT, type Reply } from "../../json-rpc.ts";
import type { BackendInstance, InstanceOptions, InstanceSeen } from "../instance/backend-instance.ts";
import type { PoolCall } from "../policy/backend-pool-contract.ts";
import type { LaneTools } from "./backend-lane-contract.ts";
import type { ResolvedConnection } from "./connection-key.ts";

/** A link ends within 5 s by its contract; one that does not is left behind, told. */
const CLOSE_LIMIT_MS = 10_000;
/** Calls in a row without an answer that are a reason to ask whether the server lives. */
const DOUBTFUL_TIMEOUTS = 5;

/** Of what an instance is made. */
export interface InstanceBase {
  readonly connection: ResolvedConnection;
  readonly secrets: readonly string[];
  readonly key: string;
  readonly epoch: number;
}

export interface PoolInstance {
  readonly id: number;
  readonly base: InstanceBase;
  readonly instance: BackendInstance;
  /** It answers; cheaper to ask than `instance.seen`. */
  readonly isReady: boolean;
  /** The hot path: nothing but the instance's own work, and a look at the answer. */
  send(call: PoolCall, timeoutMs: number): Promise<Reply>;
  /** Waits with `settled` for something else than a call. */
  watch(reply: Promise<Reply>): Promise<Reply>;
  /** Calls in flight get the error; resolves when nothing is left, or never will be. */
  close(error: { readonly code: number; readonly message: string }): Promise<void>;
}

export interface PoolInstanceEvents {
  /** It became ready, ended, was checked, or its lists became stale or fresh. */
  readonly onChange: (entry: PoolInstance) => void;
  readonly onListings: (entry: PoolInstance) => void;
  /** A call of it was answered. */
  readonly onSettled: (entry: PoolInstance) => void;
  /** Calls in a row timed out. */
  readonly onDoubt: (entry: PoolInstance) => void;
}

export function startPoolInstance(
  tools: Pick<LaneTools, "startInstance" | "clock" | "logger">,
  base: InstanceBase,
  options: Omit<InstanceOptions, "onSeen" | "onListings" | "clock" | "logger" | "key">,
  events: PoolInstanceEvents,
): PoolInstance {
  const { clock, logger } = tools;
  let entry: PoolInstance | null = null;
  let isReady = false;
  let before: InstanceSeen | null = null;
  let timeoutsInRow = 0;

  const look = (): boolean => {
    if (entry === null) return false;
    const { seen } = entry.instance;
    const changed = before === null || isNews(before, seen);
    before = seen;
    isReady = seen.state.kind === "ready";
    return changed;
  };
  const answered = (reply: Reply): void => {
    if (entry === null) return;
    const timedOut = isError(reply) && reply.error.code === REQUEST_TIMEOUT;
    timeoutsInRow = timedOut ? timeoutsInRow + 1 : 0;
    if (timeoutsInRow >= DOUBTFUL_TIMEOUTS) {
      timeoutsInRow = 0;
      events.onDoubt(entry);
    }
    events.onSettled(entry);
  };

  const instance = tools.startInstance({
    ...options,
    key: base.key,
    clock,
    logger,
    onSeen: () => {
      if (look() && entry !== null) events.onChange(entry);
    },
    onListings: () => {
      if (entry !== null) events.onListings(entry);
    },
  });
  const made: PoolInstance = {
    id: options.id,
    base,
    instance,
    get isReady() {
      return isReady;
    },
    send({ method, params, port, signal }, timeoutMs) {
      const reply = instance.request({ method, params, port, signal, timeoutMs });
      void reply.then(answered);
      return reply;
    },
    watch(reply) {
      void reply.then(answered);
      return reply;
    },
    async close(error) {
      isReady = false;
      try {
        if (await settledWithin(clock, CLOSE_LIMIT_MS, instance.close(error))) return;
        logger.error("an instance does not end", { backend: options.backend, pid: instance.pid });
      } catch (failure) {
        logger.error("an instance did not end well", {
          backend: options.backend,
          reason: errorText(failure),
        });
      }
    },
  };
  entry = made;
  look();
  return made;
}

function isNews(before: InstanceSeen, seen: InstanceSeen): boolean {
  return (
    before.state.kind !== seen.state.kind ||
    before.missedChecks !== seen.missedChecks ||
    before.checkedAtMs !== seen.checkedAtMs ||
    before.listsStaleBecause !== seen.listsStaleBecause ||
    before.withheldEntries !== seen.withheldEntries
  );
}
