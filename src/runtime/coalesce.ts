// Runs a task one at a time, and again if it was requested during the run.

/** Returns a function that requests a run. All requests during a run share one more run. `work` must not reject. */
export function coalesce(work: () => Promise<void>, signal: AbortSignal): () => void {
  let isRunning = false;
  let isRequested = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    try {
      while (isRequested && !signal.aborted) {
        isRequested = false;
        await work();
      }
    } finally {
      isRunning = false;
    }
  };
  return () => {
    isRequested = true;
    if (!isRunning) void run();
  };
}
