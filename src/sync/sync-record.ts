// What is known about the file: the store's memory from one look to the next.
import { isoTime } from "../runtime/time/clock.ts";
import type { ReloadMemory } from "./decide-reload.ts";
import type { SyncProblem } from "./sync-state.ts";

interface Problem extends SyncProblem {
  /** Of the content it is about; null for one that could not be read. */
  readonly sha256: string | null;
  /** Failed reloads in a row, this one included. */
  readonly failures: number;
  /** Monotonic: when it was last met. */
  readonly atMs: number;
}

/** A content of the file that is not tried again. */
export interface RejectedContent {
  /** Of the bytes, hexadecimal. */
  readonly sha256: string;
  /** For people, with the place in the file. */
  readonly reason: string;
}

/** A moment by both clocks. */
interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

export interface SyncRecord extends Pick<ReloadMemory, "expectedSha256"> {
  readonly problem: Problem | null;
  readonly lastReadSha256: string | null;
  /** ISO 8601 UTC. */
  readonly lastSync: string | null;
}

/** Before the first look. */
export const NEW_RECORD: SyncRecord = {
  expectedSha256: null,
  lastReadSha256: null,
  problem: null,
  lastSync: null,
};

/** A content was applied, or found to be the running one. */
export function withRunning(record: SyncRecord, at: Moment): SyncRecord {
  return { ...record, problem: null, lastSync: isoTime(at.wallMs) };
}

/** The service put these bytes into the file and runs them; if they were not read there yet, they will be met. */
export function withSaved(record: SyncRecord, sha256: string, at: Moment): SyncRecord {
  const expectedSha256 = sha256 === record.lastReadSha256 ? null : sha256;
  return { ...withRunning(record, at), expectedSha256 };
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
