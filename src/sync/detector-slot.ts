// The detector that runs: none, or the one that the settings ask for. New settings replace it.
import type { Detector, DetectorOptions } from "./detector.ts";
import type { FolderEvents } from "./folder-events.ts";
import { startDetector } from "./start-detector.ts";
import type { Detection } from "./sync-settings.ts";

/** A poll below this is a busy loop. */
const SHORTEST_POLL_MS = 10;

interface DetectorSlotOptions extends Omit<DetectorOptions, "pollIntervalMs"> {
  readonly folderEvents: FolderEvents;
  /** A new detector has had its first look: what changed before that, only reading the file tells. */
  readonly onReady: () => void;
}

interface DetectorWish {
  readonly detection: Detection;
  readonly pollIntervalMs: number;
}

/** Empty at first. Nothing is heard of a detector that was replaced. */
export function createDetectorSlot({ folderEvents, onReady, ...options }: DetectorSlotOptions) {
  let detector: Detector | null = null;
  let current: DetectorWish | null = null;

  return {
    /** Makes it so, at once; resolves when a new detector is ready, or is itself replaced. */
    async want(wish: DetectorWish | null): Promise<void> {
      if (isSame(wish, current)) return;
      current = wish;
      detector?.[Symbol.dispose]();
      detector = null;
      options.onDegraded(null);
      if (wish === null) return;
      const pollIntervalMs = Math.max(SHORTEST_POLL_MS, wish.pollIntervalMs);
      const own = startDetector(wish.detection, { ...options, pollIntervalMs }, folderEvents);
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

function isSame(one: DetectorWish | null, other: DetectorWish | null): boolean {
  if (one === null || other === null) return one === other;
  return one.detection === other.detection && one.pollIntervalMs === other.pollIntervalMs;
}
