// Notices when the home is moved or removed under the daemon: its path then leads nowhere, or to the next daemon's
// home.
import { open, stat } from "node:fs/promises";
import { isSystemError, recoverFrom } from "../runtime/errors.ts";
import type { Clock } from "../runtime/time/clock.ts";

const BETWEEN_CHECKS_MS = 1_000;

export interface HomeWatch extends AsyncDisposable {
  /** Whether `home` still leads to the same folder. A caller that makes missing folders asks first: it would make a removed home again. */
  isThere(): Promise<boolean>;
}

/** Calls `onLost` once `home` no longer leads to the folder that it leads to at this call. */
export async function watchHome(home: string, clock: Clock, onLost: () => void): Promise<HomeWatch> {
  // Kept open, so that no other folder gets its numbers.
  const folder = await open(home);
  const stop = new AbortController();
  const isThere = async (): Promise<boolean> => {
    const [ours, there] = await Promise.all([folder.stat(), stat(home)]);
    return there.dev === ours.dev && there.ino === ours.ino;
  };
  // A disk that fails says nothing about the home.
  const check = (): Promise<boolean> =>
    isThere()
      .catch(recoverFrom(["ENOENT", "ENOTDIR"], false))
      .catch(recoverFrom(isSystemError, true));
  const watching = (async () => {
    do await clock.sleep(BETWEEN_CHECKS_MS, stop.signal);
    while (await check());
    if (!stop.signal.aborted) onLost();
  })();
  watching.catch(recoverFrom(() => stop.signal.aborted));
  return {
    isThere: check,
    async [Symbol.asyncDispose]() {
      stop.abort();
      // Not awaited: it waits for a check that hangs with its disk.
      void folder.close().catch(recoverFrom(isSystemError));
    },
  };
}
