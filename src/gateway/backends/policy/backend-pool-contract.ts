// What the rest of the gateway asks of its backends.
import type { CallSignal } from "../../call-signal.ts";
import type { JsonObject, Reply } from "../../json-rpc.ts";
import type { BackendCall, InitializeResult } from "../instance/backend-instance.ts";
import type { LongWaits } from "../instance/pending.ts";
import type { FailbackPolicy } from "./route-memory.ts";

export type BackendPhase = "Pending" | "Initializing" | "Ready" | "Degraded" | "Failed" | "ShuttingDown";

/** How a backend would take a call now; `refuses`: at once, with an error. */
export type Readiness = "ready" | "waits" | "refuses";

/** A standing problem of one backend. Times are wall ms. */
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
  /** Why it is in that phase, for people; null when there is nothing to say. */
  readonly reason: string | null;
  /** Of the phase; wall ms. */
  readonly sinceMs: number;
  readonly pid: number | null;
  readonly server: { readonly name: string; readonly version: string } | null;
  readonly protocolVersion: string | null;
  /** Instances that exist: the serving one, one being made, drained ones, one per client. */
  readonly instances: number;
  readonly inFlight: number;
  /** Of these, those that have waited long, without a sign of progress; null: none has. */
  readonly longWaits: LongWaits | null;
  /** Calls that an old instance still finishes. */
  readonly draining: number;
  /** Unwanted ends so far. */
  readonly restarts: number;
  /** Wall ms of the next try; null: none is due. */
  readonly retryAtMs: number | null;
  readonly lastError: string | null;
  readonly conditions: readonly BackendCondition[];
  /** Null: it has one alone. */
  readonly routes: RoutesView | null;
}

/** The ways to a backend's server. Times are wall ms. */
export interface RoutesView {
  /** Null: none is. */
  readonly inUse: string | null;
  /** The route that a person holds it on. */
  readonly held: string | null;
  /** A better route is ready, and going back to it waits: why. */
  readonly pending: { readonly route: string; readonly reason: string } | null;
  /** In order of preference. */
  readonly list: readonly RouteView[];
}

interface RouteView {
  readonly name: string;
  readonly type: BackendView["type"];
  /** Its address or program, without secrets. */
  readonly target: string;
  readonly inUse: boolean;
  /** Since when what stands by over it has answered without a gap. */
  readonly healthySinceMs: number | null;
  /** When its stability window ends, or ended. */
  readonly stableAtMs: number | null;
  readonly retryAtMs: number | null;
  readonly lastError: string | null;
}

/** What a backend's server answered to `initialize`; what it says of itself to models is published with its lists. */
export interface BackendInitializeResult extends Pick<InitializeResult, "capabilities" | "protocolVersion"> {
  readonly backend: string;
}

export interface PoolSettings {
  readonly drainTimeoutMs: number;
  /** Absent: as a configuration without a word of it. */
  readonly failback?: FailbackPolicy;
}

/** What the pool needs of a backend's call; the pool adds the timeout that is configured. */
export interface PoolCall extends Omit<BackendCall, "timeoutMs"> {
  /** Asked when it had to wait, for what serves it then may have its target under another name; absent: as it is. */
  readonly renew?: () => RenewedCall;
  /** To what has this home alone (`PoolInstance.home`); absent: to what serves. */
  readonly home?: string;
  /** Told the home of what it is sent to. */
  readonly onHome?: (home: string) => void;
}

/** A call of a tool that several machines have in common. */
export interface SharedCall {
  readonly places: readonly string[];
  /** As `namedHere` gave them. */
  readonly params: JsonObject | undefined;
  readonly signal: CallSignal;
  /** Nothing that is borrowed is lent on. */
  readonly isOwnAlone: boolean;
  /** Sends it there. `told` hears where it went, and what was lost on the way. */
  send(
    backend: string,
    params: JsonObject | undefined,
    told: Required<Pick<PoolCall, "onHome" | "onLoss">>,
  ): Promise<Reply>;
}

/** A task that a client listens for. */
export interface WatchedTask {
  readonly backend: string;
  readonly home: string;
  /** The server's own id. */
  readonly id: string;
  /** What the client calls it. */
  readonly name: string;
}

/** A call once its wait is over: its params, or its answer because this backend is not asked any more. */
export type RenewedCall =
  | { readonly params: JsonObject | undefined; readonly answer: null }
  | { readonly answer: Promise<Reply> };
