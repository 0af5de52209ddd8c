// Owns the choice of a detector.
import type { Detector, DetectorOptions } from "./detector.ts";
import { startHashDetector } from "./detector-hash.ts";
import { startMtimeDetector } from "./detector-mtime.ts";
import { startOsEventsDetector } from "./detector-os-events.ts";
import type { FolderEvents } from "./folder-events.ts";
import type { Detection } from "./sync-settings.ts";

/** Starts the detector of that name; its first look is the caller's to ask for. */
export function startDetector(
  detection: Detection,
  options: DetectorOptions,
  folderEvents: FolderEvents,
): Detector {
  switch (detection) {
    case "mtime":
      return startMtimeDetector(options);
    case "hash":
      return startHashDetector(options);
    case "inotify":
      return startOsEventsDetector(options, folderEvents);
  }
}
