// The lock of a home: one process at a time may change the home. The system frees the lock when its holder ends.
import { access, constants, unlink } from "node:fs/promises";
import { join } from "node:path";
import { errorText, MountaineerError, recoverFrom, systemErrorCode } from "../errors.ts";
import { readIfPresent, removeLeftovers, writeDurably } from "../files/durable-file.ts";
import { belongsToOtherHome } from "../files/home-marker.ts";
import { beginExclusive, type ExclusiveFileLock, ensureLockFile } from "../files/sqlite-file-lock.ts";
import { number, object, reader, type TypeOf, text } from "../shape.ts";
import { jsonObject } from "../text/json-object.ts";
import { type Clock, isoTime } from "../time/clock.ts";
import { isRunning, processIdentity } from "./process-identity.ts";

/** The daemon's command. The daemon holds its lock as long as it runs, so others do not wait for it. */
const DAEMON_COMMAND = "monitor";
const BETWEEN_TRIES_MS = 50;
/**
 * How long to wait while lock.json names no holder: two processes that try at once may each block the other, and a new
 * holder needs a moment to write its name.
 */
const UNNAMED_OWNER_MS = 1_000;
const UNNAMED_BETWEEN_TRIES_MS = 10;

const ownerShape = object({
  pid: number,
  /** Distinguishes the process from a later process with the same pid. */
  startTime: text,
  /** "monitor", "mount", … */
  command: text,
  /** ISO 8601 UTC. */
  since: text,
  home: text,
});
export type LockOwner = Readonly<TypeOf<typeof ownerShape>>;
const ownerOf = reader(ownerShape);

export type HomeLock = Awaited<ReturnType<typeof keepLock>>;

interface LockRequest {
  /** The command that takes the lock, for the message to a process that finds the lock taken. */
  readonly command: string;
  /** How long to wait for a command that holds the lock, ms. */
  readonly waitMs: number;
  /** Whether to wait for a monitor as well, because it is about to end. Default: false. */
  readonly followsMonitor?: boolean;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Takes the lock of an existing home; disposing releases it. Rejects with `already_running` at once when a monitor holds
 * the lock, with `lock_held` when another command still holds it after `waitMs`, with `home_unwritable` when the home's disk
 * cannot be locked, and with the signal's reason.
 */
export async function acquireHomeLock(home: string, request: LockRequest): Promise<HomeLock> {
  const { clock, signal } = request;
  const startedAtMs = clock.monotonicMs();
  for (;;) {
    signal?.throwIfAborted();
    const lock = await tryLock(home);
    // The holder is read even if the lock was taken: if lock.db was deleted and made again, the holder has
    // locked the deleted file.
    const holder = await readLockOwner(home).catch((error: unknown) => {
      lock?.release();
      throw error;
    });
    const isOther = holder !== null && holder.pid !== process.pid && !isReleasedBy(holder, request);
    if (lock !== null && !isOther) return await keepLock(home, lock, request);
    lock?.release();
    const waitedMs = clock.monotonicMs() - startedAtMs;
    const patienceMs = holder === null ? Math.max(request.waitMs, UNNAMED_OWNER_MS) : request.waitMs;
    const isOver = waitedMs >= patienceMs;
    const isMonitor = holder?.command === DAEMON_COMMAND;
    if (isMonitor && (isOver || request.followsMonitor !== true)) throw alreadyRunning(home, holder);
    if (isOver) throw lockHeld(home, holder);
    await clock.sleep(holder === null ? betweenUnnamedMs() : BETWEEN_TRIES_MS, signal);
  }
}

/**
 * True for the daemon that hands over to this process: it may have released the lock without removing its
 * name from lock.json.
 */
function isReleasedBy({ pid, command }: LockOwner, { followsMonitor }: LockRequest): boolean {
  return followsMonitor === true && command === DAEMON_COMMAND && pid === process.ppid;
}

/** The running process that lock.json names; null: none. Takes no lock. Rejects with `home_unwritable`. */
export async function readLockOwner(home: string): Promise<LockOwner | null> {
  const content = await readIfPresent(ownerPath(home)).catch((error: unknown) => {
    throw systemErrorCode(error) === null ? error : unwritable(home, error);
  });
  const holder = content === null ? null : ownerOf(jsonObject(content));
  if (holder === null || !(await isRunning(holder))) return null;
  const isOther = await belongsToOtherHome(holder.home, home).catch((error: unknown) => {
    throw unwritable(home, error);
  });
  return isOther ? null : holder;
}

async function keepLock(home: string, lock: ExclusiveFileLock, request: LockRequest) {
  const path = ownerPath(home);
  try {
    const identity = await processIdentity(process.pid);
    if (identity === null) throw new MountaineerError("internal", "the own process is not to be found");
    const holder: LockOwner = {
      ...identity,
      command: request.command,
      since: isoTime(request.clock.wallMs()),
      home,
    };
    await removeLeftovers(path);
    await writeName(path, holder);
    let released = false;
    let isLocked = true;
    return {
      holder,
      /**
       * False once released. If the release fails, it stays true, and the system frees the lock when the
       * process ends.
       */
      get isLocked() {
        return isLocked;
      },
      async [Symbol.asyncDispose](): Promise<void> {
        if (released) return;
        released = true;
        try {
          await unlink(path);
        } catch (error) {
          // If the name stays in the file, it is harmless once this process has ended.
          if (systemErrorCode(error) === null) throw error;
        } finally {
          lock.release();
          isLocked = false;
        }
      },
    };
  } catch (error) {
    lock.release();
    throw systemErrorCode(error) === null ? error : unwritable(home, error);
  }
}

async function writeName(path: string, holder: LockOwner): Promise<void> {
  const written = writeDurably(path, `${JSON.stringify(holder)}\n`, { mode: 0o600, survivesPowerCut: false });
  // On a full disk, the lock is taken without the file that names its holder: mounting must not depend on free space.
  await written.catch(recoverFrom(["ENOSPC", "EDQUOT"]));
}

/** null if another process holds the lock, or tries to take it at this moment. */
async function tryLock(home: string): Promise<ExclusiveFileLock | null> {
  const path = join(home, "lock.db");
  try {
    await ensureLockFile(path);
    // SQLite does not say why it cannot open a file.
    await access(path, constants.R_OK | constants.W_OK);
    return beginExclusive(path);
  } catch (error) {
    throw unwritable(home, error);
  }
}

function ownerPath(home: string): string {
  return join(home, "lock.json");
}

/**
 * The pause until the next try, ms. It is random, so that two processes do not block each other again and
 * again.
 */
function betweenUnnamedMs(): number {
  return UNNAMED_BETWEEN_TRIES_MS * (0.5 + Math.random());
}

function alreadyRunning(home: string, holder: LockOwner): MountaineerError {
  const message = `mountaineer monitor already runs for ${home} (pid ${holder.pid}, since ${holder.since})`;
  return new MountaineerError("already_running", message, {
    hint: `See what it does with "mountaineer status", or end it first: kill ${holder.pid}`,
  });
}

function lockHeld(home: string, holder: LockOwner | null): MountaineerError {
  const who =
    holder === null
      ? "another process"
      : `mountaineer ${holder.command} (pid ${holder.pid}, since ${holder.since})`;
  return new MountaineerError("lock_held", `${who} is changing ${home}`, {
    hint: "Try again when it has ended.",
    retry: "later",
  });
}

export function homeLost(home: string): MountaineerError {
  const hint = `Move it back, or use it where it is: MOUNTAINEER_HOME=PATH mountaineer up\nFor a new one: mountaineer up`;
  return new MountaineerError("home_lost", `${home}, the home of this daemon, was moved or removed`, {
    hint,
  });
}

function unwritable(home: string, error: unknown): MountaineerError {
  return new MountaineerError("home_unwritable", `cannot lock ${home}: ${errorText(error)}`, {
    hint: "It must be a folder that can be written, on a disk that has file locks: mountaineer doctor names what is not.",
    cause: error,
  });
}
