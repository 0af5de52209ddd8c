// What the rest of the gateway sees of the backend pool.

import type { Explanation } from "../../../reconcile/decision.ts";
import type { LastingCondition } from "../../../runtime/conditions/conditions.ts";
import type { JsonObject, Reply } from "../../json-rpc.ts";
import type { BackendCall, InitializeResult } from "../instance/backend-instance.ts";
import type { LongWaits } from "../instance/pending.ts";
import type { BackendConditionName } from "./condition-rows.ts";
import type { FailbackPolicy } from "./route-memory.ts";

export type BackendPhase =
  | "Pending"
  | "Initializing"
  | "Ready"
  /** Not running, because no client needs it; its lists are published, and a call starts it. */
  | "Asleep"
  | "Degraded"
  | "Failed"
  | "ShuttingDown";

/** A lasting problem of one backend. */
export interface BackendCondition extends LastingCondition<BackendConditionName> {
  /** What it comes from, in words that do not name the backend. */
  readonly cause?: { readonly text: string; readonly hint: string | null };
  /** The required share that is away. */
  readonly share?: string;
}

export interface BackendView {
  readonly name: string;
  readonly group: string | null;
  readonly type: "stdio" | "streamable-http" | "fleet";
  readonly enabled: boolean;
  readonly phase: BackendPhase;
  /** For people. */
  readonly reason: string | null;
  /** Begin of the phase, wall ms. */
  readonly sinceMs: number;
  readonly pid: number | null;
  readonly server: { readonly name: string; readonly version: string } | null;
  readonly protocolVersion: string | null;
  /** Number of all instances, including starting and draining ones and those of single clients. */
  readonly instances: number;
  readonly inFlight: number;
  /** Calls that have made no progress for a long time. */
  readonly longWaits: LongWaits | null;
  /** Calls in flight on draining instances. */
  readonly draining: number;
  /** How often an instance exited unasked. */
  readonly restarts: number;
  /** Wall ms. */
  readonly retryAtMs: number | null;
  readonly lastError: string | null;
  readonly conditions: readonly BackendCondition[];
  /** Each `untilMs` is wall ms. */
  readonly explanation: Explanation;
  /** Null: the backend has only one route. */
  readonly routes: RoutesView | null;
}

/** Times are wall ms. */
export interface RoutesView {
  /** Null: no instance serves. */
  readonly inUse: string | null;
  /** The route to which a person has fixed the backend (a "hold"). */
  readonly override: string | null;
  /** A better route that is ready, and why the switch has to wait. */
  readonly pending: { readonly route: string; readonly reason: string } | null;
  /** In order of preference. */
  readonly list: readonly RouteView[];
}

interface RouteView {
  readonly name: string;
  readonly type: BackendView["type"];
  readonly target: string;
  readonly inUse: boolean;
  /** Since when an idle instance over this route has answered without a gap. null: there is no such instance. */
  readonly healthySinceMs: number | null;
  /** When the route counts as stable; the time may be past. Null if `healthySinceMs` is null. */
  readonly stableAtMs: number | null;
  readonly retryAtMs: number | null;
  readonly lastError: string | null;
}

/**
 * A part of the server's answer to `initialize`. The server's instructions are not in it: they are published with its
 * lists.
 */
export interface BackendInitializeResult extends Pick<InitializeResult, "capabilities" | "protocolVersion"> {
  readonly backend: string;
}

export interface PoolSettings {
  readonly drainTimeoutMs: number;
  /** Absent: the configuration's default. */
  readonly failback?: FailbackPolicy | undefined;
  /** The users of the file, by name. Absent: there are none. */
  readonly accounts?: ReadonlyMap<string, UserAccount>;
}

/** A user's entry in the file. */
export interface UserAccount {
  readonly id: string;
  /** The same entry with its token before, while that is accepted; null: there is none. */
  readonly before: string | null;
}

/** The pool adds the configured timeout. */
export interface PoolCall extends Omit<BackendCall, "timeoutMs"> {
  /**
   * Called after a wait, in which the tool may have got another name. `hasStarted`: the server was not running when the
   * call came. Absent: the call stays as it is.
   */
  readonly renew?: (hasStarted: boolean) => RenewedCall;
  /** Only an instance with this `PoolInstance.taskLocation` may answer; absent: the serving one. */
  readonly taskLocation?: string;
  /** Called with the task location of the instance that gets the call. */
  readonly onTaskLocation?: (taskLocation: string) => void;
}

export interface WatchedTask {
  readonly backend: string;
  readonly taskLocation: string;
  /** The id that the server gave to the task. */
  readonly id: string;
  /** The id by which the client knows the task. */
  readonly name: string;
}

/** How a call continues after its wait: to the backend with these params, or with an `answer` from elsewhere. */
export type RenewedCall =
  | { readonly params: JsonObject | undefined; readonly answer: null }
  | { readonly answer: Promise<Reply> };
