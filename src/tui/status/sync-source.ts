// The interface of the Sync screen's data: the state of config sync as it changes, and edits of the file.
import type { ConfigReport, EditReport, ReloadReport, SyncEvent, SyncReport } from "../../api/contract.ts";
import type { InputOf } from "../../api/operations.ts";

/** What sync is like, without its events. */
export type SyncStatus = Omit<SyncReport, "events">;

/** Hears how config sync goes on, for as long as it is followed. */
export interface SyncListener {
  /** A daemon is there: the whole picture, also after it was lost for a while. */
  present(report: SyncReport): void;
  state(status: SyncStatus): void;
  event(event: SyncEvent): void;
  /** No daemon answers; `reason` for people. `present` tells when one does. */
  absent(reason: string): void;
}

/** Every call rejects with a MountaineerError: `daemon_unreachable` while no daemon is there. */
export interface SyncSource {
  /** Follows the daemon over its restarts until `signal` aborts, then resolves. Rejects when following has no sense. */
  follow(listener: SyncListener, signal: AbortSignal): Promise<void>;
  /** The configuration file as it stands. */
  config(signal: AbortSignal): Promise<ConfigReport>;
  edit(request: InputOf<"edit">, signal: AbortSignal): Promise<EditReport>;
  reload(signal: AbortSignal): Promise<ReloadReport>;
}
