// Notices that the file may have changed: by its time, by its content, or by what the OS tells. The file is read later.
import { IN_STEP, startTicker } from "../reconcile/ticker.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import type { Clock, Timer } from "../runtime/time/clock.ts";
import { createFolderBell, type FolderEvents } from "./folder-events.ts";
import type { Detection } from "./sync-settings.ts";
import type { FileStat, WatchedFile } from "./watched-file.ts";

/** Events come in bursts, and a file read at the first one is often still empty. */
export const SETTLE_MS = 10;
/** Changes without an event (another link on the way swapped, an event lost) are seen this much later at most. */
export const SAFETY_POLL_MS = 2_000;
/** File times are as coarse as this somewhere: a file changed less than this ago may change again unseen by stat. */
const COARSEST_TIME_MS = 2_000;

export interface DetectorOptions {
  readonly file: WatchedFile;
  readonly clock: Clock;
  readonly pollIntervalMs: number;
  readonly folderEvents: FolderEvents;
  /**
   * Something may have changed, at `atMs` (monotonic) where that is known better than now. Never called before the
   * first look has ended, nor after disposal.
   */
  readonly onChange: (atMs?: number) => void;
  /** An event came; a look finds out whether it is a change. */
  readonly onSign?: () => void;
  /** Whether there is a file: called at the first look, and when that has changed. */
  readonly onPresence: (present: boolean) => void;
  /** It works, but not as it should: why, or null when it is whole again. */
  readonly onDegraded: (reason: string | null) => void;
}

/** Disposing stops it at once; what it has under way ends unheard. */
export type Detector = ReturnType<typeof startDetector>;

/** Starts the detector of that name; its first look is the caller's to ask for. */
export function startDetector(detection: Detection, options: DetectorOptions) {
  const { file, clock, pollIntervalMs, onChange, onPresence } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const osEvents = detection === "inotify" ? createOsEvents(options, signal, () => poll) : null;
  /** A text that differs where the file does: `mtime` costs one stat, `hash` the whole file. */
  const fingerprint = async (): Promise<string | null> => {
    if (osEvents !== null) return osEvents.fingerprint();
    if (detection === "mtime") {
      const found = await file.stat(signal);
      return found && `${found.mtimeNs} ${found.size}`;
    }
    const bytes = await file.read(signal);
    return bytes && sha256Of(bytes);
  };
  const poll = startChangePoll({
    clock,
    intervalMs: osEvents === null ? pollIntervalMs : SAFETY_POLL_MS,
    fingerprint,
    // Not when it was confirmed: people wait for the debounce time, and not for ours on top of it.
    onChange: () => onChange(osEvents?.atMs ?? undefined),
    onPresence,
  });
  return {
    /**
     * Looks now; what it sees is reported before this resolves. The first look only learns what is there: what changed
     * before it ended, the one who starts a detector finds by reading the file afterwards. Never rejects.
     */
    look: (): Promise<void> => poll.look(),
    /**
     * The file was read, and held bytes of this SHA-256. A detector that goes by content compares with these from now
     * on: else bytes that were there before the read, and are there again after it, would be no change to it.
     */
    noteRead(sha256: string): void {
      if (detection !== "mtime") poll.noteSeen(sha256);
    },
    [Symbol.dispose]() {
      poll[Symbol.dispose]();
      stopping.abort();
      osEvents?.[Symbol.dispose]();
    },
  };
}

interface Seen {
  readonly stat: FileStat;
  readonly sha256: string;
  /** Equal stats mean equal bytes. */
  readonly settled: boolean;
}

/** `inotify`: events of the file's folders, which the content confirms. A slow poll sees changes without an event. */
function createOsEvents(
  { file, clock, pollIntervalMs, folderEvents, onSign, onDegraded }: DetectorOptions,
  signal: AbortSignal,
  poll: () => ReturnType<typeof startChangePoll>,
) {
  let seen: Seen | null = null;
  let armingDue = true;
  let degraded: string | null = null;
  let settling: Timer | null = null;
  /** When the last event came before the look that is under way, and when the last one came since. */
  let eventMs: number | null = null;
  let nextEventMs: number | null = null;

  const bell = createFolderBell(file, folderEvents, () => {
    armingDue = true;
    nextEventMs = clock.monotonicMs();
    if (settling !== null) return;
    settling = clock.setTimer(SETTLE_MS, () => {
      settling = null;
      void poll().look();
    });
    onSign?.();
  });
  const arm = async (): Promise<void> => {
    const unwatched = await bell.arm();
    if (signal.aborted) bell[Symbol.dispose]();
    armingDue = unwatched !== null;
    if (unwatched === degraded || signal.aborted) return;
    degraded = unwatched;
    poll().setInterval(unwatched === null ? SAFETY_POLL_MS : pollIntervalMs);
    onDegraded(unwatched);
  };
  const look = async (): Promise<FileStat | null> => {
    try {
      return await file.stat(signal);
    } catch (error) {
      // Something on the way may be what is wrong, and change.
      armingDue = true;
      throw error;
    }
  };
  return {
    get atMs() {
      return eventMs;
    },
    async fingerprint(): Promise<string | null> {
      eventMs = nextEventMs;
      nextEventMs = null;
      const wasDue = armingDue;
      if (wasDue) await arm();
      let stat = await look();
      if (!wasDue && (stat === null || seen === null || !isSame(stat, seen.stat))) {
        await arm();
        stat = await look();
      }
      if (stat === null) return null;
      if (seen?.settled && isSame(stat, seen.stat)) return seen.sha256;
      const bytes = await file.read(signal);
      if (bytes === null) return null;
      seen = { stat, sha256: sha256Of(bytes), settled: clock.wallMs() - changedMs(stat) > COARSEST_TIME_MS };
      return seen.sha256;
    },
    [Symbol.dispose]() {
      settling?.[Symbol.dispose]();
      bell[Symbol.dispose]();
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

interface ChangePollOptions {
  readonly clock: Clock;
  readonly intervalMs: number;
  /** A text that differs where the file differs; null: no file. Must settle in bounded time; may reject. */
  readonly fingerprint: () => Promise<string | null>;
  /** Another fingerprint than the last one seen; or it stopped, or began again, to be readable. */
  readonly onChange: () => void;
  /** Whether there is a file, as far as the last look could tell; called when that is another answer than before. */
  readonly onPresence: (present: boolean) => void;
}

/**
 * Compared with what was last *seen*, not with what runs: a mistake that is taken back is a change, too. A missing
 * file is no change and does not make what was seen before it forgotten.
 */
function startChangePoll(options: ChangePollOptions) {
  const { clock, intervalMs, fingerprint, onChange, onPresence } = options;
  let seen: string | null = null;
  let readable = true;
  let present: boolean | null = null;
  let looked = false;
  let again = false;
  let running: Promise<void> | null = null;
  let disposed = false;

  const learn = (found: string | null, isReadable: boolean): void => {
    const differs = isReadable !== readable || (found !== null && found !== seen);
    const isFirst = !looked;
    looked = true;
    readable = isReadable;
    seen = found ?? seen;
    if (isReadable && present !== (found !== null)) {
      present = found !== null;
      onPresence(present);
    }
    if (differs && !isFirst) onChange();
  };
  const lookOnce = async (): Promise<void> => {
    let found: string | null = null;
    let isReadable = true;
    try {
      found = await fingerprint();
    } catch {
      // The watcher, which reads the file because of this change, reports why it cannot be read.
      isReadable = false;
    }
    if (!disposed) learn(found, isReadable);
  };
  const run = async (): Promise<void> => {
    do {
      again = false;
      await lookOnce();
    } while (again && !disposed);
    running = null;
  };
  const look = (): Promise<void> => {
    if (disposed) return Promise.resolve();
    if (running !== null) again = true;
    running ??= run();
    return running;
  };
  const beat = (): void => {
    if (running === null) void look();
  };
  const ticker = startTicker(clock, intervalMs, beat, IN_STEP);

  return {
    /** Looks now. What it sees is reported before it resolves; the first look only learns what is there. */
    look,
    /** This fingerprint was seen by somebody else: it counts as seen here, too. */
    noteSeen(fingerprint: string): void {
      seen = fingerprint;
    },
    setInterval: (newIntervalMs: number): void => {
      if (!disposed) ticker.setInterval(newIntervalMs);
    },
    [Symbol.dispose]() {
      disposed = true;
      ticker[Symbol.dispose]();
    },
  };
}
