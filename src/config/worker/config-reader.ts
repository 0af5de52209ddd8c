// A reader process that is started at the first sign of a change, so that its start falls into the debounce time.
import { MountaineerError } from "../../runtime/errors.ts";
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { HomeContext } from "../home-context.ts";
import { callOnce, loadedApart } from "./load-in-child.ts";
import { type ReaderProcess, type StartReader, startReaderProcess } from "./reader-process.ts";
import type { LoadedByWorker, WorkerRequest } from "./worker-messages.ts";

/** How long a reader that was started in advance waits for content after the last sign of a change, ms. */
const UNUSED_MS = 5_000;

interface ConfigReaderOptions {
  /** Absolute. */
  readonly path: string;
  readonly homeContext: HomeContext;
  readonly clock: Clock;
  /** Default: starts a process. */
  readonly startReader?: StartReader;
}

/** Runs at most one process at a time. An unused process ends 5 s after the last sign of a change. */
export function createConfigReader(options: ConfigReaderOptions) {
  const { path, homeContext, clock, startReader = startReaderProcess } = options;
  let ahead: ReaderProcess | null = null;
  let unused: Timer | null = null;
  let loading = false;
  let disposed = false;

  /** Takes the reader started in advance; null if there is none, or it has ended. */
  const take = (): ReaderProcess | null => {
    const taken = ahead?.isRunning === true ? ahead : null;
    ahead = null;
    unused?.[Symbol.dispose]();
    return taken;
  };

  return {
    /**
     * Starts a reader in advance, for content that may come soon. Does nothing while content is being loaded.
     */
    expect(): void {
      if (disposed || loading) return;
      const before = take();
      ahead = before ?? startReader(clock);
      unused = clock.setTimer(UNUSED_MS, () => take()?.end());
    },
    /**
     * Loads a content, `from` the file if that is given; must not be called again before it has settled. Rejects as
     * `loadConfigInChild` does.
     */
    async load(
      bytes: Uint8Array,
      signal: AbortSignal,
      from: Pick<Extract<WorkerRequest, { kind: "load" }>, "inode" | "waitMs" | "isMovedIn"> = {},
    ): Promise<LoadedByWorker> {
      loading = true;
      const content = Buffer.from(bytes).toString("base64");
      const request: WorkerRequest = {
        kind: "load",
        path,
        homeContext,
        content,
        writeStarter: false,
        ...from,
      };
      const call = async (reader: ReaderProcess): Promise<LoadedByWorker> =>
        loadedApart(await callOnce(reader, request, signal), path);
      try {
        const started = take();
        if (started === null) return await call(startReader(clock));
        return await call(started).catch((error: unknown) => {
          // A reader that died while it waited says nothing about the content, so a new reader is asked.
          if (error instanceof MountaineerError && error.retry === "now") return call(startReader(clock));
          throw error;
        });
      } finally {
        loading = false;
      }
    },
    [Symbol.dispose]() {
      disposed = true;
      take()?.end();
    },
  };
}
