// Keeps the fleet's server running where this home has it: a daemon starts it at its own start, and when it has ended.
import { errorText } from "../../runtime/errors.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { type FleetPlace, removeOldLogs } from "./fleet-folder.ts";
import { ensureServer, isServing } from "./server-process.ts";

const BETWEEN_LOOKS_MS = 3_000;
const AFTER_FAILURE_MS = 15_000;

interface KeepOptions extends FleetPlace {
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Resolves at once where this home has none, and when the signal aborts; the server runs on then. Never rejects. */
export async function keepServer({ home, clock, logger, signal }: KeepOptions): Promise<void> {
  let told: string | null = null;
  while (!signal.aborted) {
    let pauseMs = BETWEEN_LOOKS_MS;
    try {
      // Nearly always it serves; the folder's lock would be taken on the daemon's thread.
      const state = (await isServing(home)) ? "ran" : await ensureServer({ home, clock }, signal);
      if (state === "none") return;
      if (state === "started") logger.info("fleet server started");
      told = null;
      await removeOldLogs(home);
    } catch (error) {
      if (signal.aborted) return;
      const reason = errorText(error);
      if (reason !== told) logger.warn("fleet server does not run", { reason });
      told = reason;
      pauseMs = AFTER_FAILURE_MS;
    }
    await clock.sleep(pauseMs, signal).catch(() => {});
  }
}
