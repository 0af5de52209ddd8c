// How old a list may be: when it is read again, and whether clients wait for that. Pure.
import { type BackoffMs, backoffMs } from "../../../runtime/time/backoff.ts";

/** A client waits this long for a reading; a reading that took longer is not waited for the next time. */
export const LIST_WAIT_MS = 1_000;
/** Within these limits, a list is good for as long as its server says. */
const GOOD_MS = { least: 5_000, most: 300_000 };
/**
 * Readings in a row that had the same names and differed without a notice, each within a minute of the one before: the list differs
 * each time, and is read rarely. A person who edits texts takes longer.
 */
const UNSTEADY_READINGS = 3;
const UNSTEADY_WITHIN_MS = 60_000;
const RETRY_MS: BackoffMs = { first: 5_000, most: 300_000 };

/** `list`: a client lists. `name`: a client names an entry that no list has. `notice`: only what is known to have changed is read. */
export type ListUse = "list" | "name" | "notice";

/** Times are monotonic ms. */
export interface ListAge {
  /** When the last reading that did not fail has ended. */
  readonly readAtMs: number;
  /** When the newest reading began. */
  readonly begunAtMs: number;
  /** Readings in a row that differed soon from the one before, but in their names, without a notice of the server. */
  readonly differed: number;
  /** Failed readings in a row. */
  readonly failures: number;
  /** After a failed reading: when the next one may begin. */
  readonly retryAtMs: number;
  /** The last reading failed, or took longer than clients wait. */
  readonly wasLate: boolean;
}

export const UNREAD: ListAge = {
  readAtMs: Number.NEGATIVE_INFINITY,
  begunAtMs: 0,
  differed: 0,
  failures: 0,
  retryAtMs: 0,
  wasLate: false,
};

interface ReadingEnd {
  readonly nowMs: number;
  readonly differs: boolean;
  readonly hasFailed: boolean;
  /** The server said that the list has changed, or a person or a new session made the gateway read it. */
  readonly isNoticed: boolean;
}

export function agedBy(age: ListAge, { nowMs, differs, hasFailed, isNoticed }: ReadingEnd): ListAge {
  if (hasFailed) {
    const failures = age.failures + 1;
    return { ...age, failures, retryAtMs: nowMs + backoffMs(RETRY_MS, failures), wasLate: true };
  }
  const isInTurn = isUnsteady(age) || nowMs - age.readAtMs < UNSTEADY_WITHIN_MS;
  const differed = differs && !isNoticed ? (isInTurn ? age.differed : 0) + 1 : 0;
  const wasLate = nowMs - age.begunAtMs >= LIST_WAIT_MS;
  return { ...age, readAtMs: nowMs, failures: 0, differed, wasLate };
}

export function isUnsteady({ differed }: ListAge): boolean {
  return differed >= UNSTEADY_READINGS;
}

/** When the list is read again for this use. `ttlMs`: how long it is good, as the server says. */
export function dueMs(age: ListAge, ttlMs: number, use: ListUse): number {
  if (use === "notice") return Number.POSITIVE_INFINITY;
  if (age.failures > 0) return age.retryAtMs;
  if (use === "name") return age.readAtMs + GOOD_MS.least;
  const goodMs = isUnsteady(age) ? GOOD_MS.most : Math.max(GOOD_MS.least, Math.min(GOOD_MS.most, ttlMs));
  return age.readAtMs + goodMs;
}

/** Whether a client waits for the reading that is under way. */
export function isAwaited({ wasLate, begunAtMs }: ListAge, nowMs: number): boolean {
  return !wasLate && nowMs - begunAtMs < LIST_WAIT_MS;
}
