// The state store: what each share remembers across restarts, such as a person's override. `state-file.ts` writes it to
// the home's state.json.

export interface ShareMemory {
  readonly activeInterface: "tb" | "fallback" | "none";
  /**
   * Since when the server has accepted TCP connections over the Thunderbolt route (tb) without a gap, wall
   * ms.
   */
  readonly tbReachableSince: number | null;
  /**
   * Since when the server has answered SMB's NEGOTIATE over tb without a gap, wall ms; the recovery window
   * counts from here.
   */
  readonly tbHealthySince: number | null;
  readonly tbRecoveryPending: boolean;
  readonly override: "fallback" | "unmounted" | null;
  /** When the share was last mounted or moved, wall ms. */
  readonly lastSwitchAt: number | null;
  readonly lastError: string | null;
  /** The hardware addresses of the hosts, `aa:bb:cc:dd:ee:ff@10.0.0.2`; absent: none is known. */
  readonly wakeAddresses?: readonly string[];
  /** The networks on which a route was proved, `subnet:10.0.0.0/24@HOST`; absent: none is known. */
  readonly provedNetworks?: readonly string[];
}

export const EMPTY_SHARE_MEMORY: ShareMemory = {
  activeInterface: "none",
  tbReachableSince: null,
  tbHealthySince: null,
  tbRecoveryPending: false,
  override: null,
  lastSwitchAt: null,
  lastError: null,
};

/** The content of the state file at the start. */
export interface RestoredState {
  readonly shares: ReadonlyMap<string, ShareMemory>;
  /** When the file was last written, wall ms; what happened after that is unknown. */
  readonly observedAt: number | null;
  /** The path to which a corrupt file was moved; null: the file was not corrupt. */
  readonly setAside: string | null;
}

/**
 * The durable memory of one home; one writer per home (the home lock). Calls that write resolve with null
 * once the content is durable, with the error as soon as the write fails, and with an error after two seconds
 * if it hangs; they never reject. A failed or hung write is retried with backoff. Calls made at the same time
 * share one fsync.
 */
export interface StateStore extends AsyncDisposable {
  readonly restored: RestoredState;
  save(share: string, memory: ShareMemory): Promise<Error | null>;
  /** Drops a share that is no longer configured. */
  forget(share: string): Promise<Error | null>;
  /** The failure of the newest write; null: everything is saved. */
  readonly saveError: Error | null;
  /** Writes again, so that the file has the newest `observedAt`. */
  flush(): Promise<Error | null>;
}
