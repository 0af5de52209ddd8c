// Picks the detector, and has those that look again and again.
import { sha256Of } from "../runtime/files/sha256.ts";
import { startChangePoll } from "./change-poll.ts";
import type { Detector, DetectorOptions } from "./detector.ts";
import { startOsEventsDetector } from "./detector-os-events.ts";
import type { FolderEvents } from "./folder-events.ts";
import type { Detection } from "./sync-settings.ts";

/** Starts the detector of that name; its first look is the caller's to ask for. */
export function startDetector(
  detection: Detection,
  options: DetectorOptions,
  folderEvents: FolderEvents,
): Detector {
  return detection === "inotify"
    ? startOsEventsDetector(options, folderEvents)
    : startPollingDetector(detection, options);
}

/**
 * `mtime`: one stat a poll. A touch counts as a change; one that keeps both mtime and size does not. `hash`: the whole
 * file is read and hashed each poll, so that a touch is no change and times that lie do not matter.
 */
function startPollingDetector(
  detection: "mtime" | "hash",
  { file, clock, pollIntervalMs, onChange, onPresence }: DetectorOptions,
): Detector {
  const stopping = new AbortController();
  const fingerprints = {
    async mtime() {
      const found = await file.stat(stopping.signal);
      return found === null ? null : `${found.mtimeNs} ${found.size}`;
    },
    async hash() {
      const bytes = await file.read(stopping.signal);
      return bytes === null ? null : sha256Of(bytes);
    },
  };
  const fingerprint = fingerprints[detection];
  const poll = startChangePoll({ clock, intervalMs: pollIntervalMs, onChange, onPresence, fingerprint });
  return {
    detection,
    look: () => poll.look(),
    noteRead(sha256) {
      if (detection === "hash") poll.noteSeen(sha256);
    },
    [Symbol.dispose]() {
      poll[Symbol.dispose]();
      stopping.abort();
    },
  };
}
