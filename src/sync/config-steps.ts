// The steps of a service that takes up a configuration: parse it, apply it, and take note that it runs.
import type { ConfigDiff } from "../config/diff.ts";
import type { ConfigMistake } from "../config/values/mistakes.ts";
import { errorText, MountaineerError } from "../runtime/errors.ts";
import type { LoadedContent } from "./decide-reload.ts";

/** What runs. */
export interface Running<Snapshot> {
  /** Of the file's bytes, hexadecimal. */
  readonly sha256: string;
  readonly snapshot: Snapshot;
  /** 1 at the start; grows with each accepted content that means something else. */
  readonly generation: number;
}

/** A content that is parsed and right. */
export interface CheckedContent<Snapshot> {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly snapshot: Snapshot;
  /** Who brings it: "file", "cli", "rollback 1". */
  readonly source: string;
}

export interface AppliedContent<Snapshot> {
  /** What runs from now on. */
  readonly snapshot: Snapshot;
  /** False: other bytes, the same meaning. */
  readonly changed: boolean;
  readonly details: string;
  readonly diff: ConfigDiff | null;
}

/** How the service takes part. None of these is called while another one runs. */
export interface ConfigSteps<Snapshot> {
  /** Parses and checks. Rejects only with failures that may pass by themselves. */
  readonly load: (bytes: Uint8Array, signal: AbortSignal) => Promise<LoadedContent<Snapshot>>;
  /**
   * Prepares, commits, retires; resolves at commit, and in bounded time. What it throws counts as an outcome
   * (`outcomeOfThrown`).
   */
  readonly apply: (
    content: CheckedContent<Snapshot>,
    running: Running<Snapshot>,
    signal: AbortSignal,
  ) => Promise<AppliedContent<Snapshot>>;
  /** It runs now. `isNew`: other bytes than before. Never rejects. */
  readonly onApplied?: (
    content: CheckedContent<Snapshot>,
    applied: AppliedContent<Snapshot>,
    isNew: boolean,
  ) => Promise<void>;
}

export type ReloadOutcome =
  | {
      readonly kind: "applied";
      /** False: other bytes, the same meaning. */
      readonly changed: boolean;
      /** `3 backends reloaded`; "no changes" is said for what did not change. */
      readonly details: string;
      readonly diff: ConfigDiff | null;
    }
  /** The content is wrong: trying the same bytes again is useless. */
  | { readonly kind: "rejected"; readonly reason: string; readonly mistakes: readonly ConfigMistake[] }
  /** The content may be right; what is in the way may pass. */
  | { readonly kind: "failed"; readonly reason: string };

/** What came of looking at the file because somebody asked. */
export type ReloadResult =
  | ReloadOutcome
  /** The running bytes: nothing to do. */
  | { readonly kind: "same" }
  /** No file: what runs goes on. */
  | { readonly kind: "missing" }
  | { readonly kind: "unreadable"; readonly reason: string };

/** The outcome that a thrown value stands for: rejected for a wrong configuration, else a failure that may pass. */
export function outcomeOfThrown(error: unknown): ReloadOutcome {
  const reason = errorText(error);
  if (error instanceof MountaineerError && error.code === "config_invalid") {
    return { kind: "rejected", reason, mistakes: [] };
  }
  return { kind: "failed", reason };
}

export const NO_CHANGES = "no changes";
export const LEFT: ReloadResult = { kind: "failed", reason: "watching ended before the file was read" };
