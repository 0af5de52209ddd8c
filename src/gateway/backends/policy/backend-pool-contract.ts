// The interface of the backend pool for the rest of the gateway.
import type { CallSignal } from "../../call-signal.ts";
import type { JsonObject, Reply } from "../../json-rpc.ts";
import type { BackendCall, InitializeResult } from "../instance/backend-instance.ts";
import type { LongWaits } from "../instance/pending.ts";
import type { FailbackPolicy } from "./route-memory.ts";

export type BackendPhase = "Pending" | "Initializing" | "Ready" | "Degraded" | "Failed" | "ShuttingDown";

/** What a backend would do with a call now; `refuses`: answer at once with an error. */
export type Readiness = "ready" | "waits" | "refuses";

/** A persistent problem of one backend. Times are wall ms. */
export interface BackendCondition {
  readonly code: string;
  readonly severity: "info" | "warning" | "error";
  readonly title: string;
  readonly hint: string | null;
  readonly sinceMs: number;
}

export interface BackendView {
  readonly name: string;
  readonly group: string | null;
  readonly type: "stdio" | "streamable-http" | "fleet";
  readonly enabled: boolean;
  readonly phase: BackendPhase;
  /** The reason for the phase, for people; null: none. */
  readonly reason: string | null;
  /** Start of the phase, wall ms. */
  readonly sinceMs: number;
  readonly pid: number | null;
  readonly server: { readonly name: string; readonly version: string } | null;
  readonly protocolVersion: string | null;
  /** Number of existing instances: serving, starting, draining, and those of single clients. */
  readonly instances: number;
  readonly inFlight: number;
  /** Calls in flight that have waited long without progress; null: none. */
  readonly longWaits: LongWaits | null;
  /** Calls in flight on draining instances. */
  readonly draining: number;
  /** Number of times that an instance ended unexpectedly. */
  readonly restarts: number;
  /** When the next try is due, wall ms; null: none is. */
  readonly retryAtMs: number | null;
  readonly lastError: string | null;
  readonly conditions: readonly BackendCondition[];
  /** Null: the backend has only one route. */
  readonly routes: RoutesView | null;
}

/** The routes to a backend's server. Times are wall ms. */
export interface RoutesView {
  /** The route of the serving instance; null: none serves. */
  readonly inUse: string | null;
  /** The route that a person has fixed the backend to (a "hold"); null: none. */
  readonly held: string | null;
  /** The better route that is ready, and why the switch has to wait; null: none waits. */
  readonly pending: { readonly route: string; readonly reason: string } | null;
  /** In order of preference. */
  readonly list: readonly RouteView[];
}

interface RouteView {
  readonly name: string;
  readonly type: BackendView["type"];
  /** Address or command, without secrets. */
  readonly target: string;
  readonly inUse: boolean;
  /**
   * Since when an idle instance over this route has answered without a gap; null: the route is in use, or has
   * no such instance.
   */
  readonly healthySinceMs: number | null;
  /** When the route counts as stable, which may be past; null as for `healthySinceMs`. */
  readonly stableAtMs: number | null;
  readonly retryAtMs: number | null;
  readonly lastError: string | null;
}

/**
 * A part of a server's answer to `initialize`. The server's instructions are not in it: they are published
 * with its lists.
 */
export interface BackendInitializeResult extends Pick<InitializeResult, "capabilities" | "protocolVersion"> {
  readonly backend: string;
}

export interface PoolSettings {
  readonly drainTimeoutMs: number;
  /** Absent: the configuration's default. */
  readonly failback?: FailbackPolicy | undefined;
}

/** A call to a backend; the pool adds the configured timeout. */
export interface PoolCall extends Omit<BackendCall, "timeoutMs"> {
  /**
   * Called after a wait, during which the called tool may have got another name. Absent: the call stays as it
   * is.
   */
  readonly renew?: () => RenewedCall;
  /** Only an instance with this `PoolInstance.home` may answer; absent: the serving instance. */
  readonly home?: string;
  /** Called with the home of the instance that gets the call. */
  readonly onHome?: (home: string) => void;
}

/** A call of a tool that several machines offer in common. */
export interface SharedCall {
  readonly places: readonly string[];
  /** Params from `namedHere`: paths in them are those of this machine. */
  readonly params: JsonObject | undefined;
  readonly signal: CallSignal;
  /** Only backends that run on this machine may answer, not those of other machines. */
  readonly isOwnAlone: boolean;
  /**
   * Sends the call. `events` learn the `PoolInstance.home` of the instance that gets it, and whether the link
   * lost it.
   */
  send(
    backend: string,
    params: JsonObject | undefined,
    events: Required<Pick<PoolCall, "onHome" | "onLoss">>,
  ): Promise<Reply>;
}

/** A task whose notifications a client wants. */
export interface WatchedTask {
  readonly backend: string;
  readonly home: string;
  /** The server's own id. */
  readonly id: string;
  /** The client's name for the task. */
  readonly name: string;
}

/** How a call goes on after its wait: to the backend with these params, or with an answer from elsewhere. */
export type RenewedCall =
  | { readonly params: JsonObject | undefined; readonly answer: null }
  | { readonly answer: Promise<Reply> };
