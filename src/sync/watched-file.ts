// Access to the watched file: asynchronous, with a deadline for each call.
import { unlessAborted } from "../runtime/abort.ts";
import { MountaineerError } from "../runtime/errors.ts";
import type { Clock } from "../runtime/time/clock.ts";

/** Distinguishes one state of a file from another without reading the file. */
export interface FileStat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

export interface FileContent {
  readonly bytes: Uint8Array;
  /** The inode's number: content that comes by a rename or another symlink has another one. */
  readonly inode: string;
  /** True: the file was seen moved in, and was not written to since. */
  readonly isMovedIn?: boolean;
}

/** The file as its watcher sees it. For a file on a network file system, another process makes the system calls. */
export interface WatchedFile {
  /** Absolute. */
  readonly path: string;
  /** Follows symlinks; null: no such file. Rejects with the system's error, and when `signal` aborts. */
  stat(signal: AbortSignal): Promise<FileStat | null>;
  /**
   * Resolves with all bytes, up to a limit; null if there is no such file. Rejects when the file cannot be read, or
   * when `signal` aborts.
   */
  read(signal: AbortSignal): Promise<FileContent | null>;
  /** `path` with all symlinks resolved; null: no such path, or not known at the moment. Never rejects. */
  realPath(path: string): Promise<string | null>;
  /**
   * False if `path` (an ancestor of the file, or of a symlink on the way to it) lies on a network file system, where a
   * system call of this process may never return. Answers at once, from memory.
   */
  isHere(path: string): boolean;
}

/**
 * Returns the file with a deadline for `stat` and `read`: a late call rejects with `timed_out`, and its
 * signal aborts. While a late call has not settled, further calls reject with `timed_out` at once, so that
 * hung calls cannot pile up. A call whose own signal aborts rejects at once.
 */
export function withDeadline(file: WatchedFile, clock: Clock, deadlineMs: number): WatchedFile {
  let lateCalls = 0;
  const late = (): MountaineerError =>
    new MountaineerError("timed_out", `${file.path} gave no answer within ${deadlineMs / 1000} s`, {
      retry: "later",
    });

  const bounded = async <T>(signal: AbortSignal, call: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    if (lateCalls > 0) throw late();
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const work = call(stop.signal);
    const finished = work.then(
      () => {},
      () => {},
    );
    const timer = clock.setTimer(deadlineMs, () => {
      lateCalls += 1;
      void finished.then(() => {
        lateCalls -= 1;
      });
      stop.abort(late());
    });
    try {
      return await unlessAborted(work, stop.signal);
    } finally {
      timer[Symbol.dispose]();
      signal.removeEventListener("abort", onAbort);
    }
  };

  return {
    path: file.path,
    stat: (signal) => bounded(signal, (own) => file.stat(own)),
    read: (signal) => bounded(signal, (own) => file.read(own)),
    realPath: (path) => file.realPath(path),
    isHere: (path) => file.isHere(path),
  };
}
