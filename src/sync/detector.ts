// Detects that the file may have changed: by its modification time, by its content, or by events of the OS.
import { IN_STEP, startTicker } from "../reconcile/ticker.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import type { Clock, Timer } from "../runtime/time/clock.ts";
import { createFolderBell, type FolderEvents } from "./folder-events.ts";
import type { Detection } from "./sync-settings.ts";
import type { FileStat, WatchedFile } from "./watched-file.ts";

/** Pause between an event and the check: events come in bursts, and at the first one the file is often still empty. */
export const QUIET_MS = 10;
/**
 * Longest time until a change without an event is noticed, ms: a symlink farther up the path was replaced, or
 * an event was lost.
 */
export const SAFETY_POLL_MS = 2_000;
/** Coarsest resolution of file times: a second change within this time may leave `stat` unchanged. */
const COARSEST_TIME_MS = 2_000;
/** Longest pause between two reads of a file whose inode changes, though its time, size and bytes stay. */
const LONGEST_PAUSE_MS = 60_000;

export interface DetectorOptions {
  readonly file: WatchedFile;
  readonly clock: Clock;
  readonly pollIntervalMs: number;
  readonly folderEvents: FolderEvents;
  /**
   * Called when the file may have changed at `atMs` (monotonic; default: now). Not called before the first check has
   * ended, nor after disposal.
   */
  readonly onChange: (atMs?: number) => void;
  /** Called when the operating system reports an event. The check that follows finds out whether the file changed. */
  readonly onSign?: () => void;
  /** Called after the first check, and whenever the file has appeared or disappeared. */
  readonly onPresence: (present: boolean) => void;
  /** Why the detector only polls instead of using events of the OS; null: it uses events again. */
  readonly onDegraded: (reason: string | null) => void;
}

/** Disposing ends the detector at once, without further callbacks. */
export type Detector = ReturnType<typeof startDetector>;

/** Starts the detector of that name. The caller must ask for the first check. */
export function startDetector(detection: Detection, options: DetectorOptions) {
  const { file, clock, pollIntervalMs, onChange, onPresence } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const osEvents = detection === "inotify" ? createOsEvents(options, signal, () => poll) : null;
  const times = createTimes(options);
  /** A text that differs if the file differs: `mtime` usually takes one stat, `hash` reads the whole file. */
  const fingerprint = async (): Promise<string | null> => {
    if (osEvents !== null) return osEvents.fingerprint();
    if (detection === "mtime") return times.fingerprint(signal);
    const content = await file.read(signal);
    return content && sha256Of(content.bytes);
  };
  const poll = startChangePoll({
    clock,
    intervalMs: osEvents === null ? pollIntervalMs : SAFETY_POLL_MS,
    fingerprint,
    // A change is dated to the event that led to the check. Otherwise the duration of the check would be added to the
    // debounce time.
    onChange: () => onChange(osEvents?.atMs ?? undefined),
    onPresence,
  });
  return {
    /**
     * Looks now, and reports a change before the promise resolves. The first check never reports a change: the
     * caller must read the file after it. Never rejects.
     */
    check: (): Promise<void> => poll.check(),
    /**
     * Notes the SHA-256 of content that the caller has read. From now on, the detector compares with that content, and
     * so notices a change back to older content.
     */
    recordRead(sha256: string): void {
      if (detection === "mtime") times.recordRead(sha256);
      else poll.recordFingerprint(sha256);
    },
    [Symbol.dispose]() {
      poll[Symbol.dispose]();
      stopping.abort();
      osEvents?.[Symbol.dispose]();
    },
  };
}

/**
 * `mtime`: time and size. Where all files have the same time (Nix, Guix, ostree), another inode is the only sign of other
 * content, so the file is read then; and ever more rarely while the bytes stay, as some file systems give a new inode to
 * each stat.
 */
function createTimes({ file, clock, pollIntervalMs }: DetectorOptions) {
  let observed: FileStat | null = null;
  let read: string | null = null;
  let fingerprint = "";
  let pauseMs = pollIntervalMs;
  let nextMs = Number.NEGATIVE_INFINITY;
  return {
    recordRead(sha256: string): void {
      read = sha256;
    },
    async fingerprint(signal: AbortSignal): Promise<string | null> {
      const stat = await file.stat(signal);
      if (stat === null) return null;
      if (observed?.mtimeNs !== stat.mtimeNs || observed.size !== stat.size) {
        observed = stat;
        fingerprint = `${stat.mtimeNs} ${stat.size}`;
        pauseMs = pollIntervalMs;
      } else if ((observed.ino !== stat.ino || observed.dev !== stat.dev) && clock.monotonicMs() >= nextMs) {
        observed = stat;
        const content = await file.read(signal);
        const sha256 = content && sha256Of(content.bytes);
        if (sha256 === read) {
          nextMs = clock.monotonicMs() + pauseMs;
          pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2);
        } else fingerprint = `${stat.ino} ${sha256}`;
      }
      return fingerprint;
    },
  };
}

interface Observed {
  readonly stat: FileStat;
  readonly sha256: string;
  /** True if the file's bytes cannot have changed while its stat is still equal to `stat`. */
  readonly isStable: boolean;
}

/** `inotify`: events of the file's folders, confirmed by the content. A slow poll sees changes without an event. */
function createOsEvents(
  { file, clock, pollIntervalMs, folderEvents, onSign, onDegraded }: DetectorOptions,
  signal: AbortSignal,
  poll: () => ReturnType<typeof startChangePoll>,
) {
  let observed: Observed | null = null;
  let armingDue = true;
  let degraded: string | null = null;
  let settling: Timer | null = null;
  /** When the last event came, monotonic ms: `eventMs` before the present look began, `nextEventMs` since it began. */
  let eventMs: number | null = null;
  let nextEventMs: number | null = null;

  const bell = createFolderBell(file, folderEvents, () => {
    armingDue = true;
    nextEventMs = clock.monotonicMs();
    if (settling !== null) return;
    settling = clock.setTimer(QUIET_MS, () => {
      settling = null;
      void poll().check();
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
  const check = async (): Promise<FileStat | null> => {
    try {
      return await file.stat(signal);
    } catch (error) {
      // `stat` may have failed because a folder of the path was replaced, so the next check renews the watches
      // on the folders.
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
      let stat = await check();
      if (!wasDue && (stat === null || observed === null || !isSame(stat, observed.stat))) {
        await arm();
        stat = await check();
      }
      if (stat === null) return null;
      if (observed?.isStable && isSame(stat, observed.stat)) return observed.sha256;
      const content = await file.read(signal);
      if (content === null) return null;
      observed = {
        stat,
        sha256: sha256Of(content.bytes),
        isStable: clock.wallMs() - changedMs(stat) > COARSEST_TIME_MS,
      };
      return observed.sha256;
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
  /** A text that differs if the file differs; null: no file. Must settle in bounded time; may reject. */
  readonly fingerprint: () => Promise<string | null>;
  /** The fingerprint differs from the last one seen, or the file became unreadable or readable again. */
  readonly onChange: () => void;
  /** Called after the first check, and after each check that finds that the file has appeared or disappeared. */
  readonly onPresence: (present: boolean) => void;
}

/**
 * Polls the file and reports each difference from the last fingerprint, so undoing an error is also a change. While the
 * file is missing, the last fingerprint is kept.
 */
function startChangePoll(options: ChangePollOptions) {
  const { clock, intervalMs, fingerprint, onChange, onPresence } = options;
  let observed: string | null = null;
  let readable = true;
  let present: boolean | null = null;
  let hasChecked = false;
  let again = false;
  let running: Promise<void> | null = null;
  let disposed = false;

  const record = (found: string | null, isReadable: boolean): void => {
    const differs = isReadable !== readable || (found !== null && found !== observed);
    const isFirst = !hasChecked;
    hasChecked = true;
    readable = isReadable;
    observed = found ?? observed;
    if (isReadable && present !== (found !== null)) {
      present = found !== null;
      onPresence(present);
    }
    if (differs && !isFirst) onChange();
  };
  const checkOnce = async (): Promise<void> => {
    let found: string | null = null;
    let isReadable = true;
    try {
      found = await fingerprint();
    } catch {
      // A file that is no longer readable counts as a change: the watcher then tries to read the file, and reports
      // the reason.
      isReadable = false;
    }
    if (!disposed) record(found, isReadable);
  };
  const run = async (): Promise<void> => {
    do {
      again = false;
      await checkOnce();
    } while (again && !disposed);
    running = null;
  };
  const check = (): Promise<void> => {
    if (disposed) return Promise.resolve();
    if (running !== null) again = true;
    running ??= run();
    return running;
  };
  const beat = (): void => {
    if (running === null) void check();
  };
  const ticker = startTicker(clock, intervalMs, beat, IN_STEP);

  return {
    check,
    /** Replaces the last seen fingerprint by one that the caller has seen. */
    recordFingerprint(fingerprint: string): void {
      observed = fingerprint;
    },
    setInterval: ticker.setInterval,
    [Symbol.dispose]() {
      disposed = true;
      ticker[Symbol.dispose]();
    },
  };
}
