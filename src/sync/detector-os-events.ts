// The detector named `inotify`: the OS reports events of folders, and the content confirms them. A slow poll is its
// safety net, and its fallback where folders cannot be watched.

import { sha256Of } from "../runtime/files/sha256.ts";
import type { Timer } from "../runtime/time/clock.ts";
import { startChangePoll } from "./change-poll.ts";
import type { Detector, DetectorOptions } from "./detector.ts";
import type { FolderEvents } from "./folder-events.ts";
import { createFolderWatches } from "./folder-watches.ts";
import type { FileStat } from "./watched-file.ts";

/** Events come in bursts, and a file read at the first one is often still empty. */
export const SETTLE_MS = 10;
/** What no watched folder tells (a folder further up replaced, an event lost) is seen this much later at most. */
export const SAFETY_POLL_MS = 2_000;
/** File times are as coarse as this somewhere: a file changed less than this ago may change again unseen by stat. */
const COARSEST_TIME_MS = 2_000;
/** Folders may be replaced while they are being watched; one that never rests is left to the next check. */
const MAX_ARMINGS = 5;

interface Seen {
  readonly stat: FileStat;
  readonly sha256: string;
  /** Equal stats mean equal bytes. */
  readonly settled: boolean;
}

/** A touch is no change. */
export function startOsEventsDetector(options: DetectorOptions, events: FolderEvents): Detector {
  const { file, clock, pollIntervalMs, onChange, onSign, onPresence, onDegraded } = options;
  const stopping = new AbortController();
  let seen: Seen | null = null;
  let armingDue = true;
  let degraded: string | null = null;
  let settling: Timer | null = null;
  /** When the system told of something last, before the look that is under way; and what it told since. */
  let toldMs: number | null = null;
  let nextToldMs: number | null = null;

  const watches = createFolderWatches({
    events,
    path: file.path,
    isHere: (path) => file.isHere(path),
    onEvent() {
      armingDue = true;
      nextToldMs = clock.monotonicMs();
      if (settling !== null) return;
      settling = clock.setTimer(SETTLE_MS, () => {
        settling = null;
        void poll.look();
      });
      onSign?.();
    },
  });

  const arm = async (): Promise<void> => {
    armingDue = false;
    let result = await watches.arm();
    // A change between the walk and the arming is told by nobody: walk again.
    for (let arming = 1; result.renewed && arming < MAX_ARMINGS; arming += 1) result = await watches.arm();
    if (result.unwatched !== null || result.renewed) armingDue = true;
    setDegraded(result.unwatched);
  };
  const setDegraded = (reason: string | null): void => {
    if (reason === degraded || stopping.signal.aborted) return;
    degraded = reason;
    poll.setInterval(reason === null ? SAFETY_POLL_MS : pollIntervalMs);
    onDegraded(reason);
  };

  const look = async (): Promise<FileStat | null> => {
    try {
      return await file.stat(stopping.signal);
    } catch (error) {
      // Something on the way may be what is wrong, and change: the next check walks it again.
      armingDue = true;
      throw error;
    }
  };
  const fingerprint = async (): Promise<string | null> => {
    toldMs = nextToldMs;
    nextToldMs = null;
    const wasDue = armingDue;
    if (wasDue) await arm();
    let stat = await look();
    if (!wasDue && (stat === null || seen === null || !isSame(stat, seen.stat))) {
      await arm();
      stat = await look();
    }
    if (stat === null) return null;
    if (seen?.settled && isSame(stat, seen.stat)) return seen.sha256;
    const bytes = await file.read(stopping.signal);
    if (bytes === null) return null;
    seen = { stat, sha256: sha256Of(bytes), settled: clock.wallMs() - changedMs(stat) > COARSEST_TIME_MS };
    return seen.sha256;
  };
  const poll = startChangePoll({
    clock,
    intervalMs: SAFETY_POLL_MS,
    fingerprint,
    // Not when it was confirmed: people wait for the debounce time, and not for ours on top of it.
    onChange: () => (toldMs === null ? onChange() : onChange(toldMs)),
    onPresence,
  });

  return {
    detection: "inotify",
    look: () => poll.look(),
    noteRead: (sha256) => poll.noteSeen(sha256),
    [Symbol.dispose]() {
      poll[Symbol.dispose]();
      stopping.abort();
      settling?.[Symbol.dispose]();
      watches[Symbol.dispose]();
    },
  };
}

function isSame(one: FileStat, other: FileStat): boolean {
  return (
    one.ino === other.ino &&
    one.dev === other.dev &&
    one.size === other.size &&
    one.mtimeNs === other.mtimeNs &&
    one.ctimeNs === other.ctimeNs
  );
}

function changedMs({ mtimeNs, ctimeNs }: FileStat): number {
  return Number((mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / 1_000_000n);
}
