// Watches the configuration file as the settings say.
import type { TriggerReason } from "../reconcile/trigger.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";

import { createDetectorSlot } from "./detector-slot.ts";
import { type FolderEvents, systemFolderEvents } from "./folder-events.ts";
import { createQuietWindow } from "./quiet-window.ts";
import { MAX_WAIT_FACTOR, type SyncSettings } from "./sync-settings.ts";
import type { WatchedFile } from "./watched-file.ts";

interface FileWatchParts {
  readonly folderEvents: FolderEvents | undefined;
  readonly onSign: (() => void) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly file: WatchedFile;
  readonly fields: { path: string };
  readonly settings: () => SyncSettings;
  readonly isWatching: () => boolean;
  readonly publish: () => void;
  readonly tell: (listener: () => void) => void;
  readonly trigger: (reason: TriggerReason) => void;
}

/** Watches the file as the settings say: the detector, the quiet window, and what was told of both. */
export function createFileWatch({
  folderEvents,
  onSign,
  clock,
  logger,
  file,
  fields,
  settings,
  isWatching,
  publish,
  tell,
  trigger,
}: FileWatchParts) {
  let stopped = false;
  let fileMissing = false;
  let degraded: string | null = null;
  /** A window ended, and the file was not read since. */
  let changeDue = false;

  const slot = createDetectorSlot({
    file,
    clock,
    folderEvents: folderEvents ?? systemFolderEvents,
    onSign: () => tell(() => onSign?.()),
    onChange(atMs) {
      window.trigger(atMs);
      tell(() => onSign?.());
    },
    onReady: () => trigger("start"),
    onPresence(present) {
      if (fileMissing === !present) return;
      fileMissing = !present;
      logger.info(present ? "config file is there" : "config file is missing", fields);
      publish();
    },
    onDegraded(reason) {
      if (degraded === reason) return;
      degraded = reason;
      if (reason !== null) logger.warn("config watch only polls", { ...fields, reason });
      publish();
    },
  });

  const window = createQuietWindow({
    clock,
    quietMs: settings().debounceMs,
    maxWaitMs: settings().debounceMs * MAX_WAIT_FACTOR,
    beforeEnd: () => slot.look(),
    onEnd() {
      changeDue = true;
      trigger("config");
    },
  });

  const watchAsSet = async (): Promise<void> => {
    const wanted = isWatching();
    if (!wanted) {
      window.cancel();
      changeDue = false;
    }
    const ready = slot.want(wanted ? settings() : null);
    publish();
    await ready;
  };
  const forgetStop = (): void => {
    stopped = false;
  };
  /** Whether a window has ended since the last look, which is about to be made. */
  const takeChange = (): boolean => {
    const wasDue = changeDue;
    changeDue = false;
    return wasDue;
  };
  const stopWatching = (): void => {
    stopped = true;
    void watchAsSet();
  };
  const endStop = (): void => {
    stopped = false;
    void watchAsSet();
  };

  return {
    get stopped() {
      return stopped;
    },
    get fileMissing() {
      return fileMissing;
    },
    get degraded() {
      return degraded;
    },
    slot,
    window,
    get changeDue() {
      return changeDue;
    },
    stopWatching,
    endStop,
    takeChange,
    watchAsSet,
    forgetStop,
  };
}

export type FileWatch = ReturnType<typeof createFileWatch>;
