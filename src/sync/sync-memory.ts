// Remembers the results of checks of the file, and announces and logs what changed.
import type { NextRun } from "../reconcile/reconcile-loop.ts";
import type { RuntimeTools } from "../runtime/log/runtime-tools.ts";
import { isoTime } from "../runtime/time/clock.ts";
import { ENDED, NO_CHANGES, type ReloadResult } from "./config-steps.ts";
import { isFinal, type ReloadMemory, retryDelayMs } from "./decide-reload.ts";
import type { CheckOutcome } from "./file-check.ts";
import type { FileWatch } from "./file-watch.ts";
import type { SyncEventType } from "./sync-event.ts";
import type { SyncProblem, SyncState } from "./sync-settings.ts";

/** A wrong content of the file, which is not tried again. */
export interface RejectedContent {
  /** Hash of the bytes, hexadecimal. */
  readonly sha256: string;
  /** For people, with the place in the file. */
  readonly reason: string;
  readonly kind: "rejected" | "cut_short";
}

interface Problem extends SyncProblem {
  /** Hash of the content with the problem; null if the file could not be read. */
  readonly sha256: string | null;
  /** Number of failures in a row, including this one. */
  readonly failures: number;
  /** Time of the last occurrence, monotonic. */
  readonly atMs: number;
}

interface SyncRecord extends Pick<ReloadMemory, "expectedSha256"> {
  readonly problem: Problem | null;
  readonly lastReadSha256: string | null;
  /** ISO 8601 UTC. */
  readonly lastSync: string | null;
}

interface SyncMemoryOptions extends RuntimeTools {
  readonly path: string;
  /** The content that the file had at the start, if that content was rejected; null: the file's content runs. */
  readonly rejected: RejectedContent | null;
  readonly watch: FileWatch;
  readonly announce: (type: SyncEventType, details: string) => void;
}

export function createSyncMemory(options: SyncMemoryOptions) {
  const { path, rejected, watch, clock, logger, announce } = options;
  let record: SyncRecord = { expectedSha256: null, lastReadSha256: null, problem: null, lastSync: null };

  /** False: the problem is the same as before. */
  const recordProblem = ({ kind, sha256, reason }: Pick<Problem, "kind" | "sha256" | "reason">): boolean => {
    const before = record.problem;
    const isSame =
      before !== null && before.kind === kind && before.sha256 === sha256 && before.reason === reason;
    const since = isSame ? before.since : isoTime(clock.wallMs());
    const failures = (before?.failures ?? 0) + 1;
    record = { ...record, problem: { kind, sha256, reason, since, failures, atMs: clock.monotonicMs() } };
    return !isSame;
  };
  const recordRunning = (): void => {
    record = { ...record, problem: null, lastSync: isoTime(clock.wallMs()) };
  };
  // Under `on_failure = "stop"` only a failed reload ends the watch. A file that is rejected at the start is no
  // failed reload.
  if (rejected !== null) recordProblem(rejected);

  const announceApplied = (changed: boolean, details: string): void =>
    announce(changed ? "changed" : "no-change", changed ? details : NO_CHANGES);

  const failed = (
    kind: Problem["kind"],
    sha256: string | null,
    reason: string,
    isRequested: boolean,
  ): void => {
    const isNew = recordProblem({ kind, sha256, reason });
    announceFailure(options, { kind, reason, failures: record.problem?.failures ?? 1 }, isNew || isRequested);
  };

  /** Notes that the file's content runs. If this ends a problem, logs that at `level`. */
  const succeeded = (level: "info" | "debug"): void => {
    if (record.problem !== null) logger[level]("config error cleared", { path, kind: record.problem.kind });
    recordRunning();
    watch.resume();
  };

  const conclude = (
    end: CheckOutcome<unknown>,
    runningSha256: string,
    isRequested: boolean,
  ): ReloadResult => {
    switch (end.kind) {
      case "left":
        return ENDED;
      case "problem_gone":
        record = { ...record, problem: null };
        return { kind: "missing" };
      case "unreadable":
        failed("unreadable", null, end.reason, isRequested);
        return end;
      case "suspect":
        // Not a failed reload: even under `on_failure = "stop"`, the watch waits for other bytes.
        if (recordProblem({ ...end, kind: "cut_short" })) announce("error", end.reason);
        return { kind: "failed", reason: `${end.reason}; if the file is complete: mountaineer reload` };
      case "same":
        succeeded("info");
        announce("no-change", NO_CHANGES);
        return { kind: "same" };
      case "rest": {
        const { observed } = end;
        const isRunning = observed.kind === "content" && observed.sha256 === runningSha256;
        if (isRunning) recordRunning();
        else if (record.problem !== null)
          record = { ...record, problem: { ...record.problem, atMs: clock.monotonicMs() } };
        return { kind: observed.kind === "missing" ? "missing" : "same" };
      }
      case "tried": {
        const { outcome, sha256 } = end;
        if (outcome.kind !== "applied") {
          failed(outcome.kind, sha256, outcome.reason, isRequested);
          return outcome;
        }
        const { changed, details } = outcome;
        succeeded("debug");
        // A change is logged at level `debug`, because the step that applied it has already logged it.
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
      const { problem, lastSync } = record;
      if (problem === null) return { lastSync, lastError: null };
      const { kind, reason, since } = problem;
      return { lastSync, lastError: { kind, reason, since } };
    },
    /**
     * Returns when to retry a failed reload; null if there is no retry, or if an open debounce window leads to a check
     * anyway.
     */
    retry(): NextRun | null {
      const { problem } = record;
      const { settings, isWatching, window } = watch;
      if (problem === null || isFinal(problem) || !isWatching || window.isOpen) return null;
      return { atMs: problem.atMs + retryDelayMs(settings, problem.failures), reason: "retry" };
    },
    recordRead(sha256: string): void {
      record = { ...record, lastReadSha256: sha256 };
      watch.detector.recordRead(sha256);
    },
    /**
     * Notes that the service has written these bytes to the file; `applied` is null if they could not be
     * applied.
     */
    recordSaved(
      sha256: string,
      applied: { readonly changed: boolean; readonly details: string } | null,
    ): void {
      record = { ...record, problem: null };
      watch.resume();
      if (applied === null) return;
      recordRunning();
      // If no check has read the saved bytes yet, the next check finds them and announces nothing.
      record = { ...record, expectedSha256: sha256 === record.lastReadSha256 ? null : sha256 };
      announceApplied(applied.changed, applied.details);
    },
    announceApplied,
    conclude(end: CheckOutcome<unknown>, runningSha256: string, isRequested: boolean): ReloadResult {
      const result = conclude(end, runningSha256, isRequested);
      if (record.lastReadSha256 === record.expectedSha256) record = { ...record, expectedSha256: null };
      return result;
    },
  };
}

/** Logs at "debug" only: the listener of the announced event logs the failure for people. */
function announceFailure(
  { path, watch, logger, announce }: SyncMemoryOptions,
  problem: Pick<Problem, "kind" | "reason" | "failures">,
  isWorthAnEvent: boolean,
): void {
  const fields = { path, ...problem };
  if (watch.settings.onFailure === "stop" && watch.isWatching) {
    watch.stop();
    logger.debug("config reload failed, watching stopped", fields);
    announce("error", `${problem.reason}; watching stopped until a reload by hand succeeds`);
  } else if (isWorthAnEvent) {
    logger.debug("config reload failed", fields);
    announce("error", problem.reason);
  } else {
    logger.debug("config reload failed again", fields);
  }
}
