// The configuration's store joined with the watch over its file, and the listeners to its state and events.
import { isDeepStrictEqual } from "node:util";
import type { SyncSettings } from "../config/snapshot.ts";
import { errorText } from "../runtime/errors.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import type { Running } from "./config-steps.ts";
import { type ConfigStoreOptions, createConfigStore } from "./config-store.ts";
import { createFileWatch } from "./file-watch.ts";
import type { FolderEvents } from "./folder-events.ts";
import { type SyncEvent, type SyncEventType, syncEvent } from "./sync-event.ts";
import type { SyncState } from "./sync-settings.ts";
import { type FileContent, type WatchedFile, withDeadline } from "./watched-file.ts";

/** `rejected`: the file's content at the start, if it is wrong and `first` runs in its place. */
interface ConfigWatcherOptions<Snapshot>
  extends Omit<ConfigStoreOptions<Snapshot>, "watch" | "announce" | "onState"> {
  readonly settings: SyncSettings;
  /**
   * Called when the file may have changed, except by an edit of the service. A check of the file may follow after the
   * debounce time.
   */
  readonly onSign?: () => void;
  readonly onEvent: (event: SyncEvent) => void;
  readonly onState: (state: SyncState) => void;
  /** Called when another inode than before was found to hold the running content: it was saved again by a rename. */
  readonly onMove?: (content: FileContent) => void;
  /** The longest time for one system call on the file, ms; default 5 s. */
  readonly checkDeadlineMs?: number;
  readonly folderEvents?: FolderEvents;
}

export type ConfigWatcher<Snapshot> = ReturnType<typeof createConfigWatcher<Snapshot>>;

/** After this time a file on a slow network counts as unreadable. */
const CHECK_DEADLINE_MS = 5_000;

/** Disposing stops watching at once, and waits for a running `apply`. */
export function createConfigWatcher<Snapshot>(options: ConfigWatcherOptions<Snapshot>) {
  const { clock, logger, rejected = null } = options;
  const bounded = withDeadline(options.file, clock, options.checkDeadlineMs ?? CHECK_DEADLINE_MS);
  let lastRead = "";
  const file: WatchedFile = {
    ...bounded,
    async read(signal) {
      const content = await bounded.read(signal);
      if (content === null) return null;
      const read = `${sha256Of(content.bytes)} ${content.inode}`;
      if (read !== lastRead) {
        lastRead = read;
        if (read.startsWith(store.running.sha256)) options.onMove?.(content);
        await watch.armMoves();
      }
      return { ...content, isMovedIn: watch.isMovedIn };
    },
  };

  const notify = (listener: () => void): void => {
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
    notify(() => options.onState(next));
  };

  const announce = (type: SyncEventType, details: string): void => {
    const event = syncEvent(clock.wallMs(), store.running.generation, type, details);
    notify(() => options.onEvent(event));
  };

  const watch = createFileWatch({
    file,
    settings: options.settings,
    clock,
    logger,
    folderEvents: options.folderEvents,
    onSign() {
      if (!store.hasWork) notify(() => options.onSign?.());
    },
    onDue: (reason) => store.checkFor(reason),
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
    /** The file; content read here is treated as read by the watcher. */
    file,
    /**
     * Begins to watch; resolves when no later change can be missed. A file that differs from both the first
     * and the rejected content counts as changed.
     */
    start(): Promise<void> {
      if (rejected !== null) announce("error", rejected.reason);
      return watch.start();
    },
    /** Takes effect at once, also within `apply`. */
    setSettings: watch.setSettings,
    /**
     * Reads the file even if it is not watched, tries rejected bytes again, and resumes stopped watching when
     * it succeeds.
     */
    reloadNow: store.reloadNow,
    inTurn: store.inTurn,
    async [Symbol.asyncDispose]() {
      await watch[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}
