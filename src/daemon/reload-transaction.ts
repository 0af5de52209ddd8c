// Owns a reload as a transaction: every section prepares, then all commit, then the old retires; a failure in any
// preparation rolls back those before it, and what runs goes on.
import { errorText, MountaineerError } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log.ts";
import type { ConfigApplier, ConfigChange, PreparedChange } from "./config-applier.ts";

/** Rejects with what a preparation rejected with, named by its section; nothing has changed then. */
export async function applyChange(
  appliers: readonly ConfigApplier[],
  change: ConfigChange,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  const prepared: PreparedChange[] = [];
  for (const applier of appliers) {
    try {
      prepared.push(await applier.prepare(change, signal));
    } catch (error) {
      await rollBack(prepared, logger);
      const hint = error instanceof MountaineerError ? error.hint : null;
      throw new MountaineerError(
        error instanceof MountaineerError ? error.code : "internal",
        `${applier.name}: ${errorText(error)}`,
        { cause: error, retry: "later", ...(hint === null ? {} : { hint }) },
      );
    }
  }
  for (const section of prepared) section.commit();
  for (const section of prepared) {
    section.retire?.().catch((error: unknown) => {
      logger.warn("what a reload replaced did not end cleanly", { reason: errorText(error) });
    });
  }
}

async function rollBack(prepared: readonly PreparedChange[], logger: Logger): Promise<void> {
  for (const section of prepared.toReversed()) {
    try {
      await section.rollback?.();
    } catch (error) {
      logger.warn("a reload was not rolled back cleanly", { reason: errorText(error) });
    }
  }
}
