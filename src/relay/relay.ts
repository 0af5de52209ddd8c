// The interface of the relay, the one process per home that forwards the bytes of relayed mounts and moves them between
// routes. `relay-process.ts` is the process; `connectRelay` gives a daemon this interface over its socket.
import type { ProbeEndpoint } from "../network/probe/host-probe.ts";
import type { ProcessIdentity } from "../runtime/process/process-identity.ts";

export type RelayRoute = "tb" | "fallback";
export type RelayClientKind = "rclone" | "fs" | "cifs" | "netfs";

/** Where a route leads to, as an address: the relay resolves no names. */
export type RouteEndpoint = ProbeEndpoint;

/**
 * Identifies the mount that uses a share's port, so that the relay can check without a daemon whether that
 * mount still exists.
 */
export interface RelayedMount {
  /** The id in the mount table. */
  readonly id: string;
  readonly path: string;
  /** The process that serves the mount; null: the kernel does. */
  readonly process: ProcessIdentity | null;
  /**
   * Its program notices when a connection has ended, and repeats on another one what may be repeated. So a lost
   * connection is reset at once.
   */
  readonly repeats?: true;
}

/**
 * - `carrying`: connections pass.
 * - `waiting`: the server cannot be reached; connections wait.
 * - `unconfirmed`: the server answers, and must be proved again to be the mounted one. New connections wait until
 *   `confirm`. While no daemon answers, the relay itself confirms once a connection from before the loss receives
 *   bytes.
 * - `refusing`: connections have waited for the whole patience (`patienceMs`); they are reset until the server answers.
 */
export type RelayPhase = "carrying" | "waiting" | "unconfirmed" | "refusing";

export interface RelayedShare {
  readonly share: string;
  readonly kind: RelayClientKind;
  /**
   * A port of 127.0.0.1. It stays the same while the share is open, even if the relay is killed and started
   * again.
   */
  readonly port: number;
  readonly route: RelayRoute;
  readonly endpoint: RouteEndpoint;
  readonly phase: RelayPhase;
  readonly mount: RelayedMount | null;
  /** Connections that are open on the mount's side. */
  readonly connections: number;
  readonly connectionsInAll: number;
  /** Bytes to the server since the share was opened; `bytesDown`: from the server. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** The longest time so far, ms, that a request waited for its answer or a connection for a route. */
  readonly longestWaitMs: number;
  readonly moves: number;
  /** When the server's newest answer came, on the caller's monotonic clock, ms; null: none yet. */
  readonly lastAnswerAtMs: number | null;
  /**
   * When the oldest open request was sent, on the caller's monotonic clock, ms; null: none is open. Change
   * notifications and blocking locks do not count.
   */
  readonly unansweredSinceMs: number | null;
  /**
   * Since when the server cannot be reached, on the caller's monotonic clock, ms; null: it can be reached.
   */
  readonly routeLostAtMs: number | null;
  /** A number that changes each time the server is lost and must be proved again. null: the server was never lost. */
  readonly outage: number | null;
  /** The value of `outage` at the last move; null or absent: no move yet. */
  readonly outageAtMove?: number | null;
  /** The daemon's name for the mounted server; null or absent: the daemon gave none. */
  readonly server?: string | null;
  /**
   * The id of the open connection that proves which server is behind the other route; null: there is none, so the relay
   * does not move to that route autonomously.
   */
  readonly witness?: number | null;
  /** The number of decisions that the relay has made without a daemon. */
  readonly epoch?: number | null;
  /**
   * The server refused the login: connections that are logged in stay open, new ones are reset until
   * `reopen`. `atMs`: on the caller's monotonic clock. null or absent: not refused.
   */
  readonly refusedLogon?: { readonly text: string; readonly atMs: number } | null;
  /** True if some of the traffic was unreadable, because it is encrypted. */
  readonly encrypted?: boolean;
  /**
   * The server refuses more connections than `most`, and `waiting` connections wait for a place. null or absent: no
   * refusal was seen lately, or the relay's version does not say.
   */
  readonly limit?: { readonly most: number; readonly waiting: number } | null;
}

export interface OpenRequest {
  readonly share: string;
  readonly kind: RelayClientKind;
  readonly route: RelayRoute;
  readonly endpoints: Readonly<Partial<Record<RelayRoute, RouteEndpoint>>>;
  /** How long connections wait before they are reset, ms. */
  readonly patienceMs: number;
  /** The port that the mount is configured to use (in fstab); null: any. */
  readonly wantedPort: number | null;
  /** The daemon's name for the mounted server; null or absent: the daemon gave none. */
  readonly server?: string | null;
  /** True: the server must be proved again first, so connections wait until `confirm`. */
  readonly unproved?: boolean;
  /**
   * The daemon's name for the login. Shares with the same name log in one after the other; once the server has refused
   * the login, none of them logs in. null or absent: this share has its own login.
   */
  readonly login?: string | null;
  /** True: the login is a user's. If the server lets it in as a guest only, that counts as a refused login. */
  readonly wantsUser?: boolean;
}

export interface MoveRequest {
  readonly share: string;
  readonly to: RelayRoute;
  readonly endpoint: RouteEndpoint;
  /** True: the move waits, for at most 2 s, until no operation is under way. */
  readonly planned: boolean;
  /**
   * `RelayedShare.epoch` when the daemon decided on the move: the relay refuses the move if it has since made its own
   * decision. null or absent: unknown.
   */
  readonly epoch?: number | null;
  /**
   * The value of `RelayedShare.witness` when the daemon decided on the move; null or absent: unknown. The relay
   * refuses the move if the connection of that witness has ended since.
   */
  readonly witness?: number | null;
}

/** `epoch`: as in `MoveRequest`. */
export type ConfigureRequest = Pick<OpenRequest, "endpoints" | "patienceMs"> &
  Pick<MoveRequest, "epoch"> & {
    /** True: nothing may be sent to the server from this network, and all connections are reset. */
    readonly away?: boolean;
  };

export type MoveOutcome =
  | {
      readonly ok: true;
      /** True if the move was planned and interrupted no request. */
      readonly quiet: boolean;
      /** Number of connections that were reset. */
      readonly connections: number;
      readonly tookMs: number;
    }
  /** Nothing was changed: the server of the new route is not proved, or the share is not open. */
  | { readonly ok: false; readonly reason: "silent" | "refused" | "unknown_share"; readonly text: string };

/** A change of a share, for the daemon. */
export interface RelayNotice {
  readonly share: string;
  /**
   * - `stalled`: a request has waited 300 ms for its answer. `answered`: the server answers again.
   * - `unconfirmed`: the server must be proved. `confirmed`: connections pass again.
   * - `lost`: connections in rclone's pool are dead, which rclone cannot know.
   * - `moved`: by `move`, or by the relay while no daemon answered.
   * - `phase`: any other change of phase. `gone`: the relay ended or no longer has the share.
   */
  readonly what: "stalled" | "answered" | "unconfirmed" | "confirmed" | "lost" | "moved" | "phase" | "gone";
}

export interface JournalEntry {
  readonly share: string;
  /** Wall-clock time, ms since 1970. */
  readonly at: number;
  /** Equal to `to` if the share stayed on its route and its programs wait. */
  readonly from: RelayRoute;
  readonly to: RelayRoute;
  readonly reason: string;
}

/** Every method has a deadline, and rejects with a `MountaineerError` if the relay cannot be reached. */
export interface RelayControl extends AsyncDisposable {
  /** The shares as the relay last reported them; empty while there is no relay. */
  readonly shares: ReadonlyMap<string, RelayedShare>;
  /**
   * Since when a relay with shares cannot be reached, on the caller's monotonic clock, ms; null: it can be
   * reached, or had no shares.
   */
  readonly absentSinceMs: number | null;
  /** Reads the state of all shares; `shares` is then no older than this call. Starts no relay. */
  refresh(signal: AbortSignal): Promise<ReadonlyMap<string, RelayedShare>>;
  /** Updates the counters in `shares`; does nothing if no relay runs. */
  recount(signal: AbortSignal): Promise<void>;
  /**
   * Starts the relay if none runs, and opens a port for the share. The share must not be mounted:
   * connections of an earlier mount are ended.
   */
  open(request: OpenRequest, signal: AbortSignal): Promise<RelayedShare>;
  /** Names the mount that uses the port; without a daemon, the relay closes the share once that mount is gone. */
  bind(share: string, mount: RelayedMount, signal: AbortSignal): Promise<void>;
  /**
   * Changes an open share, but not its route in use. `endpoints` contains the other route only while both routes are
   * proved to lead to one server; the relay then keeps a connection to that server open over the other route.
   */
  configure(share: string, change: ConfigureRequest, signal: AbortSignal): Promise<void>;
  move(request: MoveRequest, signal: AbortSignal): Promise<MoveOutcome>;
  /** Reports the loss of the route: connections wait until `confirm` or `move`. */
  pause(share: string, epoch: number | null, signal: AbortSignal): Promise<void>;
  /**
   * Reports that the server of the route in use was proved after the loss `outage`. The relay then lets the waiting
   * connections pass.
   */
  confirm(share: string, outage: number | null, signal: AbortSignal): Promise<void>;
  /** Reports that the server accepts the login again: connections may log in. */
  reopen(share: string, signal: AbortSignal): Promise<void>;
  /** Reports that rclone's pool no longer contains the dead connections that a `lost` notice announced. */
  usedUp(share: string, signal: AbortSignal): Promise<void>;
  /** Resets the share's connections and frees the port. The relay ends with its last share. */
  close(share: string, signal: AbortSignal): Promise<void>;
  /** Removes and returns the decisions that the relay has made without a daemon. */
  takeJournal(signal: AbortSignal): Promise<readonly JournalEntry[]>;
  /** Returns a function that unregisters `listener`. */
  onNotice(listener: (notice: RelayNotice) => void): () => void;
}
