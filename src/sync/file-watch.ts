// Watching the configuration file as the settings say: a detector, and a window that waits until an editor has finished.
import { isDeepStrictEqual } from "node:util";
import type { TriggerReason } from "../reconcile/trigger.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { type Detector, type DetectorOptions, startDetector } from "./detector.ts";
import { type FolderEvents, systemFolderEvents } from "./folder-events.ts";
import { createQuietWindow } from "./quiet-window.ts";
import { MAX_WAIT_FACTOR, type SyncSettings, type SyncState } from "./sync-settings.ts";
import type { WatchedFile } from "./watched-file.ts";

interface FileWatchOptions {
  readonly file: WatchedFile;
  readonly settings: SyncSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly folderEvents: FolderEvents | undefined;
  /** The file may have changed: a look is due, if at all, when that has been waited out. */
  readonly onSign: () => void;
  /** It is time to look at the file. */
  readonly onDue: (reason: TriggerReason) => void;
  /** `state` may be another one than before. */
  readonly onState: () => void;
}

export type FileWatch = ReturnType<typeof createFileWatch>;

type Phase = "new" | "on" | "stopped" | "ended";

/** Nothing is watched before `start`. */
export function createFileWatch(options: FileWatchOptions) {
  const { file, clock, onSign, onDue, onState } = options;
  let { settings } = options;
  let phase: Phase = "new";
  const news = createDetectorNews(options);

  const isWatching = (): boolean => phase === "on" && settings.enabled;
  const slot = createDetectorSlot({
    file,
    clock,
    folderEvents: options.folderEvents ?? systemFolderEvents,
    onSign,
    onChange(atMs) {
      window.trigger(atMs);
      onSign();
    },
    onReady: () => onDue("start"),
    onPresence: news.presence,
    onDegraded: news.degradation,
  });
  const window = createQuietWindow({
    clock,
    quietMs: settings.debounceMs,
    maxWaitMs: settings.debounceMs * MAX_WAIT_FACTOR,
    beforeEnd: () => slot.look(),
    onEnd() {
      watch.changeDue = true;
      onDue("config");
    },
  });
  const watchAsSet = async (): Promise<void> => {
    const wanted = isWatching();
    if (!wanted) {
      window.cancel();
      watch.changeDue = false;
    }
    const { detection, pollIntervalMs } = settings;
    const ready = slot.want(wanted ? { detection, pollIntervalMs } : null);
    onState();
    await ready;
  };

  const watch = {
    /** A change was waited out, and the file was not looked at since. */
    changeDue: false,
    /** Open while a change is being waited out. */
    window,
    /** The detector that runs, if one does. */
    slot,
    get settings() {
      return settings;
    },
    get state() {
      return {
        watching: watchingIn(phase, settings),
        fileMissing: news.fileMissing && isWatching(),
        detector: { detection: settings.detection, degraded: news.degraded },
      };
    },
    get isWatching() {
      return isWatching();
    },
    /** Resolves when no later change can be missed. */
    async start(): Promise<void> {
      if (phase !== "new") return;
      phase = "on";
      await watchAsSet();
    },
    setSettings(next: SyncSettings): void {
      settings = next;
      window.setLengths(next.debounceMs, next.debounceMs * MAX_WAIT_FACTOR);
      if (next.onFailure !== "stop" && phase === "stopped") phase = "on";
      void watchAsSet();
    },
    /** A failed reload ended watching (`on_failure = "stop"`). */
    stop(): void {
      phase = "stopped";
      void watchAsSet();
    },
    /** Watching goes on if it was stopped. */
    endStop(): void {
      if (phase !== "stopped") return;
      phase = "on";
      void watchAsSet();
    },
    async [Symbol.asyncDispose]() {
      phase = "ended";
      await watchAsSet();
      window[Symbol.dispose]();
    },
  };
  return watch;
}

/** A poll below this is a busy loop. */
const SHORTEST_POLL_MS = 10;

type DetectorWish = Pick<SyncSettings, "detection" | "pollIntervalMs">;

interface SlotOptions extends Omit<DetectorOptions, "pollIntervalMs"> {
  /** A new detector has had its first look: what changed before that, only reading the file tells. */
  readonly onReady: () => void;
}

/** The detector that runs: none, or the one that is wanted. Nothing is heard of one that was replaced. */
function createDetectorSlot({ onReady, ...options }: SlotOptions) {
  let detector: Detector | null = null;
  let current: DetectorWish | null = null;
  return {
    /** Makes it so, at once; resolves when a new detector is ready, or is itself replaced. */
    async want(wish: DetectorWish | null): Promise<void> {
      if (isDeepStrictEqual(wish, current)) return;
      current = wish;
      detector?.[Symbol.dispose]();
      detector = null;
      options.onDegraded(null);
      if (wish === null) return;
      const pollIntervalMs = Math.max(SHORTEST_POLL_MS, wish.pollIntervalMs);
      const own = startDetector(wish.detection, { ...options, pollIntervalMs });
      detector = own;
      await own.look();
      if (detector === own) onReady();
    },
    /** Looks now, if a detector runs. Never rejects. */
    async look(): Promise<void> {
      await detector?.look();
    },
    /** Passes it to the detector that runs. */
    noteRead: (sha256: string): void => detector?.noteRead(sha256),
  };
}

/** What the detector has told of the file and of itself: each change is logged once. */
function createDetectorNews({ file, logger, onState }: FileWatchOptions) {
  const fields = { path: file.path };
  let fileMissing = false;
  let degraded: string | null = null;
  return {
    get fileMissing() {
      return fileMissing;
    },
    get degraded() {
      return degraded;
    },
    presence(present: boolean): void {
      if (fileMissing === !present) return;
      fileMissing = !present;
      logger.info(present ? "config file is there" : "config file is missing", fields);
      onState();
    },
    degradation(reason: string | null): void {
      if (degraded === reason) return;
      degraded = reason;
      if (reason !== null) logger.warn("config watch only polls", { ...fields, reason });
      onState();
    },
  };
}

function watchingIn(phase: Phase, { enabled }: SyncSettings): SyncState["watching"] {
  if (phase === "new" || phase === "ended") return "idle";
  if (!enabled) return "off";
  return phase === "stopped" ? "stopped" : "live";
}
