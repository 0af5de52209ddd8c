// The targets of log lines: a file that may be rotated away at any time, and a stderr that may stop being read.
import { constants, fstat, write } from "node:fs";
import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { expecting, systemErrorCode } from "../errors.ts";
import { ensurePrivateFolder, entryExists } from "../files/durable-file.ts";
import type { Clock } from "../time/clock.ts";
import type { LineTarget } from "./line-queue.ts";

const LOOK_FOR_ROTATION_MS = 1_000;
const ROTATE_AGAIN_MS = 60_000;
const STDERR_FULL_PAUSE_MS = 20;
const STDERR = 2;
const NEWLINE = 0x0a;
/** "a+" without blocking: on a full pipe a write fails, since a thread blocked in a write keeps the process from exiting. */
const APPENDING =
  constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK | constants.O_NOCTTY;

const writeTo = promisify(write);
const statOf = promisify(fstat);

export interface FileTarget extends LineTarget, AsyncDisposable {
  /** Opens what stands at the path now. Not during a write. */
  reopen(): Promise<void>;
}

/**
 * Appends to the file (0600, its folder 0700). If the file is moved or removed, a new one is made at its path. At
 * `maxBytes` it is moved to `PATH.1` and replaces the one there (if the path is a link, beside the link's target); a
 * pipe or a device is never moved, and with null no file is.
 */
export function createFileTarget(path: string, clock: Clock, maxBytes: number | null): FileTarget {
  let file: FileHandle | null = null;
  let identity = "";
  let lookedAtMs = 0;
  /** null: it cannot grow. */
  let sizeBytes: number | null = null;
  let rotateNotBeforeMs = Number.NEGATIVE_INFINITY;

  const close = async (): Promise<void> => {
    const closing = file;
    file = null;
    await closing?.close();
  };
  const openFile = async (): Promise<FileHandle> => {
    const opened = await openAppending(path);
    try {
      const found = await opened.stat();
      await endTornLine(opened, found);
      identity = identityOf(found);
      sizeBytes = found.isFile() ? found.size : null;
    } catch (error) {
      await opened.close();
      throw error;
    }
    lookedAtMs = clock.monotonicMs();
    return opened;
  };
  const isStillThere = async (): Promise<boolean> => {
    if (clock.monotonicMs() - lookedAtMs < LOOK_FOR_ROTATION_MS) return true;
    lookedAtMs = clock.monotonicMs();
    const found = await stat(path).catch(expecting("ENOENT", null));
    return found !== null && identityOf(found) === identity;
  };

  const isFull = (): boolean =>
    maxBytes !== null &&
    sizeBytes !== null &&
    sizeBytes >= maxBytes &&
    clock.monotonicMs() >= rotateNotBeforeMs;
  /** Whether the file was moved away. If it cannot be moved, it grows on: a log that goes on is worth more. */
  const rotate = async (): Promise<boolean> => {
    try {
      const found = await stat(path);
      if (identityOf(found) !== identity) return true;
      // Somebody may have emptied it.
      sizeBytes = found.size;
      if (!isFull()) return false;
      // Where the path is a link, say to a larger disk, the link stays and the file makes way.
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
      const isMidLine = offset > 0 && bytes[offset - 1] !== NEWLINE;
      if (file !== null && !(await isStillThere())) await close();
      if (file !== null && isFull() && !isMidLine && (await rotate())) await close();
      let from = offset;
      if (file === null) {
        file = await openFile();
        // A line that was begun in the old file is written again, whole, into this one.
        from = offset === 0 ? 0 : bytes.lastIndexOf(NEWLINE, offset - 1) + 1;
      }
      try {
        const { bytesWritten } = await file.write(bytes, from);
        if (sizeBytes !== null) sizeBytes += bytesWritten;
        return from + bytesWritten;
      } catch (error) {
        // Somebody may solve it by moving the file away: the next try looks first.
        lookedAtMs = Number.NEGATIVE_INFINITY;
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
 * Moves the file to `path.1`, and each numbered one up by one, to `path.keep` at most. Only numbers without a gap are
 * moved, so that a rotation that was cut off and begun again loses none. With `keep` 0 the file is removed.
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

async function openAppending(path: string): Promise<FileHandle> {
  const attempt = (): Promise<FileHandle> => open(path, APPENDING, 0o600);
  try {
    return await attempt();
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
    await ensurePrivateFolder(dirname(path));
    return attempt();
  }
}

interface FoundFile {
  readonly dev: number;
  readonly ino: number;
  readonly size: number;
  isFile(): boolean;
}

function identityOf({ dev, ino }: FoundFile): string {
  return `${dev}:${ino}`;
}

/** A crash or a full disk may have left half a line; the next one must not be glued to it. */
async function endTornLine(file: FileHandle, found: FoundFile): Promise<void> {
  if (!found.isFile() || found.size === 0) return;
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, found.size - 1);
  if (buffer[0] !== NEWLINE) await file.write("\n");
}

interface StderrTarget extends LineTarget, AsyncDisposable {}

/**
 * Writes to stderr without ever blocking: if nobody reads the pipe, or the terminal is stopped by Ctrl-S, lines wait.
 * Once nobody can read any more, they are dropped.
 */
export function createStderrTarget(clock: Clock): StderrTarget {
  let descriptor: Promise<number> | null = null;
  let own: FileHandle | null = null;
  let nobodyReads = false;

  const openOwn = async (): Promise<number> => {
    const kind = await statOf(STDERR);
    // Writes to a plain file do not block, and a descriptor of our own would have its own position in it.
    if (!kind.isFIFO() && !kind.isCharacterDevice()) return STDERR;
    try {
      // Not O_NONBLOCK on stderr itself: that would change it for every process that shares it. A thread blocked in a
      // write would keep the process from exiting.
      own = await open("/dev/fd/2", constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
      return own.fd;
    } catch (error) {
      if (systemErrorCode(error) === null) throw error;
      return STDERR;
    }
  };
  return {
    async write(bytes, offset) {
      if (nobodyReads) return bytes.length;
      try {
        descriptor ??= openOwn();
        const { bytesWritten } = await writeTo(await descriptor, bytes, offset);
        return offset + bytesWritten;
      } catch (error) {
        if (systemErrorCode(error) === null) throw error;
        if (systemErrorCode(error) !== "EAGAIN") {
          nobodyReads = true;
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
