// What the daemon asks of the carrier: the one process per home that forwards the bytes of carried mounts and moves
// them between routes. The process is `carrier-process.ts`; `connectCarrier` gives this interface over its socket.
import type { ProbeEndpoint } from "../network/probe/host-probe.ts";
import type { ProcessIdentity } from "../runtime/process/process-identity.ts";

export type CarriedRoute = "tb" | "fallback";
export type CarriedKind = "rclone" | "cifs" | "netfs";

/** Where a route leads to, resolved: the carrier looks up no names. */
export type RouteEndpoint = ProbeEndpoint;

/** The mount that talks through a share's port, as the mount table and the process list know it. */
export interface CarriedMount {
  /** The mount table's id. */
  readonly id: string;
  readonly path: string;
  /** The process that serves it; null: the kernel does. */
  readonly process: ProcessIdentity | null;
}

/**
 * - `carrying`: the route takes connections, or nothing has asked for one yet. - `waiting`: there is no route;
 * connections are held. - `unconfirmed`: the server has closed or refused connections since it was last proved; new
 * ones are held until `confirm` (or, while no daemon answers, until a connection from before hears from its server). -
 * `refusing`: the patience is over; connections are reset until a route is back.
 */
export type CarriedPhase = "carrying" | "waiting" | "unconfirmed" | "refusing";

export interface CarriedShare {
  readonly share: string;
  readonly kind: CarriedKind;
  /** On 127.0.0.1. It stays the same while the share is open, also when the carrier is killed and started again. */
  readonly port: number;
  readonly route: CarriedRoute;
  /** Where the route in use leads to. */
  readonly endpoint: RouteEndpoint;
  readonly phase: CarriedPhase;
  readonly mount: CarriedMount | null;
  /** Connections that are open on the mount's side. */
  readonly connections: number;
  readonly connectionsInAll: number;
  /** To and from the server, since the share was opened. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** The longest that a request has waited for its answer, ms, and the longest hold of a connection. */
  readonly longestWaitMs: number;
  readonly moves: number;
  /** The newest SMB answer from the server, on the caller's monotonic clock, ms; null: none yet. */
  readonly lastAnswerAtMs: number | null;
  /** The oldest request without an answer (notifications and blocking locks aside), likewise; null: none. */
  readonly unansweredSinceMs: number | null;
  /** Since when there is no route, likewise; null: there is one. */
  readonly routeLostAtMs: number | null;
  /**
   * A number that changes with each loss of the server, which must be proved again after it; null: a previous carrier
   * does not say.
   */
  readonly outage: number | null;
  /**
   * The value of `outage` when the route in use was taken; null or absent: a previous carrier does not say, or no route
   * was taken.
   */
  readonly outageAtMove?: number | null;
  /** As given when it was opened. */
  readonly server?: string | null;
  /**
   * A number that changes with each connection that shows who is behind the route not in use; null: there is none, and
   * without a daemon that route is not taken. Absent: a previous carrier has none.
   */
  readonly witness?: number | null;
  /** Counts what the carrier did alone. Absent: a previous carrier does not count. */
  readonly epoch?: number | null;
  /**
   * The server refused the login: what is logged in goes on, new connections are reset until `reopen`. `atMs`: on the
   * caller's monotonic clock. null or absent: it was not refused, or a previous carrier does not say.
   */
  readonly refusedLogon?: { readonly text: string; readonly atMs: number } | null;
  /** What passed could not be read, as it is encrypted. Absent: a previous carrier does not say. */
  readonly encrypted?: boolean;
}

export interface OpenRequest {
  readonly share: string;
  readonly kind: CarriedKind;
  readonly route: CarriedRoute;
  readonly endpoints: Readonly<Partial<Record<CarriedRoute, RouteEndpoint>>>;
  /** How long connections are held without a route before they are reset, ms. */
  readonly patienceMs: number;
  /** A port that the mount's own instructions name (a line of fstab); null: any. */
  readonly wantedPort: number | null;
  /** The daemon's name for the server that is mounted; null or absent: it has none. */
  readonly server?: string | null;
  /** The server must be proved once more before anything passes: connections are held until `confirm`. */
  readonly unproved?: boolean;
  /**
   * The daemon's name for the login. Shares with the same name log in one after the other, and none of them once the
   * server has refused it. null or absent: this share has a login of its own.
   */
  readonly login?: string | null;
}

export interface MoveRequest {
  readonly share: string;
  readonly to: CarriedRoute;
  readonly endpoint: RouteEndpoint;
  /** Waits for a quiet instant, 2 s at most. An unplanned move does not wait. */
  readonly planned: boolean;
  /**
   * The share's epoch when this was decided: nothing is changed if the carrier has acted alone since. null or absent:
   * unknown.
   */
  readonly epoch?: number | null;
  /** The share's witness when this was decided: nothing is changed if it has changed since. null or absent: unknown. */
  readonly witness?: number | null;
}

/** What may change of a share that is open; `epoch` as for a move. */
export type ConfigureRequest = Pick<OpenRequest, "endpoints" | "patienceMs"> &
  Pick<MoveRequest, "epoch"> & {
    /** Nothing may be sent to the server from this network: connections are reset, and new ones, too. Absent: it may. */
    readonly away?: boolean;
  };

export type MoveOutcome =
  | {
      readonly ok: true;
      /** Planned: no request was cut off. Always false for an unplanned one. */
      readonly quiet: boolean;
      /** Connections that were reset. */
      readonly connections: number;
      readonly tookMs: number;
    }
  /** Nothing was changed: the new route does not answer SMB2 NEGOTIATE, or the share is not open. */
  | { readonly ok: false; readonly reason: "silent" | "refused" | "unknown_share"; readonly text: string };

/** A change of a share that the daemon should look at. */
export interface CarrierNotice {
  readonly share: string;
  /**
   * - `stalled`: a request has waited 300 ms for its answer. `answered`: it has come.
   * - `unconfirmed`: the server must be proved again. `confirmed`: connections go through again.
   * - `lost`: connections that rclone keeps for later are dead, and it does not know which.
   * - `moved`: by the carrier itself, while no daemon was connected, or by `move`.
   * - `phase`: any other change of phase. `gone`: the carrier ended or no longer has the share.
   */
  readonly what: "stalled" | "answered" | "unconfirmed" | "confirmed" | "lost" | "moved" | "phase" | "gone";
}

/** What the carrier did while no daemon answered. */
export interface JournalEntry {
  readonly share: string;
  /** Wall ms. */
  readonly at: number;
  /** The same as `to`: it stayed, and programs wait. */
  readonly from: CarriedRoute;
  readonly to: CarriedRoute;
  readonly reason: string;
}

/** Deadlines hold whatever the carrier does; every method rejects with a `MountaineerError` when it cannot be asked. */
export interface Carrier extends AsyncDisposable {
  /** What is carried, as the carrier last reported it; no question is asked. Empty while there is no carrier. */
  readonly shares: ReadonlyMap<string, CarriedShare>;
  /** Since when a carrier with shares cannot be asked, on the caller's monotonic clock, ms; null: it can. */
  readonly absentSinceMs: number | null;
  /** Asks for everything anew; the map above is then no older than this call. Starts no carrier. */
  refresh(signal: AbortSignal): Promise<ReadonlyMap<string, CarriedShare>>;
  /** Updates the counters in the map; does nothing if no carrier can be asked. */
  recount(signal: AbortSignal): Promise<void>;
  /**
   * Starts the carrier if there is none, and opens a port for the share. The caller has nothing mounted, so what is
   * left of an earlier mount ends.
   */
  open(request: OpenRequest, signal: AbortSignal): Promise<CarriedShare>;
  /** Says which mount talks through the port; the share is closed by the carrier itself once that is gone. */
  bind(share: string, mount: CarriedMount, signal: AbortSignal): Promise<void>;
  /**
   * Sets endpoints and patience of a share that is open; the route in use stays. The other route is named as long as
   * its server is proved to be the one of the route in use: the carrier then keeps a connection there.
   */
  configure(share: string, change: ConfigureRequest, signal: AbortSignal): Promise<void>;
  move(request: MoveRequest, signal: AbortSignal): Promise<MoveOutcome>;
  /** There is no route: connections are held from now on, until `confirm` or `move`. */
  hold(share: string, epoch: number | null, signal: AbortSignal): Promise<void>;
  /** The server behind the route in use is still the same, proved since `outage`: held connections go through. */
  confirm(share: string, outage: number | null, signal: AbortSignal): Promise<void>;
  /** The login is accepted again: connections may log in. */
  reopen(share: string, signal: AbortSignal): Promise<void>;
  /** rclone keeps none of the `lost` connections any more. */
  usedUp(share: string, signal: AbortSignal): Promise<void>;
  /** Resets what is left and frees the port. The carrier ends with its last share. */
  close(share: string, signal: AbortSignal): Promise<void>;
  /** What the carrier did alone since the last call of any daemon; each entry is returned once. */
  takeJournal(signal: AbortSignal): Promise<readonly JournalEntry[]>;
  /** Returns its own unregister. */
  onNotice(listener: (notice: CarrierNotice) => void): () => void;
}
