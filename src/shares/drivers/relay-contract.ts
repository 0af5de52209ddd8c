// The engine's interface to the relay, the process that relays each relayed mount through a local port and
// moves it between routes.

import type { ConfigureRequest, MoveRequest, OpenRequest, RelayedShare } from "../../relay/relay.ts";
import type { DriverName } from "../share-spec.ts";
import type { FoundMount } from "./mount-driver.ts";

export type Endpoints = ConfigureRequest["endpoints"];

/** The state of a share's port. Times are monotonic ms. */
export type RelayedState = Omit<RelayedShare, "share" | "kind">;

type RelayRequest = Omit<OpenRequest, "kind"> & { readonly driver: DriverName };

type RelayOutcome =
  | { readonly ok: true; readonly port: number }
  | { readonly ok: false; readonly text: string };

export type MoveOutcome =
  /** `quiet`: no request was cut off. */
  | { readonly ok: true; readonly quiet: boolean; readonly connections: number }
  /** The move failed and changed nothing. */
  | { readonly ok: false; readonly text: string };

/**
 * - `stalled`: a request has waited for its answer for 300 ms.
 * - `unconfirmed`: the server has ended connections and must be proved again.
 * - `lost`: some of the idle connections that the mount keeps for reuse are dead, and the mount does not know which.
 * - `changed`: anything else that is worth a check.
 */
export type RelayClientNotice = "stalled" | "unconfirmed" | "lost" | "changed";

/** Every method has a deadline, and none rejects. */
export interface RelayClient {
  /** The state of a share's port, as last reported; null: nothing is relayed. */
  of(share: string): RelayedState | null;
  /**
   * Since when a relay is needed but does not answer, monotonic ms; null: it answers, or none is needed.
   */
  readonly absentSinceMs: number | null;
  /** Asks the relay for its counters now, because the counters that `of` returns may be seconds old. */
  recount(): Promise<void>;
  /** Resolves when a running relay has reported its state, or when it is known that none runs. */
  ready(): Promise<void>;
  open(request: RelayRequest, signal: AbortSignal): Promise<RelayOutcome>;
  /**
   * Tells the relay which mount talks through the port; the relay closes the port when that mount ends.
   */
  bind(share: string, mount: FoundMount, pids: readonly number[]): Promise<void>;
  move(target: MoveRequest, signal: AbortSignal): Promise<MoveOutcome>;
  /**
   * Tells the relay the newest endpoint of the route in use; while the server of the other route is proved, also
   * the endpoint of that route. Does nothing if nothing has changed, unless the relay has no connection over the
   * other route.
   */
  keepEndpoints(share: string, change: ConfigureRequest): void;
  pause(share: string, epoch: number | null): Promise<void>;
  /**
   * Reports that the server was proved after the outage with this number. The relay then lets programs
   * continue, unless there was another outage since. null: the relay does not count outages.
   */
  confirm(share: string, outage: number | null): Promise<void>;
  /** Reports that the server accepts the login again. */
  reopen(share: string): Promise<void>;
  /** Reports, after the notice `lost`, that the mount has no dead connection left. */
  usedUp(share: string): Promise<void>;
  close(share: string): Promise<void>;
  /** Returns a function that removes the listener. */
  onNotice(listener: (share: string, notice: RelayClientNotice) => void): () => void;
}
