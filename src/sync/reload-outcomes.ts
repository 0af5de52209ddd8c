// What became of each content of the file: what runs, what is wrong, and what is said of it.
import type { Logger } from "../runtime/log/log.ts";
import type { FileWatch } from "./file-watch.ts";
import {
  type ConfigContent,
  LEFT,
  NO_CHANGES,
  outcomeOfThrown,
  type ReloadOutcome,
  type ReloadResult,
} from "./reload-outcome.ts";
import type { RoundEnd } from "./reload-round.ts";
import type { SyncEventType } from "./sync-event.ts";
import {
  type Moment,
  newRecord,
  type Problem,
  withNoted,
  withProblem,
  withProblemLookedAt,
  withRunning,
} from "./sync-record.ts";
import type { SyncSettings } from "./sync-settings.ts";

interface OutcomesParts {
  readonly baselineSha256: string | null;
  readonly onChange: (content: ConfigContent, signal: AbortSignal) => Promise<ReloadOutcome>;
  readonly logger: Logger;
  readonly fields: { path: string };
  readonly settings: () => SyncSettings;
  readonly now: () => Moment;
  readonly isWatching: () => boolean;
  readonly announce: (type: SyncEventType, details: string) => void;
  readonly watch: FileWatch;
}

export type Outcomes = ReturnType<typeof createOutcomes>;

export function createOutcomes({
  baselineSha256,
  onChange,
  logger,
  fields,
  settings,
  now,
  isWatching,
  announce,
  watch,
}: OutcomesParts) {
  let record = newRecord(baselineSha256);
  /** What the service noted while a content was being offered. */
  let notedMeanwhile: string | null = null;

  const noteRead = (sha256: string): void => {
    record = { ...record, lastReadSha256: sha256 };
    watch.slot.noteRead(sha256);
  };
  /** What was expected has been read. */
  const endExpectation = (): void => {
    if (record.lastReadSha256 === record.expectedSha256) record = { ...record, expectedSha256: null };
  };

  const offer = async (content: ConfigContent, signal: AbortSignal): Promise<ReloadOutcome> => {
    notedMeanwhile = null;
    try {
      return await onChange(content, signal);
    } catch (error) {
      return outcomeOfThrown(error);
    }
  };

  const failed = (kind: Problem["kind"], sha256: string | null, reason: string, asked: boolean): void => {
    const folded = withProblem(record, { kind, sha256, reason }, now());
    record = folded.record;
    const told = { ...fields, kind, reason, failures: folded.problem.failures };
    if (settings().onFailure === "stop" && isWatching()) {
      watch.stopWatching();
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
    if (watch.stopped) watch.endStop();
  };

  const applied = (sha256: string, changed: boolean, details: string): void => {
    // The service ran something else meanwhile: which of the two came last, the file and onChange will tell.
    const overtaken = notedMeanwhile !== null && notedMeanwhile !== sha256;
    succeeded(overtaken ? null : sha256, "debug");
    record = { ...record, expectedSha256: null };
    // A change was told by whoever applied it.
    logger[changed ? "debug" : "info"]("config reloaded", { ...fields, sha256, changed, details });
    announce(changed ? "changed" : "no-change", changed ? details : NO_CHANGES);
    if (overtaken) watch.window.trigger();
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

  const note = (sha256: string): void => {
    record = withNoted(record, sha256, now());
    notedMeanwhile = sha256;
    watch.slot.noteRead(sha256);
    watch.endStop();
  };

  return {
    get record() {
      return record;
    },
    noteRead,
    offer,
    settle,
    endExpectation,
    note,
  };
}
