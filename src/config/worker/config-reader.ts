// A reader process that is started at the first sign of a change, so that its start falls into the debounce time.
import type { Clock, Timer } from "../../runtime/time/clock.ts";
import type { ConfigLayer } from "../layer/layer.ts";
import type { ConfigPlace } from "../locate.ts";
import type { ApartRequest } from "./apart-messages.ts";
import { type LoadedApart, loadedApart } from "./load-apart.ts";
import { type ReaderProcess, type StartReader, startReaderProcess } from "./reader-process.ts";

/** A reader that was started ahead ends this long after the last sign of a change, if no content came for it, ms. */
const UNUSED_MS = 5_000;
/** One that fails sooner had died before: its end was not told yet, and says nothing of the content. */
const DEAD_BEFORE_MS = 200;

interface ConfigReaderOptions {
  /** Absolute. */
  readonly path: string;
  readonly place: ConfigPlace;
  /** The layer that is under the file now. Default: none. */
  readonly layer?: () => ConfigLayer | null;
  readonly clock: Clock;
  /** Default: starts a process. */
  readonly startReader?: StartReader;
}

/** Has at most one process at a time, and none 5 s after the last sign of a change. */
export function createConfigReader(options: ConfigReaderOptions) {
  const { path, place, clock, layer = () => null, startReader = startReaderProcess } = options;
  let ahead: ReaderProcess | null = null;
  let unused: Timer | null = null;
  let loading = false;
  let disposed = false;

  /** Null: none that lives, as far as one knows. */
  const take = (): ReaderProcess | null => {
    const taken = ahead?.isRunning === true ? ahead : null;
    ahead = null;
    unused?.[Symbol.dispose]();
    return taken;
  };

  return {
    /** A content may have to be loaded soon. Does nothing while one is being loaded. */
    expect(): void {
      if (disposed || loading) return;
      const before = take();
      ahead = before ?? startReader(clock);
      unused = clock.setTimer(UNUSED_MS, () => take()?.end());
    },
    /** One at a time. Rejects as `loadConfigApart` does. */
    async load(bytes: Uint8Array, signal: AbortSignal): Promise<LoadedApart> {
      loading = true;
      const content = Buffer.from(bytes).toString("base64");
      const request: ApartRequest = {
        kind: "load",
        path,
        place,
        layer: layer(),
        content,
        writeStarter: false,
      };
      const taken = take();
      let process = taken ?? startReader(clock);
      const begunMs = clock.monotonicMs();
      try {
        const reply = await process.ask(request, signal).catch((error: unknown) => {
          const wasDead = taken !== null && clock.monotonicMs() - begunMs < DEAD_BEFORE_MS;
          if (signal.aborted || !wasDead) throw error;
          process = startReader(clock);
          return process.ask(request, signal);
        });
        return loadedApart(reply, path);
      } finally {
        process.end();
        loading = false;
      }
    },
    [Symbol.dispose]() {
      disposed = true;
      take()?.end();
    },
  };
}
