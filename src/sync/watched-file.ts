// Access to the watched file: asynchronous, through a process that may touch its disk, and with a deadline for each look.
import { MountaineerError } from "../runtime/errors.ts";
import type { Clock } from "../runtime/time/clock.ts";

/** What distinguishes one state of a file from another without reading it. */
export interface FileStat {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/** The file as its watcher sees it. For a file on a network file system another process does the looking. */
export interface WatchedFile {
  /** Absolute. */
  readonly path: string;
  /** Follows symlinks; null: no such file. Rejects when it cannot tell, or when `signal` aborts. */
  stat(signal: AbortSignal): Promise<FileStat | null>;
  /** All bytes, bounded; null: no such file. Rejects when they cannot be read, or when `signal` aborts. */
  read(signal: AbortSignal): Promise<Uint8Array | null>;
  /** A path on the way to it without symlinks inside; null: there is none, or that cannot be told now. Never rejects. */
  realPath(path: string): Promise<string | null>;
  /**
   * Whether this process may itself touch `path` (an ancestor of the file or of a symlink on the way to it); false on
   * network file systems, where a call may never return. Answers at once, from memory.
   */
  isHere(path: string): boolean;
}

/**
 * The same file, each look bounded by `deadlineMs`: a late one rejects with `timed_out` and its signal aborts. While
 * a late look has still not settled, further ones are refused as late at once, so that they cannot pile up. A look
 * whose own signal aborts rejects at once.
 */
export function withDeadline(file: WatchedFile, clock: Clock, deadlineMs: number): WatchedFile {
  let stuck = 0;
  const late = (): MountaineerError =>
    new MountaineerError("timed_out", `${file.path} gave no answer within ${deadlineMs / 1000} s`, {
      retry: "later",
    });

  const bounded = <T>(signal: AbortSignal, look: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (stuck > 0) return Promise.reject(late());
    const stop = new AbortController();
    return new Promise((resolve, reject) => {
      let isLate = false;
      const abandon = (reason: unknown): void => {
        detach();
        stop.abort(reason);
        reject(reason);
      };
      const onAbort = (): void => abandon(signal.reason);
      const timer = clock.setTimer(deadlineMs, () => {
        isLate = true;
        stuck += 1;
        abandon(late());
      });
      const detach = (): void => {
        timer[Symbol.dispose]();
        signal.removeEventListener("abort", onAbort);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      const settled = (): void => {
        detach();
        if (isLate) stuck -= 1;
      };
      const looking = (async () => look(stop.signal))();
      looking.then(
        (value) => {
          settled();
          resolve(value);
        },
        (error: unknown) => {
          settled();
          reject(error);
        },
      );
    });
  };

  return {
    path: file.path,
    stat: (signal) => bounded(signal, (own) => file.stat(own)),
    read: (signal) => bounded(signal, (own) => file.read(own)),
    realPath: (path) => file.realPath(path),
    isHere: (path) => file.isHere(path),
  };
}
