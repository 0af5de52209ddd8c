// Owns what is known about the file and what runs: the watcher's memory from one round to the next.
import { isoTime } from "../runtime/time/clock.ts";
import type { ReloadMemory } from "./decide-reload.ts";
import type { SyncProblem } from "./sync-state.ts";

export interface Problem extends SyncProblem {
  /** Of the content it is about; null for one that could not be read. */
  readonly sha256: string | null;
  /** Failed reloads in a row, this one included. */
  readonly failures: number;
  /** Monotonic: when it was last met. */
  readonly atMs: number;
}

/** A moment by both clocks. */
export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

interface SyncRecord extends ReloadMemory {
  readonly problem: Problem | null;
  readonly lastReadSha256: string | null;
  /** ISO 8601 UTC. */
  readonly lastSync: string | null;
}

/** Before the first look. */
export function newRecord(runningSha256: string | null): SyncRecord {
  return { runningSha256, expectedSha256: null, lastReadSha256: null, problem: null, lastSync: null };
}

/** These bytes run now, or were found to be the running ones. null: which bytes run is not known. */
export function withRunning(record: SyncRecord, runningSha256: string | null, at: Moment): SyncRecord {
  return { ...record, runningSha256, problem: null, lastSync: isoTime(at.wallMs) };
}

/** These bytes run now, and are in the file; if they were not read there yet, they will be met. */
export function withNoted(record: SyncRecord, sha256: string, at: Moment): SyncRecord {
  const expectedSha256 = sha256 === record.lastReadSha256 ? null : sha256;
  return { ...withRunning(record, sha256, at), expectedSha256 };
}

/** A reload failed. `isNew` is false when it is the very problem that stands already. */
export function withProblem(
  record: SyncRecord,
  { kind, sha256, reason }: Pick<Problem, "kind" | "sha256" | "reason">,
  at: Moment,
): { record: SyncRecord; problem: Problem; isNew: boolean } {
  const before = record.problem;
  const isSame =
    before !== null && before.kind === kind && before.sha256 === sha256 && before.reason === reason;
  const problem: Problem = {
    kind,
    sha256,
    reason,
    since: isSame ? before.since : isoTime(at.wallMs),
    failures: (before?.failures ?? 0) + 1,
    atMs: at.monotonicMs,
  };
  return { record: { ...record, problem }, problem, isNew: !isSame };
}

/** The problem was looked at and stands, without having been met again. */
export function withProblemLookedAt(record: SyncRecord, at: Moment): SyncRecord {
  return record.problem === null
    ? record
    : { ...record, problem: { ...record.problem, atMs: at.monotonicMs } };
}
