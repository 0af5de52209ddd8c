// An operating system's file lock, held through SQLite, which comes with Node. It cannot go stale, the kernel frees it
// when the process ends, and children do not inherit it.

import { open } from "node:fs/promises";
import { expecting, MountaineerError } from "../errors.ts";
import type { Clock } from "../time/clock.ts";

export interface ExclusiveFileLock {
  release(): void;
}

const SQLITE_BUSY = 5;
const RESULT_CODE_BITS = 0xff;
const BETWEEN_TRIES_MS = 20;

/**
 * Locks the file at once, or gives null when it is locked, or being locked, by another. The file stays empty.
 * Throws the system's (SQLite's) error when the file cannot be opened, or is no file of this kind.
 */
export function beginExclusive(path: string): ExclusiveFileLock | null {
  const { DatabaseSync } = loadSqlite();
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // Nothing is ever written; the pragma keeps SQLite from laying a journal beside the file.
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

/** Only ever creates: opening and closing a file that this process has locked would free its lock (POSIX). */
export async function ensureLockFile(path: string): Promise<void> {
  await (await open(path, "wx", 0o600).catch(expecting("EEXIST", null)))?.close();
}

/**
 * Locks the file, which is made where it is missing, as soon as others let go of it; null: not in time. Rejects with the
 * signal's reason, with the system's error, and as `beginExclusive` throws.
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

/** Holds the lock while `use` runs. Rejects with `lock_held`, saying `holder`, and as `waitExclusive` does. */
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

/** Node 22 calls SQLite experimental on stderr when it is loaded; that one line is nothing for users. */
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
