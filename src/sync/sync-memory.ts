// What is known about the file, and what is told when that changes.
import type { Wake } from "../reconcile/lane.ts";
import type { Logger } from "../runtime/log/log.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { retryDelayMs } from "./decide-reload.ts";
import type { LookEnd } from "./file-look.ts";
import type { FileWatch } from "./file-watch.ts";
import { LEFT, NO_CHANGES, type ReloadResult } from "./reload-outcome.ts";
import type { SyncEventType } from "./sync-event.ts";
import {
  NEW_RECORD,
  type RejectedContent,
  type SyncRecord,
  withProblem,
  withProblemLookedAt,
  withRunning,
  withSaved,
} from "./sync-record.ts";
import type { SyncState } from "./sync-state.ts";

interface SyncMemoryOptions {
  readonly path: string;
  /** What the file held when the service started; null: what runs. */
  readonly rejected: RejectedContent | null;
  readonly watch: FileWatch;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly announce: (type: SyncEventType, details: string) => void;
}

interface SyncMemory {
  readonly record: SyncRecord;
  readonly state: Pick<SyncState, "lastSync" | "lastError">;
  /** When a failed reload is to be tried again; null: not by itself. */
  retry(): Wake | null;
  noteRead(sha256: string): void;
  /** The service put these bytes into the file; with `applied` null they do not run. */
  noteSaved(sha256: string, applied: { readonly changed: boolean; readonly details: string } | null): void;
  /** A content that was not read from the file was applied. */
  announceApplied(changed: boolean, details: string): void;
  /** Records how a look ended; returns what those who asked are told. */
  settle(end: LookEnd<unknown>, runningSha256: string, asked: boolean): ReloadResult;
}

export function createSyncMemory(options: SyncMemoryOptions): SyncMemory {
  const { path, rejected, watch, clock, logger, announce } = options;
  const now = () => ({ monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() });
  // Watching begins all the same, also under `on_failure = "stop"`: no reload has failed yet.
  let record =
    rejected === null ? NEW_RECORD : withProblem(NEW_RECORD, { kind: "rejected", ...rejected }, now()).record;

  const announceApplied = (changed: boolean, details: string): void =>
    announce(changed ? "changed" : "no-change", changed ? details : NO_CHANGES);

  const failed = (
    kind: "unreadable" | "rejected" | "failed",
    sha256: string | null,
    reason: string,
    asked: boolean,
  ): void => {
    const folded = withProblem(record, { kind, sha256, reason }, now());
    record = folded.record;
    tellFailure(options, { kind, reason, failures: folded.problem.failures }, folded.isNew || asked);
  };

  /** `level`: of the log line; a change that was applied has a line already. */
  const succeeded = (level: "info" | "debug"): void => {
    if (record.problem !== null) logger[level]("config error cleared", { path, kind: record.problem.kind });
    record = withRunning(record, now());
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
        record = isRunning ? withRunning(record, now()) : withProblemLookedAt(record, now());
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
    get record() {
      return record;
    },
    get state() {
      return stateOf(record);
    },
    retry: () => retryOf(record, watch),
    noteRead(sha256) {
      record = { ...record, lastReadSha256: sha256 };
      watch.slot.noteRead(sha256);
    },
    noteSaved(sha256, applied) {
      record = applied === null ? { ...record, problem: null } : withSaved(record, sha256, now());
      watch.endStop();
      if (applied !== null) announceApplied(applied.changed, applied.details);
    },
    announceApplied,
    settle(end, runningSha256, asked) {
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
