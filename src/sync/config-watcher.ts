// Owns the watch over the configuration file: from "something changed" to one reload at a time, and what became of it.
import { isDeepStrictEqual } from "node:util";
import { createLane } from "../reconcile/lane.ts";
import type { TriggerReason } from "../reconcile/trigger.ts";
import { errorText } from "../runtime/errors.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { decideReload, type SeenFile } from "./decide-reload.ts";
import { withDeadline } from "./file-deadline.ts";
import { createFileWatch, type FileWatch } from "./file-watch.ts";
import type { FolderEvents } from "./folder-events.ts";
import type { ConfigContent, ReloadOutcome, ReloadResult } from "./reload-outcome.ts";
import { LEFT, NO_CHANGES } from "./reload-outcome.ts";
import { createOutcomes, type Outcomes } from "./reload-outcomes.ts";
import { type RoundEnd, reloadRound } from "./reload-round.ts";
import { retryDelayMs } from "./retry-delay.ts";
import { type SyncEvent, type SyncEventType, syncEvent } from "./sync-event.ts";
import type { Moment } from "./sync-record.ts";
import { MAX_WAIT_FACTOR, type SyncSettings } from "./sync-settings.ts";
import type { SyncState } from "./sync-state.ts";
import type { WatchedFile } from "./watched-file.ts";

interface ConfigWatcherOptions {
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
const LOOK_DEADLINE_MS = 5_000;
/** A doubtful content is looked at again after the debounce time, within these bounds. */
const SECOND_LOOK_MS = { least: 250, most: 2_000 } as const;

/** Nothing is watched before `start`. Disposing stops watching at once and waits for a running `onChange`. */
export function createConfigWatcher(options: ConfigWatcherOptions): ConfigWatcher {
  const { clock, logger } = options;
  const file = withDeadline(options.file, clock, options.lookDeadlineMs ?? LOOK_DEADLINE_MS);
  const fields = { path: file.path };

  let settings = options.settings;
  let started = false;
  let disposed = false;
  let askers: ((result: ReloadResult) => void)[] = [];

  const now = (): Moment => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  const isWatching = (): boolean => started && !disposed && !watch.stopped && settings.enabled;

  // --- what is told ---

  const stateNow = (): SyncState => {
    const { problem, lastSync, runningSha256 } = outcomes.record;
    return {
      watching:
        !started || disposed ? "idle" : !settings.enabled ? "off" : watch.stopped ? "stopped" : "live",
      lastSync,
      lastError:
        problem === null ? null : { kind: problem.kind, reason: problem.reason, since: problem.since },
      hash: runningSha256,
      fileMissing: watch.fileMissing && isWatching(),
      detector: { detection: settings.detection, degraded: watch.degraded },
    };
  };
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
  const watch = createFileWatch({
    folderEvents: options.folderEvents,
    onSign: options.onSign,
    clock,
    logger,
    file,
    fields,
    settings: () => settings,
    isWatching,
    publish,
    tell,
    trigger,
  });

  const outcomes = createOutcomes({
    baselineSha256: options.baseline.sha256,
    onChange: options.onChange,
    logger,
    fields,
    settings: () => settings,
    now,
    isWatching,
    announce,
    watch,
  });
  const rounds = createRounds({
    clock,
    file,
    settings: () => settings,
    isWatching,
    watch,
    outcomes,
  });

  const lane = createLane({
    clock,
    async run(_triggers, signal) {
      const answering = askers;
      askers = [];
      const asked = answering.length > 0;
      let result: ReloadResult = LEFT;
      try {
        result = outcomes.settle(await rounds.round(asked, signal), asked);
        outcomes.endExpectation();
      } finally {
        publish();
        for (const answer of answering) answer(result);
      }
      const { problem } = outcomes.record;
      // An open window ends in a round of its own.
      if (problem === null || problem.kind === "rejected" || !isWatching() || watch.window.isOpen)
        return null;
      return { atMs: problem.atMs + retryDelayMs(settings, problem.failures), reason: "retry" };
    },
    onFailure: (error) => logger.error("config watch broke off", { ...fields, reason: errorText(error) }),
  });

  let state = stateNow();
  return {
    get state() {
      return state;
    },
    async start() {
      if (started || disposed) return;
      started = true;
      await watch.watchAsSet();
    },
    setSettings(next) {
      settings = next;
      watch.window.setLengths(next.debounceMs, next.debounceMs * MAX_WAIT_FACTOR);
      if (next.onFailure !== "stop") watch.forgetStop();
      void watch.watchAsSet();
    },
    reloadNow() {
      if (disposed) return Promise.resolve(LEFT);
      return new Promise((resolve) => {
        askers.push(resolve);
        trigger("user");
      });
    },
    noteLoaded: outcomes.note,
    noteApplied(sha256, { changed, details }) {
      outcomes.note(sha256);
      announce(changed ? "changed" : "no-change", changed ? details : NO_CHANGES);
    },
    restart() {
      if (watch.stopped) watch.endStop();
    },
    async [Symbol.asyncDispose]() {
      disposed = true;
      await watch.watchAsSet();
      watch.window[Symbol.dispose]();
      await lane[Symbol.asyncDispose]();
      for (const answer of askers.splice(0)) answer(LEFT);
    },
  };
}

interface RoundsParts {
  readonly clock: Clock;
  readonly file: WatchedFile;
  readonly settings: () => SyncSettings;
  readonly isWatching: () => boolean;
  readonly watch: FileWatch;
  readonly outcomes: Outcomes;
}

/** One look at the file, and another where the first says too little. */
function createRounds({ clock, file, settings, isWatching, watch, outcomes }: RoundsParts) {
  const observe = async (signal: AbortSignal): Promise<SeenFile> => {
    try {
      const bytes = await file.read(signal);
      if (bytes === null) return { kind: "missing" };
      const sha256 = sha256Of(bytes);
      outcomes.noteRead(sha256);
      return { kind: "content", bytes, sha256 };
    } catch (error) {
      // Whatever keeps the file from being read is shown and retried alike.
      return { kind: "unreadable", reason: errorText(error) };
    }
  };

  const untilSecondLook = async (asked: boolean, signal: AbortSignal): Promise<boolean> => {
    const { least, most } = SECOND_LOOK_MS;
    const waitMs = asked ? least : Math.min(most, Math.max(least, settings().debounceMs));
    try {
      await clock.sleep(waitMs, signal);
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
    await watch.slot.look();
    if (asked) watch.window.cancel();
    // Changed again meanwhile: that has, or will have, a round of its own.
    return !signal.aborted && (asked || (isWatching() && !watch.window.isOpen && !watch.changeDue));
  };

  const round = async (asked: boolean, signal: AbortSignal): Promise<RoundEnd> => {
    if (!asked && !isWatching()) return { kind: "left" };
    // A change that nobody noticed yet is debounced like any other, unless somebody asks.
    if (asked || !watch.changeDue) await watch.slot.look();
    if (asked) watch.window.cancel();
    else if (watch.window.isOpen) return { kind: "left" };
    let noticed = asked;
    const look = async (): Promise<SeenFile> => {
      const isDue = watch.takeChange();
      noticed ||= isDue;
      return observe(signal);
    };
    let first: SeenFile | null = await look();
    if (!noticed) {
      const decision = decideReload(first, outcomes.record, { asked, noticed, second: true });
      const isRetry = decision.do === "offer" && decision.content.sha256 === outcomes.record.problem?.sha256;
      if (decision.do === "offer" && !isRetry) {
        watch.window.trigger();
        return { kind: "left" };
      }
    }
    const end = await reloadRound({
      asked,
      noticed: () => noticed,
      memory: () => outcomes.record,
      async observe() {
        const seen = first ?? (await look());
        first = null;
        return seen;
      },
      offer: (content) => outcomes.offer(content, signal),
      untilSecondLook: () => untilSecondLook(asked, signal),
    });
    return signal.aborted && end.kind !== "offered" ? { kind: "left" } : end;
  };

  return { round };
}
