// Whether a server may be asleep (on-demand start, idle stop), and what was observed of its use.

export interface SleepSpec {
  readonly startsOnDemand: boolean;
  /** Null: it is not stopped. */
  readonly stopWhenIdleMs: number | null;
  /** Why it runs all the time although the configuration lets it sleep; null: it may sleep. */
  readonly obstacle: string | null;
  /** When the lists of its current configuration were read, wall ms; null: never, so it is started to be asked. */
  readonly listedAtMs: number | null;
  /** Its lists are too long to be remembered, so that each start of the gateway asks it. */
  readonly forgets: boolean;
}

export interface UsageObservation {
  /** A call waits, a client is subscribed or has its own instance, or a person asked for a start. */
  readonly isNeeded: boolean;
  /** Since when the serving instance has had nothing to do, monotonic ms; null: it is in use, or there is none. */
  readonly idleSinceMs: number | null;
  /** The serving instance has had a call. */
  readonly isUsed: boolean;
  /** Clients that are subscribed to its resources. */
  readonly subscribers: number;
}

export function maySleep({ startsOnDemand, stopWhenIdleMs, obstacle }: SleepSpec): boolean {
  return obstacle === null && (startsOnDemand || stopWhenIdleMs !== null);
}
