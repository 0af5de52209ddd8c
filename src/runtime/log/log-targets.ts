// The targets of log lines: a file, which others may rotate away at any time, and stderr, whose reader may stop.
import { constants, fstat, type Stats, write } from "node:fs";
import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { recoverFrom, systemErrorCode } from "../errors.ts";
import { ensurePrivateFolder, entryExists } from "../files/durable-file.ts";
import type { Clock } from "../time/clock.ts";
import type { LineTarget } from "./line-queue.ts";

const CHECK_ROTATION_MS = 1_000;
const ROTATE_AGAIN_MS = 60_000;
const STDERR_FULL_PAUSE_MS = 20;
const STDERR = 2;
const NEWLINE = 0x0a;
/**
 * The flags of "a+", but a write to a full pipe fails instead of blocking: a thread blocked in a write
 * prevents the process's exit.
 */
const APPENDING =
  constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;

const writeTo = promisify(write);
const statOf = promisify(fstat);

export interface FileTarget extends LineTarget, AsyncDisposable {
  /** Closes the file and opens the one at the path now. Not to be called during a write. */
  reopen(): Promise<void>;
}

/**
 * Appends to the file (0600), and makes it again if it was moved or removed. A missing folder is made (0700) unless
 * `makesFolder` is false. At `maxBytes` (null: never) a regular file is renamed to `PATH.1`, beside its real path if
 * `PATH` is a symlink.
 */
export function createFileTarget(
  path: string,
  clock: Clock,
  maxBytes: number | null,
  makesFolder = true,
): FileTarget {
  let file: FileHandle | null = null;
  let identity = "";
  let folder: string | null = null;
  let checkedAtMs = 0;
  /** null for a pipe or device. */
  let sizeBytes: number | null = null;
  let rotateNotBeforeMs = Number.NEGATIVE_INFINITY;

  const close = async (): Promise<void> => {
    const closing = file;
    file = null;
    await closing?.close();
  };
  const openFile = async (): Promise<FileHandle> => {
    const opened = await openAppending(path, makesFolder);
    try {
      const found = await opened.stat();
      await endTornLine(opened, found);
      identity = identityOf(found);
      folder = await folderAtPath();
      sizeBytes = found.isFile() ? found.size : null;
    } catch (error) {
      await opened.close();
      throw error;
    }
    checkedAtMs = clock.monotonicMs();
    return opened;
  };
  const folderAtPath = async (): Promise<string | null> => {
    const found = await stat(dirname(path)).catch(recoverFrom(["ENOENT", "ENOTDIR"], null));
    return found === null ? null : identityOf(found);
  };
  const isAtPath = async (): Promise<boolean> => {
    if (clock.monotonicMs() - checkedAtMs < CHECK_ROTATION_MS) return true;
    checkedAtMs = clock.monotonicMs();
    const found = await stat(path).catch(recoverFrom("ENOENT", null));
    // The file was moved with its folder: another process owns the file now at the path.
    if (found === null && !makesFolder && (await folderAtPath()) !== folder) return true;
    return found !== null && identityOf(found) === identity;
  };

  const isFull = (): boolean =>
    maxBytes !== null &&
    sizeBytes !== null &&
    sizeBytes >= maxBytes &&
    clock.monotonicMs() >= rotateNotBeforeMs;
  /** Resolves with whether the file was moved away. A file that cannot be renamed keeps growing, so that no line is lost. */
  const rotate = async (): Promise<boolean> => {
    try {
      const found = await stat(path);
      if (identityOf(found) !== identity) return true;
      // Another program may have truncated the file.
      sizeBytes = found.size;
      if (!isFull()) return false;
      // If the path is a symlink, for example to a larger disk, its target is renamed and the symlink stays.
      await rotateFile(await realpath(path), 1);
      return true;
    } catch (error) {
      if (systemErrorCode(error) === "ENOENT") return true;
      if (systemErrorCode(error) === null) throw error;
      rotateNotBeforeMs = clock.monotonicMs() + ROTATE_AGAIN_MS;
      return false;
    }
  };

  return {
    async write(bytes, offset) {
      if (file !== null && !(await isAtPath())) await close();
      if (file !== null && isFull() && (await rotate())) await close();
      let from = offset;
      if (file === null) {
        file = await openFile();
        // A line that was begun in the old file is repeated whole in the new one.
        from = offset === 0 ? 0 : bytes.lastIndexOf(NEWLINE, offset - 1) + 1;
      }
      try {
        const { bytesWritten } = await file.write(bytes, from);
        if (sizeBytes !== null) sizeBytes += bytesWritten;
        return from + bytesWritten;
      } catch (error) {
        // The user may fix the problem by moving the file away, so the next try checks the path first.
        checkedAtMs = Number.NEGATIVE_INFINITY;
        throw error;
      }
    },
    async reopen() {
      await close();
      file = await openFile();
    },
    [Symbol.asyncDispose]: close,
  };
}

/**
 * Renames the file to `path.1`, and each numbered file to the next number, up to `path.keep`. Stops at a gap in the numbers,
 * so that repeating an interrupted rotation loses no file. With `keep` 0 the file is removed.
 */
export async function rotateFile(path: string, keep: number): Promise<void> {
  if (keep === 0) {
    await rm(path, { force: true });
    return;
  }
  let free = 1;
  while (free < keep && (await entryExists(`${path}.${free}`))) free++;
  for (let number = free; number > 0; number--) {
    await rename(number === 1 ? path : `${path}.${number - 1}`, `${path}.${number}`);
  }
}

async function openAppending(path: string, makesFolder: boolean): Promise<FileHandle> {
  const attempt = (): Promise<FileHandle> => open(path, APPENDING, 0o600);
  try {
    return await attempt();
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT" || !makesFolder) throw error;
    await ensurePrivateFolder(dirname(path));
    return attempt();
  }
}

function identityOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

/** Ends a partial last line, which a crash or a full disk may have left. */
async function endTornLine(file: FileHandle, found: Stats): Promise<void> {
  if (!found.isFile() || found.size === 0) return;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, found.size - 1);
  if (buffer[0] !== NEWLINE) await file.write("\n");
}

/**
 * Writes to stderr without blocking. Lines wait while the pipe is full or the terminal is stopped by Ctrl-S; after any other
 * failure they are dropped.
 */
export function createStderrTarget(clock: Clock): LineTarget & AsyncDisposable {
  let descriptor: Promise<number> | null = null;
  let own: FileHandle | null = null;
  let isBroken = false;

  const openOwn = async (): Promise<number> => {
    const kind = await statOf(STDERR);
    // Writes to a regular file do not block, and a second descriptor would have its own position in the file.
    if (!kind.isFIFO() && !kind.isCharacterDevice()) return STDERR;
    try {
      // O_NONBLOCK on stderr itself would affect every process that shares it. Without O_NONBLOCK, a thread blocked in a
      // write would prevent this process's exit.
      own = await open("/dev/fd/2", constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
      return own.fd;
    } catch (error) {
      if (systemErrorCode(error) === null) throw error;
      return STDERR;
    }
  };
  return {
    async write(bytes, offset) {
      if (isBroken) return bytes.length;
      try {
        descriptor ??= openOwn();
        const { bytesWritten } = await writeTo(await descriptor, bytes, offset);
        return offset + bytesWritten;
      } catch (error) {
        if (systemErrorCode(error) === null) throw error;
        if (systemErrorCode(error) !== "EAGAIN") {
          isBroken = true;
          return bytes.length;
        }
        await clock.sleep(STDERR_FULL_PAUSE_MS);
        return offset;
      }
    },
    async [Symbol.asyncDispose]() {
      await own?.close();
    },
  };
}
