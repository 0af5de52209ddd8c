// What one look at the file leads to. Pure: what was seen and what is remembered in, one decision out.
import type { ConfigMistake } from "../config/values/mistakes.ts";
import { backoffMs } from "../runtime/time/backoff.ts";
import type { SyncSettings } from "./sync-settings.ts";

/** What a content says once it is parsed and checked. */
export type LoadedContent<Snapshot> =
  | { readonly ok: true; readonly snapshot: Snapshot }
  | { readonly ok: false; readonly reason: string; readonly mistakes: readonly ConfigMistake[] };

interface SeenContent<Snapshot> {
  readonly kind: "content";
  readonly bytes: Uint8Array;
  /** Of the bytes, hexadecimal. */
  readonly sha256: string;
  /** null: not parsed yet. */
  readonly loaded: LoadedContent<Snapshot> | null;
}

/** What a look at the file found. */
export type SeenFile<Snapshot> =
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly reason: string }
  | SeenContent<Snapshot>;

export interface ReloadMemory {
  readonly runningSha256: string;
  /** Running bytes that the service itself put into the file and no look has met there yet: no event when one does. */
  readonly expectedSha256: string | null;
  readonly problem: {
    readonly kind: "unreadable" | "rejected" | "failed";
    /** Of the content it is about; null for one that could not be read. */
    readonly sha256: string | null;
  } | null;
}

export interface ReloadLook {
  /** Somebody asked for it and wants an answer. */
  readonly asked: boolean;
  /** A detector said that something changed. */
  readonly noticed: boolean;
  /** The file was looked at a moment ago, and was perhaps only half written. */
  readonly second: boolean;
}

type ReloadDecision<Snapshot> =
  | { readonly do: "rest" }
  /** The running bytes: worth an event. */
  | { readonly do: "report_same" }
  /** The problem is gone, and there is nothing to apply. */
  | { readonly do: "forget_problem" }
  /** A change that no detector has noticed: it is waited out like any other. */
  | { readonly do: "wait_until_quiet" }
  /** New bytes: parse them, then decide again. */
  | { readonly do: "load"; readonly content: SeenContent<Snapshot> }
  /** Perhaps only half written: look once more before it counts. */
  | { readonly do: "look_again" }
  | { readonly do: "fail"; readonly reason: string }
  | {
      readonly do: "reject";
      readonly sha256: string;
      readonly wrong: Extract<LoadedContent<Snapshot>, { ok: false }>;
    }
  | { readonly do: "apply"; readonly content: SeenContent<Snapshot>; readonly snapshot: Snapshot };

/** A missing file is no change, rejected bytes are not tried twice, and an empty or broken file is doubted once. */
export function decideReload<Snapshot>(
  seen: SeenFile<Snapshot>,
  memory: ReloadMemory,
  { asked, noticed, second }: ReloadLook,
): ReloadDecision<Snapshot> {
  const { problem } = memory;
  if (seen.kind === "missing") return { do: problem?.kind === "unreadable" ? "forget_problem" : "rest" };
  if (seen.kind === "unreadable") return { do: "fail", reason: seen.reason };
  const { bytes, sha256, loaded } = seen;
  if (sha256 === memory.runningSha256) {
    const isNews = asked || (noticed && sha256 !== memory.expectedSha256);
    return { do: isNews || problem !== null ? "report_same" : "rest" };
  }
  const isKnown = problem?.sha256 === sha256;
  if (isKnown && problem.kind === "rejected" && !asked) return { do: "rest" };
  if (!noticed && !asked && !second && !isKnown) return { do: "wait_until_quiet" };
  if (bytes.length === 0 && !second) return { do: "look_again" };
  if (loaded === null) return { do: "load", content: seen };
  if (loaded.ok) return { do: "apply", content: seen, snapshot: loaded.snapshot };
  return second ? { do: "reject", sha256, wrong: loaded } : { do: "look_again" };
}

const LONGEST_RETRY_MS = 60_000;

/** For the `failures`-th failure in a row (≥ 1), ms: one poll interval, doubled each time under `backoff`, 60 s at most. */
export function retryDelayMs(
  { pollIntervalMs, onFailure }: Pick<SyncSettings, "pollIntervalMs" | "onFailure">,
  failures: number,
): number {
  if (onFailure !== "backoff") return pollIntervalMs;
  return backoffMs({ first: pollIntervalMs, most: LONGEST_RETRY_MS }, failures);
}
