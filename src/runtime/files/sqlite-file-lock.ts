// A file lock of the operating system, taken through SQLite, which comes with Node. The kernel frees the lock when the
// process ends, so it cannot go stale; children do not inherit it.

import { open } from "node:fs/promises";
import { MountaineerError, recoverFrom } from "../errors.ts";
import type { Clock } from "../time/clock.ts";

export interface ExclusiveFileLock {
  release(): void;
}

const SQLITE_BUSY = 5;
const RESULT_CODE_BITS = 0xff;
const BETWEEN_TRIES_MS = 20;

/**
 * Locks the file at once; null if another process has locked it or is locking it. The file stays empty. Throws SQLite's
 * error when the file cannot be opened, or is not a lock file.
 */
export function beginExclusive(path: string): ExclusiveFileLock | null {
  const { DatabaseSync } = loadSqlite();
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // The pragma prevents a journal file: nothing is ever written.
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (isBusy(error)) return null;
    throw error;
  }
  return { release: () => database.close() };
}

interface LockWait {
  readonly clock: Clock;
  readonly withinMs: number;
  readonly signal?: AbortSignal;
}

/** Creates a missing file. Does not open an existing one: closing it would free this process's own lock (POSIX). */
export async function ensureLockFile(path: string): Promise<void> {
  await (await open(path, "wx", 0o600).catch(recoverFrom("EEXIST", null)))?.close();
}

/**
 * Locks the file as soon as it is free; resolves with null if it is not free within `withinMs`. Creates a missing
 * file. Rejects with the signal's reason, with the system's error, and with the errors of `beginExclusive`.
 */
export async function waitExclusive(
  path: string,
  { clock, withinMs, signal }: LockWait,
): Promise<ExclusiveFileLock | null> {
  const untilMs = clock.monotonicMs() + withinMs;
  await ensureLockFile(path);
  for (;;) {
    signal?.throwIfAborted();
    const lock = beginExclusive(path);
    if (lock !== null || clock.monotonicMs() >= untilMs) return lock;
    await clock.sleep(BETWEEN_TRIES_MS, signal);
  }
}

/** Holds the lock while `use` runs. Rejects with `lock_held` and the message `holder`, and as `waitExclusive` does. */
export async function withExclusive<T>(
  path: string,
  wait: LockWait,
  holder: string,
  use: () => Promise<T>,
): Promise<T> {
  const lock = await waitExclusive(path, wait);
  if (lock === null) throw new MountaineerError("lock_held", holder, { retry: "later" });
  try {
    return await use();
  } finally {
    lock.release();
  }
}

function isBusy(error: unknown): boolean {
  if (!(error instanceof Error && "errcode" in error && typeof error.errcode === "number")) return false;
  return (error.errcode & RESULT_CODE_BITS) === SQLITE_BUSY;
}

/** Loads SQLite without the warning of Node 22 on stderr that SQLite is experimental. */
function loadSqlite(): typeof import("node:sqlite") {
  const { emitWarning } = process;
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    if (String(warning).startsWith("SQLite is an experimental feature")) return;
    Reflect.apply(emitWarning, process, [warning, ...rest]);
  };
  try {
    return process.getBuiltinModule("node:sqlite");
  } finally {
    process.emitWarning = emitWarning;
  }
}
