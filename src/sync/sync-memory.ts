// What is known about the file, and what is told when that changes.
import type { Wake } from "../reconcile/lane.ts";
import type { Logger } from "../runtime/log/log.ts";
import { type Clock, isoTime } from "../runtime/time/clock.ts";
import { LEFT, NO_CHANGES, type ReloadResult } from "./config-steps.ts";
import { type ReloadMemory, retryDelayMs } from "./decide-reload.ts";
import type { LookEnd } from "./file-look.ts";
import type { FileWatch } from "./file-watch.ts";
import type { SyncEventType } from "./sync-event.ts";
import type { SyncProblem, SyncState } from "./sync-settings.ts";

/** A content of the file that is not tried again. */
export interface RejectedContent {
  /** Of the bytes, hexadecimal. */
  readonly sha256: string;
  /** For people, with the place in the file. */
  readonly reason: string;
}

interface Problem extends SyncProblem {
  /** Of the content it is about; null for one that could not be read. */
  readonly sha256: string | null;
  /** Failed reloads in a row, this one included. */
  readonly failures: number;
  /** Monotonic: when it was last met. */
  readonly atMs: number;
}

interface SyncRecord extends Pick<ReloadMemory, "expectedSha256"> {
  readonly problem: Problem | null;
  readonly lastReadSha256: string | null;
  /** ISO 8601 UTC. */
  readonly lastSync: string | null;
}

interface SyncMemoryOptions {
  readonly path: string;
  /** What the file held when the service started; null: what runs. */
  readonly rejected: RejectedContent | null;
  readonly watch: FileWatch;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly announce: (type: SyncEventType, details: string) => void;
}

type SyncMemory = ReturnType<typeof createSyncMemory>;

export function createSyncMemory(options: SyncMemoryOptions) {
  const { path, rejected, watch, clock, logger, announce } = options;
  let record: SyncRecord = { expectedSha256: null, lastReadSha256: null, problem: null, lastSync: null };

  /** False: it is the very problem that stands already. */
  const meet = ({ kind, sha256, reason }: Pick<Problem, "kind" | "sha256" | "reason">): boolean => {
    const before = record.problem;
    const isSame =
      before !== null && before.kind === kind && before.sha256 === sha256 && before.reason === reason;
    const since = isSame ? before.since : isoTime(clock.wallMs());
    const failures = (before?.failures ?? 0) + 1;
    record = { ...record, problem: { kind, sha256, reason, since, failures, atMs: clock.monotonicMs() } };
    return !isSame;
  };
  const noteRunning = (): void => {
    record = { ...record, problem: null, lastSync: isoTime(clock.wallMs()) };
  };
  // Watching begins all the same, also under `on_failure = "stop"`: no reload has failed yet.
  if (rejected !== null) meet({ kind: "rejected", ...rejected });

  const announceApplied = (changed: boolean, details: string): void =>
    announce(changed ? "changed" : "no-change", changed ? details : NO_CHANGES);

  const failed = (
    kind: "unreadable" | "rejected" | "failed",
    sha256: string | null,
    reason: string,
    asked: boolean,
  ): void => {
    const isNew = meet({ kind, sha256, reason });
    tellFailure(options, { kind, reason, failures: record.problem?.failures ?? 1 }, isNew || asked);
  };

  /** `level`: of the log line; a change that was applied has a line already. */
  const succeeded = (level: "info" | "debug"): void => {
    if (record.problem !== null) logger[level]("config error cleared", { path, kind: record.problem.kind });
    noteRunning();
    watch.endStop();
  };

  const settle = (end: LookEnd<unknown>, runningSha256: string, asked: boolean): ReloadResult => {
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
        succeeded("info");
        announce("no-change", NO_CHANGES);
        return { kind: "same" };
      case "rest": {
        const { seen } = end;
        const isRunning = seen.kind === "content" && seen.sha256 === runningSha256;
        if (isRunning) noteRunning();
        else if (record.problem !== null)
          record = { ...record, problem: { ...record.problem, atMs: clock.monotonicMs() } };
        return { kind: seen.kind === "missing" ? "missing" : "same" };
      }
      case "tried": {
        const { outcome, sha256 } = end;
        if (outcome.kind !== "applied") {
          failed(outcome.kind, sha256, outcome.reason, asked);
          return outcome;
        }
        const { changed, details } = outcome;
        succeeded("debug");
        record = { ...record, expectedSha256: null };
        // A change was told by whoever applied it.
        logger[changed ? "debug" : "info"]("config reloaded", { path, sha256, changed, details });
        announceApplied(changed, details);
        return outcome;
      }
    }
  };

  return {
    get record(): SyncRecord {
      return record;
    },
    get state(): Pick<SyncState, "lastSync" | "lastError"> {
      return stateOf(record);
    },
    /** When a failed reload is to be tried again; null: not by itself. */
    retry: (): Wake | null => retryOf(record, watch),
    noteRead(sha256: string): void {
      record = { ...record, lastReadSha256: sha256 };
      watch.slot.noteRead(sha256);
    },
    /** The service put these bytes into the file; with `applied` null they do not run. */
    noteSaved(sha256: string, applied: { readonly changed: boolean; readonly details: string } | null): void {
      record = { ...record, problem: null };
      watch.endStop();
      if (applied === null) return;
      noteRunning();
      // If it was not read there yet, it will be met.
      record = { ...record, expectedSha256: sha256 === record.lastReadSha256 ? null : sha256 };
      announceApplied(applied.changed, applied.details);
    },
    /** A content that was not read from the file was applied. */
    announceApplied,
    /** Records how a look ended; returns what those who asked are told. */
    settle(end: LookEnd<unknown>, runningSha256: string, asked: boolean): ReloadResult {
      const result = settle(end, runningSha256, asked);
      // What was expected has been read.
      if (record.lastReadSha256 === record.expectedSha256) record = { ...record, expectedSha256: null };
      return result;
    },
  };
}

function tellFailure(
  { path, watch, logger, announce }: SyncMemoryOptions,
  problem: { readonly kind: string; readonly reason: string; readonly failures: number },
  isNews: boolean,
): void {
  const told = { path, ...problem };
  if (watch.settings.onFailure === "stop" && watch.isWatching) {
    watch.stop();
    logger.debug("config reload failed, watching stopped", told);
    announce("error", `${problem.reason}; watching stopped until a reload by hand succeeds`);
  } else if (isNews) {
    // Whoever hears the event says it aloud: once is enough.
    logger.debug("config reload failed", told);
    announce("error", problem.reason);
  } else {
    logger.debug("config reload failed again", told);
  }
}

function stateOf({ problem, lastSync }: SyncRecord): SyncMemory["state"] {
  if (problem === null) return { lastSync, lastError: null };
  const { kind, reason, since } = problem;
  return { lastSync, lastError: { kind, reason, since } };
}

function retryOf({ problem }: SyncRecord, { settings, isWatching, window }: FileWatch): Wake | null {
  // An open window ends in a look of its own.
  if (problem === null || problem.kind === "rejected" || !isWatching || window.isOpen) return null;
  return { atMs: problem.atMs + retryDelayMs(settings, problem.failures), reason: "retry" };
}
