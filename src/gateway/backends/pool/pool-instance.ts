// An instance in the pool, with the configuration that it runs and the changes to which the pool reacts.
import { randomBytes } from "node:crypto";
import { errorText } from "../../../runtime/errors.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { settlesWithin } from "../../../runtime/time/clock.ts";
import { isError, REQUEST_TIMEOUT, type Reply } from "../../json-rpc.ts";
import type { InstanceObservation, InstanceOptions } from "../instance/backend-instance.ts";
import type { BackendInstance, StartInstance } from "../instance/start-backend-instance.ts";
import type { PoolCall } from "../policy/backend-pool-contract.ts";
import type { ResolvedConnection } from "./connection-key.ts";

/**
 * How long an instance may take to close, ms; after that it is logged and no longer waited for. Links end within 5 s.
 */
const CLOSE_LIMIT_MS = 10_000;
/** Number of timed-out calls in a row after which the server is checked. */
const SUSPECT_TIMEOUTS = 5;

/**
 * The first character of `taskLocation` for HTTP servers. The `taskLocation` of a process is base64url, which never has this
 * character.
 */
const AT_ADDRESS = "@";

/** True if a later instance can have the same `taskLocation`. */
export function mayComeBack(taskLocation: string): boolean {
  return taskLocation.startsWith(AT_ADDRESS);
}

export interface InstanceBase {
  readonly connection: ResolvedConnection;
  readonly secrets: readonly string[];
  readonly key: string;
  readonly epoch: number;
  /** Null: the backend's first route. */
  readonly route: string | null;
}

type PoolInstanceOptions = Omit<InstanceOptions, "onObserved" | "onListings">;

export interface PoolInstanceEvents {
  readonly onChange: (entry: PoolInstance) => void;
  readonly onListings: (entry: PoolInstance) => void;
  readonly onStarted: (entry: PoolInstance) => void;
  /** Several calls in a row timed out. */
  readonly onSuspect: (entry: PoolInstance) => void;
}

export class PoolInstance {
  readonly id: number;
  readonly base: InstanceBase;
  readonly instance: BackendInstance;
  /** Whether the instance is ready, as last seen. Cheaper to read than `instance.observed`. */
  isReady: boolean;
  readonly #options: PoolInstanceOptions;
  readonly #events: PoolInstanceEvents;
  #observed: InstanceObservation;
  #taskLocation: string | null = null;
  #timeoutsInRow = 0;

  constructor(
    start: StartInstance,
    base: InstanceBase,
    options: PoolInstanceOptions,
    events: PoolInstanceEvents,
  ) {
    this.id = options.id;
    this.base = base;
    this.#options = options;
    this.#events = events;
    this.instance = start({
      ...options,
      onObserved: () => this.#check(),
      onListings: () => events.onListings(this),
    });
    this.#observed = this.instance.observed;
    this.isReady = this.#observed.state.kind === "ready";
  }

  /** Every call of a client runs through this method, so it must be fast. */
  send(
    { method, params, handle, signal, onLoss, onTaskLocation }: PoolCall,
    timeoutMs: number,
  ): Promise<Reply> {
    onTaskLocation?.(this.taskLocation);
    const call = { method, params, handle, signal, timeoutMs };
    return this.watch(this.instance.request(onLoss === undefined ? call : { ...call, onLoss }));
  }

  /** Where tasks live: in this process, or at an address, where a later instance finds them. */
  get taskLocation(): string {
    const { connection } = this.base;
    this.#taskLocation ??=
      connection.type !== "streamable-http"
        ? randomBytes(9).toString("base64url")
        : `${AT_ADDRESS}${sha256Of(connection.url).slice(0, 16)}`;
    return this.#taskLocation;
  }

  /** Counts how many calls in a row time out. Not needed for calls of `send`, which counts them itself. */
  watch(reply: Promise<Reply>): Promise<Reply> {
    void reply.then(this.#answered);
    return reply;
  }

  /**
   * Resolves when the instance has ended, or after `CLOSE_LIMIT_MS`. Calls in flight fail with `error`; never
   * rejects.
   */
  async close(error: { readonly code: number; readonly message: string }): Promise<void> {
    const { clock, logger, backend } = this.#options;
    try {
      if (await settlesWithin(clock, CLOSE_LIMIT_MS, this.instance.close(error))) return;
      logger.error("an instance does not end", { backend, pid: this.instance.pid });
    } catch (failure) {
      logger.error("an instance failed to end cleanly", { backend, reason: errorText(failure) });
    }
  }

  #check(): void {
    const { observed } = this.instance;
    const isChanged = isOther(this.#observed, observed);
    this.#observed = observed;
    this.isReady = observed.state.kind === "ready";
    if (isChanged) this.#events.onChange(this);
  }

  readonly #answered = (reply: Reply): void => {
    const timedOut = isError(reply) && reply.error.code === REQUEST_TIMEOUT;
    this.#timeoutsInRow = timedOut ? this.#timeoutsInRow + 1 : 0;
    if (this.#timeoutsInRow >= SUSPECT_TIMEOUTS) {
      this.#timeoutsInRow = 0;
      this.#events.onSuspect(this);
    }
    this.#events.onStarted(this);
  };
}

function isOther(before: InstanceObservation, observed: InstanceObservation): boolean {
  return (
    before.state.kind !== observed.state.kind ||
    before.missedChecks !== observed.missedChecks ||
    before.checkedAtMs !== observed.checkedAtMs ||
    before.isUnreachable !== observed.isUnreachable ||
    before.listsStaleBecause !== observed.listsStaleBecause ||
    before.withheldEntries !== observed.withheldEntries ||
    before.requestsRoots !== observed.requestsRoots ||
    before.oddities !== observed.oddities
  );
}
