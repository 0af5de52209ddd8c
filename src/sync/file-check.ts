// One check of the file and its consequence: parse a new content, read an empty or wrong one again, apply.
import { errorText } from "../runtime/errors.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import type { Clock } from "../runtime/time/clock.ts";
import { type CheckedContent, outcomeOfThrown, type ReloadOutcome } from "./config-steps.ts";
import {
  decideReload,
  type FileObservation,
  type LoadedContent,
  type ReloadMemory,
} from "./decide-reload.ts";
import type { FileWatch } from "./file-watch.ts";
import { MAX_WAIT_FACTOR } from "./sync-settings.ts";
import type { FileContent, WatchedFile } from "./watched-file.ts";

export type CheckOutcome<Snapshot> =
  /** Broken off: the file changed again, watching ended, or an edit comes first. Each of these leads to another look. */
  | { readonly kind: "left" }
  | { readonly kind: "problem_gone" }
  | { readonly kind: "rest"; readonly observed: FileObservation<Snapshot> }
  | { readonly kind: "unreadable"; readonly reason: string }
  | { readonly kind: "same"; readonly sha256: string }
  | { readonly kind: "suspect"; readonly sha256: string; readonly reason: string }
  | { readonly kind: "tried"; readonly sha256: string; readonly outcome: ReloadOutcome };

interface FileCheckOptions<Snapshot> {
  readonly file: WatchedFile;
  readonly watch: FileWatch;
  readonly clock: Clock;
  readonly memory: () => ReloadMemory;
  readonly onRead: (sha256: string) => void;
  readonly load: (
    content: FileContent,
    signal: AbortSignal,
    waitMs: number,
  ) => Promise<LoadedContent<Snapshot>>;
  /** Never rejects. */
  readonly apply: (content: CheckedContent<Snapshot>, signal: AbortSignal) => Promise<ReloadOutcome>;
}

/**
 * An empty or wrong content may be half written, so it is read again after the debounce time, within these
 * bounds.
 */
const SECOND_CHECK_MS = { least: 250, most: 2_000 } as const;

/** Creates the function that checks the file. Its calls must not overlap, and each applies at most one content. */
export function createFileCheck<Snapshot>(options: FileCheckOptions<Snapshot>) {
  const { file, watch, clock, onRead } = options;

  const read = async (signal: AbortSignal): Promise<FileObservation<Snapshot>> => {
    try {
      const content = await file.read(signal);
      if (content === null) return { kind: "missing" };
      const sha256 = sha256Of(content.bytes);
      onRead(sha256);
      return { kind: "content", ...content, sha256, loaded: null };
    } catch (error) {
      // All reasons are reported and retried alike.
      return { kind: "unreadable", reason: errorText(error) };
    }
  };

  /** Returns false if it was broken off. */
  const pause = async (ms: number, signal: AbortSignal): Promise<boolean> => {
    try {
      await clock.sleep(ms, signal);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      throw error;
    }
  };

  /** Returns false if another look follows because of a later change, or if this look was broken off. */
  const untilSecondCheck = async (isRequested: boolean, signal: AbortSignal): Promise<boolean> => {
    const { least, most } = SECOND_CHECK_MS;
    const waitMs = isRequested ? least : Math.min(most, Math.max(least, watch.settings.debounceMs));
    if (!(await pause(waitMs, signal))) return false;
    await watch.detector.check();
    if (isRequested) watch.window.cancel();
    // If the file changes during the wait, the second look is left out: the change leads to another look.
    return isRequested || (watch.isWatching && !watch.window.isOpen && !watch.changeDue);
  };

  // `isRequested`: a caller waits for the result. `breakOff` ends the check as long as `apply` has not begun; `signal`
  // aborts `apply`.
  return async (
    isRequested: boolean,
    signal: AbortSignal,
    breakOff: AbortSignal,
  ): Promise<CheckOutcome<Snapshot>> => {
    if (!isRequested && !watch.isWatching) return { kind: "left" };
    // A change that the detector has not noticed yet is debounced as well, unless a caller waits.
    if (isRequested || !watch.changeDue) await watch.detector.check();
    if (isRequested) watch.window.cancel();
    else if (watch.window.isOpen) return { kind: "left" };
    let noticed = isRequested;
    const observe = (): Promise<FileObservation<Snapshot>> => {
      noticed ||= watch.changeDue;
      watch.changeDue = false;
      return read(breakOff);
    };
    let second = false;
    let observed = await observe();
    const lastMs = clock.monotonicMs() + watch.settings.debounceMs * MAX_WAIT_FACTOR;
    for (;;) {
      if (breakOff.aborted) {
        watch.changeDue ||= noticed;
        return { kind: "left" };
      }
      const memory = options.memory();
      const decision = decideReload(observed, memory, { isRequested, noticed, second });
      switch (decision.do) {
        case "rest":
          return { kind: "rest", observed };
        case "report_same":
          return { kind: "same", sha256: memory.runningSha256 };
        case "forget_problem":
          return { kind: "problem_gone" };
        case "wait_until_quiet":
          watch.window.trigger();
          return { kind: "left" };
        case "fail":
          return { kind: "unreadable", reason: decision.reason };
        case "look_again": {
          if (!(await untilSecondCheck(isRequested, breakOff)) && !breakOff.aborted) return { kind: "left" };
          second = true;
          const before = observed;
          observed = await observe();
          if (isSameContent(before, observed)) observed = before;
          break;
        }
        case "load": {
          const { content } = decision;
          try {
            // A file that is being written is waited for, and then read again.
            const waitMs = Math.max(0, lastMs - clock.monotonicMs());
            const loaded = await options.load(content, breakOff, waitMs);
            observed = loaded.isStale === true && waitMs > 0 ? await observe() : { ...content, loaded };
          } catch (error) {
            if (!breakOff.aborted) {
              return { kind: "tried", sha256: content.sha256, outcome: outcomeOfThrown(error) };
            }
          }
          break;
        }
        case "hold":
          return { kind: "suspect", sha256: decision.sha256, reason: decision.reason };
        case "reject": {
          const { reason, mistakes } = decision.wrong;
          return { kind: "tried", sha256: decision.sha256, outcome: { kind: "rejected", reason, mistakes } };
        }
        case "apply": {
          const { bytes, sha256, inode } = decision.content;
          const content = { bytes, sha256, inode, snapshot: decision.snapshot, source: "file" };
          return { kind: "tried", sha256, outcome: await options.apply(content, signal) };
        }
      }
    }
  };
}

function isSameContent(one: FileObservation<unknown>, other: FileObservation<unknown>): boolean {
  return one.kind === "content" && other.kind === "content" && one.sha256 === other.sha256;
}
