// The interface to the carrier of mounts, as the engine needs it: a port per share, and moves between routes.

import type { DriverName, RouteName } from "../share-spec.ts";
import type { FoundMount } from "./mount-driver.ts";

/** Where a route leads to, resolved. */
interface RouteEndpoint {
  readonly address: string;
  readonly port: number;
  /** The address to leave from; null: the kernel picks. */
  readonly localAddress: string | null;
}

export type Endpoints = Readonly<Partial<Record<RouteName, RouteEndpoint>>>;

/**
 * - `carrying`: the route takes connections. `waiting`: there is none; programs wait.
 * - `unconfirmed`: the server has ended connections since it was last proved; new ones are held until `confirm`.
 * - `refusing`: the patience is over; programs get errors until a route is back.
 */
export type CarriedPhase = "carrying" | "waiting" | "unconfirmed" | "refusing";

/** The state of a share's port. Times are monotonic ms. */
export interface CarriedState {
  readonly port: number;
  readonly route: RouteName;
  readonly endpoint: RouteEndpoint;
  readonly phase: CarriedPhase;
  readonly lastAnswerAtMs: number | null;
  /** The oldest request without an answer. */
  readonly unansweredSinceMs: number | null;
  readonly routeLostAtMs: number | null;
  /** The number of the last loss of the server, since which it must be proved; null: unknown, notices alone report it. */
  readonly outage: number | null;
  /** The value of `outage` when the route in use was taken; null or absent: unknown. */
  readonly outageAtMove?: number | null;
  /** The server that is mounted; null or absent: unknown. */
  readonly server?: string | null;
  /**
   * A number that changes with each connection that shows who is behind the route not in use; null: there is none.
   * Absent: unknown.
   */
  readonly witness?: number | null;
  /** A number that changes after each thing that was done without a daemon; null or absent: unknown. */
  readonly epoch?: number | null;
  /**
   * Since when the server refuses the login, so that nobody new logs in, monotonic ms; null or absent: it does not, or
   * that is unknown.
   */
  readonly refusedLogon?: { readonly text: string; readonly atMs: number } | null;
  /** Nobody but its two ends can read what passes; absent: unknown. */
  readonly encrypted?: boolean;
  readonly connections: number;
  readonly connectionsInAll: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly longestWaitMs: number;
  readonly moves: number;
}

interface CarryRequest {
  readonly share: string;
  readonly driver: DriverName;
  readonly route: RouteName;
  readonly endpoints: Endpoints;
  readonly patienceMs: number;
  /** A port that the share's own mount instructions name; null: any. */
  readonly wantedPort: number | null;
  readonly server: string | null;
  /** Nothing passes before `confirm`: the server is proved once more, over the connection that the carrier keeps from now on. */
  readonly unproved: boolean;
  /** Names the login. */
  readonly login?: string;
}

type CarryOutcome =
  | { readonly ok: true; readonly port: number }
  | { readonly ok: false; readonly text: string };

export type MoveOutcome =
  /** `quiet`: no request was cut off. */
  | { readonly ok: true; readonly quiet: boolean; readonly connections: number }
  /** Nothing was changed. */
  | { readonly ok: false; readonly text: string };

interface MoveTarget {
  readonly share: string;
  readonly to: RouteName;
  readonly endpoint: RouteEndpoint;
  /** True: the move waits for a moment with no request in flight. */
  readonly planned: boolean;
  /** The share's epoch when this was decided: nothing is changed if it has another one since. */
  readonly epoch?: number | null;
  /** The share's witness when this was decided: nothing is changed if it has another one since. */
  readonly witness?: number | null;
}

/**
 * - `stalled`: a request has waited for its answer for 300 ms.
 * - `doubt`: the server has ended connections and must be proved again.
 * - `lost`: connections that the mount keeps for later are dead, and it does not know which.
 * - `changed`: anything else that is worth a look.
 */
export type CarriageNotice = "stalled" | "doubt" | "lost" | "changed";

/** Every answer has a deadline. None of it rejects. */
export interface Carriage {
  /** The state of a share's port, as last reported; null: nothing is carried. */
  of(share: string): CarriedState | null;
  /** Since when the carrier cannot be asked although it should be there, monotonic ms; null: it can. */
  readonly absentSinceMs: number | null;
  /** Updates `of`, whose counters may be seconds old. */
  recount(): Promise<void>;
  /** Resolves when a running carrier has reported its state, or when it is known that none runs. */
  ready(): Promise<void>;
  open(request: CarryRequest, signal: AbortSignal): Promise<CarryOutcome>;
  /** Says which mount talks through the port, so that the port ends with it. */
  bind(share: string, mount: FoundMount, pids: readonly number[]): Promise<void>;
  move(target: MoveTarget, signal: AbortSignal): Promise<MoveOutcome>;
  /**
   * Sets the newest endpoints: of the route in use, and of the other while that is proved. The carrier is asked when
   * they changed, and while nothing shows who is behind the other. `epoch` as for a move.
   */
  keepEndpoints(share: string, endpoints: Endpoints, patienceMs: number, epoch: number | null): void;
  hold(share: string, epoch: number | null): Promise<void>;
  /** The server is proved since `outage`: programs go on, unless it was lost again. */
  confirm(share: string, outage: number | null): Promise<void>;
  /** The login is accepted again. */
  reopen(share: string): Promise<void>;
  /** After `lost`: the mount keeps no dead connection any more. */
  usedUp(share: string): Promise<void>;
  close(share: string): Promise<void>;
  /** Returns its own unregister. */
  onNotice(listener: (share: string, notice: CarriageNotice) => void): () => void;
}
