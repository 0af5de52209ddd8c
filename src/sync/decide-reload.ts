// Decides the next step of a check of the file. Pure: the file's state and the memory in, one decision out.
import type { SyncSettings } from "../config/snapshot.ts";
import type { ConfigMistake } from "../config/values/mistakes.ts";
import { backoffMs } from "../runtime/time/backoff.ts";
import type { SyncProblem } from "./sync-settings.ts";
import type { FileContent } from "./watched-file.ts";

export type LoadedContent<Snapshot> = (
  | { readonly ok: true; readonly snapshot: Snapshot }
  | { readonly ok: false; readonly reason: string; readonly mistakes: readonly ConfigMistake[] }
) & {
  /** Why the content waits for a person, as half a file or one that drops its guards. Absent or null: it does not. */
  readonly suspect?: string | null;
  /** True: the file has other bytes by now. */
  readonly isStale?: boolean;
};

interface ObservedContent<Snapshot> extends FileContent {
  readonly kind: "content";
  /** Hash of the bytes, hexadecimal. */
  readonly sha256: string;
  /** null: not parsed yet. */
  readonly loaded: LoadedContent<Snapshot> | null;
}

export type FileObservation<Snapshot> =
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly reason: string }
  | ObservedContent<Snapshot>;

export interface ReloadMemory {
  readonly runningSha256: string;
  /**
   * The hash of content that the service itself has written and now runs, until a check has read it; null otherwise.
   * That check announces nothing.
   */
  readonly expectedSha256: string | null;
  readonly problem: {
    readonly kind: SyncProblem["kind"];
    /** Hash of the content with the problem; null if the file could not be read. */
    readonly sha256: string | null;
  } | null;
}

export interface ReloadCheck {
  /** A caller of `reloadNow` waits for the result. */
  readonly isRequested: boolean;
  /** A detector reported a change. */
  readonly noticed: boolean;
  /** True: this look repeats an earlier look, which may have found the file half written. */
  readonly second: boolean;
}

type ReloadDecision<Snapshot> =
  | { readonly do: "rest" }
  /** The file's bytes are those of the running configuration: announce "no-change". */
  | { readonly do: "report_same" }
  /** The problem is gone, and there is nothing to apply. */
  | { readonly do: "forget_problem" }
  /** The check found a change that no detector has noticed: debounce it first. */
  | { readonly do: "wait_until_quiet" }
  /** New bytes: parse them, then decide again. */
  | { readonly do: "load"; readonly content: ObservedContent<Snapshot> }
  /** The file may be half written: read it again. */
  | { readonly do: "look_again" }
  | { readonly do: "fail"; readonly reason: string }
  | { readonly do: "hold"; readonly sha256: string; readonly reason: string }
  | {
      readonly do: "reject";
      readonly sha256: string;
      readonly wrong: Extract<LoadedContent<Snapshot>, { ok: false }>;
    }
  | { readonly do: "apply"; readonly content: ObservedContent<Snapshot>; readonly snapshot: Snapshot };

/**
 * A missing file is not a change. Bytes that were rejected or suspect are not tried again unless a caller asks. An
 * empty, broken or cut file is read again before it is accepted as such.
 */
export function decideReload<Snapshot>(
  observed: FileObservation<Snapshot>,
  memory: ReloadMemory,
  { isRequested, noticed, second }: ReloadCheck,
): ReloadDecision<Snapshot> {
  const { problem } = memory;
  if (observed.kind === "missing") return { do: problem?.kind === "unreadable" ? "forget_problem" : "rest" };
  if (observed.kind === "unreadable") return { do: "fail", reason: observed.reason };
  const { bytes, sha256, loaded } = observed;
  if (sha256 === memory.runningSha256) {
    const isUnexpected = noticed && sha256 !== memory.expectedSha256;
    return { do: isRequested || isUnexpected || problem !== null ? "report_same" : "rest" };
  }
  const isKnown = problem?.sha256 === sha256;
  if (isKnown && isFinal(problem) && !isRequested) return { do: "rest" };
  if (!noticed && !isRequested && !second && !isKnown) return { do: "wait_until_quiet" };
  if (bytes.length === 0 && !second) return { do: "look_again" };
  if (loaded === null) return { do: "load", content: observed };
  // A reload is a person's confirmation of a suspect file that was already reported.
  const isConfirmed = isRequested && isKnown && problem?.kind === "cut_short";
  const suspect = isConfirmed ? null : (loaded.suspect ?? null);
  if (loaded.ok && suspect === null) return { do: "apply", content: observed, snapshot: loaded.snapshot };
  if (!second) return { do: "look_again" };
  if (loaded.ok || suspect !== null) return { do: "hold", sha256, reason: suspect ?? "" };
  return { do: "reject", sha256, wrong: loaded };
}

/** True for content that is not retried automatically. */
export function isFinal({ kind }: Pick<SyncProblem, "kind">): boolean {
  return kind === "rejected" || kind === "cut_short";
}

const LONGEST_RETRY_MS = 60_000;

/** Delay after `failures` failures in a row (≥ 1), ms: one poll interval, doubled each time under `backoff`, at most 60 s. */
export function retryDelayMs(
  { pollIntervalMs, onFailure }: Pick<SyncSettings, "pollIntervalMs" | "onFailure">,
  failures: number,
): number {
  if (onFailure !== "backoff") return pollIntervalMs;
  return backoffMs({ first: pollIntervalMs, most: LONGEST_RETRY_MS }, failures);
}
