// Owns the instances that belong to one client each (`instances = "per-client"`): started at its first call, ended
// with its session, drained when the connection changes.

import type { Logger } from "../../../runtime/log/log.ts";
import type { Clock, Timer } from "../../../runtime/time/clock.ts";
import type { ClientPort } from "../../client-port.ts";
import { BACKEND_UNAVAILABLE, errorReply, type Reply } from "../../json-rpc.ts";
import { type DrainReason, drainMessage, unwantedMessage } from "../policy/draining.ts";
import type { InstanceBase, PoolInstance, PoolInstanceEvents } from "./pool-instance.ts";
import { createWaitingCalls, type WaitingCalls } from "./waiting-calls.ts";

/**
 * Of one backend. Those that drain do not count: a change must not refuse the clients that it moves. Beyond it, that of
 * the client which may have gone gives way.
 */
const MAX_CLIENT_INSTANCES = 64;

interface ClientInstancesOptions {
  readonly backend: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What a new one is made of; null: none is to be started. */
  readonly base: () => InstanceBase | null;
  readonly start: (owner: ClientPort, base: InstanceBase, events: PoolInstanceEvents) => PoolInstance;
  readonly drainTimeoutMs: () => number;
  /** An owner's instance is ready: what it had subscribed to goes there. */
  readonly onReady: (owner: ClientPort, entry: PoolInstance) => void;
  /** A call was answered, or an instance is gone. */
  readonly onSettled: () => void;
}

interface ClientCall {
  readonly run: (entry: PoolInstance, leftMs: number) => Promise<Reply>;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

export interface ClientInstances {
  /** Those that exist, draining ones included. */
  readonly all: readonly PoolInstance[];
  readonly drainingInFlight: number;
  /** Null: it has none that answers now. */
  ready(client: ClientPort): PoolInstance | null;
  /** On the client's own instance, which is started for it when there is none. Never rejects. */
  call(client: ClientPort, call: ClientCall): Promise<Reply>;
  /** Starts one for a client that needs it without a call. */
  ensure(client: ClientPort): void;
  /** Those that `isWanted` does not name get no more calls, and end when theirs have. */
  retire(isWanted: (entry: PoolInstance) => boolean, why: DrainReason): void;
  forget(client: ClientPort): void;
  /** All end now: calls in flight get the error. */
  close(message: string): Promise<void>;
}

/** Requests or checks in a row that did not reach it, after which the next call gets another one. */
const DISTRUST_CHECKS = 3;

interface Own {
  entry: PoolInstance;
  usedMs: number;
  readonly waiting: WaitingCalls;
}

export function createClientInstances(options: ClientInstancesOptions): ClientInstances {
  const { backend, clock, logger } = options;
  const owned = new Map<ClientPort, Own>();
  const retired = new Map<PoolInstance, Timer>();
  const closing = new Map<PoolInstance, Promise<void>>();

  const close = (entry: PoolInstance, message: string): void => {
    retired.get(entry)?.[Symbol.dispose]();
    retired.delete(entry);
    if (closing.has(entry)) return;
    const ended = entry.close({ code: BACKEND_UNAVAILABLE, message });
    closing.set(
      entry,
      ended.then(() => {
        closing.delete(entry);
        options.onSettled();
      }),
    );
  };

  const retireOne = (entry: PoolInstance, why: DrainReason): void => {
    if (entry.instance.seen.inFlight === 0) {
      close(entry, unwantedMessage(backend, why));
      return;
    }
    const limitMs = options.drainTimeoutMs();
    const cut = (): void => close(entry, drainMessage(backend, why, limitMs));
    retired.set(entry, clock.setTimer(limitMs, cut));
  };
  const watching = createInstanceWatch({ options, backend, owned, retired, close, retireOne });

  const endOf = (client: ClientPort, own: Own, message: string): void => {
    owned.delete(client);
    own.waiting.fail(message);
    own.entry.instance.forget(client);
    close(own.entry, message);
  };

  /** Ends the one used longest ago of those whose clients do nothing: most of these left without a word. */
  const makeRoom = (): void => {
    if (owned.size < MAX_CLIENT_INSTANCES) return;
    let oldest: readonly [ClientPort, Own] | null = null;
    for (const [client, own] of owned) {
      const isIdle = !client.busy && own.waiting.size === 0 && own.entry.instance.seen.inFlight === 0;
      if (isIdle && (oldest === null || own.usedMs < oldest[1].usedMs)) oldest = [client, own];
    }
    if (oldest === null) return;
    logger.info("the instance of an idle client gives way to a newer client's", { backend });
    endOf(...oldest, `backend ${backend}: the instance of this client gave way to a newer one`);
  };

  /** The error when it cannot be. */
  const startFor = (client: ClientPort): Own | string => {
    const base = options.base();
    if (base === null) return `backend ${backend} is not running`;
    if (owned.size >= MAX_CLIENT_INSTANCES) {
      return `backend ${backend} runs ${MAX_CLIENT_INSTANCES} instances for its clients already, which is the limit`;
    }
    const entry = options.start(client, base, watching.events(client));
    const own: Own = {
      entry,
      usedMs: clock.monotonicMs(),
      waiting: createWaitingCalls(clock, backend),
    };
    owned.set(client, own);
    return own;
  };

  return {
    get all() {
      return [...[...owned.values()].map(({ entry }) => entry), ...retired.keys(), ...closing.keys()];
    },
    get drainingInFlight() {
      return [...retired.keys()].reduce((sum, { instance }) => sum + instance.seen.inFlight, 0);
    },
    ready(client) {
      const own = owned.get(client);
      if (own?.entry.isReady !== true) return null;
      own.usedMs = clock.monotonicMs();
      return own.entry;
    },
    call(client, { run, deadlineMs, signal }) {
      const ready = owned.get(client)?.entry;
      if (ready?.isReady === true) return run(ready, deadlineMs);
      if (client.ended.aborted) {
        return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, "the session has ended"));
      }
      if (!owned.has(client) && options.base() !== null) makeRoom();
      const own = owned.get(client) ?? startFor(client);
      if (typeof own === "string") return Promise.resolve(errorReply(BACKEND_UNAVAILABLE, own));
      return own.waiting.add({ run: (leftMs) => run(own.entry, leftMs), deadlineMs, signal });
    },
    ensure(client) {
      if (!owned.has(client) && !client.ended.aborted) startFor(client);
    },
    retire(isWanted, why) {
      for (const [client, own] of [...owned]) {
        const { entry } = own;
        if (isWanted(entry)) continue;
        const base = why === "removed" || why === "disabled" ? null : options.base();
        if (own.waiting.size > 0 && base !== null) {
          // Its calls have not begun: they wait for the new one instead.
          own.entry = options.start(client, base, watching.events(client));
        } else {
          owned.delete(client);
          // They were accepted while it was wanted: the instance holds them until it is ready, and drains. Where the
          // backend is shared again, `run` sends them there.
          own.waiting.begin();
        }
        retireOne(entry, why);
      }
    },
    forget(client) {
      const own = owned.get(client);
      for (const entry of [...retired.keys()]) entry.instance.forget(client);
      if (own !== undefined) endOf(client, own, "the session has ended");
    },
    async close(message) {
      for (const { entry, waiting } of owned.values()) {
        waiting.fail(message);
        close(entry, message);
      }
      owned.clear();
      for (const entry of [...retired.keys()]) close(entry, message);
      await Promise.all(closing.values());
    },
  };
}

interface InstanceWatchParts {
  readonly options: ClientInstancesOptions;
  readonly backend: string;
  readonly owned: Map<ClientPort, Own>;
  readonly retired: Map<PoolInstance, Timer>;
  readonly close: (entry: PoolInstance, message: string) => void;
  readonly retireOne: (entry: PoolInstance, why: DrainReason) => void;
}

/** What the instances of clients tell, and what follows from it. */
function createInstanceWatch({ options, backend, owned, retired, close, retireOne }: InstanceWatchParts) {
  /** Calls in a row had no answer: a check without one is enough. */
  const doubted = new WeakSet<PoolInstance>();
  /** Known to be ready: what waited for it was begun. */
  const greeted = new WeakSet<PoolInstance>();

  const events = (client: ClientPort): PoolInstanceEvents => ({
    onChange: (entry) => look(client, entry),
    onListings: () => {},
    onSettled: (entry) => {
      if (retired.has(entry) && entry.instance.seen.inFlight === 0)
        close(entry, `backend ${backend} has ended`);
      options.onSettled();
    },
    onDoubt: (entry) => {
      doubted.add(entry);
      entry.instance.check();
    },
  });

  const look = (client: ClientPort, entry: PoolInstance): void => {
    const { state, missedChecks } = entry.instance.seen;
    const own = owned.get(client);
    if (own?.entry !== entry) {
      if (state.kind === "ended" && retired.has(entry)) close(entry, `backend ${backend} has ended`);
      return;
    }
    if (state.kind === "ended") {
      owned.delete(client);
      const { failure, wasReady } = state;
      const what = wasReady ? "has ended" : "could not be started";
      own.waiting.fail(`backend ${backend}: the instance of this client ${what}: ${failure.message}`);
      close(entry, failure.message);
    } else if (state.kind === "ready" && missedChecks >= (doubted.has(entry) ? 1 : DISTRUST_CHECKS)) {
      owned.delete(client);
      own.waiting.fail(unwantedMessage(backend, "not_answering"));
      retireOne(entry, "not_answering");
    } else if (state.kind === "ready" && !greeted.has(entry)) {
      greeted.add(entry);
      options.onReady(client, entry);
      own.waiting.begin();
    }
  };

  return { events };
}
