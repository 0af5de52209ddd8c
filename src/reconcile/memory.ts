// What is remembered of a share across restarts, as the engine uses it; state-file.ts has the file.

export interface ShareMemory {
  readonly activeInterface: "tb" | "fallback" | "none";
  /** Wall ms of the first TCP answer over tb without a gap since. */
  readonly tbReachableSince: number | null;
  /** Wall ms of the first NEGOTIATE over tb without a gap since; the recovery window counts from here. */
  readonly tbHealthySince: number | null;
  readonly tbRecoveryPending: boolean;
  readonly held: "fallback" | "unmounted" | null;
  /** When it was mounted, or moved, last; wall ms. */
  readonly lastSwitchAt: number | null;
  readonly lastError: string | null;
  /** The port of 127.0.0.1 that its mount talks to; null: it is not carried. */
  readonly carriedPort: number | null;
  /** When its server refused the login within the last hour, wall ms. */
  readonly logonsRefusedAt: readonly number[];
  /** The hardware addresses of its hosts, `aa:bb:cc:dd:ee:ff@10.0.0.2`; absent: none was learnt. */
  readonly wakeAddresses?: readonly string[];
}

export const EMPTY_SHARE_MEMORY: ShareMemory = {
  activeInterface: "none",
  tbReachableSince: null,
  tbHealthySince: null,
  tbRecoveryPending: false,
  held: null,
  lastSwitchAt: null,
  lastError: null,
  carriedPort: null,
  logonsRefusedAt: [],
};

/** What is read from the state file at a start. */
export interface Recollection {
  readonly shares: ReadonlyMap<string, ShareMemory>;
  /** Wall ms of the last write: nothing is known of the time after it. */
  readonly observedAt: number | null;
  /** Where a corrupt file was set aside, if one was. */
  readonly setAside: string | null;
}

export type RememberOutcome = { readonly saved: true } | { readonly saved: false; readonly error: Error };

/** The durable memory of one home; one writer per home (the home lock). */
export interface Memory extends AsyncDisposable {
  readonly recollection: Recollection;
  /**
   * Stores `memory` for `share` and resolves when it is durable; callers that wait for the same fsync share it. A write
   * that fails resolves `saved: false` at once, one that hangs after two seconds; either is retried with backoff until
   * a newer one succeeds. Never rejects.
   */
  remember(share: string, memory: ShareMemory): Promise<RememberOutcome>;
  /** Drops a share that is no longer configured. */
  forget(share: string): Promise<RememberOutcome>;
  /** The failure of the newest write, null when all is saved. */
  readonly unsavedBecause: Error | null;
  /** Writes once more, so that the file has the latest possible time of observation. */
  flush(): Promise<RememberOutcome>;
}
