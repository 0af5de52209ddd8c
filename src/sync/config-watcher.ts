// The face of the configuration's store: the watch over the file triggers it, and listeners hear what became of a change.
import { isDeepStrictEqual } from "node:util";
import { errorText } from "../runtime/errors.ts";
import type { Running } from "./config-steps.ts";
import { type ConfigStoreOptions, createConfigStore } from "./config-store.ts";
import { createFileWatch } from "./file-watch.ts";
import type { FolderEvents } from "./folder-events.ts";
import { type SyncEvent, type SyncEventType, syncEvent } from "./sync-event.ts";
import type { SyncSettings, SyncState } from "./sync-settings.ts";
import { withDeadline } from "./watched-file.ts";

/** `first`: what was loaded and runs. `rejected`: what the file held instead. */
interface ConfigWatcherOptions<Snapshot>
  extends Omit<ConfigStoreOptions<Snapshot>, "watch" | "announce" | "onState"> {
  readonly settings: SyncSettings;
  /** There may be a change, which is not an edit's own: it is looked at, if at all, when it has been waited out. */
  readonly onSign?: () => void;
  readonly onEvent: (event: SyncEvent) => void;
  /** Called with each state that differs from the one before. */
  readonly onState: (state: SyncState) => void;
  /** How long one look at the file may take, ms. */
  readonly lookDeadlineMs?: number;
  readonly folderEvents?: FolderEvents;
}

/**
 * `start` begins to watch, once the service runs; it resolves when no later change can be missed. A file that is not
 * the first content any more counts as changed, unless it is the rejected one. `setSettings` holds at once, also within
 * `apply`. `reloadNow` looks whether watching or not, tries bytes that were rejected before, and ends a stop when it
 * succeeds.
 */
export type ConfigWatcher<Snapshot> = ReturnType<typeof createConfigWatcher<Snapshot>>;

/** A file on a slow network is read within seconds or counts as not readable now. */
const LOOK_DEADLINE_MS = 5_000;

/** Nothing is watched before `start`. Disposing stops watching at once and waits for a running `apply`. */
export function createConfigWatcher<Snapshot>(options: ConfigWatcherOptions<Snapshot>) {
  const { clock, logger, rejected = null } = options;
  const file = withDeadline(options.file, clock, options.lookDeadlineMs ?? LOOK_DEADLINE_MS);

  const tell = (listener: () => void): void => {
    try {
      listener();
    } catch (error) {
      logger.error("config sync listener failed", { path: file.path, reason: errorText(error) });
    }
  };
  const stateNow = (): SyncState => ({ ...store.state, ...watch.state });
  const publish = (): void => {
    const next = stateNow();
    if (isDeepStrictEqual(next, state)) return;
    state = next;
    tell(() => options.onState(next));
  };

  const announce = (type: SyncEventType, details: string): void => {
    const event = syncEvent(clock.wallMs(), store.running.generation, type, details);
    tell(() => options.onEvent(event));
  };

  const watch = createFileWatch({
    file,
    settings: options.settings,
    clock,
    logger,
    folderEvents: options.folderEvents,
    onSign() {
      if (!store.hasWork) tell(() => options.onSign?.());
    },
    onDue: (reason) => store.lookFor(reason),
    onState: publish,
  });
  const store = createConfigStore<Snapshot>({
    ...options,
    file,
    watch,
    announce,
    onState: publish,
  });
  let state = stateNow();

  return {
    get state(): SyncState {
      return state;
    },
    get running(): Running<Snapshot> {
      return store.running;
    },
    get busy(): boolean {
      return store.busy;
    },
    start(): Promise<void> {
      if (rejected !== null) announce("error", rejected.reason);
      return watch.start();
    },
    setSettings: watch.setSettings,
    reloadNow: store.reloadNow,
    inTurn: store.inTurn,
    async [Symbol.asyncDispose]() {
      await watch[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
