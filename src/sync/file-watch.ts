// Watches the configuration file as `[sync]` says: a detector, and a window that debounces the changes.
import { isDeepStrictEqual } from "node:util";
import type { SyncSettings } from "../config/snapshot.ts";
import type { TriggerReason } from "../reconcile/trigger.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import { type Detector, type DetectorOptions, startDetector } from "./detector.ts";
import { createMoveWatch, type FolderEvents, systemFolderEvents } from "./folder-events.ts";
import { createQuietWindow } from "./quiet-window.ts";
import { MAX_WAIT_FACTOR, type SyncState } from "./sync-settings.ts";
import type { WatchedFile } from "./watched-file.ts";

interface FileWatchOptions extends RuntimeTools {
  readonly file: WatchedFile;
  readonly settings: SyncSettings;
  readonly folderEvents: FolderEvents | undefined;
  /** Called when the file may have changed. `onDue` may follow after the debounce time. */
  readonly onSign: () => void;
  readonly onDue: (reason: TriggerReason) => void;
  readonly onState: () => void;
}

export type FileWatch = ReturnType<typeof createFileWatch>;

type Phase = "new" | "on" | "stopped" | "ended";

/** Nothing is watched before `start`. */
export function createFileWatch(options: FileWatchOptions) {
  const { file, clock, folderEvents = systemFolderEvents, onSign, onDue, onState } = options;
  let { settings } = options;
  let phase: Phase = "new";
  const report = createDetectorReport(options);

  const isWatching = (): boolean => phase === "on" && settings.enabled;
  const detector = createDetectorSlot({
    file,
    clock,
    folderEvents,
    onSign,
    onChange(atMs) {
      window.trigger(atMs);
      onSign();
    },
    onReady: () => onDue("start"),
    onPresence: report.presence,
    onDegraded: report.degradation,
  });
  const window = createQuietWindow({
    clock,
    quietMs: settings.debounceMs,
    maxWaitMs: settings.debounceMs * MAX_WAIT_FACTOR,
    beforeEnd: () => detector.check(),
    onEnd() {
      watch.changeDue = true;
      onDue("config");
    },
  });
  const moves = createMoveWatch(file, folderEvents);
  const armMoves = async (): Promise<void> => {
    if (isWatching()) await moves.arm();
    if (!isWatching()) moves[Symbol.dispose]();
  };
  const applySettings = async (): Promise<void> => {
    const isOn = isWatching();
    if (!isOn) {
      window.cancel();
      watch.changeDue = false;
    }
    const { detection, pollIntervalMs } = settings;
    const ready = detector.use(isOn ? { detection, pollIntervalMs } : null);
    onState();
    await armMoves();
    await ready;
  };

  const watch = {
    /** True from the end of a change's debounce window until the file is read. */
    changeDue: false,
    /** Open while a change is debounced. */
    window,
    detector,
    get settings() {
      return settings;
    },
    get state() {
      return {
        watching: watchingIn(phase, settings),
        fileMissing: report.fileMissing && isWatching(),
        detector: { detection: settings.detection, degraded: report.degraded },
      };
    },
    get isWatching() {
      return isWatching();
    },
    /** True: the file was seen moved in, and was not written to since. */
    get isMovedIn() {
      return moves.isMovedIn;
    },
    /** To be called when the path may lead to another file. */
    armMoves,
    /** Resolves when the detector is ready. From then on it misses no change. */
    async start(): Promise<void> {
      if (phase !== "new") return;
      phase = "on";
      await applySettings();
    },
    setSettings(next: SyncSettings): void {
      settings = next;
      window.setLengths(next.debounceMs, next.debounceMs * MAX_WAIT_FACTOR);
      if (next.onFailure !== "stop" && phase === "stopped") phase = "on";
      void applySettings();
    },
    /** Stops watching after a failed reload (`on_failure = "stop"`). */
    stop(): void {
      phase = "stopped";
      void applySettings();
    },
    resume(): void {
      if (phase !== "stopped") return;
      phase = "on";
      void applySettings();
    },
    async [Symbol.asyncDispose]() {
      phase = "ended";
      await applySettings();
      window[Symbol.dispose]();
    },
  };
  return watch;
}

/** Shorter intervals would keep the CPU busy. */
const SHORTEST_POLL_MS = 10;

type DetectorSettings = Pick<SyncSettings, "detection" | "pollIntervalMs">;

interface SlotOptions extends Omit<DetectorOptions, "pollIntervalMs"> {
  /**
   * Called when a new detector has had its first check. The callee must then read the file, because the detector does
   * not report earlier changes.
   */
  readonly onReady: () => void;
}

/** The running detector, or none. A replaced detector makes no further calls. */
function createDetectorSlot({ onReady, ...options }: SlotOptions) {
  let detector: Detector | null = null;
  let current: DetectorSettings | null = null;
  return {
    /**
     * Replaces the detector if its settings changed; null: runs none. Resolves after the new detector's first
     * look.
     */
    async use(next: DetectorSettings | null): Promise<void> {
      if (isDeepStrictEqual(next, current)) return;
      current = next;
      detector?.[Symbol.dispose]();
      detector = null;
      options.onDegraded(null);
      if (next === null) return;
      const pollIntervalMs = Math.max(SHORTEST_POLL_MS, next.pollIntervalMs);
      const own = startDetector(next.detection, { ...options, pollIntervalMs });
      detector = own;
      await own.check();
      onReady();
    },
    async check(): Promise<void> {
      await detector?.check();
    },
    recordRead: (sha256: string): void => detector?.recordRead(sha256),
  };
}

/** The last reports of the detector about the file and itself. Each change is logged once. */
function createDetectorReport({ file, logger, onState }: FileWatchOptions) {
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
