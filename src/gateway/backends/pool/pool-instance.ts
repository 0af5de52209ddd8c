// An instance in the pool: its configuration, its readiness, and the changes that the pool reacts to.
import { randomBytes } from "node:crypto";
import { errorText } from "../../../runtime/errors.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { settledWithin } from "../../../runtime/time/clock.ts";
import { isError, REQUEST_TIMEOUT, type Reply } from "../../json-rpc.ts";
import type { InstanceOptions, InstanceSeen } from "../instance/backend-instance.ts";
import type { BackendInstance, StartInstance } from "../instance/start-backend-instance.ts";
import type { PoolCall } from "../policy/backend-pool-contract.ts";
import type { ResolvedConnection } from "./connection-key.ts";

/**
 * Time limit for the end of an instance, ms. A link should end within 5 s. If the instance exceeds the limit,
 * that is logged, and nothing waits for it any longer.
 */
const CLOSE_LIMIT_MS = 10_000;
/** Timed-out calls in a row after which the server is checked. */
const DOUBTFUL_TIMEOUTS = 5;

/**
 * Prefix of `home` for HTTP servers. A process's `home` is base64url, so it never begins with this character.
 */
const AT_ADDRESS = "@";

/** True if a later instance can have the same `PoolInstance.home`. */
export function mayComeBack(home: string): boolean {
  return home.startsWith(AT_ADDRESS);
}

/** The configuration of an instance. */
export interface InstanceBase {
  readonly connection: ResolvedConnection;
  readonly secrets: readonly string[];
  readonly key: string;
  readonly epoch: number;
  /** The name of the route; null: the backend's first route. */
  readonly route: string | null;
}

type PoolInstanceOptions = Omit<InstanceOptions, "onSeen" | "onListings">;

export interface PoolInstanceEvents {
  /** The state, the checks or the freshness of the lists changed. */
  readonly onChange: (entry: PoolInstance) => void;
  readonly onListings: (entry: PoolInstance) => void;
  /** A call was answered. */
  readonly onSettled: (entry: PoolInstance) => void;
  /** Several calls in a row timed out. */
  readonly onDoubt: (entry: PoolInstance) => void;
}

export class PoolInstance {
  readonly id: number;
  readonly base: InstanceBase;
  readonly instance: BackendInstance;
  /** The instance takes calls; cheaper than `instance.seen`. */
  isReady: boolean;
  readonly #options: PoolInstanceOptions;
  readonly #events: PoolInstanceEvents;
  #seen: InstanceSeen;
  #home: string | null = null;
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
      onSeen: () => this.#look(),
      onListings: () => events.onListings(this),
    });
    this.#seen = this.instance.seen;
    this.isReady = this.#seen.state.kind === "ready";
  }

  /** Sends a call; this is the hot path. */
  send({ method, params, port, signal, onLoss, onHome }: PoolCall, timeoutMs: number): Promise<Reply> {
    onHome?.(this.home);
    const call = { method, params, port, signal, timeoutMs };
    return this.watch(this.instance.request(onLoss === undefined ? call : { ...call, onLoss }));
  }

  /** Identifies where tasks live: in this process only, or at an address, where the next instance finds them. */
  get home(): string {
    const { connection } = this.base;
    this.#home ??=
      connection.type !== "streamable-http"
        ? randomBytes(9).toString("base64url")
        : `${AT_ADDRESS}${sha256Of(connection.url).slice(0, 16)}`;
    return this.#home;
  }

  /** Includes the reply in the count of calls that timed out in a row. `send` does so itself. */
  watch(reply: Promise<Reply>): Promise<Reply> {
    void reply.then(this.#answered);
    return reply;
  }

  /** Ends the instance; calls in flight get the error. Resolves at the end or at the time limit. Never rejects. */
  async close(error: { readonly code: number; readonly message: string }): Promise<void> {
    const { clock, logger, backend } = this.#options;
    try {
      if (await settledWithin(clock, CLOSE_LIMIT_MS, this.instance.close(error))) return;
      logger.error("an instance does not end", { backend, pid: this.instance.pid });
    } catch (failure) {
      logger.error("an instance failed to end cleanly", { backend, reason: errorText(failure) });
    }
  }

  #look(): void {
    const { seen } = this.instance;
    const isChanged = isOther(this.#seen, seen);
    this.#seen = seen;
    this.isReady = seen.state.kind === "ready";
    if (isChanged) this.#events.onChange(this);
  }

  readonly #answered = (reply: Reply): void => {
    const timedOut = isError(reply) && reply.error.code === REQUEST_TIMEOUT;
    this.#timeoutsInRow = timedOut ? this.#timeoutsInRow + 1 : 0;
    if (this.#timeoutsInRow >= DOUBTFUL_TIMEOUTS) {
      this.#timeoutsInRow = 0;
      this.#events.onDoubt(this);
    }
    this.#events.onSettled(this);
  };
}

function isOther(before: InstanceSeen, seen: InstanceSeen): boolean {
  return (
    before.state.kind !== seen.state.kind ||
    before.missedChecks !== seen.missedChecks ||
    before.checkedAtMs !== seen.checkedAtMs ||
    before.outOfReach !== seen.outOfReach ||
    before.listsStaleBecause !== seen.listsStaleBecause ||
    before.withheldEntries !== seen.withheldEntries ||
    before.asksForRoots !== seen.asksForRoots
  );
}
