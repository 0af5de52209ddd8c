// Work that is asked for often and done one at a time.

/**
 * Returns a function that asks for `work`. If it is called while the work runs, the work runs once more. `work` rejects
 * for nothing expected.
 */
export function onceMore(work: () => Promise<void>, signal: AbortSignal): () => void {
  let isRunning = false;
  let isAsked = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    try {
      while (isAsked && !signal.aborted) {
        isAsked = false;
        await work();
      }
    } finally {
      isRunning = false;
    }
  };
  return () => {
    isAsked = true;
    if (!isRunning) void run();
  };
}
