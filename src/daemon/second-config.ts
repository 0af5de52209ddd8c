// Notices a second configuration file in the home, with which the next start would be refused.
import { dirname } from "node:path";
import { configsIn } from "../config/home-context.ts";
import { isSystemError, MountaineerError, recoverFrom } from "../runtime/errors.ts";
import type { Clock } from "../runtime/time/clock.ts";

const BETWEEN_CHECKS_MS = 2_000;

/** `path`: the file in use. One outside of the home was named by the user, and is used also at the next start. */
export function watchSecondConfig(home: string, path: string, clock: Clock) {
  const stop = new AbortController();
  let found: readonly string[] = [];
  const watching = (async () => {
    while (dirname(path) === home) {
      found = await configsIn(home).catch(recoverFrom((error) => error instanceof MountaineerError, found));
      await clock.sleep(BETWEEN_CHECKS_MS, stop.signal);
    }
  })();
  watching.catch(recoverFrom((error) => stop.signal.aborted || isSystemError(error)));
  return {
    /** The other files. */
    get found() {
      return found.filter((one) => one !== path);
    },
    [Symbol.dispose]: () => stop.abort(),
  };
}
