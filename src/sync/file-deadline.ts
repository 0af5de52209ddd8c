// A deadline for every look at the file. While one look is stuck, no others are started.

import { MountaineerError } from "../runtime/errors.ts";
import type { Clock } from "../runtime/time/clock.ts";
import type { WatchedFile } from "./watched-file.ts";

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
