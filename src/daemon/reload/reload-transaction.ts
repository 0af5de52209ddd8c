// A reload as a transaction: every section prepares, then all commit, then each retires what it replaced. If one cannot
// prepare, the sections before it roll back, and the running configuration stays.
import type { ConfigDiff } from "../../config/diff.ts";
import type { MountaineerConfig } from "../../config/snapshot.ts";
import { errorText, MountaineerError } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";

export interface ConfigChange {
  readonly before: MountaineerConfig;
  readonly after: MountaineerConfig;
  readonly diff: ConfigDiff;
}

export interface PreparedChange {
  /** Makes the new state effective; must not throw. */
  commit(): void;
  /** Ends the replaced parts, after every section has committed; the reload does not wait for it. */
  retire?(): Promise<void>;
  /** Undoes the preparation. Called when the preparation of another section has failed. */
  rollback?(): Promise<void>;
}

/** A section's part in a reload. Preparing may fail and touches nothing that runs; committing cannot fail. */
export interface ConfigApplier {
  /** The section's name in messages: "shares". */
  readonly name: string;
  /** Builds the new parts while the old ones run. A failure rejects the whole reload. */
  prepare(change: ConfigChange, signal: AbortSignal): Promise<PreparedChange>;
}

/**
 * Applies a change. Rejects if a section cannot prepare, with its error and name; then nothing has changed. A
 * failure after the first commit is only logged, because it cannot be undone.
 */
export async function applyChange(
  appliers: readonly ConfigApplier[],
  change: ConfigChange,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const prepared: Section[] = [];
  for (const applier of appliers) {
    try {
      prepared.push({ name: applier.name, change: await applier.prepare(change, signal) });
    } catch (error) {
      await rollBack(prepared, logger);
      const hint = error instanceof MountaineerError ? error.hint : null;
      throw new MountaineerError(
        error instanceof MountaineerError ? error.code : "internal",
        `${applier.name}: ${errorText(error)}`,
        { cause: error, retry: "later", hint },
      );
    }
  }
  for (const { name, change: section } of prepared) {
    try {
      section.commit();
    } catch (error) {
      logger.error("a section did not commit cleanly", { section: name, reason: errorText(error) });
    }
  }
  for (const section of prepared) void retire(section, logger);
}

interface Section {
  readonly name: string;
  readonly change: PreparedChange;
}

async function retire({ name, change }: Section, logger: Logger): Promise<void> {
  try {
    await change.retire?.();
  } catch (error) {
    const reason = errorText(error);
    logger.warn("a section that a reload replaced did not end cleanly", { section: name, reason });
  }
}

async function rollBack(prepared: readonly Section[], logger: Logger): Promise<void> {
  for (const { name, change } of prepared.toReversed()) {
    try {
      await change.rollback?.();
    } catch (error) {
      logger.warn("a reload was not rolled back cleanly", { section: name, reason: errorText(error) });
    }
  }
}
