// Owns how a section takes part in a reload: prepare may fail and touches nothing that runs, commit cannot fail.
import type { ConfigDiff } from "../../config/diff.ts";
import type { MountaineerConfig } from "../../config/snapshot.ts";

export interface ConfigChange {
  readonly before: MountaineerConfig;
  readonly after: MountaineerConfig;
  readonly diff: ConfigDiff;
}

export interface PreparedChange {
  /** Swaps to the new; must not throw. */
  commit(): void;
  /** Ends what was replaced, after every section has committed; nobody waits for it. */
  retire?(): Promise<void>;
  /** Undoes the preparation, because another section's failed. */
  rollback?(): Promise<void>;
}

export interface ConfigApplier {
  /** For messages: "shares". */
  readonly name: string;
  /** Builds the new beside the old. A failure rejects the whole reload. */
  prepare(change: ConfigChange, signal: AbortSignal): Promise<PreparedChange>;
}
