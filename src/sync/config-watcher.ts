// Owns the watch over the configuration file: from "something changed" to one reload at a time, and what became of it.
import { isDeepStrictEqual } from "node:util";
import { createLane } from "../reconcile/lane.ts";
import type { TriggerReason } from "../reconcile/trigger.ts";
import type { Clock } from "../runtime/clock.ts";
import { errorText } from "../runtime/errors.ts";
import type { Logger } from "../runtime/log.ts";
import { sha256Of } from "./content-hash.ts";
import { decideReload, type SeenFile } from "./decide-reload.ts";
import { createDetectorSlot } from "./detector-slot.ts";
import { withDeadline } from "./file-deadline.ts";
import { type FolderEvents, systemFolderEvents } from "./folder-events.ts";
import { createQuietWindow } from "./quiet-window.ts";
import {
  type ConfigContent,
  outcomeOfThrown,
  type ReloadOutcome,
  type ReloadResult,
} from "./reload-outcome.ts";
import { type RoundEnd, reloadRound } from "./reload-round.ts";
import { retryDelayMs } from "./retry-delay.ts";
import { type SyncEvent, type SyncEventType, syncEvent } from "./sync-event.ts";
import {
  type Moment,
  newRecord,
  type Problem,
  withNoted,
  withProblem,
  withProblemLookedAt,
  withRunning,
} from "./sync-record.ts";
import { MAX_WAIT_FACTOR, type SyncSettings } from "./sync-settings.ts";
import type { SyncState } from "./sync-state.ts";
import type { WatchedFile } from "./watched-file.ts";

export interface ConfigWatcherOptions {
  readonly file: WatchedFile;
  readonly settings: SyncSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The content that was loaded and runs; null: what runs is no file's content. */
  readonly baseline: { readonly sha256: string | null };
  /** The generation that runs now. */
  readonly generation: () => number;
  /**
   * Offers a content to the service; resolves at commit, and in bounded time. Never called while it runs. What it
   * throws counts as an outcome (`outcomeOfThrown`). `signal` aborts when the watcher ends.
   */
  readonly onChange: (content: ConfigContent, signal: AbortSignal) => Promise<ReloadOutcome>;
  /** There may be a change: `onChange` is called, if at all, when it has been waited out. */
  readonly onSign?: () => void;
  readonly onEvent: (event: SyncEvent) => void;
  /** Called with each state that differs from the one before. */
  readonly onState: (state: SyncState) => void;
  /** How long one look at the file may take, ms. */
  readonly lookDeadlineMs?: number;
  readonly folderEvents?: FolderEvents;
}

export interface ConfigWatcher extends AsyncDisposable {
  readonly state: SyncState;
  /**
   * Begins to watch, once the service runs; resolves when no later change can be missed. A file that is not the
   * baseline any more counts as changed. With `enabled = false` it only notes that it may.
   */
  start(): Promise<void>;
  /** Holds at once, also within `onChange`. */
  setSettings(settings: SyncSettings): void;
  /**
   * Looks now, whether watching or not, after the running reload if there is one, and offers what the file holds even
   * if it was rejected before. Ends a stop when it succeeds. Never rejects; calls made while one runs share the next look.
   */
  reloadNow(): Promise<ReloadResult>;
  /**
   * The service itself put these bytes into the file and runs them: no event when they are met there. To be called
   * after the file was written, never for what `onChange` applied. Clears the error and ends a stop.
   */
  noteLoaded(sha256: string): void;
  /** As noteLoaded, and tells it as an event. */
  noteApplied(sha256: string, applied: { readonly changed: boolean; readonly details: string }): void;
  /** Ends a stop without a word on the file, which is looked at. Does nothing to a watcher that did not stop. */
  restart(): void;
}

/** A file on a slow network is read within seconds or counts as not readable now. */
export const LOOK_DEADLINE_MS = 5_000;
/** A doubtful content is looked at again after the debounce time, within these bounds. */
const SECOND_LOOK_MS = { least: 250, most: 2_000 } as const;
const NO_CHANGES = "no changes";
const LEFT: ReloadResult = { kind: "failed", reason: "watching ended before the file was read" };

/** Nothing is watched before `start`. Disposing stops watching at once and waits for a running `onChange`. */
export function createConfigWatcher(options: ConfigWatcherOptions): ConfigWatcher {
  const { clock, logger } = options;
  const file = withDeadline(options.file, clock, options.lookDeadlineMs ?? LOOK_DEADLINE_MS);
  const fields = { path: file.path };

  let settings = options.settings;
  let started = false;
  let stopped = false;
  let disposed = false;
  let record = newRecord(options.baseline.sha256);
  let fileMissing = false;
  let degraded: string | null = null;
  /** A window ended, and the file was not read since. */
  let changeDue = false;
  /** What the service noted while a content was being offered. */
  let notedMeanwhile: string | null = null;
  let askers: ((result: ReloadResult) => void)[] = [];

  const now = (): Moment => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  const isWatching = (): boolean => started && !disposed && !stopped && settings.enabled;

  // --- what is told ---

  const stateNow = (): SyncState => {
    const { problem, lastSync, runningSha256 } = record;
    return {
      watching: !started || disposed ? "idle" : !settings.enabled ? "off" : stopped ? "stopped" : "live",
      lastSync,
      lastError:
        problem === null ? null : { kind: problem.kind, reason: problem.reason, since: problem.since },
      hash: runningSha256,
      fileMissing: fileMissing && isWatching(),
      detector: { detection: settings.detection, degraded },
    };
  };
  let state = stateNow();
  const publish = (): void => {
    const next = stateNow();
    if (isDeepStrictEqual(next, state)) return;
    state = next;
    tell(() => options.onState(next));
  };
  const announce = (type: SyncEventType, details: string): void => {
    const event = syncEvent(clock.wallMs(), options.generation(), type, details);
    tell(() => options.onEvent(event));
  };
  const tell = (listener: () => void): void => {
    try {
      listener();
    } catch (error) {
      logger.error("config sync listener failed", { ...fields, reason: errorText(error) });
    }
  };

  // --- watching ---

  const trigger = (reason: TriggerReason): void =>
    lane.trigger({ reason, atMs: clock.monotonicMs(), details: [] });

  const slot = createDetectorSlot({
    file,
    clock,
    folderEvents: options.folderEvents ?? systemFolderEvents,
    onSign: () => tell(() => options.onSign?.()),
    onChange(atMs) {
      window.trigger(atMs);
      tell(() => options.onSign?.());
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
    quietMs: settings.debounceMs,
    maxWaitMs: settings.debounceMs * MAX_WAIT_FACTOR,
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
    const ready = slot.want(wanted ? settings : null);
    publish();
    await ready;
  };
  const endStop = (): void => {
    stopped = false;
    void watchAsSet();
  };

  // --- one look and what becomes of it ---

  const observe = async (signal: AbortSignal): Promise<SeenFile> => {
    try {
      const bytes = await file.read(signal);
      if (bytes === null) return { kind: "missing" };
      const sha256 = sha256Of(bytes);
      record = { ...record, lastReadSha256: sha256 };
      slot.noteRead(sha256);
      return { kind: "content", bytes, sha256 };
    } catch (error) {
      // Whatever keeps the file from being read is shown and retried alike.
      return { kind: "unreadable", reason: errorText(error) };
    }
  };

  const offer = async (content: ConfigContent, signal: AbortSignal): Promise<ReloadOutcome> => {
    notedMeanwhile = null;
    try {
      return await options.onChange(content, signal);
    } catch (error) {
      return outcomeOfThrown(error);
    }
  };

  const untilSecondLook = async (asked: boolean, signal: AbortSignal): Promise<boolean> => {
    const { least, most } = SECOND_LOOK_MS;
    const waitMs = asked ? least : Math.min(most, Math.max(least, settings.debounceMs));
    try {
      await clock.sleep(waitMs, signal);
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
    await slot.look();
    if (asked) window.cancel();
    // Changed again meanwhile: that has, or will have, a round of its own.
    return !signal.aborted && (asked || (isWatching() && !window.isOpen && !changeDue));
  };

  const failed = (kind: Problem["kind"], sha256: string | null, reason: string, asked: boolean): void => {
    const folded = withProblem(record, { kind, sha256, reason }, now());
    record = folded.record;
    const told = { ...fields, kind, reason, failures: folded.problem.failures };
    if (settings.onFailure === "stop" && isWatching()) {
      stopped = true;
      void watchAsSet();
      logger.debug("config reload failed, watching stopped", told);
      announce("error", `${reason}; watching stopped until a reload by hand succeeds`);
    } else if (folded.isNew || asked) {
      // Whoever hears the event says it aloud: once is enough.
      logger.debug("config reload failed", told);
      announce("error", reason);
    } else {
      logger.debug("config reload failed again", told);
    }
  };

  /** `level`: of the line that says so, which what was applied has said already. */
  const succeeded = (sha256: string | null, level: "info" | "debug" = "info"): void => {
    if (record.problem !== null) {
      logger[level]("config error cleared", { ...fields, kind: record.problem.kind });
    }
    record = withRunning(record, sha256, now());
    if (stopped) endStop();
  };

  const applied = (sha256: string, changed: boolean, details: string): void => {
    // The service ran something else meanwhile: which of the two came last, the file and onChange will tell.
    const overtaken = notedMeanwhile !== null && notedMeanwhile !== sha256;
    succeeded(overtaken ? null : sha256, "debug");
    record = { ...record, expectedSha256: null };
    // A change was told by whoever applied it.
    logger[changed ? "debug" : "info"]("config reloaded", { ...fields, sha256, changed, details });
    announce(changed ? "changed" : "no-change", changed ? details : NO_CHANGES);
    if (overtaken) window.trigger();
  };

  /** Takes in how a round ended; the answer is for those who asked. */
  const settle = (end: RoundEnd, asked: boolean): ReloadResult => {
    switch (end.kind) {
      case "left":
        return LEFT;
      case "problem_gone":
        record = { ...record, problem: null };
        return { kind: "missing" };
      case "unreadable":
        failed("unreadable", null, end.reason, asked);
        return end;
      case "same":
        succeeded(end.sha256);
        announce("no-change", NO_CHANGES);
        return { kind: "same" };
      case "rest": {
        const { seen } = end;
        const isRunning = seen.kind === "content" && seen.sha256 === record.runningSha256;
        record = isRunning ? withRunning(record, seen.sha256, now()) : withProblemLookedAt(record, now());
        return { kind: seen.kind === "missing" ? "missing" : "same" };
      }
      case "offered": {
        const { outcome, sha256 } = end;
        if (outcome.kind === "applied") applied(sha256, outcome.changed, outcome.details);
        else failed(outcome.kind, sha256, outcome.reason, asked);
        return outcome;
      }
    }
  };

  const round = async (asked: boolean, signal: AbortSignal): Promise<RoundEnd> => {
    if (!asked && !isWatching()) return { kind: "left" };
    // A change that nobody noticed yet is debounced like any other, unless somebody asks.
    if (asked || !changeDue) await slot.look();
    if (asked) window.cancel();
    else if (window.isOpen) return { kind: "left" };
    let noticed = asked;
    const look = async (): Promise<SeenFile> => {
      noticed ||= changeDue;
      changeDue = false;
      return observe(signal);
    };
    let first: SeenFile | null = await look();
    if (!noticed) {
      const decision = decideReload(first, record, { asked, noticed, second: true });
      const isRetry = decision.do === "offer" && decision.content.sha256 === record.problem?.sha256;
      if (decision.do === "offer" && !isRetry) {
        window.trigger();
        return { kind: "left" };
      }
    }
    const end = await reloadRound({
      asked,
      noticed: () => noticed,
      memory: () => record,
      async observe() {
        const seen = first ?? (await look());
        first = null;
        return seen;
      },
      offer: (content) => offer(content, signal),
      untilSecondLook: () => untilSecondLook(asked, signal),
    });
    return signal.aborted && end.kind !== "offered" ? { kind: "left" } : end;
  };

  const lane = createLane({
    clock,
    async run(_triggers, signal) {
      const answering = askers;
      askers = [];
      const asked = answering.length > 0;
      let result: ReloadResult = LEFT;
      try {
        result = settle(await round(asked, signal), asked);
        if (record.lastReadSha256 === record.expectedSha256) record = { ...record, expectedSha256: null };
      } finally {
        publish();
        for (const answer of answering) answer(result);
      }
      const { problem } = record;
      // An open window ends in a round of its own.
      if (problem === null || problem.kind === "rejected" || !isWatching() || window.isOpen) return null;
      return { atMs: problem.atMs + retryDelayMs(settings, problem.failures), reason: "retry" };
    },
    onFailure: (error) => logger.error("config watch broke off", { ...fields, reason: errorText(error) }),
  });

  const note = (sha256: string): void => {
    record = withNoted(record, sha256, now());
    notedMeanwhile = sha256;
    slot.noteRead(sha256);
    endStop();
  };

  return {
    get state() {
      return state;
    },
    async start() {
      if (started || disposed) return;
      started = true;
      await watchAsSet();
    },
    setSettings(next) {
      settings = next;
      window.setLengths(next.debounceMs, next.debounceMs * MAX_WAIT_FACTOR);
      if (next.onFailure !== "stop") stopped = false;
      void watchAsSet();
    },
    reloadNow() {
      if (disposed) return Promise.resolve(LEFT);
      return new Promise((resolve) => {
        askers.push(resolve);
        trigger("user");
      });
    },
    noteLoaded: note,
    noteApplied(sha256, { changed, details }) {
      note(sha256);
      announce(changed ? "changed" : "no-change", changed ? details : NO_CHANGES);
    },
    restart() {
      if (stopped) endStop();
    },
    async [Symbol.asyncDispose]() {
      disposed = true;
      await watchAsSet();
      window[Symbol.dispose]();
      await lane[Symbol.asyncDispose]();
      for (const answer of askers.splice(0)) answer(LEFT);
    },
  };
}
