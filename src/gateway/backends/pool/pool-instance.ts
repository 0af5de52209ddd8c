// An instance as the pool holds it: the configuration it was made of, and which of its changes matter to the pool.
import { randomBytes } from "node:crypto";
import { errorText } from "../../../runtime/errors.ts";
import { sha256Of } from "../../../runtime/files/sha256.ts";
import { settledWithin } from "../../../runtime/time/clock.ts";
import { isError, REQUEST_TIMEOUT, type Reply } from "../../json-rpc.ts";
import type { InstanceOptions, InstanceSeen } from "../instance/backend-instance.ts";
import type { BackendInstance } from "../instance/start-backend-instance.ts";
import type { PoolCall } from "../policy/backend-pool-contract.ts";
import type { LaneTools } from "./backend-lane-contract.ts";
import type { ResolvedConnection } from "./connection-key.ts";

/** A link ends within 5 s by its contract; one that does not is left behind, told. */
const CLOSE_LIMIT_MS = 10_000;
/** Calls in a row without an answer that are a reason to ask whether the server lives. */
const DOUBTFUL_TIMEOUTS = 5;

/** No letter of base64url: no process has such a home. */
const AT_ADDRESS = "@";

/** Whether there may be an instance with that home later, where there is none now. */
export function mayComeBack(home: string): boolean {
  return home.startsWith(AT_ADDRESS);
}

type InstanceTools = Pick<LaneTools, "startInstance" | "clock" | "logger">;

/** Of what an instance is made. */
export interface InstanceBase {
  readonly connection: ResolvedConnection;
  readonly secrets: readonly string[];
  readonly key: string;
  readonly epoch: number;
  /** Another one than the backend's first; null: that. */
  readonly route: string | null;
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

export class PoolInstance {
  readonly id: number;
  readonly base: InstanceBase;
  readonly instance: BackendInstance;
  /** It answers; cheaper to ask than `instance.seen`. */
  isReady: boolean;
  readonly #tools: InstanceTools;
  readonly #backend: string;
  readonly #events: PoolInstanceEvents;
  #seen: InstanceSeen;
  #home: string | null = null;
  #timeoutsInRow = 0;

  constructor(
    tools: InstanceTools,
    base: InstanceBase,
    options: Omit<InstanceOptions, "onSeen" | "onListings" | "clock" | "logger" | "key">,
    events: PoolInstanceEvents,
  ) {
    const { clock, logger } = tools;
    this.id = options.id;
    this.base = base;
    this.#tools = tools;
    this.#backend = options.backend;
    this.#events = events;
    this.instance = tools.startInstance({
      ...options,
      key: base.key,
      clock,
      logger,
      onSeen: () => this.#look(),
      onListings: () => events.onListings(this),
    });
    this.#seen = this.instance.seen;
    this.isReady = this.#seen.state.kind === "ready";
  }

  /** The hot path: nothing but the instance's own work, and a look at the answer. */
  send({ method, params, port, signal, onLoss, onHome }: PoolCall, timeoutMs: number): Promise<Reply> {
    onHome?.(this.home);
    const call = { method, params, port, signal, timeoutMs };
    return this.watch(this.instance.request(onLoss === undefined ? call : { ...call, onLoss }));
  }

  /** Where its tasks live: in this process alone, or at an address, where the next instance finds them. */
  get home(): string {
    const { connection } = this.base;
    this.#home ??=
      connection.type !== "streamable-http"
        ? randomBytes(9).toString("base64url")
        : `${AT_ADDRESS}${sha256Of(connection.url).slice(0, 16)}`;
    return this.#home;
  }

  /** Waits with `settled` for something else than a call. */
  watch(reply: Promise<Reply>): Promise<Reply> {
    void reply.then(this.#answered);
    return reply;
  }

  /** Calls in flight get the error; resolves when nothing is left, or never will be. */
  async close(error: { readonly code: number; readonly message: string }): Promise<void> {
    const { clock, logger } = this.#tools;
    const backend = this.#backend;
    this.isReady = false;
    try {
      if (await settledWithin(clock, CLOSE_LIMIT_MS, this.instance.close(error))) return;
      logger.error("an instance does not end", { backend, pid: this.instance.pid });
    } catch (failure) {
      logger.error("an instance failed to end cleanly", { backend, reason: errorText(failure) });
    }
  }

  #look(): void {
    const { seen } = this.instance;
    const isChanged = isNews(this.#seen, seen);
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

function isNews(before: InstanceSeen, seen: InstanceSeen): boolean {
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
